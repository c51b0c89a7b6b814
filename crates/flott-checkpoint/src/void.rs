//! Checkpoints that do not count, because whoever wrote them did not lead any more.
//!
//! Who takes a job over from a coordinator that may only be paused looks for the newest record, and goes on
//! from there. What the other one writes after that must not be found by those who come later: sinks have
//! aborted what belongs to it. So the numbers that it has begun to use are left out, and do not count. They are
//! seen in storage: nobody writes a record before its number has left a trace there, and before it has seen that it
//! still leads ([`CheckpointStorage::prepare_checkpoint`](crate::storage::CheckpointStorage::prepare_checkpoint)).
//! Some more are left out, because it may be deleting what it has given up, the trace before the rest.

use flott_core::CheckpointId;
use flott_core::mutant::Mutant;
use serde::{Deserialize, Serialize};

use crate::coordinator::UNDER_WAY_MAX;

/// Numbers of checkpoints of a job that do not count: those between two, exclusively.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoidIds(CheckpointId, CheckpointId);

impl VoidIds {
    /// Those that the coordinator before may still use. `newest` is the job's newest record that was found
    /// after that one was replaced, `highest` the greatest number that was used, as far as storage says.
    pub fn after_takeover(newest: Option<CheckpointId>, highest: CheckpointId) -> Self {
        let newest = newest.unwrap_or(CheckpointId(0));
        let end = highest.max(newest).0.saturating_add(UNDER_WAY_MAX + 1);
        Self(newest, CheckpointId(end))
    }

    /// Whether a checkpoint does not count.
    pub fn contains(self, checkpoint: CheckpointId) -> bool {
        self.0 < checkpoint && checkpoint < self.1 && !Mutant::TakeEveryRecord.is_on()
    }

    /// The first number that counts again.
    pub fn end(self) -> CheckpointId {
        self.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_counts_and_what_comes_later_does_not() {
        let void = VoidIds::after_takeover(Some(CheckpointId(6)), CheckpointId(8));
        assert!(!void.contains(CheckpointId(6)));
        assert!(void.contains(CheckpointId(7)) && void.contains(CheckpointId(8 + UNDER_WAY_MAX)));
        assert!(!void.contains(void.end()));
        assert!(VoidIds::after_takeover(None, CheckpointId(1)).contains(CheckpointId(1)));
    }
}
