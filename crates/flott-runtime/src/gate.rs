//! The input of a task: its channels, and the chain that their batches go into.

use flott_checkpoint::snapshot::SchemaText;
use flott_core::Result;
use flott_core::codec::Data;
use flott_core::element::Control;

use crate::batch::Batch;
use crate::chain::guarded;
use crate::channel::{Message, Receiver};
use crate::in_flight::{Capture, Found, InFlight, InFlightParts};
use crate::stage::{Signal, Stage};
use crate::task::StepContext;

/// What reading the channels gave.
pub(crate) enum GateEvent {
    /// No channel that may be read has anything.
    Empty,
    /// A batch went through the chain.
    Processed,
    /// A control element arrived on this channel.
    Control(usize, Control),
}

/// What a task wants of the channels at the moment.
pub(crate) trait Reading {
    /// Whether the channel must not be read.
    fn is_blocked(&self, channel: usize) -> bool;

    /// Where to copy what is read from the channel, if a barrier has overtaken it.
    fn capture(&mut self, channel: usize) -> Option<&mut Capture>;
}

/// The channels of a task and its chain, without their type.
pub(crate) trait Gate: Send {
    /// Reads one message from the next channel that has one and is not blocked.
    fn read(
        &mut self,
        reading: &mut dyn Reading,
        context: &mut StepContext<'_>,
    ) -> Result<GateEvent>;

    /// Whether marks have come into any channel since the last call.
    fn has_new_marks(&mut self) -> bool;

    /// All marks that wait in any channel.
    fn marks(&self) -> Vec<Control>;

    /// Copies the part of a batch that was read, and is not processed yet.
    fn overtake_rest(&self, capture: &mut Capture);

    /// Copies what waits in the channel before the barrier, if that is there.
    fn overtake(&self, channel: usize, capture: &mut Capture) -> Found;

    /// What was overtaken, with its shape.
    ///
    /// # Errors
    /// If the shape is not known: the type's code panics.
    fn in_flight(&mut self, batches: Vec<Vec<u8>>) -> Result<InFlightParts>;

    fn signal(&mut self, signal: &mut Signal<'_>, context: &mut StepContext<'_>) -> Result<()>;
}

pub(crate) struct InputGate<T> {
    receivers: Vec<Receiver<T>>,
    /// The channel to look at first: each gets its turn.
    next: usize,
    chain: Box<dyn Stage<T>>,
    /// A batch that was too large for one time, and its channel.
    rest: Option<(usize, Batch<T>)>,
    /// Whether records belong to the owner of their key.
    by_key: bool,
    /// How many marks have come into all channels, when that was asked last.
    marks: usize,
    /// The shape of records in flight, once it was asked for.
    schema: Option<SchemaText>,
}

impl<T> InputGate<T> {
    pub(crate) fn new(receivers: Vec<Receiver<T>>, chain: Box<dyn Stage<T>>, by_key: bool) -> Self {
        Self { receivers, next: 0, chain, rest: None, by_key, marks: 0, schema: None }
    }
}

impl<T: Data> InputGate<T> {
    /// Takes a batch through the chain, or as many of its records as may go at once.
    fn process(
        &mut self,
        channel: usize,
        mut batch: Batch<T>,
        context: &mut StepContext<'_>,
    ) -> Result<GateEvent> {
        if batch.len() > context.at_once {
            let first = batch.split_front(context.at_once);
            self.rest = Some((channel, batch));
            batch = first;
        }
        context.records_in += batch.len() as u64;
        self.chain.process(&mut batch, context)?;
        self.receivers[channel].recycle(batch);
        Ok(GateEvent::Processed)
    }
}

impl<T: Data> Gate for InputGate<T> {
    fn read(
        &mut self,
        reading: &mut dyn Reading,
        context: &mut StepContext<'_>,
    ) -> Result<GateEvent> {
        if let Some((channel, batch)) = self.rest.take() {
            return self.process(channel, batch, context);
        }
        let count = self.receivers.len();
        for offset in 0..count {
            let channel = (self.next + offset) % count;
            if reading.is_blocked(channel) {
                continue;
            }
            let Some((bytes, message)) = self.receivers[channel].receive()? else { continue };
            self.next = (channel + 1) % count;
            return match message {
                Message::Batch(batch) => {
                    context.bytes_in += bytes as u64;
                    if let Some(capture) = reading.capture(channel) {
                        capture.batch(&batch);
                    }
                    self.process(channel, batch, context)
                }
                Message::Control(control) => Ok(GateEvent::Control(channel, control)),
            };
        }
        Ok(GateEvent::Empty)
    }

    fn has_new_marks(&mut self) -> bool {
        let marks = self.receivers.iter().map(Receiver::marks_sent).sum();
        std::mem::replace(&mut self.marks, marks) != marks
    }

    fn marks(&self) -> Vec<Control> {
        self.receivers.iter().flat_map(Receiver::marks).collect()
    }

    fn overtake_rest(&self, capture: &mut Capture) {
        self.rest.iter().for_each(|(_, batch)| capture.batch(batch));
    }

    fn overtake(&self, channel: usize, capture: &mut Capture) -> Found {
        self.receivers[channel].overtake(channel, capture)
    }

    fn in_flight(&mut self, batches: Vec<Vec<u8>>) -> Result<InFlightParts> {
        let schema = match &self.schema {
            Some(schema) => schema.clone(),
            None => self.schema.insert(guarded(|| Ok(InFlight::<T>::schema()))?).clone(),
        };
        Ok(InFlightParts { by_key: self.by_key, schema, batches })
    }

    fn signal(&mut self, signal: &mut Signal<'_>, context: &mut StepContext<'_>) -> Result<()> {
        self.chain.signal(signal, context)
    }
}
