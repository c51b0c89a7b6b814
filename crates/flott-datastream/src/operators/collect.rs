//! `execute_and_collect`: runs the program and gives what a stream carried.

use std::sync::{Arc, Mutex, PoisonError};

use flott_core::codec::Data;
use flott_core::{Now, Result};
use flott_runtime::{Batch, Collector, Operator};

use crate::stream::DataStream;

type Shared<T> = Arc<Mutex<Vec<T>>>;

impl<T: Data> DataStream<T> {
    /// Runs the program to its end and returns every record of this stream. The order of records
    /// from different subtasks is not defined; after a restart, records since the last checkpoint
    /// come again. For tests and small results: everything is kept in memory.
    ///
    /// # Errors
    /// If the program is wrong or the job fails.
    pub fn execute_and_collect(self, name: &str) -> Result<Vec<T>> {
        let shared: Shared<T> = Arc::default();
        let env = self.environment().clone();
        let sink = shared.clone();
        self.add_sink("collect", false, move |_| Collect { shared: sink.clone() });
        env.execute(name)?;
        let mut records = shared.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut *records))
    }
}

struct Collect<T> {
    shared: Shared<T>,
}

impl<T: Data> Operator<T, ()> for Collect<T> {
    fn process(&mut self, batch: &mut Batch<T>, _: &mut Collector<()>, _: Now) -> Result<()> {
        let mut records = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        batch.try_drain(|record, _| {
            records.push(record);
            Ok(())
        })
    }
}
