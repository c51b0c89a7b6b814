//! Where the tasks of a job run: from a wish to deploy to workers that have been told so.
//!
//! A job needs slots; a TaskManager on which it has some starts one worker process for it; when all
//! workers are there, each is told its tasks. Workers outlive attempts: after a failure those that
//! are left are told the next one, and only what was lost is replaced.
//!
//! This machine stands between the [`crate::JobMaster`], whose `Deploy` and `CancelTasks` go in here,
//! and the cluster. What it learns about tasks comes out as inputs for the master.
//!
//! When a JobManager is lost, workers go on, and the placement of the next one waits for them: each is
//! back when it has called itself, and its TaskManager has said that it is there.

mod returned;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use flott_checkpoint::CompletedCheckpoint;
use flott_core::{AttemptNumber, CheckpointId, TaskId};
use flott_plan::JobGraph;
use serde::{Deserialize, Serialize};

use crate::exception::Failure;
use crate::job::JobInput;
use crate::slots::TaskManagerId;
use crate::standing::StandingSummary;

/// A worker process of a job; numbers are not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkerId(pub u32);

/// What happened.
#[derive(Clone, Debug)]
pub enum PlacementInput {
    /// The job has these slots now, too.
    SlotsGranted {
        /// The TaskManager of each.
        slots: Vec<TaskManagerId>,
    },
    /// The job gets no slots.
    SlotsRefused {
        /// Why.
        message: String,
    },
    /// A TaskManager is gone, and the workers on it with it.
    TaskManagerLost {
        /// Which.
        task_manager: TaskManagerId,
        /// How that was seen.
        why: String,
    },
    /// A worker is ready to be told its tasks.
    WorkerReady {
        /// Which.
        worker: WorkerId,
    },
    /// A worker has come back that another JobManager has started.
    WorkerReturned {
        /// Which.
        worker: WorkerId,
        /// What it runs.
        standing: StandingSummary,
    },
    /// A TaskManager has a worker that another JobManager has started, and the job its slots there.
    WorkerKept {
        /// Which.
        worker: WorkerId,
        /// The TaskManager.
        task_manager: TaskManagerId,
    },
    /// What was to be deployed could not be said to the workers.
    NotDeployed {
        /// The attempt.
        attempt: AttemptNumber,
        /// Why.
        failure: Failure,
    },
    /// A worker is gone.
    WorkerLost {
        /// Which.
        worker: WorkerId,
        /// Why, as far as known.
        failure: Failure,
    },
    /// The job is over.
    End,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum PlacementEffect {
    /// Ask for so many slots more.
    RequestSlots {
        /// How many.
        count: u32,
    },
    /// Have a worker started.
    StartWorker {
        /// By this TaskManager.
        task_manager: TaskManagerId,
        /// As this one.
        worker: WorkerId,
    },
    /// Have a worker stopped: at once, it may not listen any more.
    StopWorker {
        /// By this TaskManager, if it is known whose it is.
        task_manager: Option<TaskManagerId>,
        /// Which.
        worker: WorkerId,
    },
    /// Tell workers what to run.
    Deploy {
        /// The attempt.
        attempt: AttemptNumber,
        /// What it starts from.
        restore: Option<Arc<CompletedCheckpoint>>,
        /// Who runs which task.
        workers: Arc<BTreeMap<TaskId, WorkerId>>,
    },
    /// Tell workers to cancel their tasks.
    CancelTasks {
        /// The attempt.
        attempt: AttemptNumber,
    },
    /// Tell the job's master.
    Job(JobInput),
    /// Give slots on a TaskManager back.
    ReturnSlots {
        /// The TaskManager.
        task_manager: TaskManagerId,
        /// How many.
        count: u32,
    },
    /// Give all slots back.
    ReleaseSlots,
}

/// Places the tasks of one job.
#[derive(Debug)]
pub struct Placement {
    /// The slot of each task.
    tasks: BTreeMap<TaskId, usize>,
    /// The TaskManager of each slot, once there is one.
    slots: Vec<Option<TaskManagerId>>,
    requested: bool,
    workers: BTreeMap<TaskManagerId, Worker>,
    next_worker: WorkerId,
    /// What is to be deployed as soon as all workers are there.
    wanted: Option<Wanted>,
    deployed: Deployed,
    /// Workers of the deployed attempt that are to come back.
    awaited: BTreeMap<WorkerId, Awaited>,
    /// How many slots each stands for that was to come back.
    former_slots: BTreeMap<WorkerId, u32>,
    /// The newest checkpoint that those were told of which have.
    newest: CheckpointId,
    effects: VecDeque<PlacementEffect>,
}

/// A worker is back when both are known.
#[derive(Clone, Copy, Debug, Default)]
struct Awaited {
    has_called: bool,
    task_manager: Option<TaskManagerId>,
}

#[derive(Clone, Copy, Debug)]
struct Worker {
    id: WorkerId,
    is_ready: bool,
}

#[derive(Debug)]
struct Wanted {
    attempt: AttemptNumber,
    restore: Option<Arc<CompletedCheckpoint>>,
}

/// The newest attempt that was deployed.
#[derive(Debug, Default)]
struct Deployed {
    attempt: Option<AttemptNumber>,
    workers: Arc<BTreeMap<TaskId, WorkerId>>,
}

impl Deployed {
    /// What a worker runs.
    fn tasks_of(&self, worker: WorkerId) -> impl Iterator<Item = TaskId> {
        let own = self.workers.iter().filter(move |(_, owner)| **owner == worker);
        own.map(|(task, _)| *task)
    }
}

impl Placement {
    /// The job of this plan, of which nothing runs yet. Subtask *i* of every vertex of a slot
    /// sharing group has the group's slot *i*: what is joined one to one meets in one process. Workers
    /// are numbered from `first_worker`.
    pub fn new(graph: &JobGraph, first_worker: WorkerId) -> Self {
        let mut groups: BTreeMap<&str, u32> = BTreeMap::new();
        for vertex in &graph.vertices {
            let width = groups.entry(&vertex.slot_sharing_group).or_default();
            *width = vertex.parallelism.max(*width);
        }
        let mut first = 0;
        let mut offsets = BTreeMap::new();
        for (group, width) in groups {
            offsets.insert(group, first);
            first += width as usize;
        }
        let mut tasks = BTreeMap::new();
        for vertex in &graph.vertices {
            let offset = offsets.get(vertex.slot_sharing_group.as_str()).copied().unwrap_or(0);
            for subtask in 0..vertex.parallelism {
                tasks.insert(TaskId { vertex: vertex.id, subtask }, offset + subtask as usize);
            }
        }
        Self {
            tasks,
            slots: vec![None; first],
            requested: false,
            workers: BTreeMap::new(),
            next_worker: first_worker,
            wanted: None,
            deployed: Deployed::default(),
            awaited: BTreeMap::new(),
            former_slots: BTreeMap::new(),
            newest: CheckpointId(0),
            effects: VecDeque::new(),
        }
    }

    /// How many slots the job needs.
    pub fn slots_needed(&self) -> usize {
        self.slots.len()
    }

    /// How many slots each worker stands for that runs these tasks.
    pub fn slots_of(&self, workers: &BTreeMap<TaskId, WorkerId>) -> BTreeMap<WorkerId, u32> {
        let owned =
            workers.iter().filter_map(|(task, worker)| Some((self.tasks.get(task)?, worker)));
        let distinct: BTreeSet<(&usize, &WorkerId)> = owned.collect();
        let mut counts = BTreeMap::new();
        distinct.into_iter().for_each(|(_, worker)| *counts.entry(*worker).or_default() += 1);
        counts
    }

    /// The master wants an attempt to be deployed.
    pub fn deploy(&mut self, attempt: AttemptNumber, restore: Option<Arc<CompletedCheckpoint>>) {
        // Their tasks are out, as far as anybody knows.
        self.stop_awaited();
        self.wanted = Some(Wanted { attempt, restore });
        self.advance();
    }

    /// The master wants to go on with an attempt that another JobManager has deployed, on these workers.
    pub fn reattach(&mut self, attempt: AttemptNumber, workers: Arc<BTreeMap<TaskId, WorkerId>>) {
        self.former_slots = self.slots_of(&workers);
        self.awaited = workers.values().map(|worker| (*worker, Awaited::default())).collect();
        self.deployed = Deployed { attempt: Some(attempt), workers };
    }

    /// The master wants the tasks of an attempt to end.
    pub fn cancel(&mut self, attempt: AttemptNumber) {
        if self.wanted.as_ref().is_some_and(|wanted| wanted.attempt == attempt) {
            self.wanted = None;
        }
        if self.deployed.attempt == Some(attempt) {
            for worker in self.stop_awaited() {
                let out = self.deployed.tasks_of(worker);
                let inputs = out.map(|task| JobInput::TaskCanceled { attempt, task });
                self.effects.extend(inputs.map(PlacementEffect::Job));
            }
            // Those on workers that are lost have been reported.
            self.effects.push_back(PlacementEffect::CancelTasks { attempt });
        } else {
            let inputs =
                self.tasks.keys().map(|task| JobInput::TaskCanceled { attempt, task: *task });
            self.effects.extend(inputs.map(PlacementEffect::Job));
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, input: PlacementInput) {
        match input {
            PlacementInput::SlotsGranted { slots } => {
                self.requested = false;
                let empty = self.slots.iter_mut().filter(|slot| slot.is_none());
                empty.zip(slots).for_each(|(slot, task_manager)| *slot = Some(task_manager));
                self.advance();
            }
            PlacementInput::SlotsRefused { message } => {
                self.requested = false;
                self.give_up(Failure::new(message));
            }
            PlacementInput::TaskManagerLost { task_manager, why } => {
                let own = self.slots.iter_mut().filter(|slot| **slot == Some(task_manager));
                own.for_each(|slot| *slot = None);
                let failure = Failure::new(format!("the TaskManager is lost: {why}"));
                let mut awaited =
                    self.awaited.iter().map(|(id, worker)| (*id, worker.task_manager));
                if let Some(worker) = self.workers.remove(&task_manager) {
                    self.lost(worker, failure);
                } else if let Some((id, _)) = awaited.find(|(_, on)| *on == Some(task_manager)) {
                    self.awaited.remove(&id);
                    self.tasks_failed(id, &failure);
                    self.are_all_back();
                }
                self.advance();
            }
            PlacementInput::WorkerReady { worker } => {
                match self.workers.values_mut().find(|known| known.id == worker) {
                    Some(known) => known.is_ready = true,
                    None => self.send_away(worker),
                }
                self.advance();
            }
            PlacementInput::WorkerReturned { worker, standing } => {
                self.worker_returned(worker, standing);
            }
            PlacementInput::WorkerKept { worker, task_manager } => {
                self.worker_kept(worker, task_manager);
            }
            PlacementInput::NotDeployed { attempt, failure } => {
                if self.deployed.attempt == Some(attempt) {
                    self.deployed = Deployed::default();
                }
                let input = JobInput::DeploymentFailed { attempt, failure };
                self.effects.push_back(PlacementEffect::Job(input));
            }
            PlacementInput::WorkerLost { worker, failure } => {
                if let Some(Awaited { task_manager, .. }) = self.awaited.remove(&worker) {
                    self.effects.push_back(PlacementEffect::StopWorker { task_manager, worker });
                    self.tasks_failed(worker, &failure);
                    self.are_all_back();
                }
                let known = self.workers.iter().find(|(_, known)| known.id == worker);
                if let Some((task_manager, worker)) = known.map(|(tm, worker)| (*tm, *worker)) {
                    self.workers.remove(&task_manager);
                    // Its connection is lost; whether the process is gone is for the TaskManager
                    // to see to.
                    self.stop_worker(task_manager, worker.id);
                    self.lost(worker, failure);
                }
                self.advance();
            }
            PlacementInput::End => {
                self.wanted = None;
                self.stop_awaited();
                for (task_manager, worker) in std::mem::take(&mut self.workers) {
                    self.stop_worker(task_manager, worker.id);
                }
                self.slots.iter_mut().for_each(|slot| *slot = None);
                self.effects.push_back(PlacementEffect::ReleaseSlots);
            }
        }
    }

    /// The next thing to do, in order. Call until there is none.
    pub fn poll_effect(&mut self) -> Option<PlacementEffect> {
        self.effects.pop_front()
    }

    /// A worker is gone: so are its tasks.
    fn lost(&mut self, worker: Worker, failure: Failure) {
        if !worker.is_ready {
            // Starting it again would only repeat this: the restart strategy decides.
            return self.give_up(failure);
        }
        self.tasks_failed(worker.id, &failure);
    }

    fn tasks_failed(&mut self, worker: WorkerId, failure: &Failure) {
        let Some(attempt) = self.deployed.attempt else { return };
        let inputs = self.deployed.tasks_of(worker).map(|task| {
            let failure = failure.clone();
            PlacementEffect::Job(JobInput::TaskFailed { attempt, task, failure })
        });
        self.effects.extend(inputs);
    }

    /// Nobody waits for this worker, or not any more.
    fn send_away(&mut self, worker: WorkerId) {
        self.effects.push_back(PlacementEffect::StopWorker { task_manager: None, worker });
    }

    fn stop_worker(&mut self, task_manager: TaskManagerId, worker: WorkerId) {
        let task_manager = Some(task_manager);
        self.effects.push_back(PlacementEffect::StopWorker { task_manager, worker });
    }

    /// What is wanted cannot be had.
    fn give_up(&mut self, failure: Failure) {
        if let Some(Wanted { attempt, .. }) = self.wanted.take() {
            let input = JobInput::DeploymentFailed { attempt, failure };
            self.effects.push_back(PlacementEffect::Job(input));
        }
    }

    /// Takes the next step towards what is wanted.
    fn advance(&mut self) {
        if self.wanted.is_none() {
            return;
        }
        let missing = self.slots.iter().filter(|slot| slot.is_none()).count();
        if missing > 0 {
            if !self.requested {
                self.requested = true;
                self.effects.push_back(PlacementEffect::RequestSlots { count: missing as u32 });
            }
            return;
        }
        for task_manager in self.slots.iter().flatten() {
            if !self.workers.contains_key(task_manager) {
                let id = self.next_worker;
                self.next_worker = WorkerId(id.0 + 1);
                self.workers.insert(*task_manager, Worker { id, is_ready: false });
                let (task_manager, worker) = (*task_manager, id);
                self.effects.push_back(PlacementEffect::StartWorker { task_manager, worker });
            }
        }
        if self.workers.values().all(|worker| worker.is_ready)
            && let Some(Wanted { attempt, restore }) = self.wanted.take()
        {
            let owner = |slot: &usize| {
                let task_manager = self.slots.get(*slot).copied().flatten()?;
                Some(self.workers.get(&task_manager)?.id)
            };
            let placed = self.tasks.iter().filter_map(|(task, slot)| Some((*task, owner(slot)?)));
            let workers: Arc<BTreeMap<_, _>> = Arc::new(placed.collect());
            self.deployed = Deployed { attempt: Some(attempt), workers: workers.clone() };
            self.effects.push_back(PlacementEffect::Job(JobInput::Deploying { attempt }));
            self.effects.push_back(PlacementEffect::Deploy { attempt, restore, workers });
        }
    }
}

#[cfg(test)]
mod tests;
