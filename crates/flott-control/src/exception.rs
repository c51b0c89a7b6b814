//! What went wrong, for people.

use std::collections::VecDeque;

use flott_core::{AttemptNumber, TaskId, WallTime};
use serde::{Deserialize, Serialize};

/// How many other failures of the same restart an entry keeps: enough to see a pattern, not a copy
/// for each of thousands of tasks that lost the same machine.
const CONCURRENT_MAX: usize = 64;

/// A failure as a task, or the shell, reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The full chain of causes (`flott_core::Error::report`).
    pub message: String,
    /// The TaskManager that the task ran on, as people call it, if known.
    pub endpoint: Option<String>,
    /// No restart can help (say, the state does not fit the program): fail the job at once.
    pub suppresses_restarts: bool,
}

impl Failure {
    /// A failure that a restart may cure.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }
}

/// A failure in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionEntry {
    /// What went wrong.
    pub failure: Failure,
    /// The task; `None` if it is the job's own failure.
    pub task: Option<TaskId>,
    /// The task as Flink names it: `op name (1/4) - execution #0`.
    pub task_name: Option<String>,
    /// The attempt that it ended.
    pub attempt: AttemptNumber,
    /// When.
    pub at: WallTime,
    /// What else failed before the restart; without further entries of their own.
    pub concurrent: Vec<ExceptionEntry>,
}

/// The latest failures that led to a restart, or to the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionHistory {
    capacity: usize,
    entries: VecDeque<ExceptionEntry>,
    is_truncated: bool,
}

impl ExceptionHistory {
    /// An empty history that keeps `capacity` entries, at least one.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), entries: VecDeque::new(), is_truncated: false }
    }

    /// Newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &ExceptionEntry> {
        self.entries.iter()
    }

    /// Whether older entries were dropped.
    pub fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    pub(crate) fn push(&mut self, entry: ExceptionEntry) {
        if self.entries.len() == self.capacity {
            self.entries.pop_back();
            self.is_truncated = true;
        }
        self.entries.push_front(entry);
    }

    /// Attaches a failure to the newest entry, whose restart it needs too.
    pub(crate) fn push_concurrent(&mut self, entry: ExceptionEntry) {
        if let Some(newest) = self.entries.front_mut() {
            if newest.concurrent.len() < CONCURRENT_MAX {
                newest.concurrent.push(entry);
            } else {
                self.is_truncated = true;
            }
        }
    }
}
