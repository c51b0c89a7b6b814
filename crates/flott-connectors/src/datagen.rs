//! Records made of nothing: `generate` and `from_sequence`.

mod rate;
mod splits;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use flott_core::codec::Data;
use flott_core::element::Barrier;
use flott_core::{Error, Now, Result};
use flott_datastream::{
    Collector, DataStream, OpenContext, OperatorInstance, OperatorListState, OperatorParts, Source,
    SourceStatus, StreamExecutionEnvironment,
};

use self::rate::RateLimit;
use self::splits::{Split, Splits};
use crate::state::{self, OperatorStateBackend, Redistribution};

/// Generates streams.
#[expect(clippy::wrong_self_convention, reason = "the names are Flink's")]
pub trait Generate {
    /// The records `f(0)`, `f(1)`, … up to `count` of them, or without end. `f` must depend on the
    /// index alone: then the stream is exactly once, and any parallelism generates the same
    /// records. Each subtask generates its share in ascending order.
    fn generate<T: Data>(
        &self,
        name: &str,
        count: Option<u64>,
        f: impl Fn(u64) -> T + Send + Sync + 'static,
    ) -> DataStream<T>;

    /// As [`Generate::generate`], with options.
    fn generate_with<T: Data, F: Fn(u64) -> T + Send + Sync + 'static>(
        &self,
        name: &str,
        generator: Generator<F>,
    ) -> DataStream<T>;

    /// The numbers from `from` to `to`, both included.
    fn from_sequence(&self, from: i64, to: i64) -> DataStream<i64>;
}

/// A generator with options, for [`Generate::generate_with`].
pub struct Generator<F> {
    f: Arc<F>,
    count: Option<u64>,
    records_per_second: Option<f64>,
    /// What is wrong with the options; reported before the first record.
    problem: Option<String>,
}

impl<F> Generator<F> {
    /// Generates `f(0)`, `f(1)`, … up to `count` of them, or without end.
    pub fn new(count: Option<u64>, f: F) -> Self {
        Self { f: Arc::new(f), count, records_per_second: None, problem: None }
    }

    /// Generates at most so many records a second, all subtasks together. After a pause it catches
    /// up on one second at most.
    #[must_use]
    pub fn rate_limited(mut self, records_per_second: f64) -> Self {
        if records_per_second.is_finite() && records_per_second > 0.0 {
            self.records_per_second = Some(records_per_second);
        } else {
            self.problem = Some(format!(
                "cannot generate {records_per_second} records per second: give a number above 0, \
                 or leave the limit out"
            ));
        }
        self
    }
}

impl<F> Clone for Generator<F> {
    fn clone(&self) -> Self {
        Self {
            f: self.f.clone(),
            count: self.count,
            records_per_second: self.records_per_second,
            problem: self.problem.clone(),
        }
    }
}

impl Generate for StreamExecutionEnvironment {
    fn generate<T: Data>(
        &self,
        name: &str,
        count: Option<u64>,
        f: impl Fn(u64) -> T + Send + Sync + 'static,
    ) -> DataStream<T> {
        self.generate_with(name, Generator::new(count, f))
    }

    fn generate_with<T: Data, F: Fn(u64) -> T + Send + Sync + 'static>(
        &self,
        name: &str,
        generator: Generator<F>,
    ) -> DataStream<T> {
        let bounded = generator.count.is_some();
        let records = self.add_source(name, move |instance| {
            GeneratorSource::new(generator.clone(), instance.parallelism)
        });
        if bounded { records.bounded() } else { records }
    }

    fn from_sequence(&self, from: i64, to: i64) -> DataStream<i64> {
        let count = u64::try_from(i128::from(to) - i128::from(from) + 1);
        let f = move |index: u64| from.wrapping_add_unsigned(index);
        let mut generator = Generator::new(Some(count.unwrap_or(0)), f);
        if from > to || count.is_err() {
            generator.problem = Some(format!(
                "cannot generate the numbers from {from} to {to}: the first must not be greater \
                 than the last, and they must be fewer than 2^64"
            ));
        }
        self.generate_with("Sequence Source", generator)
    }
}

struct GeneratorSource<F> {
    generator: Generator<F>,
    rate: Option<RateLimit>,
    splits: Splits,
    states: Option<States>,
}

struct States {
    backend: OperatorStateBackend,
    splits: OperatorListState<Split>,
}

impl<F> GeneratorSource<F> {
    fn new(generator: Generator<F>, parallelism: u32) -> Self {
        let rate = generator.records_per_second;
        let rate = rate.map(|rate| RateLimit::new(rate / f64::from(parallelism)));
        Self { generator, rate, splits: Splits::default(), states: None }
    }

    fn start(
        &mut self,
        instance: &OperatorInstance,
        mut backend: OperatorStateBackend,
    ) -> Result<Vec<String>> {
        if let Some(problem) = &self.generator.problem {
            return Err(Error::invalid(problem.clone()));
        }
        let splits = backend.list_state("splits", Redistribution::Split)?;
        // Every subtask leaves its mark, and everyone gets all marks: after a change of parallelism
        // a subtask may get no split, which must not look like a fresh start.
        let mark = backend.list_state("generator", Redistribution::Union)?;
        self.splits = if mark.get(&mut backend)?.is_empty() {
            Splits::fresh(self.generator.count, instance.subtask, instance.parallelism)
        } else {
            Splits::restore(splits.get(&mut backend)?)
        };
        mark.update(&mut backend, vec![instance.subtask])?;
        let unclaimed = backend.unclaimed();
        self.states = Some(States { backend, splits });
        Ok(unclaimed)
    }
}

impl<T: Data, F: Fn(u64) -> T + Send + Sync> Source<T> for GeneratorSource<F> {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<()> {
        let backend = state::open(context);
        let unclaimed = self.start(context.instance, backend)?;
        context.report_unclaimed(unclaimed);
        Ok(())
    }

    fn poll(&mut self, limit: usize, out: &mut Collector<T>, now: Now) -> Result<SourceStatus> {
        let mut granted = limit;
        if let Some(rate) = &mut self.rate {
            granted = rate.grant(limit, now.mono);
            if granted == 0 && !self.splits.is_exhausted() {
                return Ok(SourceStatus::Idle(Some(now.wall.plus(rate.wait()))));
            }
        }
        self.splits.take(granted, &*self.generator.f, out.collected());
        let exhausted = self.splits.is_exhausted();
        Ok(if exhausted { SourceStatus::EndOfInput } else { SourceStatus::More })
    }

    fn snapshot(&mut self, _: Barrier, parts: &mut OperatorParts) -> Result<()> {
        let states = self.states.as_mut().ok_or_else(state::not_open)?;
        states.splits.update(&mut states.backend, self.splits.pieces())?;
        parts.add_operator_state(states.backend.snapshot());
        Ok(())
    }
}
