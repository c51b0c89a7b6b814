//! What a task has to say.

use flott_core::{CheckpointId, Error, WallTime};

use crate::snapshot::PendingSnapshot;

/// What a task has to say.
pub enum TaskEvent {
    /// All operators are open.
    Running,
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
        /// Whether its operators were open: if not, the job has never run like this.
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
