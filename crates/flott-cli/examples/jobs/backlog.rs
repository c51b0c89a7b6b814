//! A job that cannot keep up, for the tests of checkpoints whose barriers overtake records: numbers are added up by
//! key, slowly, until somebody opens a gate.

use std::path::PathBuf;
use std::time::Duration;

use flott::prelude::*;

/// Adds up numbers by their last digits, and says the sums at the end.
#[derive(clap::Args)]
pub(crate) struct BacklogArgs {
    /// The last number.
    #[arg(long)]
    to: i64,
    /// The file that will be there when the gate is open.
    #[arg(long)]
    gate: PathBuf,
}

pub(crate) fn backlog(env: &StreamExecutionEnvironment, args: BacklogArgs) -> flott::Result<()> {
    let numbers = env.from_sequence(1, args.to).uid("numbers").rebalance();
    let tagged = numbers.map(|number: i64| (number % 20, number)).uid("tag");
    let slow = Slow { gate: args.gate, ..Slow::default() };
    tagged.key_by(|(key, _)| *key).process(slow).uid("slow").print();
    Ok(())
}

/// Takes so long.
#[expect(clippy::disallowed_methods, reason = "it stands for work, nobody waits for anything")]
fn work(time: Duration) {
    std::thread::sleep(time);
}

#[derive(Clone, Default)]
struct Slow {
    gate: PathBuf,
    is_open: bool,
    sum: ValueState<(i64, i64)>,
}

impl KeyedProcessFunction<i64, (i64, i64), String> for Slow {
    fn open(&mut self, context: &mut KeyedContext<'_, i64>) -> flott::Result<()> {
        self.sum = context.value_state(ValueStateDescriptor::new("sum"))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        (_, number): (i64, i64),
        context: &mut KeyedContext<'_, i64>,
        _: &mut Collector<String>,
    ) -> flott::Result<()> {
        if !self.is_open {
            self.is_open = self.gate.exists();
            work(Duration::from_millis(5));
        }
        let (count, sum) = self.sum.get(context)?.copied().unwrap_or_default();
        self.sum.update(context, (count + 1, sum + number))?;
        context.register_event_time_timer(Timestamp::MAX)
    }

    fn on_timer(
        &mut self,
        _: Timer,
        context: &mut KeyedContext<'_, i64>,
        out: &mut Collector<String>,
    ) -> flott::Result<()> {
        let key = *context.current_key()?;
        let (count, sum) = self.sum.get(context)?.copied().unwrap_or_default();
        out.collect(format!("key {key}: {count} numbers, {sum}"));
        Ok(())
    }
}
