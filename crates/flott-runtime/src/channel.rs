//! The channel between two tasks: one producer, one consumer, typed batches in order, bounded in
//! bytes.
//!
//! Within a process a lock is taken once per batch, never per record, and emptied batches go back to
//! the producer, so that a running pipeline allocates nothing. To another process batches go as
//! bytes, through the [`crate::exchange`].

use std::collections::VecDeque;
use std::mem::{needs_drop, size_of};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flott_core::Result;
use flott_core::codec::{Data, encoded_len};
use flott_core::element::Control;
use serde::Serialize;

use crate::batch::Batch;
use crate::exchange::{self, FrameReceiver, FrameSender};
use crate::in_flight::{Capture, Found};
use crate::operator::Wake;

/// How many emptied batches wait for the producer at most.
const FREE_BATCHES: usize = 4;

/// What a channel carries.
#[derive(Debug)]
pub(crate) enum Message<T> {
    Batch(Batch<T>),
    Control(Control),
}

impl<T> Message<T> {
    fn control(&self) -> Option<Control> {
        match self {
            Self::Batch(_) => None,
            Self::Control(control) => Some(*control),
        }
    }
}

/// Whether a control element says something of a checkpoint that its channel's reader wants to know before its
/// turn comes.
pub(crate) fn is_mark(control: Control) -> bool {
    match control {
        Control::Barrier(_) | Control::CancelBarrier(_) | Control::EndOfPartition => true,
        Control::Watermark(_) | Control::Idle | Control::Active | Control::EndOfData { .. } => {
            false
        }
    }
}

struct Queue<T> {
    messages: VecDeque<(usize, Message<T>)>,
    bytes: usize,
    free: Vec<Batch<T>>,
    producer_waits: bool,
}

pub(crate) struct Channel<T> {
    queue: Mutex<Queue<T>>,
    bytes_max: usize,
    /// How many marks have been sent.
    marks: AtomicUsize,
    producer: Arc<dyn Wake>,
    consumer: Arc<dyn Wake>,
}

impl<T> Channel<T> {
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        // If a record's code panics while the lock is held, the queue is whole all the same.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A channel that holds batches of up to `bytes_max` bytes in total, and one more.
pub(crate) fn channel<T>(
    bytes_max: usize,
    producer: Arc<dyn Wake>,
    consumer: Arc<dyn Wake>,
) -> (Sender<T>, Receiver<T>) {
    let queue = Queue {
        messages: VecDeque::new(),
        bytes: 0,
        free: Vec::with_capacity(FREE_BATCHES),
        producer_waits: false,
    };
    let (queue, marks) = (Mutex::new(queue), AtomicUsize::new(0));
    let channel = Arc::new(Channel { queue, bytes_max, marks, producer, consumer });
    (Sender::Local(channel.clone()), Receiver::Local(channel))
}

/// The producer's end.
pub(crate) enum Sender<T> {
    /// To a task of this process.
    Local(Arc<Channel<T>>),
    /// To another process.
    Remote(FrameSender),
}

/// The consumer's end.
pub(crate) enum Receiver<T> {
    /// From a task of this process.
    Local(Arc<Channel<T>>),
    /// From another process; and the batch that was emptied last.
    Remote(FrameReceiver, Batch<T>),
}

impl<T: Serialize> Sender<T> {
    /// Whether another batch may be sent. If not, the producer is woken when it may.
    ///
    /// # Errors
    /// If the consumer's process is lost.
    pub(crate) fn has_room(&self) -> Result<bool> {
        match self {
            Self::Local(channel) => Ok(channel.has_room()),
            Self::Remote(sender) => sender.has_room(),
        }
    }

    /// Sends the batch, whether or not there is room, and leaves an empty one in its place. Says how many bytes it
    /// had.
    ///
    /// # Errors
    /// If a record that has to be encoded cannot be.
    pub(crate) fn send(&self, batch: &mut Batch<T>) -> Result<usize> {
        match self {
            Self::Local(channel) => Ok(channel.send(batch)),
            Self::Remote(sender) => {
                let encoded = exchange::encode_batch(batch);
                batch.clear();
                let encoded = encoded?;
                let bytes = encoded.len();
                sender.send(encoded);
                Ok(bytes)
            }
        }
    }

    pub(crate) fn send_control(&self, control: Control) -> Result<()> {
        match self {
            Self::Local(channel) => channel.push(channel.lock(), 0, Message::Control(control)),
            Self::Remote(sender) => sender.send_free(exchange::encode_control(control)?),
        }
        Ok(())
    }
}

impl<T: Serialize> Channel<T> {
    fn has_room(&self) -> bool {
        let mut queue = self.lock();
        let has_room = queue.bytes < self.bytes_max;
        queue.producer_waits = !has_room;
        has_room
    }

    fn send(&self, batch: &mut Batch<T>) -> usize {
        let bytes = batch_bytes(batch);
        let mut queue = self.lock();
        let empty = queue.free.pop().unwrap_or_default();
        let full = std::mem::replace(batch, empty);
        self.push(queue, bytes, Message::Batch(full));
        bytes
    }

    fn push(&self, mut queue: MutexGuard<'_, Queue<T>>, bytes: usize, message: Message<T>) {
        let was_empty = queue.messages.is_empty();
        // A reader that waits for its own outputs must see what overtakes the records.
        let is_mark = matches!(message, Message::Control(control) if is_mark(control));
        if is_mark {
            self.marks.fetch_add(1, Ordering::SeqCst);
        }
        queue.bytes += bytes;
        queue.messages.push_back((bytes, message));
        drop(queue);
        if was_empty || is_mark {
            self.consumer.wake();
        }
    }
}

impl<T: Data> Receiver<T> {
    /// The next message, if there is one, with its bytes. If not, the consumer is woken when there is.
    ///
    /// # Errors
    /// If the producer's process is lost, or has sent what is no message.
    pub(crate) fn receive(&mut self) -> Result<Option<(usize, Message<T>)>> {
        match self {
            Self::Local(channel) => Ok(channel.receive()),
            Self::Remote(receiver, free) => match receiver.receive()? {
                Some(frame) => {
                    let message = exchange::decode(&frame, std::mem::take(free))?;
                    Ok(Some((frame.len(), message)))
                }
                None => Ok(None),
            },
        }
    }

    /// How many marks have come into the channel. The consumer is woken after each.
    pub(crate) fn marks_sent(&self) -> usize {
        match self {
            Self::Local(channel) => channel.marks.load(Ordering::SeqCst),
            Self::Remote(receiver, _) => receiver.marks_sent(),
        }
    }

    /// The marks that wait in the channel, in order.
    pub(crate) fn marks(&self) -> Vec<Control> {
        match self {
            Self::Local(channel) => {
                let queue = channel.lock();
                let controls = queue.messages.iter().filter_map(|(_, message)| message.control());
                controls.filter(|control| is_mark(*control)).collect()
            }
            Self::Remote(receiver, _) => receiver.waiting_marks(),
        }
    }

    /// Copies what waits before the barrier, if that is there.
    pub(crate) fn overtake(&self, channel: usize, capture: &mut Capture) -> Found {
        match self {
            Self::Local(local) => local.overtake(channel, capture),
            Self::Remote(receiver, _) => receiver.overtake(channel, capture),
        }
    }

    /// Takes an emptied batch back, to be filled again.
    pub(crate) fn recycle(&mut self, mut batch: Batch<T>) {
        batch.clear();
        match self {
            Self::Local(channel) => channel.recycle(batch),
            Self::Remote(_, free) => *free = batch,
        }
    }
}

impl<T> Channel<T> {
    fn receive(&self) -> Option<(usize, Message<T>)> {
        let mut queue = self.lock();
        let (bytes, message) = queue.messages.pop_front()?;
        queue.bytes -= bytes;
        let wake = queue.producer_waits && queue.bytes <= self.bytes_max / 2;
        if wake {
            queue.producer_waits = false;
        }
        drop(queue);
        if wake {
            self.producer.wake();
        }
        Some((bytes, message))
    }

    /// Keeps an empty batch for the producer.
    fn recycle(&self, batch: Batch<T>) {
        let mut queue = self.lock();
        if queue.free.len() < FREE_BATCHES {
            queue.free.push(batch);
        }
    }
}

impl<T: Serialize> Channel<T> {
    fn overtake(&self, channel: usize, capture: &mut Capture) -> Found {
        let queue = self.lock();
        let control = |(_, message): &(usize, Message<T>)| message.control();
        capture.overtake(channel, &queue.messages, control, |capture, (_, message)| {
            if let Message::Batch(batch) = message {
                capture.batch(batch);
            }
        })
    }
}

/// An estimate of the memory that a batch takes. For records with heap parts, the encoded length
/// of the first stands for all: exact sizes would cost more than they are worth.
fn batch_bytes<T: Serialize>(batch: &Batch<T>) -> usize {
    let heap = match batch.records().first() {
        Some(first) if needs_drop::<T>() => encoded_len(first),
        Some(_) | None => 0,
    };
    batch.len() * (size_of::<T>() + heap)
}

#[cfg(test)]
mod tests {
    use flott_core::{CheckpointId, Timestamp, codec};

    use super::*;
    use crate::align;
    use crate::batch::NO_TIMESTAMP;
    use crate::in_flight::InFlight;
    use crate::watermark::WatermarkValve;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn batch(records: std::ops::Range<u64>) -> Batch<u64> {
        let mut batch = Batch::default();
        records.for_each(|record| batch.push(record, NO_TIMESTAMP));
        batch
    }

    #[test]
    fn a_full_channel_wakes_its_producer_when_half_of_it_is_read() {
        let producer = Arc::new(Wakes::default());
        let (sender, mut receiver) = channel(64, producer.clone(), Arc::new(Wakes::default()));
        for _ in 0..4 {
            assert!(sender.has_room().unwrap());
            sender.send(&mut batch(0..2)).unwrap();
        }
        assert!(!sender.has_room().unwrap());
        receiver.receive().unwrap();
        assert_eq!(producer.0.load(Ordering::SeqCst), 0);
        receiver.receive().unwrap();
        assert_eq!(producer.0.load(Ordering::SeqCst), 1);
        assert!(sender.has_room().unwrap());
    }

    #[test]
    fn the_consumer_is_woken_by_the_first_message_only() {
        let consumer = Arc::new(Wakes::default());
        let (sender, mut receiver) = channel(64, Arc::new(Wakes::default()), consumer.clone());
        sender.send_control(Control::Watermark(Timestamp(1))).unwrap();
        sender.send(&mut batch(0..1)).unwrap();
        assert_eq!(consumer.0.load(Ordering::SeqCst), 1);
        assert!(matches!(
            receiver.receive().unwrap(),
            Some((0, Message::Control(Control::Watermark(_))))
        ));
        assert!(matches!(receiver.receive().unwrap(), Some((8, Message::Batch(_)))));
        assert!(receiver.receive().unwrap().is_none());
        sender.send(&mut batch(0..1)).unwrap();
        assert_eq!(consumer.0.load(Ordering::SeqCst), 2);
    }

    fn barrier(checkpoint: u64) -> Control {
        Control::Barrier(align::testing::unaligned(checkpoint))
    }

    fn capture(checkpoint: u64) -> Capture {
        Capture::new(CheckpointId(checkpoint), WatermarkValve::new(1), None)
    }

    /// The records that were captured, and what event time will be after them.
    fn captured(capture: Capture) -> (Vec<u64>, Option<Timestamp>) {
        let (mut all, mut time) = (Vec::new(), None);
        for bytes in capture.finish(true).unwrap() {
            match codec::decode(&bytes).unwrap() {
                InFlight::<u64>::Time(reached) => time = Some(reached.after),
                InFlight::Records(records) => all.extend(records),
                InFlight::TimedRecords(records) => all.extend(records.into_iter().map(|(_, r)| r)),
            }
        }
        (all, time)
    }

    #[test]
    fn a_barrier_wakes_a_consumer_that_has_enough_to_read() {
        let consumer = Arc::new(Wakes::default());
        let (sender, mut receiver) = channel(64, Arc::new(Wakes::default()), consumer.clone());
        sender.send(&mut batch(0..1)).unwrap();
        assert_eq!(receiver.marks_sent(), 0);
        sender.send_control(barrier(1)).unwrap();
        assert_eq!(consumer.0.load(Ordering::SeqCst), 2);
        assert_eq!((receiver.marks_sent(), receiver.marks()), (1, vec![barrier(1)]));
        receiver.receive().unwrap();
        receiver.receive().unwrap();
        assert_eq!((receiver.marks_sent(), receiver.marks()), (1, vec![]));
    }

    #[test]
    fn what_a_barrier_overtakes_is_what_is_before_it() {
        let (sender, receiver) =
            channel(64, Arc::new(Wakes::default()), Arc::new(Wakes::default()));
        let mut overtaken = capture(2);
        sender.send_control(barrier(1)).unwrap();
        sender.send(&mut batch(0..2)).unwrap();
        sender.send_control(Control::Watermark(Timestamp(7))).unwrap();
        assert_eq!(receiver.overtake(0, &mut overtaken), Found::Nothing);
        sender.send(&mut batch(2..3)).unwrap();
        sender.send_control(barrier(2)).unwrap();
        sender.send(&mut batch(3..9)).unwrap();
        assert_eq!(receiver.overtake(0, &mut overtaken), Found::Barrier);
        assert_eq!(captured(overtaken), (vec![0, 1, 2], Some(Timestamp(7))));
    }

    /// FLINK-20645: every end that a channel's part can have.
    #[test]
    fn a_channel_s_part_ends_with_its_barrier_its_end_or_a_cancellation() {
        let ends = [
            (Control::EndOfPartition, Found::Barrier),
            (Control::CancelBarrier(CheckpointId(2)), Found::Cancellation),
            (barrier(3), Found::Cancellation),
        ];
        for (end, found) in ends {
            let (sender, receiver) =
                channel(64, Arc::new(Wakes::default()), Arc::new(Wakes::default()));
            sender.send_control(Control::CancelBarrier(CheckpointId(1))).unwrap();
            sender.send(&mut batch(0..1)).unwrap();
            sender.send_control(end).unwrap();
            assert_eq!(receiver.overtake(0, &mut capture(2)), found, "{end:?}");
        }
    }

    #[test]
    fn records_with_heap_parts_count_those_too() {
        let mut strings = Batch::default();
        strings.push("x".repeat(1000), NO_TIMESTAMP);
        assert!(batch_bytes(&strings) > 1000);
        assert_eq!(batch_bytes(&batch(0..10)), 80);
    }
}
