//! The words of a text, counted.

use flott::prelude::*;

/// Counts the words of a text and prints the final counts.
#[derive(clap::Args)]
pub(crate) struct WordCountArgs {
    /// The text: a file, a directory or a glob.
    #[arg(long)]
    file: String,
}

pub(crate) fn word_count(
    env: &StreamExecutionEnvironment,
    args: WordCountArgs,
) -> flott::Result<()> {
    env.read_text_file(&args.file)
        .flat_map(|line: String, out: &mut Collector<(String, u64)>| {
            let words = line.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            words.for_each(|word| out.collect((word.to_lowercase(), 1)));
        })
        .key_by(|(word, _)| word.clone())
        .process(FinalCount::default())
        .name("count")
        .print();
    Ok(())
}

/// Counts, and tells when the text has ended: the end of input is the end of event time.
#[derive(Clone, Default)]
struct FinalCount {
    count: ValueState<u64>,
}

impl KeyedProcessFunction<String, (String, u64), (String, u64)> for FinalCount {
    fn open(&mut self, context: &mut KeyedContext<'_, String>) -> flott::Result<()> {
        self.count = context.value_state(ValueStateDescriptor::new("count"))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        (_, one): (String, u64),
        context: &mut KeyedContext<'_, String>,
        _: &mut Collector<(String, u64)>,
    ) -> flott::Result<()> {
        context.register_event_time_timer(Timestamp::MAX)?;
        *self.count.get_or_insert_with(context, || 0)? += one;
        Ok(())
    }

    fn on_timer(
        &mut self,
        _: Timer,
        context: &mut KeyedContext<'_, String>,
        out: &mut Collector<(String, u64)>,
    ) -> flott::Result<()> {
        let word = context.current_key()?.clone();
        let count = self.count.get(context)?.copied().unwrap_or_default();
        out.collect((word, count));
        Ok(())
    }
}
