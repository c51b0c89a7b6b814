//! Barrier alignment: when a task has seen the barrier of a checkpoint on every channel, or need not.
//!
//! Exactly-once: a channel whose barrier has arrived is blocked until the others have theirs, so
//! that nothing after the barrier gets into the snapshot. At-least-once: barriers are counted, and
//! no channel is blocked. A channel that has ended counts as having delivered every barrier.
//! A newer barrier, a cancelled barrier or an aborted checkpoint ends an alignment.
//!
//! *Unaligned* (exactly-once only): a barrier that waits behind records is seen as soon as it is in the channel.
//! If it is unaligned itself, or has waited too long, the snapshot is taken at once, and what the barriers
//! overtake becomes part of it. Channels that no barrier may overtake are waited for all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flott_core::config::options::CheckpointingMode;
use flott_core::element::{Barrier, CheckpointKind};
use flott_core::mutant::Mutant;
use flott_core::{CheckpointId, MonoTime};

/// What a barrier, a cancellation or the end of a channel led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlignEvent {
    /// Take the snapshot.
    Take {
        /// The barrier to send on; it is unaligned if it has overtaken anything.
        barrier: Barrier,
        /// When its first copy was seen.
        started: MonoTime,
        /// The channels on which it has overtaken, or will, what is before it: that is a part of the checkpoint.
        overtaken: BTreeSet<usize>,
    },
    /// The alignment is off: tell the coordinator and whoever is downstream.
    Aborted(CheckpointId),
}

struct Alignment {
    barrier: Barrier,
    started: MonoTime,
    arrived: BTreeSet<usize>,
}

/// The alignment of all channels of one task.
pub struct Aligner {
    mode: CheckpointingMode,
    open: BTreeSet<usize>,
    /// Channels whose records no barrier overtakes.
    aligned: BTreeSet<usize>,
    /// How long barriers wait before they overtake; `None` is for ever.
    unaligned_after: Option<Duration>,
    pending: BTreeMap<CheckpointId, Alignment>,
    /// Nothing at or below this is aligned any more.
    settled: CheckpointId,
    /// Checkpoints above `settled` whose barriers are to be ignored.
    aborted: BTreeSet<CheckpointId>,
}

impl Aligner {
    /// For a task with this many channels; none for a source.
    pub fn new(mode: CheckpointingMode, channels: usize) -> Self {
        Self {
            mode,
            open: (0..channels).collect(),
            aligned: BTreeSet::new(),
            unaligned_after: None,
            pending: BTreeMap::new(),
            settled: CheckpointId(0),
            aborted: BTreeSet::new(),
        }
    }

    /// Barriers that have waited so long (never if it is `None`) overtake what is before them, but not on the
    /// channels that must stay `aligned`.
    #[must_use]
    pub fn overtaking(self, after: Option<Duration>, aligned: BTreeSet<usize>) -> Self {
        let unaligned_after = after.filter(|_| self.mode == CheckpointingMode::ExactlyOnce);
        Self { unaligned_after, aligned, ..self }
    }

    /// Whether barriers may overtake anything: only then is there a use for [`Self::announce`].
    pub fn may_overtake(&self) -> bool {
        self.unaligned_after.is_some()
    }

    /// Whether no channel must stay aligned.
    pub fn all_may_be_overtaken(&self) -> bool {
        self.aligned.is_empty()
    }

    /// Whether the channel must not be read now.
    pub fn is_blocked(&self, channel: usize) -> bool {
        self.mode == CheckpointingMode::ExactlyOnce
            && !Mutant::ReadPastBarrier.is_on()
            && self.pending.values().any(|alignment| alignment.arrived.contains(&channel))
    }

    /// Whether every channel has ended.
    pub fn all_ended(&self) -> bool {
        self.open.is_empty()
    }

    /// A barrier arrived on a channel, after all that was before it.
    pub fn barrier(&mut self, channel: usize, barrier: Barrier, now: MonoTime) -> Vec<AlignEvent> {
        if !self.is_wanted(barrier.checkpoint) {
            return Vec::new();
        }
        let mut events = self.begin(barrier, now);
        if let Some(alignment) = self.pending.get_mut(&barrier.checkpoint) {
            alignment.arrived.insert(channel);
        }
        events.extend(self.complete());
        events
    }

    /// A barrier waits in a channel behind other things. Says so again as often as you like.
    pub fn announce(&mut self, barrier: Barrier, now: MonoTime) -> Vec<AlignEvent> {
        let is_wanted = self.is_wanted(barrier.checkpoint) && self.may_be_unaligned(barrier);
        if is_wanted { self.begin(barrier, now) } else { Vec::new() }
    }

    /// Takes the snapshot ahead of what is in the channels, if it is time to.
    pub fn overtake(&mut self, now: MonoTime) -> Option<AlignEvent> {
        let (id, alignment) = self.pending.last_key_value()?;
        let is_due = alignment.barrier.unaligned || self.deadline()? <= now;
        let waits = self.aligned.intersection(&self.open).any(|c| !alignment.arrived.contains(c));
        if !is_due || waits || !self.may_be_unaligned(alignment.barrier) {
            return None;
        }
        let id = *id;
        let Alignment { barrier, started, arrived } = self.pending.remove(&id)?;
        self.settle(id);
        let barrier = Barrier { unaligned: true, ..barrier };
        let overtaken = self.open.difference(&arrived).copied().collect();
        Some(AlignEvent::Take { barrier, started, overtaken })
    }

    /// When barriers will have waited long enough, if any do that may overtake.
    pub fn deadline(&self) -> Option<MonoTime> {
        let (_, alignment) = self.pending.last_key_value()?;
        let after = self.unaligned_after.filter(|_| self.may_be_unaligned(alignment.barrier))?;
        Some(alignment.started.plus(after))
    }

    /// A source, or a task whose producers have all ended, is told to take a checkpoint. What the latter have sent
    /// may still be in the channels.
    pub fn trigger(&mut self, barrier: Barrier, now: MonoTime) -> Vec<AlignEvent> {
        if !self.is_wanted(barrier.checkpoint) {
            return Vec::new();
        }
        let mut events = self.begin(barrier, now);
        events.extend(self.complete());
        events
    }

    /// A checkpoint was aborted, upstream or by the coordinator: its barriers mean nothing now.
    /// Says whether an alignment was under way.
    pub fn abort(&mut self, id: CheckpointId) -> bool {
        if !self.is_wanted(id) {
            return false;
        }
        self.aborted.insert(id);
        self.pending.remove(&id).is_some()
    }

    /// A channel has ended.
    pub fn end(&mut self, channel: usize) -> Vec<AlignEvent> {
        self.open.remove(&channel);
        self.complete()
    }

    fn is_wanted(&self, id: CheckpointId) -> bool {
        id > self.settled && !self.aborted.contains(&id)
    }

    /// Savepoints have nothing in flight.
    fn may_be_unaligned(&self, barrier: Barrier) -> bool {
        self.unaligned_after.is_some() && barrier.kind == CheckpointKind::Checkpoint
    }

    /// Begins the alignment of a barrier, if it has not begun.
    fn begin(&mut self, barrier: Barrier, now: MonoTime) -> Vec<AlignEvent> {
        let id = barrier.checkpoint;
        let mut events = Vec::new();
        if self.mode == CheckpointingMode::ExactlyOnce {
            // An older alignment cannot complete any more: one of its barriers will never come. Others that
            // still come, of producers that have heard less, are late.
            events.extend(self.abort_below(id));
            self.settled = self.settled.max(CheckpointId(id.0.saturating_sub(1)));
        }
        let alignment = self.pending.entry(id).or_insert_with(|| Alignment {
            barrier,
            started: now,
            arrived: BTreeSet::new(),
        });
        alignment.barrier.unaligned |= barrier.unaligned;
        events
    }

    fn settle(&mut self, id: CheckpointId) {
        self.settled = self.settled.max(id);
        self.aborted.retain(|aborted| *aborted > id);
    }

    fn abort_below(&mut self, id: CheckpointId) -> Vec<AlignEvent> {
        let newer = self.pending.split_off(&id);
        let older = std::mem::replace(&mut self.pending, newer);
        older.into_keys().map(AlignEvent::Aborted).collect()
    }

    fn complete(&mut self) -> Vec<AlignEvent> {
        let done = self.pending.iter().rev().find(|(_, a)| self.open.is_subset(&a.arrived));
        let Some(id) = done.map(|(id, _)| *id) else { return Vec::new() };
        let mut events = self.abort_below(id);
        if let Some(Alignment { barrier, started, .. }) = self.pending.remove(&id) {
            self.settle(id);
            events.push(AlignEvent::Take { barrier, started, overtaken: BTreeSet::new() });
        }
        events
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use flott_core::Timestamp;

    use super::*;

    /// The barrier of a checkpoint that waits for its turn.
    pub(crate) fn barrier(id: u64) -> Barrier {
        Barrier {
            kind: CheckpointKind::Checkpoint,
            checkpoint: CheckpointId(id),
            triggered_at: Timestamp(0),
            base: None,
            unaligned: false,
        }
    }

    /// The barrier of a checkpoint that overtakes records.
    pub(crate) fn unaligned(id: u64) -> Barrier {
        Barrier { unaligned: true, ..barrier(id) }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{barrier, unaligned};
    use super::*;

    fn aligned(id: u64) -> AlignEvent {
        AlignEvent::Take { barrier: barrier(id), started: MonoTime(0), overtaken: BTreeSet::new() }
    }

    fn exactly_once(channels: usize) -> Aligner {
        Aligner::new(CheckpointingMode::ExactlyOnce, channels)
    }

    const T: MonoTime = MonoTime(0);

    #[test]
    fn a_channel_is_blocked_from_its_barrier_to_the_last_one() {
        let mut aligner = exactly_once(2);
        assert_eq!(aligner.barrier(0, barrier(1), T), []);
        assert!(aligner.is_blocked(0) && !aligner.is_blocked(1));
        assert_eq!(aligner.barrier(1, barrier(1), T), [aligned(1)]);
        assert!(!aligner.is_blocked(0) && !aligner.is_blocked(1));
    }

    #[test]
    fn at_least_once_blocks_nothing() {
        let mut aligner = Aligner::new(CheckpointingMode::AtLeastOnce, 2);
        aligner.barrier(0, barrier(1), T);
        assert!(!aligner.is_blocked(0));
        assert_eq!(aligner.barrier(0, barrier(2), T), []);
        assert_eq!(aligner.barrier(1, barrier(1), T), [aligned(1)]);
        assert_eq!(aligner.barrier(1, barrier(2), T), [aligned(2)]);
    }

    #[test]
    fn a_newer_barrier_ends_the_older_alignment() {
        let mut aligner = exactly_once(2);
        aligner.barrier(0, barrier(1), T);
        assert_eq!(aligner.barrier(1, barrier(2), T), [AlignEvent::Aborted(CheckpointId(1))]);
        assert!(!aligner.is_blocked(0) && aligner.is_blocked(1));
        assert_eq!(aligner.barrier(0, barrier(2), T), [aligned(2)]);
    }

    #[test]
    fn an_ended_channel_counts_as_having_delivered_the_barrier() {
        let mut aligner = exactly_once(3);
        aligner.barrier(0, barrier(1), T);
        assert_eq!(aligner.end(1), []);
        assert_eq!(aligner.end(2), [aligned(1)]);
        assert_eq!(aligner.barrier(0, barrier(2), T), [aligned(2)]);
    }

    #[test]
    fn the_barriers_of_an_aborted_checkpoint_are_ignored_whenever_they_come() {
        let mut aligner = exactly_once(2);
        assert!(!aligner.abort(CheckpointId(1)));
        assert_eq!(aligner.barrier(0, barrier(1), T), []);
        assert!(!aligner.is_blocked(0));
        aligner.barrier(0, barrier(2), T);
        assert!(aligner.abort(CheckpointId(2)));
        assert!(!aligner.is_blocked(0));
        assert_eq!(aligner.barrier(1, barrier(2), T), []);
    }

    fn overtaking(channels: usize, after: u64, aligned: &[usize]) -> Aligner {
        let after = Some(Duration::from_millis(after));
        exactly_once(channels).overtaking(after, aligned.iter().copied().collect())
    }

    fn taken(id: u64, started: MonoTime, overtaken: &[usize]) -> AlignEvent {
        let overtaken = overtaken.iter().copied().collect();
        AlignEvent::Take { barrier: unaligned(id), started, overtaken }
    }

    fn at(millis: u64) -> MonoTime {
        T.plus(Duration::from_millis(millis))
    }

    #[test]
    fn an_unaligned_barrier_overtakes_as_soon_as_it_is_seen() {
        let mut aligner = overtaking(3, 100, &[]);
        assert_eq!(aligner.announce(unaligned(1), T), []);
        assert_eq!(aligner.overtake(T), Some(taken(1, T, &[0, 1, 2])));
        // Its copies find nothing to do, and block nothing.
        assert_eq!(aligner.announce(unaligned(1), T), []);
        assert_eq!(aligner.barrier(1, unaligned(1), T), []);
        assert_eq!(aligner.overtake(T), None);
        assert!((0..3).all(|channel| !aligner.is_blocked(channel)));
    }

    #[test]
    fn a_barrier_that_has_waited_long_enough_overtakes_what_is_left() {
        let mut aligner = overtaking(3, 100, &[]);
        aligner.announce(barrier(1), at(5));
        aligner.barrier(2, barrier(1), at(50));
        assert_eq!((aligner.overtake(at(104)), aligner.deadline()), (None, Some(at(105))));
        assert_eq!(aligner.overtake(at(105)), Some(taken(1, at(5), &[0, 1])));
        assert_eq!(aligner.deadline(), None);
    }

    #[test]
    fn barriers_that_are_in_time_overtake_nothing() {
        let mut aligner = overtaking(2, 100, &[]);
        aligner.announce(barrier(1), T);
        assert_eq!(aligner.barrier(0, barrier(1), T), []);
        assert_eq!(aligner.barrier(1, barrier(1), at(99)), [aligned(1)]);
        assert_eq!(aligner.overtake(at(200)), None);
    }

    /// FLINK-22815, FLINK-33693: forced alignment holds whatever the barrier says and the time is.
    #[test]
    fn a_channel_that_must_stay_aligned_is_waited_for() {
        for barrier in [barrier(1), unaligned(1)] {
            let mut aligner = overtaking(3, 100, &[0, 1]);
            aligner.announce(barrier, T);
            assert_eq!(aligner.overtake(at(500)), None);
            assert_eq!(aligner.barrier(0, barrier, at(500)), []);
            assert!(aligner.is_blocked(0));
            assert_eq!(aligner.overtake(at(500)), None);
            assert_eq!(aligner.end(1), []);
            assert_eq!(aligner.overtake(at(500)), Some(taken(1, T, &[2])));
        }
    }

    #[test]
    fn a_savepoint_and_at_least_once_overtake_nothing() {
        let savepoint = Barrier { kind: CheckpointKind::Savepoint, ..barrier(1) };
        let mut aligner = overtaking(2, 0, &[]);
        aligner.announce(savepoint, T);
        aligner.barrier(0, savepoint, T);
        assert_eq!((aligner.overtake(at(500)), aligner.deadline()), (None, None));
        let mut counting = Aligner::new(CheckpointingMode::AtLeastOnce, 2)
            .overtaking(Some(Duration::ZERO), BTreeSet::new());
        counting.announce(unaligned(1), T);
        counting.barrier(0, unaligned(1), T);
        assert_eq!(counting.overtake(at(500)), None);
    }

    #[test]
    fn an_aborted_checkpoint_overtakes_nothing() {
        let mut aligner = overtaking(2, 0, &[]);
        aligner.announce(barrier(1), T);
        assert!(aligner.abort(CheckpointId(1)));
        assert_eq!(aligner.overtake(T), None);
        aligner.announce(barrier(2), T);
        assert_eq!(aligner.announce(barrier(3), T), [AlignEvent::Aborted(CheckpointId(2))]);
        assert_eq!(aligner.barrier(0, barrier(2), T), [], "it is late");
        assert_eq!(aligner.overtake(T), Some(taken(3, T, &[0, 1])));
    }

    /// The coordinator had aborted 1: one producer has heard of it, the other and this task have not.
    #[test]
    fn a_late_barrier_does_not_begin_its_checkpoint_again() {
        let mut aligner = overtaking(2, 0, &[]);
        aligner.announce(unaligned(2), T);
        assert_eq!(aligner.announce(unaligned(1), T), []);
        assert_eq!(aligner.overtake(T), Some(taken(2, T, &[0, 1])));
        assert_eq!(aligner.overtake(T), None);
        assert!(!aligner.abort(CheckpointId(1)));
        assert_eq!(aligner.barrier(1, unaligned(1), T), []);
        assert_eq!(aligner.announce(unaligned(2), T), []);
        assert_eq!(aligner.overtake(T), None);
        assert!(!aligner.is_blocked(0) && !aligner.is_blocked(1));
    }

    /// Producers that have finished send no barrier; what they have sent may still be on its way.
    #[test]
    fn a_trigger_waits_for_the_ends_of_the_channels_or_overtakes_them() {
        let mut aligner = overtaking(2, 100, &[]);
        assert_eq!(aligner.trigger(barrier(1), T), []);
        aligner.end(0);
        assert_eq!(aligner.end(1), [aligned(1)]);
        assert_eq!(aligner.trigger(barrier(2), T), [aligned(2)]);
        let mut aligner = overtaking(2, 100, &[]);
        aligner.end(0);
        aligner.trigger(barrier(1), T);
        assert_eq!(aligner.overtake(at(100)), Some(taken(1, T, &[1])));
    }

    #[test]
    fn a_repeated_or_late_barrier_changes_nothing() {
        let mut aligner = exactly_once(1);
        assert_eq!(aligner.barrier(0, barrier(3), T), [aligned(3)]);
        assert_eq!(aligner.barrier(0, barrier(3), T), []);
        assert_eq!(aligner.barrier(0, barrier(2), T), []);
        assert!(!aligner.is_blocked(0));
    }

    /// Every order of two barriers and a cancellation on each of two channels: the aligner ends
    /// with nothing blocked, and takes each checkpoint at most once, in order (FLINK-20645).
    #[test]
    fn every_order_of_barriers_and_cancellations_ends_unblocked() {
        #[derive(Clone, Copy)]
        enum Step {
            Barrier(u64),
            Cancel(u64),
        }
        let scripts = [
            [Step::Barrier(1), Step::Barrier(2)],
            [Step::Cancel(1), Step::Barrier(2)],
            [Step::Barrier(1), Step::Cancel(2)],
        ];
        for left in scripts {
            for right in scripts {
                for order in 0..1u32 << 4 {
                    let mut aligner = exactly_once(2);
                    let mut next = [0, 0];
                    let mut taken = Vec::new();
                    for turn in 0..8 {
                        let preferred = (order >> (turn % 4) & 1) as usize;
                        let ready =
                            |channel: usize| next[channel] < 2 && !aligner.is_blocked(channel);
                        let Some(channel) =
                            [preferred, 1 - preferred].into_iter().find(|c| ready(*c))
                        else {
                            continue;
                        };
                        let step = [left, right][channel][next[channel]];
                        next[channel] += 1;
                        match step {
                            Step::Barrier(id) => {
                                for event in aligner.barrier(channel, barrier(id), T) {
                                    if let AlignEvent::Take { barrier, .. } = event {
                                        taken.push(barrier.checkpoint);
                                    }
                                }
                            }
                            Step::Cancel(id) => {
                                aligner.abort(CheckpointId(id));
                            }
                        }
                    }
                    assert_eq!(next, [2, 2], "stuck");
                    assert!(!aligner.is_blocked(0) && !aligner.is_blocked(1));
                    assert!(taken.is_sorted_by(|a, b| a < b), "{taken:?}");
                }
            }
        }
    }
}
