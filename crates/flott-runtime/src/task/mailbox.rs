//! What a task is told, and where that waits until the task is stepped.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use flott_core::CheckpointId;
use flott_core::element::Barrier;
use serde::{Deserialize, Serialize};

use crate::operator::Wake;

/// What a task is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Take a checkpoint and send its barrier. For sources, and tasks whose inputs have ended.
    TriggerCheckpoint(Barrier),
    /// A checkpoint is complete.
    NotifyComplete(CheckpointId),
    /// A checkpoint was aborted.
    NotifyAborted(CheckpointId),
    /// End now.
    Cancel,
}

/// Where commands wait for their task. Clones share it.
#[derive(Clone)]
pub struct Mailbox {
    commands: Arc<Mutex<VecDeque<Command>>>,
    waker: Arc<dyn Wake>,
}

impl Mailbox {
    /// The mailbox of the task that `waker` wakes.
    pub fn new(waker: Arc<dyn Wake>) -> Self {
        Self { commands: Arc::default(), waker }
    }

    /// Tells the task.
    pub fn send(&self, command: Command) {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).push_back(command);
        self.waker.wake();
    }

    pub(super) fn take(&self) -> VecDeque<Command> {
        std::mem::take(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
