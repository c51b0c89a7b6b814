//! What several modules use: functions that show what is otherwise hidden, and a small source.

use std::time::Duration;

use flott_core::codec::Data;
use flott_core::element::Barrier;
use flott_core::{Now, Result, Timestamp};
use flott_datastream::{
    Batch, Collector, DataStream, OpenContext, Operator, OperatorListState, OperatorParts,
    ProcessContext, ProcessFunction, Source, SourceStatus,
};
use flott_state::{OperatorStateBackend, Redistribution};

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn word(word: &str, count: i64) -> (String, i64) {
    (word.to_owned(), count)
}

/// Each record with its timestamp.
pub(crate) fn with_timestamps<T: Data>(stream: DataStream<T>) -> DataStream<(T, Option<i64>)> {
    stream.process(Timestamps).uid("timestamps")
}

#[derive(Clone)]
struct Timestamps;

impl<T: Data> ProcessFunction<T, (T, Option<i64>)> for Timestamps {
    fn process_element(
        &mut self,
        value: T,
        context: &mut ProcessContext<'_>,
        out: &mut Collector<(T, Option<i64>)>,
    ) -> Result<()> {
        out.collect((value, context.timestamp().map(|time| time.0)));
        Ok(())
    }
}

/// Each record with the subtask that it came to, in an operator with this parallelism.
pub(crate) fn with_subtask<T: Data>(
    stream: DataStream<T>,
    parallelism: u32,
) -> DataStream<(T, u32)> {
    stream.process(Subtask).uid("subtask").set_parallelism(parallelism)
}

#[derive(Clone)]
struct Subtask;

impl<T: Data> ProcessFunction<T, (T, u32)> for Subtask {
    fn process_element(
        &mut self,
        value: T,
        context: &mut ProcessContext<'_>,
        out: &mut Collector<(T, u32)>,
    ) -> Result<()> {
        out.collect((value, context.instance().subtask));
        Ok(())
    }
}

/// The watermarks of a stream, in milliseconds.
pub(crate) fn watermarks<T: Data>(stream: DataStream<T>) -> DataStream<i64> {
    stream.transform("watermarks", |_| Watermarks)
}

struct Watermarks;

impl<T: Data> Operator<T, i64> for Watermarks {
    fn process(&mut self, batch: &mut Batch<T>, _: &mut Collector<i64>, _: Now) -> Result<()> {
        batch.clear();
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        out: &mut Collector<i64>,
        _: Now,
    ) -> Result<()> {
        out.collect(watermark.0);
        Ok(())
    }
}

/// The numbers from 0, dealt to all subtasks.
pub(crate) struct Numbers {
    next: u64,
    end: u64,
    stride: u64,
    state: Option<(OperatorStateBackend, OperatorListState<u64>)>,
}

impl Numbers {
    pub(crate) fn new(end: u64, subtask: u32, parallelism: u32) -> Self {
        Self { next: u64::from(subtask), end, stride: u64::from(parallelism), state: None }
    }
}

impl Source<u64> for Numbers {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<()> {
        let mut state = OperatorStateBackend::new("numbers");
        state.restore(std::mem::take(&mut context.restored.operator_states));
        let next = state.list_state::<u64>("next", Redistribution::Split)?;
        self.next = next.get(&mut state)?.first().copied().unwrap_or(self.next);
        self.state = Some((state, next));
        Ok(())
    }

    fn poll(&mut self, limit: usize, out: &mut Collector<u64>, _: Now) -> Result<SourceStatus> {
        for _ in 0..limit {
            if self.next >= self.end {
                return Ok(SourceStatus::EndOfInput);
            }
            out.collect(self.next);
            self.next += self.stride;
        }
        Ok(SourceStatus::More)
    }

    fn snapshot(&mut self, _: Barrier, parts: &mut OperatorParts) -> Result<()> {
        if let Some((state, next)) = &mut self.state {
            next.update(state, vec![self.next])?;
            parts.add_operator_state(state.snapshot());
        }
        Ok(())
    }
}
