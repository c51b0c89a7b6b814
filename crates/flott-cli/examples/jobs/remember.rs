//! A job with state of every kind, for the tests that change its parallelism: it remembers numbers by
//! key, in a list that is split, in one that is united, and in a map that all have; and it sets timers.
//! When asked, each subtask says what it knows.

use std::collections::BTreeSet;

use flott::prelude::*;

/// Remembers numbers in every way, and says them when asked.
#[derive(clap::Args)]
pub(crate) struct RememberArgs {
    /// The directory with files of numbers.
    #[arg(long)]
    numbers: String,
    /// The directory with files of questions.
    #[arg(long)]
    asks: String,
}

/// Nobody feeds this number: it asks.
const ASK: i64 = 0;

pub(crate) fn remember(env: &StreamExecutionEnvironment, args: RememberArgs) -> flott::Result<()> {
    let read = |directory: String, uid: &str| {
        let lines = env.read_text_file_with(TextFileSource::new(directory).follow()).uid(uid);
        lines.map(|line: String| line.trim().parse::<i64>().map_err(flott::Error::from))
    };
    let (numbers, asks) = (read(args.numbers, "numbers"), read(args.asks, "asks"));
    for (name, kind) in [("split", Kind::Split), ("union", Kind::Union)] {
        let both = numbers.clone().rebalance().union([asks.clone().broadcast()]);
        both.process(Remember::new(kind)).uid(name).print();
    }
    let all = numbers.clone().broadcast().union([asks.broadcast()]);
    all.process(Remember::new(Kind::Broadcast)).uid("broadcast").print();
    numbers.key_by(|number| number % 10).process(Sums::default()).uid("sums").print();
    Ok(())
}

#[derive(Clone, Copy)]
enum Kind {
    Split,
    Union,
    Broadcast,
}

#[derive(Clone)]
struct Remember {
    kind: Kind,
    list: OperatorListState<i64>,
    map: BroadcastState<i64, i64>,
}

impl Remember {
    fn new(kind: Kind) -> Self {
        Self { kind, list: OperatorListState::default(), map: BroadcastState::default() }
    }
}

impl ProcessFunction<i64, String> for Remember {
    fn open(&mut self, context: &mut ProcessContext<'_>) -> flott::Result<()> {
        match self.kind {
            Kind::Split => self.list = context.operator_list_state("numbers")?,
            Kind::Union => self.list = context.union_list_state("numbers")?,
            Kind::Broadcast => self.map = context.broadcast_state("numbers")?,
        }
        Ok(())
    }

    fn process_element(
        &mut self,
        number: i64,
        context: &mut ProcessContext<'_>,
        out: &mut Collector<String>,
    ) -> flott::Result<()> {
        match (self.kind, number) {
            (Kind::Split, ASK) => {
                self.list.get(context)?.iter().for_each(|n| out.collect(format!("split {n}")));
            }
            (Kind::Union, ASK) => {
                // Each restore gives each subtask all of them.
                let known: BTreeSet<i64> = self.list.get(context)?.iter().copied().collect();
                known.iter().for_each(|n| out.collect(format!("union {n}")));
            }
            (Kind::Broadcast, ASK) => {
                let known: Vec<i64> = self.map.iter(context)?.map(|(n, _)| *n).collect();
                out.collect(format!("broadcast {known:?}"));
            }
            (Kind::Split | Kind::Union, _) => self.list.add(context, number)?,
            (Kind::Broadcast, _) => self.map.put(context, number, number)?,
        }
        Ok(())
    }
}

/// The sum of each key, said at the end of time.
#[derive(Clone, Default)]
struct Sums {
    sum: ValueState<i64>,
}

impl KeyedProcessFunction<i64, i64, String> for Sums {
    fn open(&mut self, context: &mut KeyedContext<'_, i64>) -> flott::Result<()> {
        self.sum = context.value_state(ValueStateDescriptor::new("sum"))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        number: i64,
        context: &mut KeyedContext<'_, i64>,
        out: &mut Collector<String>,
    ) -> flott::Result<()> {
        let sum = self.sum.get(context)?.copied().unwrap_or(0) + number;
        self.sum.update(context, sum)?;
        out.collect(format!("seen {number}"));
        context.register_event_time_timer(Timestamp(number))
    }

    fn on_timer(
        &mut self,
        timer: Timer,
        context: &mut KeyedContext<'_, i64>,
        out: &mut Collector<String>,
    ) -> flott::Result<()> {
        let sum = self.sum.get(context)?.copied().unwrap_or(0);
        out.collect(format!(
            "timer {} of key {} with {sum}",
            timer.timestamp,
            context.current_key()?
        ));
        Ok(())
    }
}
