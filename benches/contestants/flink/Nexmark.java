import java.time.Duration;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.FlatMapFunction;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichFlatMapFunction;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.api.java.tuple.Tuple5;
import org.apache.flink.api.java.tuple.Tuple6;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.EventTimeSessionWindows;
import org.apache.flink.streaming.api.windowing.assigners.SlidingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/** Nexmark: the queries of {@code nexmark/queries.rs}, as a Flink user would write them. */
final class Nexmark {
    static final TypeInformation<Tuple2<Long, Long>> PAIR = Types.TUPLE(Types.LONG, Types.LONG);
    private static final String PARAMETER = "&channel_id=";

    /** What a query gives, as a number for each result; nothing if there is no such query. */
    static DataStream<Long> query(String query, StreamExecutionEnvironment env, long count) {
        DataStream<NexmarkEvents.Event> events = env.fromSource(
                new DataGeneratorSource<>(
                        new NexmarkEvents.Events(), count, TypeInformation.of(NexmarkEvents.Event.class)),
                WatermarkStrategy.noWatermarks(), "events");
        switch (query) {
            case "q0":
                return bids(events).map(bid -> bid.price).returns(Types.LONG);
            case "q1":
                return inEuros(bids(events)).map(bid -> bid.price).returns(Types.LONG);
            case "q2":
                return bids(events).filter(bid -> bid.auction % 123 == 0)
                        .map(bid -> Tuple2.of(bid.auction, bid.price)).returns(PAIR)
                        .map(pair -> pair.f0 + pair.f1).returns(Types.LONG);
            case "q3":
                return NexmarkJoins.localItems(events);
            case "q4":
                return NexmarkJoins.closingPrices(events);
            case "q5":
                return hotItems(events);
            case "q7":
                return timed(bids(events)).map(bid -> Tuple2.of(0L, bid.price)).returns(PAIR)
                        .keyBy(pair -> pair.f0, Types.LONG)
                        .window(TumblingEventTimeWindows.of(Duration.ofSeconds(10))).max(1)
                        .map(pair -> pair.f1).returns(Types.LONG);
            case "q8":
                return newSellers(events);
            case "q9":
                return NexmarkJoins.winningBids(events)
                        .map(won -> won.f0 + won.f1 + won.f2 + won.f3).returns(Types.LONG);
            case "q11":
                return timed(bids(events)).map(bid -> Tuple2.of(bid.bidder, 1L)).returns(PAIR)
                        .keyBy(pair -> pair.f0, Types.LONG)
                        .window(EventTimeSessionWindows.withGap(Duration.ofSeconds(10))).sum(1)
                        .map(pair -> pair.f0 * pair.f1).returns(Types.LONG);
            case "q13":
                return bids(events).flatMap(new SideInput())
                        .returns(Types.TUPLE(Types.LONG, Types.LONG, Types.LONG, Types.LONG, Types.STRING))
                        .map(bid -> bid.f2 + bid.f4.length()).returns(Types.LONG);
            case "q14":
                return calculated(events);
            case "q15":
                return NexmarkStatistics.days(events);
            case "q16":
                return NexmarkStatistics.channels(events);
            case "q17":
                return NexmarkStatistics.statistics(events);
            case "q18":
                return NexmarkStatistics.lastBids(events);
            case "q19":
                return NexmarkStatistics.topBids(events);
            case "q20":
                return NexmarkJoins.withAuctions(events);
            case "q21":
                return channelIds(events);
            case "q22":
                return bids(events).map(bid -> {
                    String[] parts = bid.url.split("/");
                    return Tuple2.of(parts[3], parts[4]);
                }).returns(Types.TUPLE(Types.STRING, Types.STRING))
                        .map(parts -> (long) parts.f0.length() + parts.f1.length()).returns(Types.LONG);
            default:
                return null;
        }
    }

    static SingleOutputStreamOperator<NexmarkEvents.Bid> bids(DataStream<NexmarkEvents.Event> events) {
        return events.flatMap((FlatMapFunction<NexmarkEvents.Event, NexmarkEvents.Bid>) (event, out) -> {
            if (event.bid != null) {
                out.collect(event.bid);
            }
        }).returns(NexmarkEvents.Bid.class);
    }

    private static DataStream<NexmarkEvents.Bid> timed(DataStream<NexmarkEvents.Bid> bids) {
        return bids.assignTimestampsAndWatermarks(WatermarkStrategy.<NexmarkEvents.Bid>forMonotonousTimestamps()
                .withTimestampAssigner((bid, before) -> bid.time));
    }

    private static SingleOutputStreamOperator<NexmarkEvents.Bid> inEuros(DataStream<NexmarkEvents.Bid> bids) {
        return bids.map(bid -> {
            bid.price = bid.price * 908 / 1000;
            return bid;
        }).returns(NexmarkEvents.Bid.class);
    }

    private static DataStream<Long> hotItems(DataStream<NexmarkEvents.Event> events) {
        TypeInformation<Tuple3<Long, Long, Long>> counted = Types.TUPLE(Types.LONG, Types.LONG, Types.LONG);
        return timed(bids(events)).map(bid -> Tuple2.of(bid.auction, 0L)).returns(PAIR)
                .keyBy(pair -> pair.f0, Types.LONG)
                .window(SlidingEventTimeWindows.of(Duration.ofSeconds(10), Duration.ofSeconds(2)))
                .aggregate(new Contestant.Count(), new WithEnd()).returns(counted)
                .keyBy(count -> count.f0, Types.LONG)
                .window(TumblingEventTimeWindows.of(Duration.ofSeconds(2))).maxBy(1)
                .map(count -> count.f1).returns(Types.LONG);
    }

    public static class WithEnd extends ProcessWindowFunction<Long, Tuple3<Long, Long, Long>, Long, TimeWindow> {
        @Override
        public void process(
                Long auction, Context context, Iterable<Long> counts, Collector<Tuple3<Long, Long, Long>> out) {
            for (long count : counts) {
                out.collect(Tuple3.of(context.window().getEnd(), count, auction));
            }
        }
    }

    private static DataStream<Long> newSellers(DataStream<NexmarkEvents.Event> events) {
        TypeInformation<Tuple3<Long, Integer, Long>> side = Types.TUPLE(Types.LONG, Types.INT, Types.LONG);
        return events.flatMap((FlatMapFunction<NexmarkEvents.Event, Tuple3<Long, Integer, Long>>) (event, out) -> {
            if (event.person != null) {
                out.collect(Tuple3.of(event.person.id, 1, event.person.time));
            } else if (event.auction != null) {
                out.collect(Tuple3.of(event.auction.seller, 2, event.auction.time));
            }
        }).returns(side)
                .assignTimestampsAndWatermarks(
                        WatermarkStrategy.<Tuple3<Long, Integer, Long>>forMonotonousTimestamps()
                                .withTimestampAssigner((own, before) -> own.f2))
                .map(own -> Tuple2.of(own.f0, own.f1)).returns(Types.TUPLE(Types.LONG, Types.INT))
                .keyBy(own -> own.f0, Types.LONG)
                .window(TumblingEventTimeWindows.of(Duration.ofSeconds(10)))
                .reduce((a, b) -> Tuple2.of(a.f0, a.f1 | b.f1))
                .filter(own -> own.f1 == 3).map(own -> own.f0).returns(Types.LONG);
    }

    /** Bids, each with a value of a table that every task has loaded. */
    public static class SideInput
            extends RichFlatMapFunction<NexmarkEvents.Bid, Tuple5<Long, Long, Long, Long, String>> {
        private static final long ROWS = 10_000;
        private transient Map<Long, String> table;

        @Override
        public void open(OpenContext context) {
            table = new HashMap<>();
            for (long key = 0; key < ROWS; key++) {
                table.put(key, String.valueOf((Contestant.mix(key) >>> 1) % 1_000_000));
            }
        }

        @Override
        public void flatMap(NexmarkEvents.Bid bid, Collector<Tuple5<Long, Long, Long, Long, String>> out) {
            String value = table.get(bid.auction % ROWS);
            if (value != null) {
                out.collect(Tuple5.of(bid.auction, bid.bidder, bid.price, bid.time, value));
            }
        }
    }

    private static DataStream<Long> calculated(DataStream<NexmarkEvents.Event> events) {
        TypeInformation<Tuple6<Long, Long, Long, String, Long, Long>> row =
                Types.TUPLE(Types.LONG, Types.LONG, Types.LONG, Types.STRING, Types.LONG, Types.LONG);
        return inEuros(bids(events))
                .filter(bid -> bid.price > 1_000_000 && bid.price < 50_000_000)
                .map(bid -> {
                    long hour = bid.time / 3_600_000 % 24;
                    String kind = hour >= 8 && hour <= 18 ? "Day" : hour == 7 || hour == 19 ? "Other" : "Night";
                    long letters = 0;
                    for (int index = 0; index < bid.extra.length(); index++) {
                        letters += bid.extra.charAt(index) == 'c' ? 1 : 0;
                    }
                    return Tuple6.of(bid.auction, bid.bidder, bid.price, kind, bid.time, letters);
                }).returns(row)
                .map(bid -> bid.f2 + bid.f3.length() + bid.f5).returns(Types.LONG);
    }

    private static DataStream<Long> channelIds(DataStream<NexmarkEvents.Event> events) {
        TypeInformation<Tuple5<Long, Long, Long, String, String>> row =
                Types.TUPLE(Types.LONG, Types.LONG, Types.LONG, Types.STRING, Types.STRING);
        FlatMapFunction<NexmarkEvents.Bid, Tuple5<Long, Long, Long, String, String>> known = (bid, out) -> {
            String id = channelId(bid);
            if (id != null) {
                out.collect(Tuple5.of(bid.auction, bid.bidder, bid.price, bid.channel, id));
            }
        };
        return bids(events).flatMap(known).returns(row)
                .map(bid -> bid.f2 + bid.f4.length()).returns(Types.LONG);
    }

    /** Nothing, if the page does not say it either. */
    private static String channelId(NexmarkEvents.Bid bid) {
        switch (bid.channel.toLowerCase(Locale.ROOT)) {
            case "apple":
                return "0";
            case "google":
                return "1";
            case "facebook":
                return "2";
            case "baidu":
                return "3";
            default:
                int start = bid.url.indexOf(PARAMETER);
                if (start < 0) {
                    return null;
                }
                start += PARAMETER.length();
                int end = bid.url.indexOf('&', start);
                return bid.url.substring(start, end < 0 ? bid.url.length() : end);
        }
    }

    private Nexmark() {}
}
