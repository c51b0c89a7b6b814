import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

/** What is done to a job beside giving it events; told in the lines that {@code operations.rs} tells of. */
final class Operations {
    private static final TypeInformation<Tuple2<Long, Long>> PAIR = Types.TUPLE(Types.LONG, Types.LONG);
    private static final long CHECKPOINTED = 6;
    private static final long FAILS_AFTER = TimeUnit.MILLISECONDS.toNanos(3500);

    private static final CountDownLatch ALL_CAME = new CountDownLatch(1);
    private static volatile long began;
    private static volatile long failed;
    /** Records that were under way when it failed still come out. */
    private static volatile boolean isBack;

    static final class InTurn implements GeneratorFunction<Long, Tuple2<Long, Long>> {
        private final long keys;

        InTurn(long keys) {
            this.keys = keys;
        }

        @Override
        public Tuple2<Long, Long> map(Long index) {
            return Tuple2.of(index % keys, 1L);
        }
    }

    static final class TellFirst implements MapFunction<Tuple2<Long, Long>, Tuple2<Long, Long>> {
        private boolean told;

        @Override
        public Tuple2<Long, Long> map(Tuple2<Long, Long> record) {
            if (!told) {
                told = true;
                System.out.println("first");
            }
            return record;
        }
    }

    static final class TellAll implements MapFunction<Tuple2<Long, Long>, Tuple2<Long, Long>> {
        private final long last;

        TellAll(long last) {
            this.last = last;
        }

        @Override
        public Tuple2<Long, Long> map(Tuple2<Long, Long> record) {
            if (record.f0 == last && record.f1 == 1) {
                ALL_CAME.countDown();
            }
            return record;
        }
    }

    /** Says that the first record has come when it is time to kill the job. */
    static final class TellLate implements MapFunction<Tuple2<Long, Long>, Tuple2<Long, Long>> {
        private long first;
        private boolean told;

        @Override
        public Tuple2<Long, Long> map(Tuple2<Long, Long> record) {
            if (!told && record.f0 == 0) {
                first = first == 0 ? System.nanoTime() : first;
                if (System.nanoTime() - first > FAILS_AFTER) {
                    told = true;
                    System.out.println("first");
                }
            }
            return record;
        }
    }

    static final class FailOnce implements MapFunction<Tuple2<Long, Long>, Tuple2<Long, Long>> {
        @Override
        public Tuple2<Long, Long> map(Tuple2<Long, Long> record) {
            if (began == 0) {
                began = System.nanoTime();
            }
            if (failed == 0 && record.f0 == 0 && System.nanoTime() - began > FAILS_AFTER) {
                failed = System.nanoTime();
                throw new IllegalStateException("the benchmark wants a failure");
            }
            if (failed != 0) {
                isBack = true;
            }
            return record;
        }
    }

    static final class EndAfterFailure implements MapFunction<Tuple2<Long, Long>, Tuple2<Long, Long>> {
        @Override
        public Tuple2<Long, Long> map(Tuple2<Long, Long> record) {
            if (isBack) {
                System.out.println("figure recovery_ms " + (System.nanoTime() - failed) / 1e6);
                System.out.println("first");
                System.out.flush();
                Runtime.getRuntime().halt(0);
            }
            return record;
        }
    }

    /** Whether it is one of these; if so, it has been done. */
    static boolean run(String workload, StreamExecutionEnvironment env, long count, String folder) throws Exception {
        switch (workload) {
            case "START":
                discarded(summed(env, 1, 1, null), new TellFirst());
                break;
            case "IDLE":
                discarded(summed(env, count, count, RateLimiterStrategy.perSecond(10)), new TellFirst());
                break;
            case "SAVEPOINT":
                discarded(summed(env, count, Long.MAX_VALUE, null), new TellAll(count - 1));
                JobClient job = env.executeAsync(workload);
                ALL_CAME.await();
                long asked = System.nanoTime();
                String place = job.stopWithSavepoint(false, folder, SavepointFormatType.CANONICAL).get();
                System.out.println("figure savepoint_s " + (System.nanoTime() - asked) / 1e9);
                System.out.println("place " + place);
                return true;
            case "RESTORE":
                discarded(summed(env, count, Long.MAX_VALUE, null), new TellFirst());
                break;
            case "KILL":
                discarded(summed(env, count, Long.MAX_VALUE, null), new TellLate());
                break;
            case "CHECKPOINTS":
                double perSecond = count / 2.0;
                discarded(
                        summed(env, count, CHECKPOINTED * count, RateLimiterStrategy.perSecond(perSecond)),
                        new TellFirst());
                Checkpoints.tell(env.executeAsync(workload));
                return true;
            case "RECOVER":
                discarded(
                        source(env, count, Long.MAX_VALUE, null).map(new FailOnce()).returns(PAIR)
                                .keyBy(record -> record.f0, Types.LONG).sum(1),
                        new EndAfterFailure());
                break;
            default:
                return false;
        }
        env.execute(workload);
        return true;
    }

    private static DataStream<Tuple2<Long, Long>> source(
            StreamExecutionEnvironment env, long keys, long count, RateLimiterStrategy limit) {
        InTurn events = new InTurn(keys);
        DataGeneratorSource<Tuple2<Long, Long>> source = limit == null
                ? new DataGeneratorSource<>(events, count, PAIR)
                : new DataGeneratorSource<>(events, count, limit, PAIR);
        return env.fromSource(source, WatermarkStrategy.noWatermarks(), "events").uid("events");
    }

    private static DataStream<Tuple2<Long, Long>> summed(
            StreamExecutionEnvironment env, long keys, long count, RateLimiterStrategy limit) {
        return source(env, keys, count, limit).keyBy(record -> record.f0, Types.LONG).sum(1).uid("sum");
    }

    private static void discarded(
            DataStream<Tuple2<Long, Long>> stream, MapFunction<Tuple2<Long, Long>, Tuple2<Long, Long>> look) {
        stream.map(look).returns(PAIR).uid("look").sinkTo(new DiscardingSink<>());
    }

    private Operations() {}
}
