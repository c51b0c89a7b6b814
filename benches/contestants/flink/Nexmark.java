import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.FlatMapFunction;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.api.java.tuple.Tuple4;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.EventTimeSessionWindows;
import org.apache.flink.streaming.api.windowing.assigners.SlidingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/** Nexmark: the events and queries of {@code nexmark.rs}, as a Flink user would write them. */
final class Nexmark {
    private static final long FIRST_ID = 1000;
    private static final long TOTAL = 50;
    private static final long PERSONS = 1;
    private static final long AUCTIONS = 3;
    private static final long OPEN = 100;
    private static final long ACTIVE = 1000;
    private static final long LEAD = 10;
    private static final long PER_MILLI = 10;
    private static final String[] STATES = {"AZ", "CA", "ID", "OR", "WA", "WY"};
    private static final String[] CITIES = {"Phoenix", "Los Angeles", "Boise", "Portland", "Seattle", "Cheyenne"};
    private static final String[] FIRST = {"Peter", "Paul", "Luke", "John", "Saul", "Vicky"};
    private static final String[] LAST = {"Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton"};
    private static final String[] CHANNELS = {"Google", "Facebook", "Baidu", "Apple"};
    private static final String FILLING = filling();

    private static final TypeInformation<Tuple2<Long, Long>> PAIR = Types.TUPLE(Types.LONG, Types.LONG);

    private static String filling() {
        StringBuilder letters = new StringBuilder();
        for (int index = 0; index < 4096; index++) {
            letters.append((char) ('a' + Long.remainderUnsigned(Contestant.mix(index), 26)));
        }
        return letters.toString();
    }

    public static class Person {
        public long id;
        public String name;
        public String city;
        public String state;
        public long time;
        public String extra;
    }

    public static class Auction {
        public long id;
        public long seller;
        public long category;
        public long reserve;
        public long time;
        public String extra;
    }

    public static class Bid {
        public long auction;
        public long bidder;
        public long price;
        public String channel;
        public String url;
        public long time;
        public String extra;
    }

    /** One of the three. */
    public static class Event {
        public Person person;
        public Auction auction;
        public Bid bid;
    }

    private static final class Random {
        private long state;

        Random(long state) {
            this.state = state;
        }

        long below(long limit) {
            state++;
            return (Contestant.mix(state) >>> 1) % limit;
        }

        long price() {
            long magnitude = 1;
            for (long times = below(6); times > 0; times--) {
                magnitude *= 10;
            }
            long digits = (1 + below(9)) * magnitude * 100;
            return digits + below(100 * magnitude);
        }

        String filling(int length) {
            int start = (int) below(4096 - 512);
            return FILLING.substring(start, start + length);
        }

        String of(String[] all) {
            return all[(int) below(all.length)];
        }
    }

    private static long lastPerson(long index) {
        return index / TOTAL;
    }

    private static long lastAuction(long index) {
        long epoch = index / TOTAL;
        long offset = index % TOTAL;
        if (offset < PERSONS) {
            return Math.max(epoch * AUCTIONS - 1, 0);
        }
        return epoch * AUCTIONS + Math.min(offset - PERSONS, AUCTIONS - 1);
    }

    private static long somePerson(long index, Random random) {
        long all = lastPerson(index) + 1;
        long active = Math.min(all, ACTIVE);
        return all - active + random.below(active + LEAD);
    }

    private static long someAuction(long index, Random random) {
        long last = lastAuction(index);
        long first = Math.max(last - OPEN, 0);
        return first + random.below(last - first + 1 + LEAD);
    }

    public static class Events implements GeneratorFunction<Long, Event> {
        @Override
        public Event map(Long index) {
            Random random = new Random(Contestant.mix(index));
            long offset = index % TOTAL;
            Event event = new Event();
            if (offset < PERSONS) {
                event.person = person(index, random);
            } else if (offset < PERSONS + AUCTIONS) {
                event.auction = auction(index, random);
            } else {
                event.bid = bid(index, random);
            }
            return event;
        }

        private static Person person(long index, Random random) {
            Person person = new Person();
            person.id = FIRST_ID + lastPerson(index);
            person.name = random.of(FIRST) + " " + random.of(LAST);
            int place = (int) random.below(STATES.length);
            person.city = CITIES[place];
            person.state = STATES[place];
            person.time = index / PER_MILLI;
            person.extra = random.filling(150);
            return person;
        }

        private static Auction auction(long index, Random random) {
            Auction auction = new Auction();
            boolean hot = random.below(4) > 0;
            auction.id = FIRST_ID + lastAuction(index);
            auction.seller = FIRST_ID + (hot ? lastPerson(index) / 100 * 100 : somePerson(index, random));
            auction.category = 10 + random.below(5);
            auction.reserve = random.price();
            auction.time = index / PER_MILLI;
            auction.extra = random.filling(450);
            return auction;
        }

        private static Bid bid(long index, Random random) {
            Bid bid = new Bid();
            boolean hot = random.below(2) > 0;
            bid.auction = FIRST_ID + (hot ? lastAuction(index) / 100 * 100 : someAuction(index, random));
            hot = random.below(4) > 0;
            bid.bidder = FIRST_ID + (hot ? lastPerson(index) / 100 * 100 + 1 : somePerson(index, random));
            bid.price = random.price();
            bid.channel = random.below(2) > 0 ? random.of(CHANNELS) : "channel-" + random.below(10_000);
            bid.url = "https://www.nexmark.com/" + bid.channel + "/item.htm?query=" + random.below(1000);
            bid.time = index / PER_MILLI;
            bid.extra = random.filling(40);
            return bid;
        }
    }

    /** What a query gives, as a number for each result; nothing if there is no such query. */
    static DataStream<Long> query(String query, StreamExecutionEnvironment env, long count) {
        DataStream<Event> events = env.fromSource(
                new DataGeneratorSource<>(new Events(), count, TypeInformation.of(Event.class)),
                WatermarkStrategy.noWatermarks(), "events");
        switch (query) {
            case "q0":
                return bids(events).map(bid -> bid.price).returns(Types.LONG);
            case "q1":
                return bids(events).map(bid -> {
                    bid.price = bid.price * 908 / 1000;
                    return bid;
                }).returns(Bid.class).map(bid -> bid.price).returns(Types.LONG);
            case "q2":
                return bids(events).filter(bid -> bid.auction % 123 == 0)
                        .map(bid -> Tuple2.of(bid.auction, bid.price)).returns(PAIR)
                        .map(pair -> pair.f0 + pair.f1).returns(Types.LONG);
            case "q3":
                return localItems(events);
            case "q5":
                return hotItems(events);
            case "q7":
                return timed(bids(events)).map(bid -> Tuple2.of(0L, bid.price)).returns(PAIR)
                        .keyBy(pair -> pair.f0, Types.LONG)
                        .window(TumblingEventTimeWindows.of(Duration.ofSeconds(10))).max(1)
                        .map(pair -> pair.f1).returns(Types.LONG);
            case "q8":
                return newSellers(events);
            case "q11":
                return timed(bids(events)).map(bid -> Tuple2.of(bid.bidder, 1L)).returns(PAIR)
                        .keyBy(pair -> pair.f0, Types.LONG)
                        .window(EventTimeSessionWindows.withGap(Duration.ofSeconds(10))).sum(1)
                        .map(pair -> pair.f0 * pair.f1).returns(Types.LONG);
            case "q17":
                return statistics(events);
            case "q18":
                return lastBids(events);
            case "q19":
                return bids(events).map(bid -> Tuple2.of(bid.auction, bid.price)).returns(PAIR)
                        .keyBy(pair -> pair.f0, Types.LONG).process(new Top()).returns(Types.LONG);
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

    private static SingleOutputStreamOperator<Bid> bids(DataStream<Event> events) {
        return events.flatMap((FlatMapFunction<Event, Bid>) (event, out) -> {
            if (event.bid != null) {
                out.collect(event.bid);
            }
        }).returns(Bid.class);
    }

    private static DataStream<Bid> timed(DataStream<Bid> bids) {
        return bids.assignTimestampsAndWatermarks(WatermarkStrategy.<Bid>forMonotonousTimestamps()
                .withTimestampAssigner((bid, before) -> bid.time));
    }

    private static DataStream<Long> localItems(DataStream<Event> events) {
        // Who it is, what is sold (or -1 for the person).
        return events.flatMap((FlatMapFunction<Event, Tuple2<Long, Long>>) (event, out) -> {
            if (event.person != null && (event.person.state.equals("OR") || event.person.state.equals("ID")
                    || event.person.state.equals("CA"))) {
                out.collect(Tuple2.of(event.person.id, -1L));
            } else if (event.auction != null && event.auction.category == 10) {
                out.collect(Tuple2.of(event.auction.seller, event.auction.id));
            }
        }).returns(PAIR).keyBy(pair -> pair.f0, Types.LONG).process(new Join()).returns(Types.LONG);
    }

    public static class Join extends KeyedProcessFunction<Long, Tuple2<Long, Long>, Long> {
        private transient ValueState<Boolean> person;
        private transient ListState<Long> auctions;

        @Override
        public void open(OpenContext context) {
            person = getRuntimeContext().getState(new ValueStateDescriptor<>("person", Types.BOOLEAN));
            auctions = getRuntimeContext().getListState(new ListStateDescriptor<>("auctions", Types.LONG));
        }

        @Override
        public void processElement(Tuple2<Long, Long> side, Context context, Collector<Long> out) throws Exception {
            if (side.f1 < 0) {
                person.update(true);
                for (long auction : auctions.get()) {
                    out.collect(side.f0 + auction);
                }
                auctions.clear();
            } else if (person.value() != null) {
                out.collect(side.f0 + side.f1);
            } else {
                auctions.add(side.f1);
            }
        }
    }

    private static DataStream<Long> hotItems(DataStream<Event> events) {
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

    private static DataStream<Long> newSellers(DataStream<Event> events) {
        TypeInformation<Tuple3<Long, Integer, Long>> side = Types.TUPLE(Types.LONG, Types.INT, Types.LONG);
        return events.flatMap((FlatMapFunction<Event, Tuple3<Long, Integer, Long>>) (event, out) -> {
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

    private static DataStream<Long> statistics(DataStream<Event> events) {
        return bids(events).map(bid -> {
            Statistics own = new Statistics();
            own.auction = bid.auction;
            own.day = bid.time / 86_400_000;
            own.bids = 1;
            own.low = bid.price < 10_000 ? 1 : 0;
            own.high = bid.price >= 1_000_000 ? 1 : 0;
            own.middle = 1 - own.low - own.high;
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

    private static DataStream<Long> lastBids(DataStream<Event> events) {
        TypeInformation<Tuple4<Long, Long, Long, Long>> four =
                Types.TUPLE(Types.LONG, Types.LONG, Types.LONG, Types.LONG);
        return bids(events).map(bid -> Tuple4.of(bid.bidder, bid.auction, bid.price, bid.time)).returns(four)
                .keyBy(bid -> Tuple2.of(bid.f0, bid.f1), PAIR)
                .reduce((last, one) -> one.f3 >= last.f3 ? one : last)
                .map(bid -> bid.f2).returns(Types.LONG);
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

    private Nexmark() {}
}
