//! Two exchanges with a link between them, carried by hand.

use std::sync::atomic::{AtomicUsize, Ordering};

use flott_core::CheckpointId;
use flott_core::element::Control;

use super::*;
use crate::align::testing::unaligned;
use crate::in_flight::{Capture, Found};
use crate::watermark::WatermarkValve;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A link whose frames wait until they are carried over.
struct Wire(u64, Mutex<Vec<Frame>>);

impl Link for Wire {
    fn number(&self) -> u64 {
        self.0
    }

    fn send(&self, frame: Frame) {
        self.1.lock().unwrap().push(frame);
    }
}

const CHANNEL: ChannelId = ChannelId { edge: EdgeId(0), producer: 0, consumer: 1 };

/// Two workers, joined by a link.
struct Pair {
    producer: Exchange,
    consumer: Exchange,
    /// As the producer's side has it, and as the consumer's.
    wires: [Arc<Wire>; 2],
    wakes: [Arc<Wakes>; 2],
}

impl Pair {
    fn new() -> Self {
        Self {
            producer: Exchange::new(),
            consumer: Exchange::new(),
            wires: [7, 9].map(|number| Arc::new(Wire(number, Mutex::default()))),
            wakes: [Arc::default(), Arc::default()],
        }
    }

    fn sender(&self) -> FrameSender {
        self.producer.sender(CHANNEL, self.wires[0].clone(), self.wakes[0].clone())
    }

    fn receiver(&self, bytes: usize) -> FrameReceiver {
        self.consumer.receiver(CHANNEL, bytes, self.wakes[1].clone())
    }

    /// Carries over what waits, in both directions, until nothing does.
    fn carry(&self) {
        loop {
            let [there, back] =
                [0, 1].map(|i| std::mem::take(&mut *self.wires[i].1.lock().unwrap()));
            if there.is_empty() && back.is_empty() {
                return;
            }
            let [here, far] = [0, 1].map(|i| self.wires[i].clone() as Arc<dyn Link>);
            there.into_iter().for_each(|frame| self.consumer.receive(&far, frame).unwrap());
            back.into_iter().for_each(|frame| self.producer.receive(&here, frame).unwrap());
        }
    }
}

fn batch(bytes: usize) -> Vec<u8> {
    vec![1; bytes]
}

#[test]
fn what_is_sent_waits_for_credit_and_credit_comes_back_when_half_is_taken() {
    let pair = Pair::new();
    let (sender, receiver) = (pair.sender(), pair.receiver(100));
    assert!(!sender.has_room().unwrap(), "nobody has answered yet");
    pair.carry();
    assert_eq!(pair.wakes[0].count(), 1);
    assert!(sender.has_room().unwrap());
    sender.send(batch(60));
    assert!(sender.has_room().unwrap(), "one batch more than fits");
    sender.send(batch(60));
    assert!(!sender.has_room().unwrap());
    pair.carry();
    assert!(!sender.has_room().unwrap(), "nothing was taken");
    assert_eq!(pair.wakes[1].count(), 1, "one wake-up for both");
    assert_eq!(receiver.receive().unwrap().unwrap().len(), 60);
    pair.carry();
    assert!(sender.has_room().unwrap());
}

#[test]
fn a_channel_that_nobody_reads_does_not_stop_its_neighbour() {
    let pair = Pair::new();
    let other = ChannelId { consumer: 2, ..CHANNEL };
    let sender =
        |channel| pair.producer.sender(channel, pair.wires[0].clone(), pair.wakes[0].clone());
    let receiver = |channel| pair.consumer.receiver(channel, 10, pair.wakes[1].clone());
    let (slow, fast) = (sender(CHANNEL), sender(other));
    let (_unread, read) = (receiver(CHANNEL), receiver(other));
    pair.carry();
    slow.send(batch(20));
    for _ in 0..100 {
        assert!(fast.has_room().unwrap());
        fast.send(batch(20));
        pair.carry();
        assert!(read.receive().unwrap().is_some());
        pair.carry();
    }
    assert!(!slow.has_room().unwrap());
}

#[test]
fn a_faster_producer_waits_for_the_consumers_attempt() {
    let pair = Pair::new();
    pair.producer.begin(AttemptNumber(3), |_, _| false);
    let sender = pair.sender();
    // Control elements need no credit, but somebody who takes them.
    sender.send_free(vec![0, 1]);
    pair.carry();
    assert!(!sender.has_room().unwrap());
    pair.consumer.begin(AttemptNumber(3), |_, _| false);
    let receiver = pair.receiver(100);
    pair.carry();
    assert!(sender.has_room().unwrap());
    assert_eq!(receiver.receive().unwrap(), Some(vec![0, 1]));
}

#[test]
fn what_is_on_its_way_for_an_older_attempt_is_dropped() {
    let pair = Pair::new();
    let (sender, receiver) = (pair.sender(), pair.receiver(100));
    pair.carry();
    sender.send(batch(10));
    pair.consumer.begin(AttemptNumber(1), |_, _| false);
    let newer = pair.receiver(100);
    pair.carry();
    assert!(receiver.receive().unwrap().is_none() && newer.receive().unwrap().is_none());
    // Nor does credit of the old one reach the new.
    receiver.receive().unwrap();
    pair.producer.begin(AttemptNumber(1), |_, _| false);
    let sender = pair.sender();
    assert!(!sender.has_room().unwrap());
    pair.carry();
    assert!(sender.has_room().unwrap());
}

#[test]
fn channels_of_tasks_that_go_on_outlive_an_attempt() {
    let pair = Pair::new();
    let (sender, receiver) = (pair.sender(), pair.receiver(10));
    pair.carry();
    sender.send(batch(20));
    for end in [&pair.producer, &pair.consumer] {
        end.begin(AttemptNumber(1), |_, attempt| attempt == AttemptNumber(0));
    }
    pair.carry();
    assert!(!sender.has_room().unwrap());
    assert_eq!(receiver.receive().unwrap(), Some(batch(20)));
    pair.carry();
    assert!(sender.has_room().unwrap(), "credit came back");
    // When its tasks begin anew, too, what is still on its way is dropped on both sides.
    sender.send(batch(20));
    pair.producer.begin(AttemptNumber(2), |_, _| false);
    pair.consumer.begin(AttemptNumber(2), |_, _| false);
    let (sender, receiver) = (pair.sender(), pair.receiver(10));
    pair.carry();
    assert!(sender.has_room().unwrap() && receiver.receive().unwrap().is_none());
}

#[test]
fn a_barrier_overtakes_frames_that_nobody_reads() {
    let pair = Pair::new();
    let (sender, receiver) = (pair.sender(), pair.receiver(10));
    pair.carry();
    sender.send(batch(20));
    pair.carry();
    assert!(!sender.has_room().unwrap());
    let woken = pair.wakes[1].count();
    let barrier = Control::Barrier(unaligned(1));
    let mut capture = Capture::new(CheckpointId(1), WatermarkValve::new(1), None);
    assert_eq!(receiver.overtake(0, &mut capture), Found::Nothing);
    sender.send_free(encode_control(barrier).unwrap());
    pair.carry();
    assert_eq!(pair.wakes[1].count(), woken + 1);
    assert_eq!(receiver.waiting_marks(), [barrier]);
    assert_eq!(receiver.overtake(0, &mut capture), Found::Barrier);
    assert_eq!(capture.finish(true).unwrap(), [batch(20)]);
    // It is still there, behind what it has overtaken.
    assert_eq!(receiver.receive().unwrap(), Some(batch(20)));
    assert!(receiver.receive().unwrap().is_some());
    assert_eq!((receiver.marks_sent(), receiver.waiting_marks()), (1, vec![]));
}

#[test]
fn a_lost_link_fails_both_ends_after_what_has_arrived() {
    let pair = Pair::new();
    let (sender, receiver) = (pair.sender(), pair.receiver(100));
    pair.carry();
    sender.send(batch(10));
    pair.carry();
    pair.producer.lost(8, "another link");
    assert!(sender.has_room().unwrap());
    pair.producer.lost(7, "the worker at 192.0.2.1:4 is gone");
    pair.consumer.lost(9, "the worker at 192.0.2.2:4 is gone");
    assert!(sender.has_room().unwrap_err().report().contains("192.0.2.1:4"));
    assert!(receiver.receive().unwrap().is_some(), "it had arrived");
    assert!(receiver.receive().unwrap_err().report().contains("192.0.2.2:4"));
    assert_eq!(pair.wakes.each_ref().map(|wakes| wakes.count()), [1, 2]);
}

#[test]
fn a_peer_that_sends_what_nobody_asked_for_is_refused() {
    let pair = Pair::new();
    let link = pair.wires[1].clone() as Arc<dyn Link>;
    let frame = |body| Frame { attempt: AttemptNumber(0), channel: CHANNEL, body };
    let data = frame(FrameBody::Data(batch(1)));
    assert!(pair.consumer.receive(&link, data.clone()).is_err());
    assert!(pair.consumer.receive(&link, frame(FrameBody::Credit(1))).is_err());
    let _receiver = pair.receiver(100);
    assert!(pair.consumer.receive(&link, data.clone()).is_err(), "it was not opened");
    pair.consumer.receive(&link, frame(FrameBody::Open)).unwrap();
    pair.consumer.receive(&link, data.clone()).unwrap();
    let other = pair.wires[0].clone() as Arc<dyn Link>;
    assert!(pair.consumer.receive(&other, data).is_err(), "over another link");
}
