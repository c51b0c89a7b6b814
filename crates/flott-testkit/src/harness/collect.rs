//! The sink of a test: keeps what arrives, and forgets what a failure takes back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flott_core::codec::Data;
use flott_core::element::Barrier;
use flott_core::{Now, Result};
use flott_datastream::{Batch, Collector, DataStream, Operator, OperatorParts};

/// The output of a run so far, without its type.
pub(super) trait Log {
    /// How many records there were when the last snapshot was taken.
    fn mark(&self) -> usize;

    /// Takes back all but the first `len` records.
    fn truncate(&self, len: usize);
}

/// The output of a run. Clones share it.
pub(super) struct Collected<U>(Arc<Mutex<Output<U>>>);

struct Output<U> {
    records: Vec<U>,
    mark: usize,
}

impl<U> Clone for Collected<U> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<U> Default for Collected<U> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Output { records: Vec::new(), mark: 0 })))
    }
}

impl<U: Data> Collected<U> {
    /// Collects a stream in one place, in the order in which records arrive.
    pub(super) fn attach(&self, stream: DataStream<U>, name: &str) {
        let sink = self.clone();
        stream.add_sink(name, false, move |_| sink.clone()).uid(name).set_parallelism(1);
    }

    /// Takes the records out.
    pub(super) fn take(&self) -> Vec<U> {
        std::mem::take(&mut self.lock().records)
    }
}

impl<U> Collected<U> {
    fn lock(&self) -> MutexGuard<'_, Output<U>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<U> Log for Collected<U> {
    fn mark(&self) -> usize {
        self.lock().mark
    }

    fn truncate(&self, len: usize) {
        self.lock().records.truncate(len);
    }
}

impl<U: Data> Operator<U, ()> for Collected<U> {
    fn process(&mut self, batch: &mut Batch<U>, _: &mut Collector<()>, _: Now) -> Result<()> {
        let mut output = self.lock();
        batch.try_drain(|record, _| {
            output.records.push(record);
            Ok(())
        })
    }

    fn snapshot(&mut self, _: Barrier, _: &mut OperatorParts) -> Result<()> {
        let mut output = self.lock();
        output.mark = output.records.len();
        Ok(())
    }
}
