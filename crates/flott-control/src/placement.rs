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

/// Where a task runs, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Who runs it.
    pub worker: WorkerId,
    /// The attempt that it began with.
    pub attempt: AttemptNumber,
}

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
        /// What those start from that begin with it.
        restore: Option<Arc<CompletedCheckpoint>>,
        /// All tasks; those of earlier attempts go on.
        tasks: Arc<BTreeMap<TaskId, Assignment>>,
    },
    /// Tell workers to cancel tasks.
    CancelTasks {
        /// The newest attempt.
        attempt: AttemptNumber,
        /// Which.
        tasks: BTreeSet<TaskId>,
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
    tasks: BTreeSet<TaskId>,
    restore: Option<Arc<CompletedCheckpoint>>,
}

/// What was deployed, up to the newest attempt.
#[derive(Debug, Default)]
struct Deployed {
    attempt: Option<AttemptNumber>,
    /// Tasks that were told, unless they are known to be out.
    tasks: Arc<BTreeMap<TaskId, Assignment>>,
}

impl Deployed {
    /// What a worker runs, and since which attempt.
    fn tasks_of(&self, worker: WorkerId) -> impl Iterator<Item = (TaskId, AttemptNumber)> {
        let own = self.tasks.iter().filter(move |(_, owner)| owner.worker == worker);
        own.map(|(task, Assignment { attempt, .. })| (*task, *attempt))
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
    pub fn slots_of(&self, tasks: &BTreeMap<TaskId, Assignment>) -> BTreeMap<WorkerId, u32> {
        let owned =
            tasks.iter().filter_map(|(task, owner)| Some((self.tasks.get(task)?, owner.worker)));
        let distinct: BTreeSet<(&usize, WorkerId)> = owned.collect();
        let mut counts = BTreeMap::new();
        distinct.into_iter().for_each(|(_, worker)| *counts.entry(worker).or_default() += 1);
        counts
    }

    /// The master wants an attempt to begin with these tasks, which are out.
    pub fn deploy(
        &mut self,
        attempt: AttemptNumber,
        tasks: BTreeSet<TaskId>,
        restore: Option<Arc<CompletedCheckpoint>>,
    ) {
        // As far as anybody knows.
        self.stop_awaited();
        Arc::make_mut(&mut self.deployed.tasks).retain(|task, _| !tasks.contains(task));
        self.wanted = Some(Wanted { attempt, tasks, restore });
        self.advance();
    }

    /// The master wants to go on with what another JobManager has deployed, up to this attempt.
    pub fn reattach(&mut self, attempt: AttemptNumber, tasks: Arc<BTreeMap<TaskId, Assignment>>) {
        self.former_slots = self.slots_of(&tasks);
        self.awaited = tasks.values().map(|owner| (owner.worker, Awaited::default())).collect();
        self.deployed = Deployed { attempt: Some(attempt), tasks };
    }

    /// The master wants tasks to end. The attempt is its newest.
    pub fn cancel(&mut self, attempt: AttemptNumber, mut tasks: BTreeSet<TaskId>) {
        // All that is on its way is among them.
        self.wanted = None;
        for worker in self.stop_awaited() {
            for (task, attempt) in self.deployed.tasks_of(worker) {
                tasks.remove(&task);
                let input = JobInput::TaskCanceled { attempt, task };
                self.effects.push_back(PlacementEffect::Job(input));
            }
        }
        // What was never told is out. What was on workers that are lost has been reported.
        tasks.retain(|task| {
            let was_told = self.deployed.tasks.contains_key(task);
            if !was_told {
                let input = JobInput::TaskCanceled { attempt, task: *task };
                self.effects.push_back(PlacementEffect::Job(input));
            }
            was_told
        });
        if !tasks.is_empty() {
            self.effects.push_back(PlacementEffect::CancelTasks { attempt, tasks });
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
                let told = Arc::make_mut(&mut self.deployed.tasks);
                told.retain(|_, owner| owner.attempt != attempt);
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
        let inputs = self.deployed.tasks_of(worker).map(|(task, attempt)| {
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
            && let Some(Wanted { attempt, tasks, restore }) = self.wanted.take()
        {
            let place = |task: TaskId| {
                let task_manager = self.slots.get(*self.tasks.get(&task)?).copied().flatten()?;
                let worker = self.workers.get(&task_manager)?.id;
                Some((task, Assignment { worker, attempt }))
            };
            let placed = tasks.into_iter().filter_map(place);
            Arc::make_mut(&mut self.deployed.tasks).extend(placed);
            self.deployed.attempt = Some(attempt);
            let tasks = self.deployed.tasks.clone();
            self.effects.push_back(PlacementEffect::Job(JobInput::Deploying { attempt }));
            self.effects.push_back(PlacementEffect::Deploy { attempt, restore, tasks });
        }
    }
}

#[cfg(test)]
mod tests;
