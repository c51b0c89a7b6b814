//! The input of a task: its channels, and the chain that their batches go into.

use flott_core::Result;
use flott_core::codec::Data;
use flott_core::element::Control;

use crate::channel::{Message, Receiver};
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

/// The channels of a task and its chain, without their type.
pub(crate) trait Gate: Send {
    /// Reads one message from the next channel that has one and is not blocked.
    fn read(
        &mut self,
        blocked: &dyn Fn(usize) -> bool,
        context: &mut StepContext<'_>,
    ) -> Result<GateEvent>;

    fn signal(&mut self, signal: &mut Signal<'_>, context: &mut StepContext<'_>) -> Result<()>;
}

pub(crate) struct InputGate<T> {
    receivers: Vec<Receiver<T>>,
    /// The channel to look at first: each gets its turn.
    next: usize,
    chain: Box<dyn Stage<T>>,
}

impl<T> InputGate<T> {
    pub(crate) fn new(receivers: Vec<Receiver<T>>, chain: Box<dyn Stage<T>>) -> Self {
        Self { receivers, next: 0, chain }
    }
}

impl<T: Data> Gate for InputGate<T> {
    fn read(
        &mut self,
        blocked: &dyn Fn(usize) -> bool,
        context: &mut StepContext<'_>,
    ) -> Result<GateEvent> {
        let count = self.receivers.len();
        for offset in 0..count {
            let channel = (self.next + offset) % count;
            if blocked(channel) {
                continue;
            }
            let Some(message) = self.receivers[channel].receive()? else { continue };
            self.next = (channel + 1) % count;
            return match message {
                Message::Batch(mut batch) => {
                    context.records_in += batch.len() as u64;
                    self.chain.process(&mut batch, context)?;
                    self.receivers[channel].recycle(batch);
                    Ok(GateEvent::Processed)
                }
                Message::Control(control) => Ok(GateEvent::Control(channel, control)),
            };
        }
        Ok(GateEvent::Empty)
    }

    fn signal(&mut self, signal: &mut Signal<'_>, context: &mut StepContext<'_>) -> Result<()> {
        self.chain.signal(signal, context)
    }
}
