//! The sink of a test: keeps what arrives, and forgets what a failure takes back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flott_core::codec::Data;
use flott_core::{Now, Result};
use flott_datastream::{Batch, Collector, DataStream, Operator};

/// The output of a run so far, without its type.
pub(super) trait Log {
    /// How many records there are.
    fn len(&self) -> usize;

    /// Takes back all but the first `len` records.
    fn truncate(&self, len: usize);
}

/// The output of a run. Clones share it.
pub(super) struct Collected<U>(Arc<Mutex<Vec<U>>>);

impl<U> Clone for Collected<U> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<U> Default for Collected<U> {
    fn default() -> Self {
        Self(Arc::default())
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
        std::mem::take(&mut *self.lock())
    }
}

impl<U> Collected<U> {
    fn lock(&self) -> MutexGuard<'_, Vec<U>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<U> Log for Collected<U> {
    fn len(&self) -> usize {
        self.lock().len()
    }

    fn truncate(&self, len: usize) {
        self.lock().truncate(len);
    }
}

impl<U: Data> Operator<U, ()> for Collected<U> {
    fn process(&mut self, batch: &mut Batch<U>, _: &mut Collector<()>, _: Now) -> Result<()> {
        let mut records = self.lock();
        batch.try_drain(|record, _| {
            records.push(record);
            Ok(())
        })
    }
}
