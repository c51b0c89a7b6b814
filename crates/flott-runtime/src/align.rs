//! Barrier alignment: when a task has seen the barrier of a checkpoint on every channel.
//!
//! Exactly-once: a channel whose barrier has arrived is blocked until the others have theirs, so
//! that nothing after the barrier gets into the snapshot. At-least-once: barriers are counted, and
//! no channel is blocked. A channel that has ended counts as having delivered every barrier.
//! A newer barrier, a cancelled barrier or an aborted checkpoint ends an alignment.

use std::collections::{BTreeMap, BTreeSet};

use flott_core::config::options::CheckpointingMode;
use flott_core::element::Barrier;
use flott_core::mutant::Mutant;
use flott_core::{CheckpointId, MonoTime};

/// What a barrier, a cancellation or the end of a channel led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlignEvent {
    /// The barrier has arrived on every channel: take the snapshot.
    Aligned {
        /// The barrier.
        barrier: Barrier,
        /// When its first copy arrived.
        started: MonoTime,
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
            pending: BTreeMap::new(),
            settled: CheckpointId(0),
            aborted: BTreeSet::new(),
        }
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

    /// A barrier arrived on a channel.
    pub fn barrier(&mut self, channel: usize, barrier: Barrier, now: MonoTime) -> Vec<AlignEvent> {
        let id = barrier.checkpoint;
        if !self.is_wanted(id) {
            return Vec::new();
        }
        let mut events = Vec::new();
        if self.mode == CheckpointingMode::ExactlyOnce {
            // An older alignment cannot complete any more: one of its barriers will never come.
            events.extend(self.abort_below(id));
        }
        let alignment = self.pending.entry(id).or_insert_with(|| Alignment {
            barrier,
            started: now,
            arrived: BTreeSet::new(),
        });
        alignment.arrived.insert(channel);
        events.extend(self.complete());
        events
    }

    /// A source, or a task whose channels have all ended, is told to take a checkpoint.
    pub fn trigger(&mut self, barrier: Barrier) -> bool {
        let wanted = self.open.is_empty() && self.is_wanted(barrier.checkpoint);
        if wanted {
            self.settle(barrier.checkpoint);
        }
        wanted
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

    fn settle(&mut self, id: CheckpointId) {
        self.settled = id;
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
            events.push(AlignEvent::Aligned { barrier, started });
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use flott_core::Timestamp;

    use flott_core::element::CheckpointKind;

    use super::*;

    fn barrier(id: u64) -> Barrier {
        Barrier {
            kind: CheckpointKind::Checkpoint,
            checkpoint: CheckpointId(id),
            triggered_at: Timestamp(0),
            base: None,
        }
    }

    fn aligned(id: u64) -> AlignEvent {
        AlignEvent::Aligned { barrier: barrier(id), started: MonoTime(0) }
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
                                    if let AlignEvent::Aligned { barrier, .. } = event {
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
