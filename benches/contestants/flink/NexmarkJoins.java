import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.functions.FlatMapFunction;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.api.java.tuple.Tuple4;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.SlidingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.types.Either;
import org.apache.flink.util.Collector;
import org.apache.flink.util.function.SerializableFunction;

/** The queries of {@code nexmark/joins.rs}, as a Flink user would write them. */
final class NexmarkJoins {
    private static final TypeInformation<Tuple2<Long, Long>> PAIR = Nexmark.PAIR;

    static DataStream<Long> localItems(DataStream<NexmarkEvents.Event> events) {
        // Who it is, what is sold (or -1 for the person).
        return events.flatMap((FlatMapFunction<NexmarkEvents.Event, Tuple2<Long, Long>>) (event, out) -> {
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

    /** An auction without what fills it up. */
    public static class Lot {
        public long seller;
        public long category;
        public long reserve;
        public long time;
        public long expires;
    }

    /** Auctions and what is wanted of their bids, by auction. */
    private static <B> DataStream<Tuple2<Long, Either<Lot, B>>> auctionsAndBids(
            DataStream<NexmarkEvents.Event> events, SerializableFunction<NexmarkEvents.Bid, B> of, Class<B> type) {
        return events.flatMap((FlatMapFunction<NexmarkEvents.Event, Tuple2<Long, Either<Lot, B>>>) (event, out) -> {
            if (event.auction != null) {
                Lot lot = new Lot();
                lot.seller = event.auction.seller;
                lot.category = event.auction.category;
                lot.reserve = event.auction.reserve;
                lot.time = event.auction.time;
                lot.expires = event.auction.expires;
                out.collect(Tuple2.of(event.auction.id, Either.Left(lot)));
            } else if (event.bid != null) {
                out.collect(Tuple2.of(event.bid.auction, Either.Right(of.apply(event.bid))));
            }
        }).returns(Types.TUPLE(Types.LONG, Types.EITHER(Types.POJO(Lot.class), Types.POJO(type))));
    }

    static DataStream<Long> closingPrices(DataStream<NexmarkEvents.Event> events) {
        return winningBids(events).map(won -> Tuple2.of(won.f1, won.f2)).returns(PAIR)
                .keyBy(won -> won.f0, Types.LONG)
                .window(SlidingEventTimeWindows.of(Duration.ofSeconds(10), Duration.ofSeconds(2)))
                .aggregate(new Average(), new WithCategory()).returns(PAIR)
                .map(average -> average.f0 + average.f1).returns(Types.LONG);
    }

    /** Sum and count. */
    public static class Average implements AggregateFunction<Tuple2<Long, Long>, Tuple2<Long, Long>, Long> {
        @Override
        public Tuple2<Long, Long> createAccumulator() {
            return Tuple2.of(0L, 0L);
        }

        @Override
        public Tuple2<Long, Long> add(Tuple2<Long, Long> won, Tuple2<Long, Long> all) {
            all.f0 += won.f1;
            all.f1++;
            return all;
        }

        @Override
        public Long getResult(Tuple2<Long, Long> all) {
            return all.f0 / all.f1;
        }

        @Override
        public Tuple2<Long, Long> merge(Tuple2<Long, Long> a, Tuple2<Long, Long> b) {
            return Tuple2.of(a.f0 + b.f0, a.f1 + b.f1);
        }
    }

    public static class WithCategory extends ProcessWindowFunction<Long, Tuple2<Long, Long>, Long, TimeWindow> {
        @Override
        public void process(
                Long category, Context context, Iterable<Long> averages, Collector<Tuple2<Long, Long>> out) {
            for (long average : averages) {
                out.collect(Tuple2.of(category, average));
            }
        }
    }

    /** What counts of a bid. */
    public static class Offer {
        public long bidder;
        public long price;
        public long time;

        static Offer of(NexmarkEvents.Bid bid) {
            Offer offer = new Offer();
            offer.bidder = bid.bidder;
            offer.price = bid.price;
            offer.time = bid.time;
            return offer;
        }

        /** The higher price wins, then who was first, then the lower bidder. */
        boolean isBetterThan(Offer other) {
            if (price != other.price) {
                return price > other.price;
            }
            return time != other.time ? time < other.time : bidder < other.bidder;
        }
    }

    /** An auction that has begun, and its best offer, if there is one. */
    public static class Open {
        public Lot lot;
        public Offer best;

        void offer(Offer offer) {
            if (offer.time >= lot.time && offer.time < lot.expires && (best == null || offer.isBetterThan(best))) {
                best = offer;
            }
        }
    }

    /** Auction, category, price and bidder. */
    static DataStream<Tuple4<Long, Long, Long, Long>> winningBids(DataStream<NexmarkEvents.Event> events) {
        DataStream<NexmarkEvents.Event> timed = events.assignTimestampsAndWatermarks(
                WatermarkStrategy.<NexmarkEvents.Event>forMonotonousTimestamps()
                        .withTimestampAssigner((event, before) -> event.time()));
        return auctionsAndBids(timed, Offer::of, Offer.class)
                .keyBy(step -> step.f0, Types.LONG).process(new Winner())
                .returns(Types.TUPLE(Types.LONG, Types.LONG, Types.LONG, Types.LONG));
    }

    public static class Winner
            extends KeyedProcessFunction<Long, Tuple2<Long, Either<Lot, Offer>>, Tuple4<Long, Long, Long, Long>> {
        private transient ValueState<Open> open;
        /** Offers that have come before the auction, or after its end. */
        private transient ListState<Offer> waiting;

        @Override
        public void open(OpenContext context) {
            open = getRuntimeContext().getState(new ValueStateDescriptor<>("open", Types.POJO(Open.class)));
            waiting = getRuntimeContext().getListState(
                    new ListStateDescriptor<>("waiting", Types.POJO(Offer.class)));
        }

        @Override
        public void processElement(
                Tuple2<Long, Either<Lot, Offer>> step, Context context, Collector<Tuple4<Long, Long, Long, Long>> out)
                throws Exception {
            Open own = open.value();
            if (step.f1.isLeft()) {
                own = new Open();
                own.lot = step.f1.left();
                for (Offer offer : waiting.get()) {
                    own.offer(offer);
                }
                waiting.clear();
                open.update(own);
                context.timerService().registerEventTimeTimer(own.lot.expires);
            } else if (own != null) {
                own.offer(step.f1.right());
                open.update(own);
            } else {
                waiting.add(step.f1.right());
                context.timerService().registerEventTimeTimer(step.f1.right().time);
            }
        }

        @Override
        public void onTimer(long time, OnTimerContext context, Collector<Tuple4<Long, Long, Long, Long>> out)
                throws Exception {
            Open own = open.value();
            if (own == null) {
                // An auction that is not there by now begins later than these offers, or is over: they never count.
                List<Offer> later = new ArrayList<>();
                for (Offer offer : waiting.get()) {
                    if (offer.time > time) {
                        later.add(offer);
                    }
                }
                waiting.update(later);
            } else if (own.lot.expires <= time) {
                if (own.best != null) {
                    out.collect(Tuple4.of(
                            context.getCurrentKey(), own.lot.category, own.best.price, own.best.bidder));
                }
                open.clear();
            }
        }
    }

    static DataStream<Long> withAuctions(DataStream<NexmarkEvents.Event> events) {
        return auctionsAndBids(events, bid -> bid, NexmarkEvents.Bid.class)
                .keyBy(step -> step.f0, Types.LONG).process(new WithAuction())
                .returns(Types.TUPLE(Types.POJO(NexmarkEvents.Bid.class), Types.POJO(Lot.class)))
                .map(both -> both.f0.price + both.f1.seller).returns(Types.LONG);
    }

    public static class WithAuction extends KeyedProcessFunction<
            Long, Tuple2<Long, Either<Lot, NexmarkEvents.Bid>>, Tuple2<NexmarkEvents.Bid, Lot>> {
        /** Also if nobody wants it: else its bids would wait. */
        private transient ValueState<Lot> lot;
        /** What waits for the auction. */
        private transient ListState<NexmarkEvents.Bid> bids;

        @Override
        public void open(OpenContext context) {
            lot = getRuntimeContext().getState(new ValueStateDescriptor<>("lot", Types.POJO(Lot.class)));
            bids = getRuntimeContext().getListState(
                    new ListStateDescriptor<>("bids", Types.POJO(NexmarkEvents.Bid.class)));
        }

        @Override
        public void processElement(
                Tuple2<Long, Either<Lot, NexmarkEvents.Bid>> step, Context context,
                Collector<Tuple2<NexmarkEvents.Bid, Lot>> out) throws Exception {
            if (step.f1.isLeft()) {
                Lot own = step.f1.left();
                if (own.category == 10) {
                    for (NexmarkEvents.Bid bid : bids.get()) {
                        out.collect(Tuple2.of(bid, own));
                    }
                }
                bids.clear();
                lot.update(own);
            } else {
                Lot own = lot.value();
                if (own == null) {
                    bids.add(step.f1.right());
                } else if (own.category == 10) {
                    out.collect(Tuple2.of(step.f1.right(), own));
                }
            }
        }
    }

    private NexmarkJoins() {}
}
