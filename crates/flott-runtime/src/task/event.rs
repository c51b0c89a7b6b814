//! What a task has to say.

use flott_core::{CheckpointId, Error, WallTime};

use flott_state::UnreadGroup;

use crate::snapshot::PendingSnapshot;

/// What a task has to say.
pub enum TaskEvent {
    /// All operators are open.
    Running,
    /// State that is still to be read: by whoever has time, or by the task when it needs it.
    Unread(Vec<UnreadGroup>),
    /// The synchronous part of a checkpoint is done.
    Snapshot(PendingSnapshot),
    /// A checkpoint cannot be taken: a newer one has overtaken it, or it was cancelled upstream.
    Declined(CheckpointId),
    /// All data has gone through.
    EndOfData,
    /// The task has ended well.
    Finished,
    /// The task was cancelled.
    Canceled,
    /// The task has ended badly.
    Failed {
        /// Why.
        error: Error,
        /// Whether it ran with all the state that it has asked for: if not, to start it again would be of no
        /// use, unless the error passes.
        opened: bool,
    },
}

/// What to do with a task after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Step it again.
    More,
    /// Step it when it is woken, or at this time.
    Idle(Option<WallTime>),
    /// An output is full: step it when it is woken, or at this time.
    Blocked(Option<WallTime>),
    /// It has ended: drop it.
    Done,
}
