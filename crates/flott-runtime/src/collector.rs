//! Where operators put what they emit.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;

use flott_core::{Error, ErrorKind, Result, Timestamp};

use crate::batch::{Batch, NO_TIMESTAMP};
use crate::stage::{Downstream, Signal};
use crate::task::StepContext;

/// Names a side output and its type. Clones name the same output.
pub struct OutputTag<T> {
    name: String,
    record: PhantomData<fn() -> T>,
}

impl<T> OutputTag<T> {
    /// The side output with this name; names are unique within an operator.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), record: PhantomData }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<T> Clone for OutputTag<T> {
    fn clone(&self) -> Self {
        Self::new(self.name.clone())
    }
}

impl<T> fmt::Debug for OutputTag<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutputTag({})", self.name)
    }
}

/// Collects what an operator emits while it handles one batch or one event; the runtime passes it
/// on when the operator returns.
pub struct Collector<T> {
    pub(crate) batch: Batch<T>,
    timestamp: Timestamp,
    pub(crate) watermark: Option<Timestamp>,
    pub(crate) idle: Option<bool>,
    pub(crate) sides: SideOutputs,
}

impl<T> Collector<T> {
    pub(crate) fn new(sides: SideOutputs) -> Self {
        Self {
            batch: Batch::default(),
            timestamp: NO_TIMESTAMP,
            watermark: None,
            idle: None,
            sides,
        }
    }

    /// A collector that keeps what is emitted, for tests of single operators.
    pub fn detached() -> Self {
        Self::new(SideOutputs::default())
    }

    /// Emits a record with the timestamp of the record that is being processed.
    #[inline]
    pub fn collect(&mut self, record: T) {
        self.batch.push(record, self.timestamp);
    }

    /// Emits a record with a timestamp of its own.
    #[inline]
    pub fn collect_with_timestamp(&mut self, record: T, timestamp: Timestamp) {
        self.batch.push(record, timestamp);
    }

    /// Emits a whole batch as it is.
    pub fn collect_batch(&mut self, batch: &mut Batch<T>) {
        self.batch.append(batch);
    }

    /// Emits what `f` makes of each record of a batch, with the record's timestamp.
    ///
    /// # Errors
    /// The first error of `f`.
    #[inline]
    pub fn collect_mapped<R>(
        &mut self,
        batch: &mut Batch<R>,
        f: impl FnMut(R) -> Result<T>,
    ) -> Result<()> {
        batch.try_map_into(&mut self.batch, f)
    }

    /// The timestamp that [`Collector::collect`] gives to records from here on.
    #[inline]
    pub fn set_timestamp(&mut self, timestamp: Timestamp) {
        self.timestamp = timestamp;
    }

    /// The timestamp that [`Collector::collect`] gives to records.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Emits a record to a side output. Nothing happens if nobody reads it; if it is
    /// read with a tag of another type, the task fails.
    pub fn output<S: 'static>(&mut self, tag: &OutputTag<S>, record: S) {
        let timestamp = self.timestamp;
        self.sides.push(tag, record, timestamp);
    }

    /// Emits a watermark after the records collected so far. For sources and watermark generators.
    pub fn emit_watermark(&mut self, watermark: Timestamp) {
        self.watermark = Some(watermark);
    }

    /// Says that nothing will be emitted for a while (`true`), or that this is over (`false`).
    pub fn set_idle(&mut self, idle: bool) {
        self.idle = Some(idle);
    }

    /// What was collected so far.
    pub fn collected(&mut self) -> &mut Batch<T> {
        &mut self.batch
    }
}

/// The side outputs of one operator.
#[derive(Default)]
pub(crate) struct SideOutputs {
    outputs: Vec<(String, Box<dyn AnySideOutput>)>,
    /// What was emitted with another type than its reader's. Told at the next flush: emitting
    /// itself cannot fail.
    mismatch: Option<String>,
}

impl SideOutputs {
    pub(crate) fn add<S: Send + Clone + 'static>(
        &mut self,
        name: String,
        downstream: Downstream<S>,
    ) {
        self.outputs.push((name, Box::new(SideOutput { batch: Batch::default(), downstream })));
    }

    fn push<S: 'static>(&mut self, tag: &OutputTag<S>, record: S, timestamp: Timestamp) {
        for (name, output) in &mut self.outputs {
            if *name != tag.name {
                continue;
            }
            match output.batch().downcast_mut::<Batch<S>>() {
                Some(batch) => return batch.push(record, timestamp),
                None => self.mismatch = Some(tag.name.clone()),
            }
        }
    }

    pub(crate) fn flush(&mut self, context: &mut StepContext<'_>) -> Result<()> {
        if let Some(name) = self.mismatch.take() {
            return Err(Error::new(
                ErrorKind::User,
                format!("side output \"{name}\" is written with another type than it is read with"),
            ));
        }
        self.outputs.iter_mut().try_for_each(|(_, output)| output.flush(context))
    }

    pub(crate) fn signal(
        &mut self,
        signal: &mut Signal<'_>,
        context: &mut StepContext<'_>,
    ) -> Result<()> {
        self.outputs.iter_mut().try_for_each(|(_, output)| output.signal(signal, context))
    }
}

trait AnySideOutput: Send {
    fn batch(&mut self) -> &mut dyn Any;
    fn flush(&mut self, context: &mut StepContext<'_>) -> Result<()>;
    fn signal(&mut self, signal: &mut Signal<'_>, context: &mut StepContext<'_>) -> Result<()>;
}

struct SideOutput<S> {
    batch: Batch<S>,
    downstream: Downstream<S>,
}

impl<S: Send + Clone + 'static> AnySideOutput for SideOutput<S> {
    fn batch(&mut self) -> &mut dyn Any {
        &mut self.batch
    }

    fn flush(&mut self, context: &mut StepContext<'_>) -> Result<()> {
        self.downstream.process(&mut self.batch, context)
    }

    fn signal(&mut self, signal: &mut Signal<'_>, context: &mut StepContext<'_>) -> Result<()> {
        self.downstream.signal(signal, context)
    }
}
