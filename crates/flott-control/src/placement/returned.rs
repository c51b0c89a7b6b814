//! Workers that come back after their JobManager was lost.

use flott_core::mutant::Mutant;

use super::{Awaited, JobInput, Placement, PlacementEffect, Worker, WorkerId};
use crate::slots::TaskManagerId;
use crate::standing::StandingSummary;

impl Placement {
    pub(super) fn worker_returned(&mut self, worker: WorkerId, standing: StandingSummary) {
        let Some(awaited) = self.awaited.get_mut(&worker) else {
            return self.send_away(worker);
        };
        let Some(attempt) = self.deployed.attempt else { return };
        let is_same = standing.attempt == attempt || Mutant::TrustOtherAttempts.is_on();
        if !is_same || standing.is_drained {
            let input = JobInput::NotReattached { attempt };
            self.effects.push_back(PlacementEffect::Job(input));
            return;
        }
        awaited.has_called = true;
        self.newest = self.newest.max(standing.newest);
        self.is_back(worker);
    }

    pub(super) fn worker_kept(&mut self, worker: WorkerId, task_manager: TaskManagerId) {
        let Some(awaited) = self.awaited.get_mut(&worker) else {
            self.stop_worker(task_manager, worker);
            let count = self.former_slots.get(&worker).copied().unwrap_or(0);
            self.effects.push_back(PlacementEffect::ReturnSlots { task_manager, count });
            return;
        };
        awaited.task_manager = Some(task_manager);
        for (task, _) in self.deployed.tasks_of(worker) {
            let slot = self.tasks.get(&task).and_then(|slot| self.slots.get_mut(*slot));
            slot.into_iter().for_each(|slot| *slot = Some(task_manager));
        }
        self.is_back(worker);
    }

    /// Waits no more: what is not back is of no use. Says which workers that are.
    pub(super) fn stop_awaited(&mut self) -> Vec<WorkerId> {
        let awaited = std::mem::take(&mut self.awaited);
        for (worker, Awaited { task_manager, .. }) in &awaited {
            let (task_manager, worker) = (*task_manager, *worker);
            self.effects.push_back(PlacementEffect::StopWorker { task_manager, worker });
        }
        awaited.into_keys().collect()
    }

    /// Perhaps a worker is back; perhaps it was the last one.
    fn is_back(&mut self, id: WorkerId) {
        let awaited = self.awaited.get(&id).copied();
        let Some(Awaited { has_called: true, task_manager: Some(task_manager) }) = awaited else {
            return;
        };
        self.awaited.remove(&id);
        self.workers.insert(task_manager, Worker { id, is_ready: true });
        self.are_all_back();
    }

    /// Says so if nobody is waited for any more. Tasks of those that were lost have been told.
    pub(super) fn are_all_back(&mut self) {
        if let Some(attempt) = self.deployed.attempt
            && self.awaited.is_empty()
        {
            let input = JobInput::Reattached { attempt, newest: self.newest };
            self.effects.push_back(PlacementEffect::Job(input));
        }
    }
}
