//! Keyed state by hand: the average of every two values of a key.

use flott::prelude::*;

/// Averages every two values per key, from lines like `key value`.
#[derive(clap::Args)]
pub(crate) struct CountWindowAverageArgs {
    /// The host to read lines from.
    #[arg(long)]
    host: String,
    /// The port to read lines from.
    #[arg(long)]
    port: u16,
}

pub(crate) fn count_window_average(
    env: &StreamExecutionEnvironment,
    args: CountWindowAverageArgs,
) -> flott::Result<()> {
    env.enable_checkpointing(seconds(1));
    env.socket_text_stream(&args.host, args.port)
        .map(|line: String| {
            let bad = || flott::Error::invalid(format!("the line \"{line}\" is not `key value`"));
            let (key, value) = line.split_once(' ').ok_or_else(bad)?;
            Ok::<_, flott::Error>((key.to_owned(), value.trim().parse::<i64>().map_err(|_| bad())?))
        })
        .key_by(|(key, _)| key.clone())
        .process(Average::default())
        .name("average")
        .print();
    Ok(())
}

/// Remembers count and sum, for ten seconds since the last value.
#[derive(Clone, Default)]
struct Average {
    sum: ValueState<(i64, i64)>,
}

impl KeyedProcessFunction<String, (String, i64), (String, i64)> for Average {
    fn open(&mut self, context: &mut KeyedContext<'_, String>) -> flott::Result<()> {
        let ttl = StateTtlConfig::new(seconds(10));
        self.sum = context.value_state(ValueStateDescriptor::new("average").ttl(ttl))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        (key, value): (String, i64),
        context: &mut KeyedContext<'_, String>,
        out: &mut Collector<(String, i64)>,
    ) -> flott::Result<()> {
        let (count, sum) = self.sum.get(context)?.copied().unwrap_or((0, 0));
        if count + 1 < 2 {
            return self.sum.update(context, (count + 1, sum + value));
        }
        out.collect((key, (sum + value) / (count + 1)));
        self.sum.clear(context)
    }
}
