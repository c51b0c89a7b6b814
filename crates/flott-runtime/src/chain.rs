//! Operators and sources as links of a chain. Errors and panics of user code get the operator's
//! name here.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use flott_core::codec::Data;
use flott_core::mutant::Mutant;
use flott_core::{Error, ErrorKind, Result};

use crate::batch::{BATCH_RECORDS, Batch};
use crate::collector::{Collector, SideOutputs};
use crate::in_flight::Recovered;
use crate::operator::{OpenContext, Operator, OperatorInstance, Source, SourceStatus};
use crate::snapshot::OperatorParts;
use crate::stage::{Downstream, Signal, Stage};
use crate::task::StepContext;

/// However many records come out for each: fewer are not worth a call.
const PIECE_RECORDS_MIN: usize = 16;

/// An operator with what reads its output.
pub(crate) struct Chained<In, Out, O> {
    operator: O,
    link: Link<Out>,
    recovered: Recovered<In>,
    /// How many records come out for one that goes in, as seen last; at least one.
    expansion: usize,
}

/// The output side of an operator or a source.
struct Link<Out> {
    instance: OperatorInstance,
    out: Collector<Out>,
    downstream: Downstream<Out>,
}

impl<In, Out, O> Chained<In, Out, O> {
    pub(crate) fn new(
        operator: O,
        instance: OperatorInstance,
        downstream: Downstream<Out>,
        sides: SideOutputs,
    ) -> Self {
        let link = Link { instance, out: Collector::new(sides), downstream };
        Self { operator, link, recovered: Recovered::default(), expansion: 1 }
    }
}

impl<Out: Clone> Link<Out> {
    /// Runs user code: an error or a panic gets the operator's name.
    fn run<R>(
        &mut self,
        code: impl FnOnce(&OperatorInstance, &mut Collector<Out>) -> Result<R>,
    ) -> Result<R> {
        let Self { instance, out, .. } = self;
        guarded(|| code(instance, out)).map_err(|error| error.context(failed(instance)))
    }

    /// Passes on what user code has emitted.
    fn flush(&mut self, context: &mut StepContext<'_>) -> Result<()> {
        // Idleness ends before the first record and begins after the last.
        if self.out.idle == Some(false) {
            self.forward(&mut Signal::Idle(false), context)?;
        }
        self.out.sides.flush(context)?;
        self.downstream.process(&mut self.out.batch, context)?;
        if self.out.idle.take() == Some(true) {
            self.forward(&mut Signal::Idle(true), context)?;
        }
        match self.out.watermark.take() {
            Some(watermark) => self.forward(&mut Signal::Watermark(watermark), context),
            None => Ok(()),
        }
    }

    fn forward(&mut self, signal: &mut Signal<'_>, context: &mut StepContext<'_>) -> Result<()> {
        self.out.sides.signal(signal, context)?;
        self.downstream.signal(signal, context)
    }

    fn parts<'p>(&self, parts: &'p mut Vec<OperatorParts>) -> &'p mut OperatorParts {
        let id = self.instance.id;
        if Mutant::ChainSharesState.is_on() {
            parts.clear();
        }
        parts.push(OperatorParts::new(id));
        let last = parts.len() - 1;
        &mut parts[last]
    }
}

/// What an error of this operator begins with.
pub(crate) fn failed(instance: &OperatorInstance) -> String {
    format!(
        "operator \"{}\" ({}/{}) failed",
        instance.name,
        instance.subtask + 1,
        instance.parallelism
    )
}

/// Runs code that may be the user's: a panic becomes an error.
pub(crate) fn guarded<R>(code: impl FnOnce() -> Result<R>) -> Result<R> {
    catch_unwind(AssertUnwindSafe(code)).unwrap_or_else(|panic| {
        Err(Error::new(ErrorKind::User, format!("panicked: {}", panic_message(&*panic))))
    })
}

/// What a panic said.
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is no text".into())
}

impl<In, Out, O> Stage<In> for Chained<In, Out, O>
where
    In: Data,
    Out: Clone + Send + 'static,
    O: Operator<In, Out>,
{
    fn process(&mut self, batch: &mut Batch<In>, context: &mut StepContext<'_>) -> Result<()> {
        // What comes out stays in the caches of whoever is next.
        let size = (BATCH_RECORDS / self.expansion).max(PIECE_RECORDS_MIN);
        if batch.len() <= 2 * size {
            return self.process_at_once(batch, context);
        }
        batch.try_in_pieces(size, |piece| self.process_at_once(piece, context))
    }

    fn signal(&mut self, signal: &mut Signal<'_>, context: &mut StepContext<'_>) -> Result<()> {
        if let Signal::Recover(found) = signal {
            return self.recover(found, context);
        }
        let Self { operator, link, recovered, .. } = self;
        let now = context.now;
        match signal {
            Signal::Open(restored) => {
                *recovered = link.run(|instance, _| Recovered::take(restored, instance))?;
                link.open(restored, context, |open| operator.open(open))?;
            }
            Signal::Watermark(watermark) => {
                link.run(|_, out| operator.on_watermark(*watermark, out, now))?;
                link.flush(context)?;
                if !operator.forwards_watermarks() {
                    return Ok(());
                }
            }
            Signal::Idle(_) => {
                if !operator.forwards_watermarks() {
                    return Ok(());
                }
            }
            Signal::ProcessingTime => {
                if operator.next_processing_time().is_some_and(|time| time <= now.wall) {
                    link.run(|_, out| operator.on_processing_time(out, now))?;
                    link.flush(context)?;
                }
            }
            Signal::Prepare(barrier) => {
                link.run(|_, out| operator.prepare_barrier(*barrier, out))?;
                link.flush(context)?;
            }
            Signal::Snapshot(barrier, parts) => {
                let parts = link.parts(parts);
                link.run(|_, _| {
                    operator.snapshot(*barrier, parts)?;
                    recovered.parts()?.into_iter().for_each(|left| parts.add_in_flight(left));
                    Ok(())
                })?;
            }
            Signal::Complete(checkpoint) => {
                link.run(|_, _| operator.notify_complete(*checkpoint, now))?;
            }
            Signal::Aborted(checkpoint) => link.run(|_, _| operator.notify_aborted(*checkpoint))?,
            Signal::Finish => {
                link.run(|_, out| operator.finish(out, now))?;
                link.flush(context)?;
            }
            Signal::Survey(survey) => survey.wants(operator.next_processing_time()),
            Signal::LookUp(look_up) => {
                let Link { instance, .. } = link;
                look_up.answered_by(instance, |question| operator.look_up(question, now));
            }
            Signal::Close => {
                // Every operator is closed, whatever the ones before it said.
                let closed = link.run(|_, _| operator.close());
                return closed.and(link.forward(signal, context));
            }
            Signal::Recover(_) | Signal::Emit(_) | Signal::Flush => {}
        }
        link.forward(signal, context)
    }
}

impl<In, Out, O> Chained<In, Out, O>
where
    In: Data,
    Out: Clone + Send + 'static,
    O: Operator<In, Out>,
{
    fn process_at_once(
        &mut self,
        batch: &mut Batch<In>,
        context: &mut StepContext<'_>,
    ) -> Result<()> {
        let (operator, now, records) = (&mut self.operator, context.now, batch.len());
        let processed = self.link.run(|_, out| operator.process(batch, out, now));
        if records >= PIECE_RECORDS_MIN {
            self.expansion = self.link.out.batch.len().div_ceil(records).max(1);
        }
        // Also after a failure: what came before the record that failed goes on, as it would have
        // if the batch had ended there.
        let flushed = self.link.flush(context);
        processed.and(flushed)
    }

    /// Whoever is downstream has what was sent before.
    fn recover(&mut self, found: &mut bool, context: &mut StepContext<'_>) -> Result<()> {
        self.link.forward(&mut Signal::Recover(found), context)?;
        if !*found && let Some(mut batch) = self.recovered.next(context.at_once) {
            *found = true;
            context.records_in += batch.len() as u64;
            self.process(&mut batch, context)?;
        }
        Ok(())
    }
}

impl<Out: Clone> Link<Out> {
    fn open(
        &mut self,
        restored: &mut crate::build::RestoredTask,
        context: &mut StepContext<'_>,
        open: impl FnOnce(&mut OpenContext<'_>) -> Result<()>,
    ) -> Result<()> {
        let state = restored.take(self.instance.id);
        let waker = context.waker.clone();
        let StepContext { now, batch, checkpointing, .. } = *context;
        self.run(|instance, _| {
            let (unclaimed, state_backend) = (&mut restored.unclaimed, &restored.state_backend);
            let restored = state;
            open(&mut OpenContext {
                instance,
                now,
                waker,
                batch,
                checkpointing,
                state_backend,
                restored,
                unclaimed,
            })
        })
    }
}

/// The head of a chain that begins with a source.
pub(crate) trait SourceHead: Send {
    fn poll(&mut self, limit: usize, context: &mut StepContext<'_>) -> Result<SourceStatus>;
    fn signal(&mut self, signal: &mut Signal<'_>, context: &mut StepContext<'_>) -> Result<()>;
}

/// A source with what reads its output.
pub(crate) struct SourceStage<Out, S> {
    source: S,
    link: Link<Out>,
}

impl<Out, S> SourceStage<Out, S> {
    pub(crate) fn new(
        source: S,
        instance: OperatorInstance,
        downstream: Downstream<Out>,
        sides: SideOutputs,
    ) -> Self {
        Self { source, link: Link { instance, out: Collector::new(sides), downstream } }
    }
}

impl<Out: Clone + Send + 'static, S: Source<Out>> SourceHead for SourceStage<Out, S> {
    fn poll(&mut self, limit: usize, context: &mut StepContext<'_>) -> Result<SourceStatus> {
        let source = &mut self.source;
        let now = context.now;
        let status = self.link.run(|_, out| source.poll(limit, out, now))?;
        context.records_in += self.link.out.batch.len() as u64;
        self.link.flush(context)?;
        Ok(status)
    }

    fn signal(&mut self, signal: &mut Signal<'_>, context: &mut StepContext<'_>) -> Result<()> {
        let Self { source, link } = self;
        match signal {
            Signal::Open(restored) => link.open(restored, context, |open| source.open(open))?,
            Signal::Snapshot(barrier, parts) => {
                let parts = link.parts(parts);
                link.run(|_, _| source.snapshot(*barrier, parts))?;
            }
            Signal::Complete(checkpoint) => link.run(|_, _| source.notify_complete(*checkpoint))?,
            Signal::Aborted(checkpoint) => link.run(|_, _| source.notify_aborted(*checkpoint))?,
            Signal::Close => {
                let closed = link.run(|_, _| source.close());
                return closed.and(link.forward(signal, context));
            }
            Signal::Watermark(_)
            | Signal::Recover(_)
            | Signal::Idle(_)
            | Signal::ProcessingTime
            | Signal::Prepare(_)
            | Signal::Emit(_)
            | Signal::Finish
            | Signal::Flush
            | Signal::Survey(_)
            | Signal::LookUp(_) => {}
        }
        link.forward(signal, context)
    }
}
