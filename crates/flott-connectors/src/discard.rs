//! `discard`: the end of a stream that nobody reads.

use flott_core::codec::Data;
use flott_core::{Now, Result};
use flott_datastream::{Batch, Collector, DataStream, DataStreamSink, Operator};

/// Ends streams without output: for benchmarks, and for jobs that matter for what they do on the
/// way.
pub trait Discard {
    /// Forgets every record.
    fn discard(self) -> DataStreamSink;
}

impl<T: Data> Discard for DataStream<T> {
    fn discard(self) -> DataStreamSink {
        self.add_sink("Discard", false, |_| Discarder)
    }
}

struct Discarder;

impl<T> Operator<T, ()> for Discarder {
    fn process(&mut self, batch: &mut Batch<T>, _: &mut Collector<()>, _: Now) -> Result<()> {
        batch.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness;

    #[test]
    fn a_discarded_batch_is_empty() {
        let mut batch = Batch::default();
        batch.extend_untimed([1, 2, 3]);
        Discarder.process(&mut batch, &mut Collector::detached(), harness::at(0)).unwrap();
        assert!(batch.is_empty());
    }
}
