//! Records in flight: what a barrier overtakes on its way through a channel.
//!
//! They become a part of the checkpoint, together with the state of the operator that they were sent to. When a
//! task is restored they go through that operator before anything that its channels bring, so every sender's
//! records keep their order, also if they are dealt out to another number of subtasks. They are stored as
//! batches, each as it would travel between processes, with their schema: a program whose records have changed
//! reads them as it reads state.

use std::collections::VecDeque;

use flott_checkpoint::snapshot::SchemaText;
use flott_core::codec;
use flott_core::element::Control;
use flott_core::mutant::Mutant;
use flott_core::{CheckpointId, Error, Result, Timestamp};
use flott_state::{Redistribution, Schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, NO_TIMESTAMP};
use crate::build::RestoredTask;
use crate::chain::guarded;
use crate::exchange::encode_batch;
use crate::operator::OperatorInstance;
use crate::watermark::WatermarkValve;

/// So much of it is kept in memory at most, for one task: a barrier that is so late is not worth it.
const CAPTURE_MAX: usize = 256 << 20;

/// Whether a record belongs to a subtask.
pub(crate) type IsOwned<T> = Box<dyn Fn(&T) -> bool + Send>;

/// An element of what is stored. The numbers of the variants are those of an exchange's frames.
#[derive(Serialize, Deserialize)]
pub(crate) enum InFlight<T> {
    /// How far event time is before and after all records.
    Time(EventTime),
    /// A batch of records without timestamps.
    Records(Vec<T>),
    /// A batch of records with their timestamps, or [`NO_TIMESTAMP`].
    TimedRecords(Vec<(Timestamp, T)>),
}

/// The watermark of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventTime {
    /// At the snapshot, when no record in flight had been processed.
    pub(crate) before: Timestamp,
    /// When all of them will have been.
    pub(crate) after: Timestamp,
}

impl EventTime {
    /// What holds for whoever has records of both.
    fn or_earlier(self, other: Self) -> Self {
        Self { before: self.before.min(other.before), after: self.after.min(other.after) }
    }
}

impl<T: DeserializeOwned> InFlight<T> {
    /// The shape of what is stored.
    pub(crate) fn schema() -> SchemaText {
        Schema::of::<Self>().to_text()
    }
}

/// What one operator puts into a snapshot, encoded.
pub(crate) struct InFlightParts {
    /// Whether the records belong to the owner of their key.
    pub(crate) by_key: bool,
    pub(crate) schema: SchemaText,
    pub(crate) batches: Vec<Vec<u8>>,
}

impl InFlightParts {
    pub(crate) fn bytes(&self) -> u64 {
        self.batches.iter().map(|batch| batch.len() as u64).sum()
    }
}

/// Whether a channel's part of a checkpoint is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Its barrier is still to come.
    Nothing,
    /// Its barrier, or its end.
    Barrier,
    /// It will never be: a newer barrier, or the end of this checkpoint.
    Cancellation,
}

/// Copies what the barriers of one checkpoint overtake.
pub(crate) struct Capture {
    checkpoint: CheckpointId,
    batches: Vec<Vec<u8>>,
    bytes: usize,
    /// Whether something could not be copied.
    is_broken: bool,
    /// What event time will be when all that was overtaken has been read.
    valve: WatermarkValve,
    /// What it was at the snapshot.
    before: Timestamp,
    /// Whether an operator has records of the checkpoint that the task started from.
    has_others: bool,
}

impl Capture {
    /// For a task whose channels have brought this so far; and what event time will be when it has processed what
    /// is left of the checkpoint that it started from, if anything is.
    pub(crate) fn new(
        checkpoint: CheckpointId,
        mut valve: WatermarkValve,
        left: Option<Timestamp>,
    ) -> Self {
        let (before, has_others) = (valve.watermark(), left.is_some());
        left.into_iter().for_each(|after| drop(valve.recover(after)));
        let (batches, bytes, is_broken) = (Vec::new(), 0, false);
        Self { checkpoint, batches, bytes, is_broken, valve, before, has_others }
    }

    /// What this control element says of the channel that it is on.
    pub(crate) fn finds(&self, control: Control) -> Found {
        match control {
            Control::Barrier(barrier) if barrier.checkpoint > self.checkpoint => {
                Found::Cancellation
            }
            Control::Barrier(barrier) if barrier.checkpoint == self.checkpoint => Found::Barrier,
            Control::CancelBarrier(checkpoint) if checkpoint == self.checkpoint => {
                Found::Cancellation
            }
            Control::EndOfPartition => Found::Barrier,
            Control::Barrier(_)
            | Control::CancelBarrier(_)
            | Control::Watermark(_)
            | Control::Idle
            | Control::Active
            | Control::EndOfData { .. } => Found::Nothing,
        }
    }

    /// Copies what waits in a channel before the barrier, if that is there. `control` tells control elements from
    /// batches, which `batch` copies.
    pub(crate) fn overtake<M>(
        &mut self,
        channel: usize,
        waiting: &VecDeque<M>,
        control: impl Fn(&M) -> Option<Control>,
        batch: impl Fn(&mut Self, &M),
    ) -> Found {
        let found =
            |message| control(message).map_or(Found::Nothing, |control| self.finds(control));
        let mut all = waiting.iter().map(found).enumerate();
        match all.find(|(_, found)| *found != Found::Nothing) {
            Some((end, Found::Barrier)) => {
                for message in waiting.iter().take(end) {
                    match control(message) {
                        Some(control) => self.control(channel, control),
                        None => batch(self, message),
                    }
                }
                Found::Barrier
            }
            Some((_, found)) => found,
            None => Found::Nothing,
        }
    }

    /// A control element was overtaken.
    pub(crate) fn control(&mut self, channel: usize, control: Control) {
        match control {
            Control::Watermark(watermark) => drop(self.valve.watermark_on(channel, watermark)),
            Control::Idle => drop(self.valve.idle_on(channel, true)),
            Control::Active => drop(self.valve.idle_on(channel, false)),
            Control::EndOfData { .. } => drop(self.valve.end_on(channel)),
            Control::Barrier(_) | Control::CancelBarrier(_) | Control::EndOfPartition => {}
        }
    }

    /// A batch was overtaken. If it cannot be encoded, which is the user's code, the checkpoint fails, and not the
    /// task.
    pub(crate) fn batch<T: Serialize>(&mut self, batch: &Batch<T>) {
        match guarded(|| encode_batch(batch)) {
            Ok(bytes) => self.frame(bytes),
            Err(_) => self.is_broken = true,
        }
    }

    /// A batch from another process was overtaken.
    pub(crate) fn frame(&mut self, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        if !Mutant::ForgetOvertaken.is_on() {
            self.batches.push(bytes);
        }
    }

    /// Whether the checkpoint cannot be taken: something cannot be encoded, or it is too much.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken || self.bytes > CAPTURE_MAX
    }

    /// All of it, with event time only if `knows_time`: if all subtasks will have it the same.
    ///
    /// # Errors
    /// If it is broken.
    pub(crate) fn finish(self, knows_time: bool) -> Result<Vec<Vec<u8>>> {
        if self.is_broken() {
            return Err(Error::invalid(
                "what a barrier has overtaken cannot be encoded, or is too much",
            ));
        }
        let Self { mut batches, valve, before, has_others, .. } = self;
        let after = valve.watermark();
        let has_records = has_others || !batches.is_empty();
        let says_something = after > before || (has_records && after > Timestamp::MIN);
        if knows_time && says_something {
            let time = InFlight::<()>::Time(EventTime { before, after });
            batches.push(codec::encode(&time)?);
        }
        Ok(batches)
    }
}

/// What an operator has yet to process of the checkpoint that it started from.
pub(crate) struct Recovered<T> {
    by_key: bool,
    batches: VecDeque<Batch<T>>,
}

impl<T> Default for Recovered<T> {
    fn default() -> Self {
        Self { by_key: false, batches: VecDeque::new() }
    }
}

impl<T: DeserializeOwned + 'static> Recovered<T> {
    /// Takes the records that were in flight to this operator, those that belong to this subtask, out of what its
    /// task has restored.
    ///
    /// # Errors
    /// If they are damaged, of another shape, or cannot be dealt out because the operator is keyed now, or no
    /// longer.
    pub(crate) fn take(restored: &mut RestoredTask, instance: &OperatorInstance) -> Result<Self> {
        let mut recovered = Self::default();
        let (mut owned, mut reached) = (None, None::<EventTime>);
        for state in restored.take_in_flight(instance.id) {
            let by_key = state.redistribution == (Redistribution::InFlight { by_key: true });
            owned = owned.or_else(|| restored.is_owned.take_if(|(own, _)| *own == instance.id));
            let is_owned = owned.as_ref().and_then(|(_, part)| part.downcast_ref::<IsOwned<T>>());
            recovered.by_key = by_key;
            let elements = state.elements::<InFlight<T>>(&instance.name);
            for element in elements.map_err(|error| error.context(advice(instance)))? {
                let has_records = !matches!(element, InFlight::Time(_));
                if has_records && is_owned.is_some() != by_key {
                    return Err(keyed_otherwise(instance, by_key));
                }
                let mut batch = Batch::default();
                let mut push = |record, timestamp| {
                    let is_mine = is_owned.is_none_or(|is_owned| is_owned(&record));
                    if is_mine || Mutant::RecoverForeign.is_on() {
                        batch.push(record, timestamp);
                    }
                };
                match element {
                    InFlight::Time(time) => {
                        reached = Some(reached.map_or(time, |other| time.or_earlier(other)));
                    }
                    InFlight::Records(records) => {
                        records.into_iter().for_each(|record| push(record, NO_TIMESTAMP));
                    }
                    InFlight::TimedRecords(records) => {
                        records.into_iter().for_each(|(timestamp, record)| push(record, timestamp));
                    }
                }
                recovered.batches.extend(Some(batch).filter(|batch| !batch.is_empty()));
            }
        }
        restored.has_in_flight |= !recovered.batches.is_empty() || reached.is_some();
        restored.event_times.extend(reached.map(|reached| (instance.id, reached)));
        Ok(recovered)
    }

    /// The next batch, or so many records of it.
    pub(crate) fn next(&mut self, at_once: usize) -> Option<Batch<T>> {
        let batch = self.batches.front_mut()?;
        if batch.len() > at_once {
            Some(batch.split_front(at_once))
        } else {
            self.batches.pop_front()
        }
    }
}

impl<T: Serialize + DeserializeOwned> Recovered<T> {
    /// What is left belongs to the next checkpoint, too.
    ///
    /// # Errors
    /// If a record cannot be encoded.
    pub(crate) fn parts(&self) -> Result<Option<InFlightParts>> {
        if self.batches.is_empty() || Mutant::ForgetRecovered.is_on() {
            return Ok(None);
        }
        let batches = self.batches.iter().map(encode_batch).collect::<Result<_>>()?;
        let schema = InFlight::<T>::schema();
        Ok(Some(InFlightParts { by_key: self.by_key, schema, batches }))
    }
}

fn keyed_otherwise(instance: &OperatorInstance, by_key: bool) -> Error {
    let (was, is) = if by_key { ("by key", "not") } else { ("not by key", "by key") };
    Error::invalid(format!(
        "they were partitioned {was}, and the input of the operator is {is} now"
    ))
    .context(advice(instance))
}

fn advice(instance: &OperatorInstance) -> String {
    format!(
        "the checkpoint has records that were on their way to operator \"{}\", which cannot be read: start the program \
         that took the checkpoint, take a savepoint with it, which has no such records, and start this one from there",
        instance.name
    )
}

#[cfg(test)]
mod tests;
