//! Four versions of one job, whose state changes its type from one to the next.

use flott::prelude::*;
use serde::{Deserialize, Serialize};

/// Says of each page, a line of the files, what is remembered of it.
#[derive(clap::Args)]
pub(crate) struct VisitsArgs {
    /// The directory with files of pages.
    #[arg(long)]
    pages: String,
}

/// What a version remembers of a page.
trait Remembered: StateData + Default {
    /// The page is visited; says what is known of it then.
    fn visit(&mut self, page: &str) -> String;
}

/// The first version.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Visits1 {
    count: u32,
    last: String,
}

impl Remembered for Visits1 {
    fn visit(&mut self, page: &str) -> String {
        self.count += 1;
        self.last = page.to_uppercase();
        format!("{} {}", self.count, self.last)
    }
}

/// Fields are new, and one is wider.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Visits2 {
    #[serde(default = "unknown")]
    first: String,
    count: i64,
    last: String,
    note: Option<String>,
}

fn unknown() -> String {
    "long ago".into()
}

impl Remembered for Visits2 {
    fn visit(&mut self, page: &str) -> String {
        let before = std::mem::replace(&mut self.last, page.to_lowercase());
        self.count += 1;
        self.note = Some(format!("before: {before}"));
        format!("{} {} {before}", self.count, self.first)
    }
}

/// One has another name, and one is gone.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Visits3 {
    note: Option<String>,
    first: String,
    #[serde(alias = "count")]
    times: i64,
}

impl Remembered for Visits3 {
    fn visit(&mut self, _: &str) -> String {
        self.times += 1;
        format!("{} {} {}", self.times, self.first, self.note.as_deref().unwrap_or_default())
    }
}

/// What was a number is none any more: nobody knows how.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Visits4 {
    first: String,
    times: String,
}

impl Remembered for Visits4 {
    fn visit(&mut self, _: &str) -> String {
        format!("{} {}", self.times, self.first)
    }
}

pub(crate) fn visits_1(env: &StreamExecutionEnvironment, args: VisitsArgs) -> flott::Result<()> {
    visits::<Visits1>(env, args)
}

pub(crate) fn visits_2(env: &StreamExecutionEnvironment, args: VisitsArgs) -> flott::Result<()> {
    visits::<Visits2>(env, args)
}

pub(crate) fn visits_3(env: &StreamExecutionEnvironment, args: VisitsArgs) -> flott::Result<()> {
    visits::<Visits3>(env, args)
}

pub(crate) fn visits_4(env: &StreamExecutionEnvironment, args: VisitsArgs) -> flott::Result<()> {
    visits::<Visits4>(env, args)
}

fn visits<V: Remembered>(env: &StreamExecutionEnvironment, args: VisitsArgs) -> flott::Result<()> {
    let pages = env.read_text_file_with(TextFileSource::new(args.pages).follow()).uid("pages");
    let said = pages.key_by(|page| page.clone()).process(Remember::<V>::default()).uid("visits");
    said.print();
    Ok(())
}

#[derive(Clone, Default)]
struct Remember<V> {
    visits: ValueState<V>,
}

impl<V: Remembered> KeyedProcessFunction<String, String, String> for Remember<V> {
    fn open(&mut self, context: &mut KeyedContext<'_, String>) -> flott::Result<()> {
        self.visits = context.value_state(ValueStateDescriptor::new("visits"))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        page: String,
        context: &mut KeyedContext<'_, String>,
        out: &mut Collector<String>,
    ) -> flott::Result<()> {
        let visits = self.visits.get_or_insert_with(context, V::default)?;
        let said = visits.visit(&page);
        out.collect(format!("{page}: {said}"));
        Ok(())
    }
}
