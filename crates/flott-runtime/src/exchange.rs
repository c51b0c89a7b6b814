//! The channels that leave a process: who may send how much, and what belongs to which attempt.
//!
//! A channel between two processes is two ends with a [`Link`] between their [`Exchange`]s. The
//! producer's end *opens* the channel; the consumer's end answers with *credit*: how many bytes may
//! be on their way. What the consumer's task has taken in comes back as new credit. So a link is
//! always read, whatever single tasks do: a slow one stops its own channels only.
//!
//! An exchange belongs to one worker. With each attempt of the job some channels begin anew: what arrives
//! for one of an older attempt is dropped, and channels that a faster peer opens for a newer one wait for it.
//!
//! There is no socket here. The shell carries [`Frame`]s, and says when a link is lost; the tasks
//! that use it then fail.

mod batch;
mod ends;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flott_core::mutant::Mutant;
use flott_core::{AttemptNumber, Error, ErrorKind};
use flott_plan::EdgeId;
use serde::{Deserialize, Serialize};

use crate::operator::Wake;
use ends::{Inbound, Outbound};

pub(crate) use batch::{decode, encode_batch, encode_control};
pub(crate) use ends::{FrameReceiver, FrameSender};

/// A channel of a job: the same in every process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChannelId {
    /// The edge that it is a part of.
    pub edge: EdgeId,
    /// The subtask that sends.
    pub producer: u32,
    /// The subtask that receives.
    pub consumer: u32,
}

/// What travels on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The attempt that the channel belongs to.
    pub attempt: AttemptNumber,
    /// The channel.
    pub channel: ChannelId,
    /// What is said.
    pub body: FrameBody,
}

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameBody {
    /// Producer to consumer: there will be data.
    Open,
    /// Producer to consumer: a batch or a control element.
    Data(Vec<u8>),
    /// Consumer to producer: so many bytes more may be sent.
    Credit(u64),
}

/// A connection to another worker, in both directions, in order.
pub trait Link: Send + Sync {
    /// Which link of this worker it is; no two have the same number.
    fn number(&self) -> u64;

    /// Sends the frame, or drops it if the link is lost. Returns at once.
    fn send(&self, frame: Frame);
}

/// The ends of a worker's channels to others.
#[derive(Default)]
pub struct Exchange {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    attempt: AttemptNumber,
    outbound: BTreeMap<ChannelId, Arc<Outbound>>,
    inbound: BTreeMap<ChannelId, Arc<Inbound>>,
    /// Opened by their producers before this worker has begun with the attempt.
    early: Vec<(AttemptNumber, ChannelId, Arc<dyn Link>)>,
}

impl Exchange {
    /// One without channels.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins with a new attempt: channels of those before it are forgotten, unless their tasks go on.
    pub fn begin(
        &self,
        attempt: AttemptNumber,
        goes_on: impl Fn(ChannelId, AttemptNumber) -> bool,
    ) {
        let mut state = self.lock();
        state.attempt = attempt;
        state.outbound.retain(|channel, end| goes_on(*channel, end.attempt()));
        state.inbound.retain(|channel, end| goes_on(*channel, end.attempt()));
        state.early.retain(|(other, ..)| *other >= attempt);
    }

    /// The sending end of a channel of this attempt, whose consumer is behind `link`.
    pub(crate) fn sender(
        &self,
        channel: ChannelId,
        link: Arc<dyn Link>,
        producer: Arc<dyn Wake>,
    ) -> FrameSender {
        let mut state = self.lock();
        let attempt = state.attempt;
        let outbound = Arc::new(Outbound::new(channel, attempt, link, producer));
        state.outbound.insert(channel, outbound.clone());
        drop(state);
        outbound.open();
        FrameSender::new(outbound)
    }

    /// The receiving end of a channel of this attempt, which holds up to `bytes` and one batch.
    pub(crate) fn receiver(
        &self,
        channel: ChannelId,
        bytes: usize,
        consumer: Arc<dyn Wake>,
    ) -> FrameReceiver {
        let mut state = self.lock();
        let attempt = state.attempt;
        let inbound = Arc::new(Inbound::new(channel, attempt, bytes, consumer));
        state.inbound.insert(channel, inbound.clone());
        let early = state.early.iter().position(|(a, c, _)| (*a, *c) == (attempt, channel));
        let opened = early.map(|index| state.early.swap_remove(index));
        drop(state);
        if let Some((.., link)) = opened {
            inbound.opened(link);
        }
        FrameReceiver::new(inbound)
    }

    /// A frame has arrived on a link. What belongs to an older attempt, and to no channel that goes on, is
    /// dropped.
    ///
    /// # Errors
    /// If the peer breaks the protocol: close the link.
    pub fn receive(&self, link: &Arc<dyn Link>, frame: Frame) -> Result<(), Error> {
        let Frame { attempt, channel, body } = frame;
        let mut state = self.lock();
        let is_of = |other| attempt == other || Mutant::DeliverStaleFrames.is_on();
        let is_old = attempt < state.attempt;
        match body {
            FrameBody::Open => {
                let inbound = state.inbound.get(&channel).filter(|end| is_of(end.attempt()));
                if let Some(inbound) = inbound.cloned() {
                    drop(state);
                    inbound.opened(link.clone());
                } else if !is_old {
                    state.early.push((attempt, channel, link.clone()));
                }
            }
            FrameBody::Data(bytes) => {
                let inbound = state.inbound.get(&channel).filter(|end| is_of(end.attempt()));
                match inbound.cloned() {
                    Some(inbound) => {
                        drop(state);
                        inbound.data(link.number(), bytes)?;
                    }
                    None if is_old => {}
                    // Nobody may send before he has credit.
                    None => return Err(unexpected("data", channel)),
                }
            }
            FrameBody::Credit(bytes) => {
                let outbound = state.outbound.get(&channel).filter(|end| is_of(end.attempt()));
                match outbound.cloned() {
                    Some(outbound) => {
                        drop(state);
                        outbound.credit(bytes);
                    }
                    None if is_old => {}
                    None => return Err(unexpected("credit", channel)),
                }
            }
        }
        Ok(())
    }

    /// A link is lost: the tasks that use it fail.
    pub fn lost(&self, link: u64, why: &str) {
        let mut state = self.lock();
        state.early.retain(|(.., early)| early.number() != link);
        let outbound: Vec<_> = state.outbound.values().cloned().collect();
        let inbound: Vec<_> = state.inbound.values().cloned().collect();
        drop(state);
        outbound.iter().for_each(|end| end.lost(link, why));
        inbound.iter().for_each(|end| end.lost(link, why));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unexpected(what: &str, channel: ChannelId) -> Error {
    Error::new(ErrorKind::Corrupt, format!("unexpected {what} for the channel {channel:?}"))
}
