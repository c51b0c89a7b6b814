//! What travels between tasks beside the records.

use serde::{Deserialize, Serialize};

use crate::id::CheckpointId;
use crate::time::{Timestamp, WallTime};

/// A checkpoint barrier: everything before it belongs to the checkpoint, nothing after it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Barrier {
    /// The checkpoint that it belongs to.
    pub checkpoint: CheckpointId,
    /// When the coordinator triggered it.
    pub triggered_at: WallTime,
    /// What the checkpoint is for.
    pub kind: CheckpointKind,
    /// The checkpoint whose files it may refer to, instead of writing what has not changed since: they are
    /// there until this one is over.
    pub base: Option<CheckpointId>,
    /// Whether it overtakes the records before it, which become part of the checkpoint. Otherwise it keeps its
    /// place, and whoever waits too long for others like it may set this.
    pub unaligned: bool,
}

/// What a checkpoint is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckpointKind {
    /// For the job itself, to restart from.
    Checkpoint,
    /// For its user, in a place of its own.
    Savepoint,
    /// A savepoint, and the end of the job: tasks wait until it is complete, and then finish.
    Stop {
        /// Whether the input ends here for ever: event time goes to its end, and operators finish.
        drain: bool,
    },
}

impl CheckpointKind {
    /// Whether it is the user's.
    pub const fn is_savepoint(self) -> bool {
        match self {
            Self::Checkpoint => false,
            Self::Savepoint | Self::Stop { .. } => true,
        }
    }
}

/// A control element. It keeps its place among the records of its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    /// No record with a timestamp at or below this will follow.
    Watermark(Timestamp),
    /// The channel has nothing to send for a while: watermarks downstream do not wait for it.
    Idle,
    /// The channel takes part in watermarks again.
    Active,
    /// A checkpoint barrier.
    Barrier(Barrier),
    /// The checkpoint was aborted upstream: do not wait for its barrier.
    CancelBarrier(CheckpointId),
    /// No more records will follow, but barriers still may (the final checkpoint).
    EndOfData {
        /// Whether the job's user wants it so: the barrier of a savepoint follows.
        drain: bool,
    },
    /// Nothing will follow.
    EndOfPartition,
}
