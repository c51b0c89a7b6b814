//! What a task is told, and where that waits until the task is stepped.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flott_core::element::Barrier;
use flott_core::{CheckpointId, Error, Result};
use serde::{Deserialize, Serialize};

use crate::look_up::StateLookUp;
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
    waiting: Arc<Mutex<Waiting>>,
    waker: Arc<dyn Wake>,
}

#[derive(Default)]
struct Waiting {
    commands: VecDeque<Command>,
    /// Why the task has to fail.
    failure: Option<Error>,
    /// What somebody wants to know.
    look_ups: Vec<StateLookUp>,
    /// The task has ended.
    is_closed: bool,
}

/// How many questions wait for a task at most: who asks gives up long before a task that is busy answers.
const LOOK_UPS_MAX: usize = 64;

/// What a task finds in its mailbox.
pub(super) struct Taken {
    pub(super) commands: VecDeque<Command>,
    pub(super) look_ups: Vec<StateLookUp>,
}

impl Mailbox {
    /// The mailbox of the task that `waker` wakes.
    pub fn new(waker: Arc<dyn Wake>) -> Self {
        Self { waiting: Arc::default(), waker }
    }

    /// Tells the task.
    pub fn send(&self, command: Command) {
        self.lock().commands.push_back(command);
        self.waker.wake();
    }

    /// Makes the task fail with this error, whatever it was told before.
    pub fn fail(&self, error: Error) {
        self.lock().failure.get_or_insert(error);
        self.waker.wake();
    }

    /// Has the task look into its state, between two batches.
    pub fn look_up(&self, look_up: StateLookUp) {
        let mut waiting = self.lock();
        // Dropped, it is answered: the task has ended, or has enough to do.
        if !waiting.is_closed && waiting.look_ups.len() < LOOK_UPS_MAX {
            waiting.look_ups.push(look_up);
            drop(waiting);
            self.waker.wake();
        }
    }

    /// The task has ended: nobody looks any more.
    pub(super) fn close(&self) {
        let mut waiting = self.lock();
        waiting.is_closed = true;
        let unanswered = std::mem::take(&mut waiting.look_ups);
        drop(waiting);
        drop(unanswered);
    }

    /// What the task was told since the last time.
    ///
    /// # Errors
    /// That with which it has to fail.
    pub(super) fn take(&self) -> Result<Taken> {
        let mut waiting = self.lock();
        match waiting.failure.take() {
            Some(error) => Err(error),
            None => Ok(Taken {
                commands: std::mem::take(&mut waiting.commands),
                look_ups: std::mem::take(&mut waiting.look_ups),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
