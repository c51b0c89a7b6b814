//! Where the tasks of a job run: from a wish to deploy to workers that have been told so.
//!
//! A job needs slots; a TaskManager on which it has some starts one worker process for it; when all
//! workers are there, each is told its tasks. Workers outlive attempts: after a failure those that
//! are left are told the next one, and only what was lost is replaced.
//!
//! This machine stands between the [`crate::JobMaster`], whose `Deploy` and `CancelTasks` go in here,
//! and the cluster. What it learns about tasks comes out as inputs for the master.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use flott_checkpoint::CompletedCheckpoint;
use flott_core::{AttemptNumber, TaskId};
use flott_plan::JobGraph;
use serde::{Deserialize, Serialize};

use crate::exception::Failure;
use crate::job::JobInput;
use crate::slots::TaskManagerId;

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
        /// By this TaskManager.
        task_manager: TaskManagerId,
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
    effects: VecDeque<PlacementEffect>,
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

impl Placement {
    /// The job of this plan, of which nothing runs yet. Subtask *i* of every vertex of a slot
    /// sharing group has the group's slot *i*: what is joined one to one meets in one process.
    pub fn new(graph: &JobGraph) -> Self {
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
            next_worker: WorkerId(0),
            wanted: None,
            deployed: Deployed::default(),
            effects: VecDeque::new(),
        }
    }

    /// How many slots the job needs.
    pub fn slots_needed(&self) -> usize {
        self.slots.len()
    }

    /// The master wants an attempt to be deployed.
    pub fn deploy(&mut self, attempt: AttemptNumber, restore: Option<Arc<CompletedCheckpoint>>) {
        self.wanted = Some(Wanted { attempt, restore });
        self.advance();
    }

    /// The master wants the tasks of an attempt to end.
    pub fn cancel(&mut self, attempt: AttemptNumber) {
        if self.wanted.as_ref().is_some_and(|wanted| wanted.attempt == attempt) {
            self.wanted = None;
        }
        if self.deployed.attempt == Some(attempt) {
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
                if let Some(worker) = self.workers.remove(&task_manager) {
                    self.lost(worker, Failure::new(format!("the TaskManager is lost: {why}")));
                }
                self.advance();
            }
            PlacementInput::WorkerReady { worker } => {
                let known = self.workers.values_mut().find(|known| known.id == worker);
                known.into_iter().for_each(|worker| worker.is_ready = true);
                self.advance();
            }
            PlacementInput::WorkerLost { worker, failure } => {
                let known = self.workers.iter().find(|(_, known)| known.id == worker);
                if let Some((task_manager, worker)) = known.map(|(tm, worker)| (*tm, *worker)) {
                    self.workers.remove(&task_manager);
                    // Its connection is lost; whether the process is gone is for the TaskManager
                    // to see to.
                    let worker_id = worker.id;
                    self.effects
                        .push_back(PlacementEffect::StopWorker { task_manager, worker: worker_id });
                    self.lost(worker, failure);
                }
                self.advance();
            }
            PlacementInput::End => {
                self.wanted = None;
                for (task_manager, worker) in std::mem::take(&mut self.workers) {
                    let worker = worker.id;
                    self.effects.push_back(PlacementEffect::StopWorker { task_manager, worker });
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
        let Some(attempt) = self.deployed.attempt else { return };
        let tasks = self.deployed.workers.iter().filter(|(_, owner)| **owner == worker.id);
        let inputs = tasks.map(|(task, _)| {
            let failure = failure.clone();
            PlacementEffect::Job(JobInput::TaskFailed { attempt, task: *task, failure })
        });
        self.effects.extend(inputs);
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
