//! What a worker says, to whichever JobManager there is.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flott_control::{JobInput, Standing, StandingSummary};
use flott_core::element::Barrier;
use flott_core::{AttemptNumber, TaskId};

use crate::rpc::Outgoing;
use crate::rpc::messages::FromWorker;

/// Says what there is to say, and remembers what the next JobManager has to know.
pub(super) struct Voice {
    speaking: Mutex<Speaking>,
}

struct Speaking {
    /// Nothing while no JobManager is known.
    outgoing: Option<Outgoing<FromWorker>>,
    standing: Standing,
}

impl Voice {
    pub(super) fn new(outgoing: Outgoing<FromWorker>) -> Self {
        let speaking = Speaking { outgoing: Some(outgoing), standing: Standing::default() };
        Self { speaking: Mutex::new(speaking) }
    }

    /// Something that only the JobManager of this moment has to know.
    pub(super) fn say(&self, message: FromWorker) {
        if let Some(outgoing) = &self.lock().outgoing {
            // Who does not hear it is lost, and that is seen elsewhere.
            let _ = outgoing.send(message);
        }
    }

    /// As [`Self::say`], of what `message` finds now: nothing comes in between, so that what is newer is said
    /// later.
    pub(super) fn say_of(&self, message: impl FnOnce() -> Option<FromWorker>) {
        let speaking = self.lock();
        if let Some(outgoing) = &speaking.outgoing
            && let Some(message) = message()
        {
            let _ = outgoing.send(message);
        }
    }

    /// What a task says.
    pub(super) fn report(&self, input: JobInput) {
        let mut speaking = self.lock();
        speaking.standing.says(&input);
        if let Some(outgoing) = &speaking.outgoing {
            let _ = outgoing.send(FromWorker::Task(input));
        }
    }

    /// The worker was told an attempt, which begins with these tasks.
    pub(super) fn deployed(&self, attempt: AttemptNumber, tasks: &BTreeSet<TaskId>) {
        self.lock().standing.deployed(attempt, tasks.iter().copied());
    }

    /// A task was told to send barriers.
    pub(super) fn triggered(&self, barrier: Barrier) {
        self.lock().standing.triggered(barrier);
    }

    /// The JobManager is lost. Says what the next one has to know first.
    pub(super) fn lost(&self) -> Option<StandingSummary> {
        let mut speaking = self.lock();
        speaking.outgoing = None;
        speaking.standing.summary()
    }

    /// There is another one, which has heard that: it is told the rest, after what has been counted.
    pub(super) fn found(
        &self,
        outgoing: Outgoing<FromWorker>,
        counted: impl FnOnce() -> Option<FromWorker>,
    ) {
        let mut speaking = self.lock();
        counted().into_iter().for_each(|message| drop(outgoing.send(message)));
        for input in speaking.standing.said() {
            let _ = outgoing.send(FromWorker::Task(input.clone()));
        }
        speaking.outgoing = Some(outgoing);
    }

    fn lock(&self) -> MutexGuard<'_, Speaking> {
        self.speaking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
