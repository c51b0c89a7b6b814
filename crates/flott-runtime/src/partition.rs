//! The output of a task: which record goes to which channel, and when a batch is sent.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use flott_core::element::Control;
use flott_core::{Error, ErrorKind, MaxParallelism, MonoTime, Result};
use serde::Serialize;

use crate::batch::{BATCH_RECORDS, Batch};
use crate::chain::guarded;
use crate::channel::Sender;
use crate::program::OutputPlan;
use crate::stage::{Signal, Stage};
use crate::task::StepContext;

/// A user's choice of channel: record and number of channels in, index of the channel out.
pub type PartitionFn<T> = Arc<dyn Fn(&T, u32) -> Result<u32> + Send + Sync>;

/// Which channel a record goes to.
pub enum Partitioner<T> {
    /// The only one.
    Forward,
    /// One after the other.
    RoundRobin,
    /// A random one.
    Shuffle,
    /// Every one.
    Broadcast,
    /// The first.
    Global,
    /// The owner of the key group of this hash.
    Hash(fn(&T) -> u64, MaxParallelism),
    /// The one that the user says.
    Custom(PartitionFn<T>),
}

/// One edge of the job graph, as seen by one producing task.
pub(crate) struct Output<T> {
    partitioner: Partitioner<T>,
    senders: Vec<Sender<T>>,
    buffers: Vec<Batch<T>>,
    /// Which channel each key group belongs to, if that decides.
    owners: Vec<u32>,
    /// The next channel of a round, or the state of the random generator.
    turn: u64,
    /// The operator whose output it is.
    producer: String,
    /// Since when something has been waiting in a buffer.
    waiting_since: Option<MonoTime>,
    timeout: Duration,
}

impl<T: Serialize> Output<T> {
    pub(crate) fn new(
        partitioner: Partitioner<T>,
        senders: Vec<Sender<T>>,
        plan: &OutputPlan,
        timeout: Duration,
    ) -> Self {
        let buffers = senders.iter().map(|_| Batch::default()).collect();
        let (turn, producer) = (u64::from(plan.subtask), plan.producer.clone());
        // A division for each record would take longer.
        let mut owners = Vec::new();
        if let Partitioner::Hash(_, max) = &partitioner {
            let channels = senders.len() as u32;
            owners.extend(max.range_of(0, 1).iter().map(|group| max.owner(group, channels)));
        }
        Self { partitioner, senders, buffers, owners, turn, producer, waiting_since: None, timeout }
    }

    fn send_full(&mut self, limit: usize, context: &mut StepContext<'_>) -> Result<()> {
        for (sender, buffer) in self.senders.iter().zip(&mut self.buffers) {
            if buffer.len() >= limit {
                context.bytes_out += sender.send(buffer)? as u64;
            }
        }
        Ok(())
    }

    fn flush(&mut self, context: &mut StepContext<'_>) -> Result<()> {
        self.waiting_since = None;
        self.send_full(1, context)
    }

    fn control(&mut self, control: Control, context: &mut StepContext<'_>) -> Result<()> {
        self.flush(context)?;
        self.senders.iter().try_for_each(|sender| sender.send_control(control))
    }
}

impl<T: Clone + Send + Serialize> Output<T> {
    /// Moves every record of the batch into the buffer of its channel.
    fn partition(&mut self, batch: &mut Batch<T>) -> Result<()> {
        let Self { partitioner, buffers, owners, turn, .. } = self;
        let count = buffers.len() as u64;
        let mut put = |index: u64, record, timestamp| match buffers.get_mut(index as usize) {
            Some(buffer) => {
                buffer.push(record, timestamp);
                Ok(())
            }
            None => Err(out_of_range(index, count)),
        };
        match partitioner {
            Partitioner::Custom(choose) => batch.try_drain(|record, timestamp| {
                let index = choose(&record, count as u32)?;
                put(u64::from(index), record, timestamp)
            }),
            Partitioner::Broadcast => {
                for buffer in buffers.iter_mut().skip(1) {
                    buffer.append(&mut batch.clone());
                }
                buffers.first_mut().into_iter().for_each(|buffer| buffer.append(batch));
                Ok(())
            }
            _ if count == 1 => {
                buffers[0].append(batch);
                Ok(())
            }
            Partitioner::Forward | Partitioner::Global => {
                buffers.first_mut().into_iter().for_each(|buffer| buffer.append(batch));
                Ok(())
            }
            Partitioner::RoundRobin => batch.try_drain(|record, timestamp| {
                *turn = (*turn + 1) % count;
                put(*turn, record, timestamp)
            }),
            Partitioner::Shuffle => batch.try_drain(|record, timestamp| {
                *turn = flott_core::hash::mix(*turn);
                put(*turn % count, record, timestamp)
            }),
            Partitioner::Hash(hash, max) => batch.try_drain(|record, timestamp| {
                let owner = owners.get(usize::from(max.key_group(hash(&record)).0)).copied();
                put(owner.map_or(count, u64::from), record, timestamp)
            }),
        }
    }
}

/// Turns records into what the channels carry.
pub(crate) struct Adapted<T, Carried, F> {
    adapt: F,
    buffer: Batch<Carried>,
    next: Box<dyn Stage<Carried>>,
    /// The operator whose output it is.
    producer: String,
    input: PhantomData<fn(T)>,
}

impl<T, Carried, F> Adapted<T, Carried, F> {
    pub(crate) fn new(adapt: F, next: Box<dyn Stage<Carried>>, producer: String) -> Self {
        Self { adapt, buffer: Batch::default(), next, producer, input: PhantomData }
    }
}

impl<T, Carried, F> Stage<T> for Adapted<T, Carried, F>
where
    Carried: Send,
    F: Fn(T) -> Result<Carried> + Send,
{
    fn process(&mut self, batch: &mut Batch<T>, context: &mut StepContext<'_>) -> Result<()> {
        let Self { adapt, buffer, next, producer, .. } = self;
        guarded(|| batch.try_map_into(buffer, &*adapt))
            .map_err(|error| error.context(format!("the key selector after {producer} failed")))?;
        next.process(buffer, context)
    }

    fn signal(&mut self, signal: &mut Signal<'_>, context: &mut StepContext<'_>) -> Result<()> {
        self.next.signal(signal, context)
    }
}

fn out_of_range(index: u64, count: u64) -> Error {
    Error::new(
        ErrorKind::User,
        format!(
            "the custom partitioner chose channel {index}, but there are {count} (0 to {})",
            count - 1
        ),
    )
}

impl<T: Clone + Send + Serialize> Stage<T> for Output<T> {
    fn process(&mut self, batch: &mut Batch<T>, context: &mut StepContext<'_>) -> Result<()> {
        context.records_out += batch.len() as u64;
        guarded(|| self.partition(batch)).map_err(|error| {
            error.context(format!("the output of {} cannot be partitioned", self.producer))
        })?;
        self.send_full(BATCH_RECORDS.min(context.batch_records), context)?;
        let since = *self.waiting_since.get_or_insert(context.now.mono);
        if context.now.mono.since(since) >= self.timeout {
            self.flush(context)?;
        }
        Ok(())
    }

    fn signal(&mut self, signal: &mut Signal<'_>, context: &mut StepContext<'_>) -> Result<()> {
        match signal {
            Signal::Watermark(watermark) => {
                self.control(Control::Watermark(*watermark), context)?
            }
            Signal::Idle(true) => self.control(Control::Idle, context)?,
            Signal::Idle(false) => self.control(Control::Active, context)?,
            Signal::Emit(control) => self.control(*control, context)?,
            Signal::Flush => self.flush(context)?,
            Signal::Survey(survey) => {
                // Every sender is asked: each must remember that its producer waits.
                for sender in &self.senders {
                    survey.blocked |= !sender.has_room()?;
                }
            }
            Signal::Open(_)
            | Signal::Recover(_)
            | Signal::ProcessingTime
            | Signal::Prepare(_)
            | Signal::Snapshot(..)
            | Signal::Complete(_)
            | Signal::Aborted(_)
            | Signal::Finish
            | Signal::LookUp(_)
            | Signal::Close => {}
        }
        Ok(())
    }
}
