import java.nio.file.Files;
import java.nio.file.Paths;
import java.time.Duration;

import org.apache.flink.api.common.JobExecutionResult;
import org.apache.flink.api.common.accumulators.LongCounter;
import org.apache.flink.api.common.accumulators.LongMaximum;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.functions.FlatMapFunction;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.util.Collector;

/** The contestant on Apache Flink: {@code Contestant WORKLOAD EVENTS PARALLELISM [KEY=VALUE ...]}. */
public class Contestant {
    /** All in one virtual machine: functions see what was set before the job began. */
    static long keys = 1_000_000;
    static final int WORDS = 10_000;

    static long mix(long index) {
        long z = index + 0x9e3779b97f4a7c15L;
        z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
        z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
        return z ^ (z >>> 31);
    }

    static final class Vocabulary {
        final String[] words = new String[WORDS];
        final short[] ranks = new short[65_536];

        Vocabulary() {
            double scale = Math.log(WORDS + 1);
            for (int bits = 0; bits < ranks.length; bits++) {
                double rank = Math.floor(Math.exp(bits / 65_536.0 * scale)) - 1;
                ranks[bits] = (short) Math.max(0, Math.min(WORDS - 1, rank));
            }
            for (int number = 0; number < WORDS; number++) {
                long bits = mix(number);
                long letters = 3 + (bits & 7);
                StringBuilder word = new StringBuilder();
                for (long letter = 0; letter < letters; letter++) {
                    bits >>>= 5;
                    word.append((char) ('a' + (int) (bits & 31) % 26));
                }
                words[number] = word.append(number).toString();
            }
        }

        String line(long index, StringBuilder line) {
            line.setLength(0);
            long bits = 0;
            for (int position = 0; position < 10; position++) {
                if (position % 4 == 0) {
                    bits = mix(index * 3 + position / 4);
                }
                if (position > 0) {
                    line.append(' ');
                }
                line.append(words[ranks[(int) (bits & 0xffff)]]);
                bits >>>= 16;
            }
            return line.toString();
        }
    }

    public static class Numbers implements GeneratorFunction<Long, Long> {
        @Override
        public Long map(Long index) {
            return mix(index);
        }
    }

    public static class Pairs implements GeneratorFunction<Long, Tuple2<Long, Long>> {
        @Override
        public Tuple2<Long, Long> map(Long index) {
            return Tuple2.of((mix(index) >>> 1) % keys, index & 255);
        }
    }

    public static class Timed implements GeneratorFunction<Long, Tuple2<Long, Long>> {
        @Override
        public Tuple2<Long, Long> map(Long index) {
            long mixed = mix(index);
            return Tuple2.of((mixed >>> 1) % 10_000, index / 100 + 128 - (mixed & 127));
        }
    }

    public static class Count implements AggregateFunction<Tuple2<Long, Long>, Long, Long> {
        @Override
        public Long createAccumulator() {
            return 0L;
        }

        @Override
        public Long add(Tuple2<Long, Long> record, Long count) {
            return count + 1;
        }

        @Override
        public Long getResult(Long count) {
            return count;
        }

        @Override
        public Long merge(Long a, Long b) {
            return a + b;
        }
    }

    public static class Lines implements GeneratorFunction<Long, String> {
        private transient Vocabulary vocabulary;
        private transient StringBuilder line;

        @Override
        public String map(Long index) {
            if (vocabulary == null) {
                vocabulary = new Vocabulary();
                line = new StringBuilder(128);
            }
            return vocabulary.line(index, line);
        }
    }

    public static class Split implements FlatMapFunction<String, Tuple2<String, Long>> {
        @Override
        public void flatMap(String line, Collector<Tuple2<String, Long>> out) {
            int start = 0;
            while (start < line.length()) {
                int end = line.indexOf(' ', start);
                end = end < 0 ? line.length() : end;
                out.collect(Tuple2.of(line.substring(start, end), 1L));
                start = end + 1;
            }
        }
    }

    /** Looks at the number of each record; what it has seen is an accumulator of the job. */
    public static class Watch<T> extends RichMapFunction<T, T> {
        private final boolean pairs;
        private transient LongCounter count;
        private transient LongCounter sum;
        private transient LongMaximum max;

        Watch(boolean pairs) {
            this.pairs = pairs;
        }

        @Override
        public void open(OpenContext context) {
            count = new LongCounter();
            sum = new LongCounter();
            max = new LongMaximum();
            getRuntimeContext().addAccumulator("count", count);
            getRuntimeContext().addAccumulator("sum", sum);
            getRuntimeContext().addAccumulator("max", max);
        }

        @Override
        @SuppressWarnings("unchecked")
        public T map(T record) {
            long number = pairs ? ((Tuple2<Object, Long>) record).f1 : (Long) record;
            count.add(1L);
            sum.add(number);
            max.add(number);
            return record;
        }
    }

    public static void main(String[] arguments) throws Exception {
        String workload = arguments[0];
        long events = Long.parseLong(arguments[1]);
        Configuration options = new Configuration();
        options.setString("pipeline.object-reuse", "true");
        if (workload.equals("CHECKPOINTS")) {
            options.setString("rest.bind-port", String.valueOf(Checkpoints.PORT));
        }
        for (int index = 3; index < arguments.length; index++) {
            String[] option = arguments[index].split("=", 2);
            options.setString(option[0], option[1]);
        }
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(options);
        env.setParallelism(Integer.parseInt(arguments[2]));

        String folder = options.toMap().get("execution.checkpointing.savepoint-dir");
        if (Operations.run(workload, env, events, folder)) {
            end(1);
        }
        TypeInformation<Tuple2<Long, Long>> pair = Types.TUPLE(Types.LONG, Types.LONG);
        TypeInformation<Tuple2<String, Long>> word = Types.TUPLE(Types.STRING, Types.LONG);
        switch (workload) {
            case "W1":
                watched(source(env, new Numbers(), events, Types.LONG)
                        .map(value -> (value * 31 + 7) ^ (value >>> 3)).returns(Types.LONG)
                        .filter(value -> (value & 1) == 0), false, Types.LONG);
                break;
            case "W5L":
                keys = 10_000_000;
                // Else as W2.
            case "W2":
            case "W5":
                watched(source(env, new Pairs(), events, pair)
                        .keyBy(record -> record.f0, Types.LONG).sum(1), true, pair);
                break;
            case "W3":
                watched(source(env, new Lines(), events, Types.STRING)
                        .flatMap(new Split()).returns(word)
                        .keyBy(record -> record.f0, Types.STRING).sum(1), true, word);
                break;
            case "W4":
                watched(env.fromSource(
                                new DataGeneratorSource<>(new Timed(), events, pair),
                                WatermarkStrategy.<Tuple2<Long, Long>>forBoundedOutOfOrderness(Duration.ofMillis(200))
                                        .withTimestampAssigner((record, before) -> record.f1),
                                "events")
                        .keyBy(record -> record.f0, Types.LONG)
                        .window(TumblingEventTimeWindows.of(Duration.ofSeconds(1)))
                        .aggregate(new Count()).returns(Types.LONG), false, Types.LONG);
                break;
            default:
                DataStream<Long> results = Nexmark.query(workload, env, events);
                if (results == null) {
                    throw new IllegalArgumentException(workload);
                }
                watched(results, false, Types.LONG);
        }
        JobExecutionResult result = env.execute(workload);
        long check = result.getAccumulatorResult("sum");
        if (workload.equals("W2") || workload.equals("W4") || workload.startsWith("W5")) {
            long count = result.getAccumulatorResult("count");
            long max = result.getAccumulatorResult("max");
            check = count * 1_000_003L + max;
        } else if (workload.startsWith("q")) {
            long count = result.getAccumulatorResult("count");
            check += count * 1_000_003L;
        }
        end(check);
    }

    private static void end(long check) throws Exception {
        String peak = Files.readAllLines(Paths.get("/proc/self/status")).stream()
                .filter(line -> line.startsWith("VmHWM")).findFirst().orElse("VmHWM: 0").split("\\s+")[1];
        System.out.println("check=" + Long.toUnsignedString(check) + " peak_kb=" + peak);
        System.exit(0);
    }

    private static <T> DataStream<T> source(
            StreamExecutionEnvironment env, GeneratorFunction<Long, T> events, long count, TypeInformation<T> type) {
        return env.fromSource(
                new DataGeneratorSource<>(events, count, type), WatermarkStrategy.noWatermarks(), "events");
    }

    private static <T> void watched(DataStream<T> stream, boolean pairs, TypeInformation<T> type) {
        stream.map(new Watch<T>(pairs)).returns(type).sinkTo(new DiscardingSink<>());
    }
}
