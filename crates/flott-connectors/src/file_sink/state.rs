//! What checkpoints remember of the sink: a persisted format.

use serde::{Deserialize, Serialize};

/// A part that is complete and waits to be committed. In the sink's directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileCommittable {
    /// Its final name.
    pub(super) part: String,
    /// How long it is, in bytes.
    pub(super) length: u64,
}

/// What one subtask was doing. Everyone gets everyone's: who cleans up must know what others need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileWriterState {
    /// The run of the sink, as in the names of its parts.
    pub(super) run: String,
    /// The subtask.
    pub(super) subtask: u32,
    /// The counter of its next part.
    pub(super) counter_next: u64,
    /// The part that was in progress; how much of it belongs to the checkpoint.
    pub(super) in_progress: Option<FileCommittable>,
    /// The final names of parts that are complete and were not committed. (What is to be committed
    /// is not decided by this, but by the committables.)
    pub(super) pending: Vec<String>,
}
