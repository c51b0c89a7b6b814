//! `from_collection`: records that the program has at hand.

use std::sync::Arc;

use flott_core::codec::Data;
use flott_core::element::Barrier;
use flott_core::{Error, Now, Result};
use flott_datastream::{
    Collector, DataStream, OpenContext, OperatorListState, OperatorParts, Source, SourceStatus,
    StreamExecutionEnvironment,
};

use crate::state::{self, OperatorStateBackend, Redistribution};

/// Makes streams of collections.
#[expect(clippy::wrong_self_convention, reason = "the names are Flink's")]
pub trait FromCollection {
    /// The records of a collection, in order, in one subtask. Exactly once, if the program gives the
    /// same collection each time it runs.
    fn from_collection<T: Data + Sync>(
        &self,
        records: impl IntoIterator<Item = T>,
    ) -> DataStream<T>;
}

impl FromCollection for StreamExecutionEnvironment {
    fn from_collection<T: Data + Sync>(
        &self,
        records: impl IntoIterator<Item = T>,
    ) -> DataStream<T> {
        let records: Arc<[T]> = records.into_iter().collect();
        let source = self.add_single_source("Collection Source", move |_| CollectionSource {
            records: records.clone(),
            position: 0,
            state: None,
        });
        source.bounded()
    }
}

struct CollectionSource<T> {
    records: Arc<[T]>,
    /// How many records were emitted.
    position: usize,
    state: Option<(OperatorStateBackend, OperatorListState<u64>)>,
}

impl<T: Data + Sync> Source<T> for CollectionSource<T> {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<()> {
        let mut backend = state::open(context);
        let positions = backend.list_state("position", Redistribution::Split)?;
        let position: u64 = positions.get(&mut backend)?.first().copied().unwrap_or(0);
        let length = self.records.len();
        self.position = usize::try_from(position).unwrap_or(usize::MAX);
        if self.position > length {
            return Err(Error::invalid(format!(
                "the checkpoint is at record {position} of a collection that has only {length} \
                 now: give the collection that the job had, or start without its state"
            )));
        }
        context.report_unclaimed(backend.unclaimed());
        self.state = Some((backend, positions));
        Ok(())
    }

    fn poll(&mut self, limit: usize, out: &mut Collector<T>, _: Now) -> Result<SourceStatus> {
        let left = &self.records[self.position..];
        let records = &left[..limit.min(left.len())];
        out.collected().extend_untimed(records.iter().cloned());
        self.position += records.len();
        let ended = self.position == self.records.len();
        Ok(if ended { SourceStatus::EndOfInput } else { SourceStatus::More })
    }

    fn snapshot(&mut self, _: Barrier, parts: &mut OperatorParts) -> Result<()> {
        let (backend, position) = self.state.as_mut().ok_or_else(state::not_open)?;
        position.update(backend, vec![self.position as u64])?;
        parts.add_operator_state(backend.snapshot());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::Harness;

    #[test]
    fn a_restored_collection_goes_on_where_it_was() {
        let build = |env: &StreamExecutionEnvironment| env.from_collection(0..10);
        let mut job = Harness::new(1, build);
        job.step();
        assert_eq!(job.collected(), [0, 1, 2, 3]);
        let checkpoint = job.checkpoint();
        job.run_to_end();
        assert_eq!(job.collected(), (0..10).collect::<Vec<_>>());
        let mut again = Harness::restored(1, build, &checkpoint);
        again.run_to_end();
        assert_eq!(again.collected(), (4..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_collection_that_has_become_shorter_is_refused() {
        let mut job = Harness::new(1, |env| env.from_collection(0..9));
        job.step();
        let checkpoint = job.checkpoint();
        let mut again = Harness::restored(1, |env| env.from_collection([1]), &checkpoint);
        let error = again.run_to_failure();
        assert!(error.contains("record 4 of a collection that has only 1"), "{error}");
    }
}
