import java.util.ArrayList;
import java.util.List;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.api.java.tuple.Tuple4;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** The queries of {@code nexmark/statistics.rs}, as a Flink user would write them. */
final class NexmarkStatistics {
    private static final long MILLIS_OF_MINUTE = 60_000;
    private static final long MILLIS_OF_DAY = 24 * 60 * MILLIS_OF_MINUTE;
    private static final TypeInformation<Tuple2<Long, Long>> PAIR = Nexmark.PAIR;
    /** Bidder, auction, price and time. */
    private static final TypeInformation<Tuple4<Long, Long, Long, Long>> BRIEF =
            Types.TUPLE(Types.LONG, Types.LONG, Types.LONG, Types.LONG);

    private static Tuple4<Long, Long, Long, Long> brief(NexmarkEvents.Bid bid) {
        return Tuple4.of(bid.bidder, bid.auction, bid.price, bid.time);
    }

    /** Of three ranks, which a price has. */
    private static int rank(long price) {
        return price < 10_000 ? 0 : price < 1_000_000 ? 1 : 2;
    }

    /** What is known of the bids of a day: of all ranks, and of each. */
    public static class Activity {
        public long[] bids = new long[4];
        public long[] bidders = new long[4];
        public long[] auctions = new long[4];
        /** Of the last bid, in the day. */
        public long minute;

        long digest() {
            return digest(digest(digest(minute, bids), bidders), auctions);
        }

        private static long digest(long digest, long[] numbers) {
            for (long number : numbers) {
                digest = digest * 31 + number;
            }
            return digest;
        }
    }

    static DataStream<Long> days(DataStream<NexmarkEvents.Event> events) {
        return activity(Nexmark.bids(events)
                .map(bid -> Tuple2.of(bid.time / MILLIS_OF_DAY, brief(bid)))
                .returns(Types.TUPLE(Types.LONG, BRIEF)), Types.LONG);
    }

    static DataStream<Long> channels(DataStream<NexmarkEvents.Event> events) {
        TypeInformation<Tuple2<String, Long>> channel = Types.TUPLE(Types.STRING, Types.LONG);
        return activity(Nexmark.bids(events)
                .map(bid -> Tuple2.of(Tuple2.of(bid.channel, bid.time / MILLIS_OF_DAY), brief(bid)))
                .returns(Types.TUPLE(channel, BRIEF)), channel);
    }

    private static <K> DataStream<Long> activity(
            DataStream<Tuple2<K, Tuple4<Long, Long, Long, Long>>> bids, TypeInformation<K> key) {
        return bids.keyBy(bid -> bid.f0, key).process(new Daily<K>())
                .returns(Types.TUPLE(key, Types.POJO(Activity.class)))
                .map(own -> own.f1.digest()).returns(Types.LONG);
    }

    public static class Daily<K>
            extends KeyedProcessFunction<K, Tuple2<K, Tuple4<Long, Long, Long, Long>>, Tuple2<K, Activity>> {
        private transient ValueState<Activity> activity;
        /** Who has bid, and what has bids: a bit for each rank. */
        private transient MapState<Long, Integer> bidders;
        private transient MapState<Long, Integer> auctions;

        @Override
        public void open(OpenContext context) {
            activity = getRuntimeContext().getState(
                    new ValueStateDescriptor<>("activity", Types.POJO(Activity.class)));
            bidders = getRuntimeContext().getMapState(
                    new MapStateDescriptor<>("bidders", Types.LONG, Types.INT));
            auctions = getRuntimeContext().getMapState(
                    new MapStateDescriptor<>("auctions", Types.LONG, Types.INT));
        }

        @Override
        public void processElement(
                Tuple2<K, Tuple4<Long, Long, Long, Long>> bid, Context context, Collector<Tuple2<K, Activity>> out)
                throws Exception {
            Activity own = activity.value();
            if (own == null) {
                own = new Activity();
            }
            int rank = rank(bid.f1.f2);
            own.bids[0]++;
            own.bids[1 + rank]++;
            count(own.bidders, rank, bidders, bid.f1.f0);
            count(own.auctions, rank, auctions, bid.f1.f1);
            own.minute = bid.f1.f3 % MILLIS_OF_DAY / MILLIS_OF_MINUTE;
            activity.update(own);
            out.collect(Tuple2.of(bid.f0, own));
        }

        private static void count(long[] numbers, int rank, MapState<Long, Integer> map, Long id) throws Exception {
            Integer known = map.get(id);
            int seen = known == null ? 0 : known;
            if ((seen & 1 << rank) == 0) {
                numbers[0] += seen == 0 ? 1 : 0;
                numbers[1 + rank]++;
                map.put(id, seen | 1 << rank);
            }
        }
    }

    /** What is known of the bids for an auction in a day. */
    public static class Statistics {
        public long auction;
        public long day;
        public long bids;
        public long low;
        public long middle;
        public long high;
        public long least;
        public long most;
        public long sum;
    }

    static DataStream<Long> statistics(DataStream<NexmarkEvents.Event> events) {
        return Nexmark.bids(events).map(bid -> {
            int rank = rank(bid.price);
            Statistics own = new Statistics();
            own.auction = bid.auction;
            own.day = bid.time / MILLIS_OF_DAY;
            own.bids = 1;
            own.low = rank == 0 ? 1 : 0;
            own.middle = rank == 1 ? 1 : 0;
            own.high = rank == 2 ? 1 : 0;
            own.least = bid.price;
            own.most = bid.price;
            own.sum = bid.price;
            return own;
        }).returns(Statistics.class)
                .keyBy(own -> Tuple2.of(own.auction, own.day), PAIR)
                .reduce((all, one) -> {
                    Statistics both = new Statistics();
                    both.auction = all.auction;
                    both.day = all.day;
                    both.bids = all.bids + 1;
                    both.low = all.low + one.low;
                    both.middle = all.middle + one.middle;
                    both.high = all.high + one.high;
                    both.least = Math.min(all.least, one.least);
                    both.most = Math.max(all.most, one.most);
                    both.sum = all.sum + one.sum;
                    return both;
                })
                .map(own -> own.sum + own.least + own.most).returns(Types.LONG);
    }

    static DataStream<Long> lastBids(DataStream<NexmarkEvents.Event> events) {
        return Nexmark.bids(events).map(NexmarkStatistics::brief).returns(BRIEF)
                .keyBy(bid -> Tuple2.of(bid.f0, bid.f1), PAIR)
                .reduce((last, one) -> one.f3 >= last.f3 ? one : last)
                .map(bid -> bid.f2).returns(Types.LONG);
    }

    static DataStream<Long> topBids(DataStream<NexmarkEvents.Event> events) {
        return Nexmark.bids(events).map(bid -> Tuple2.of(bid.auction, bid.price)).returns(PAIR)
                .keyBy(pair -> pair.f0, Types.LONG).process(new Top()).returns(Types.LONG);
    }

    public static class Top extends KeyedProcessFunction<Long, Tuple2<Long, Long>, Long> {
        private transient ValueState<List<Long>> top;

        @Override
        public void open(OpenContext context) {
            top = getRuntimeContext().getState(new ValueStateDescriptor<>("top", Types.LIST(Types.LONG)));
        }

        @Override
        public void processElement(Tuple2<Long, Long> bid, Context context, Collector<Long> out) throws Exception {
            List<Long> prices = top.value();
            if (prices == null) {
                prices = new ArrayList<>();
            }
            int place = 0;
            while (place < prices.size() && prices.get(place) >= bid.f1) {
                place++;
            }
            if (place < 10) {
                prices.add(place, bid.f1);
                if (prices.size() > 10) {
                    prices.remove(10);
                }
                top.update(prices);
                out.collect(bid.f1);
            }
        }
    }

    private NexmarkStatistics() {}
}
