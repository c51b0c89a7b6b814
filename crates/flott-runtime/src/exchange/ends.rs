//! The two ends of a channel between processes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flott_core::element::Control;
use flott_core::{AttemptNumber, Error, ErrorKind, Result};

use super::batch::{control, is_control};
use super::{ChannelId, Frame, FrameBody, Link};
use crate::channel::is_mark;
use crate::in_flight::{Capture, Found};
use crate::operator::Wake;

/// The producer's end, as the exchange knows it.
pub(super) struct Outbound {
    channel: ChannelId,
    attempt: AttemptNumber,
    link: Arc<dyn Link>,
    producer: Arc<dyn Wake>,
    state: Mutex<Sending>,
}

struct Sending {
    /// How many bytes may be sent; the last batch may take it below zero.
    credit: i64,
    /// What waits until the consumer is there: control elements take no credit.
    held: Option<Vec<Vec<u8>>>,
    producer_waits: bool,
    lost: Option<String>,
}

impl Outbound {
    pub(super) fn new(
        channel: ChannelId,
        attempt: AttemptNumber,
        link: Arc<dyn Link>,
        producer: Arc<dyn Wake>,
    ) -> Self {
        let state =
            Sending { credit: 0, held: Some(Vec::new()), producer_waits: false, lost: None };
        Self { channel, attempt, link, producer, state: Mutex::new(state) }
    }

    pub(super) fn attempt(&self) -> AttemptNumber {
        self.attempt
    }

    pub(super) fn open(&self) {
        self.say(FrameBody::Open);
    }

    pub(super) fn credit(&self, bytes: u64) {
        let mut state = self.lock();
        state.credit = state.credit.saturating_add_unsigned(bytes);
        for bytes in state.held.take().into_iter().flatten() {
            self.say(FrameBody::Data(bytes));
        }
        let wake = state.producer_waits && state.credit > 0;
        state.producer_waits &= !wake;
        drop(state);
        if wake {
            self.producer.wake();
        }
    }

    pub(super) fn lost(&self, link: u64, why: &str) {
        if self.link.number() == link {
            self.lock().lost.get_or_insert_with(|| why.to_owned());
            self.producer.wake();
        }
    }

    /// Sends data, or keeps it until the consumer is there. The lock keeps it in order.
    fn data(&self, state: &mut Sending, bytes: Vec<u8>) {
        match &mut state.held {
            Some(held) => held.push(bytes),
            None => self.say(FrameBody::Data(bytes)),
        }
    }

    fn say(&self, body: FrameBody) {
        self.link.send(Frame { attempt: self.attempt, channel: self.channel, body });
    }

    fn lock(&self) -> MutexGuard<'_, Sending> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The producer's end, as its task has it.
pub(crate) struct FrameSender(Arc<Outbound>);

impl FrameSender {
    pub(super) fn new(end: Arc<Outbound>) -> Self {
        Self(end)
    }

    /// Whether another batch may be sent. If not, the producer is woken when it may.
    ///
    /// # Errors
    /// If the link is lost.
    pub(crate) fn has_room(&self) -> Result<bool> {
        let mut state = self.0.lock();
        if let Some(why) = &state.lost {
            return Err(lost(why));
        }
        let has_room = state.credit > 0;
        state.producer_waits = !has_room;
        Ok(has_room)
    }

    /// Sends a batch, whether or not there is room.
    pub(crate) fn send(&self, bytes: Vec<u8>) {
        let mut state = self.0.lock();
        state.credit -= bytes.len() as i64;
        self.0.data(&mut state, bytes);
    }

    /// Sends what takes no credit: control elements, which are few and small.
    pub(crate) fn send_free(&self, bytes: Vec<u8>) {
        self.0.data(&mut self.0.lock(), bytes);
    }
}

/// The consumer's end, as the exchange knows it.
pub(super) struct Inbound {
    channel: ChannelId,
    attempt: AttemptNumber,
    bytes_max: usize,
    consumer: Arc<dyn Wake>,
    /// How many marks have come.
    marks: AtomicUsize,
    state: Mutex<Receiving>,
}

#[derive(Default)]
struct Receiving {
    /// Where the producer is, since it has opened the channel.
    link: Option<Arc<dyn Link>>,
    frames: VecDeque<Vec<u8>>,
    /// Bytes that the task has taken and that are not given back as credit yet.
    consumed: usize,
    lost: Option<String>,
}

impl Inbound {
    pub(super) fn new(
        channel: ChannelId,
        attempt: AttemptNumber,
        bytes_max: usize,
        consumer: Arc<dyn Wake>,
    ) -> Self {
        let (marks, state) = (AtomicUsize::new(0), Mutex::default());
        Self { channel, attempt, bytes_max, consumer, marks, state }
    }

    pub(super) fn attempt(&self) -> AttemptNumber {
        self.attempt
    }

    pub(super) fn opened(&self, link: Arc<dyn Link>) {
        let mut state = self.lock();
        // A channel is opened once in an attempt; another link is no producer of ours.
        if state.link.is_none() {
            state.link = Some(link.clone());
            drop(state);
            self.grant(&*link, self.bytes_max);
        }
    }

    pub(super) fn data(&self, link: u64, bytes: Vec<u8>) -> Result<()> {
        let mut state = self.lock();
        if state.link.as_ref().is_none_or(|own| own.number() != link) {
            return Err(super::unexpected("data", self.channel));
        }
        let was_empty = state.frames.is_empty();
        // As in a channel within a process.
        let is_mark = control(&bytes).is_some_and(is_mark);
        if is_mark {
            self.marks.fetch_add(1, Ordering::SeqCst);
        }
        state.frames.push_back(bytes);
        drop(state);
        if was_empty || is_mark {
            self.consumer.wake();
        }
        Ok(())
    }

    pub(super) fn lost(&self, link: u64, why: &str) {
        let mut state = self.lock();
        if state.link.as_ref().is_some_and(|own| own.number() == link) {
            state.lost.get_or_insert_with(|| why.to_owned());
            drop(state);
            self.consumer.wake();
        }
    }

    fn grant(&self, link: &dyn Link, bytes: usize) {
        let body = FrameBody::Credit(bytes as u64);
        link.send(Frame { attempt: self.attempt, channel: self.channel, body });
    }

    fn lock(&self) -> MutexGuard<'_, Receiving> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The consumer's end, as its task has it.
pub(crate) struct FrameReceiver(Arc<Inbound>);

impl FrameReceiver {
    pub(super) fn new(end: Arc<Inbound>) -> Self {
        Self(end)
    }

    /// The next frame, if there is one. If not, the consumer is woken when there is.
    ///
    /// # Errors
    /// If the link is lost, after the last frame that came over it.
    pub(crate) fn receive(&self) -> Result<Option<Vec<u8>>> {
        let end = &*self.0;
        let mut state = end.lock();
        let Some(bytes) = state.frames.pop_front() else {
            return state.lost.as_ref().map_or(Ok(None), |why| Err(lost(why)));
        };
        // What took no credit gives none back.
        if !is_control(&bytes) {
            state.consumed += bytes.len();
        }
        if state.consumed > end.bytes_max / 2
            && let Some(link) = state.link.clone()
        {
            let consumed = std::mem::take(&mut state.consumed);
            drop(state);
            end.grant(&*link, consumed);
        }
        Ok(Some(bytes))
    }
}

impl FrameReceiver {
    /// How many marks have come.
    pub(crate) fn marks_sent(&self) -> usize {
        self.0.marks.load(Ordering::SeqCst)
    }

    /// The marks that wait among the frames, in order.
    pub(crate) fn waiting_marks(&self) -> Vec<Control> {
        let state = self.0.lock();
        let controls = state.frames.iter().filter_map(|frame| control(frame));
        controls.filter(|control| is_mark(*control)).collect()
    }

    /// Copies the frames before the barrier, if that is there.
    pub(crate) fn overtake(&self, channel: usize, capture: &mut Capture) -> Found {
        let state = self.0.lock();
        let control = |frame: &Vec<u8>| control(frame);
        capture.overtake(channel, &state.frames, control, |capture, frame| {
            capture.frame(frame.clone());
        })
    }
}

fn lost(why: &str) -> Error {
    Error::new(ErrorKind::Io, why.to_owned())
}
