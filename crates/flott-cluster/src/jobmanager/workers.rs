//! The workers of one job, as its thread knows them: performs what the job's placement decides.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use flott_checkpoint::{CompletedCheckpoint, metadata};
use flott_control::{
    Assignment, Failure, JobInput, Placement, PlacementEffect, PlacementInput, StandingSummary,
    TaskManagerId, WorkerId,
};
use flott_core::metrics::TaskMetrics;
use flott_core::{AttemptNumber, CheckpointId, Error, ErrorKind, Result, TaskId};
use flott_plan::JobGraph;
use flott_runtime::{Command, StateLookUp};
use flott_state::StateAnswer;
use tracing::warn;

use super::ha::JobRecord;
use super::state::Shared;
use crate::job::{Input, Workplace};
use crate::prepare::settings;
use crate::rpc::Outgoing;
use crate::rpc::messages::{DeployTasks, TaskCounts, ToWorker, WorkerJob, WorkerStart};

/// What can happen to the workers of a job.
pub(crate) enum WorkersEvent {
    Placement(PlacementInput),
    /// A worker has called.
    Connected {
        worker: WorkerId,
        address: SocketAddr,
        outgoing: Outgoing<ToWorker>,
        /// What it runs, if it has worked for another JobManager.
        standing: Option<StandingSummary>,
    },
    /// What the tasks of an attempt have counted.
    Counted {
        attempt: AttemptNumber,
        counts: Vec<(TaskId, TaskCounts)>,
    },
    /// What a task has found in its state; or why it has not.
    Found {
        number: u64,
        found: std::result::Result<StateAnswer, (ErrorKind, String)>,
    },
}

/// The workers of one job.
pub(super) struct Workers {
    shared: Arc<Shared>,
    placement: Placement,
    /// How they are started; the number is each one's own.
    start: WorkerStart,
    /// The plan that each is told first.
    graph: JobGraph,
    record: JobRecord,
    connected: BTreeMap<WorkerId, Connected>,
    /// The TaskManagers of all workers so far, as people call them.
    task_managers: BTreeMap<WorkerId, String>,
    attempt: AttemptNumber,
    tasks: Arc<BTreeMap<TaskId, Assignment>>,
    metrics: BTreeMap<TaskId, TaskMetrics>,
    inputs: Sender<Input<WorkersEvent>>,
    /// What workers look up, by number: those of one that is lost are let go of.
    look_ups: BTreeMap<u64, (WorkerId, StateLookUp)>,
    next_look_up: u64,
}

struct Connected {
    address: SocketAddr,
    outgoing: Outgoing<ToWorker>,
}

impl Workers {
    pub(super) fn new(
        shared: Arc<Shared>,
        graph: &JobGraph,
        record: JobRecord,
        inputs: Sender<Input<WorkersEvent>>,
    ) -> Self {
        let start = WorkerStart {
            job: record.job,
            worker: WorkerId(0),
            ticket: record.ticket,
            binary: record.binary.clone(),
            arguments: record.arguments.clone(),
            settings: settings(&shared.config.settings),
        };
        Self {
            shared,
            placement: Placement::new(graph, record.first_worker()),
            start,
            graph: graph.clone(),
            record,
            connected: BTreeMap::new(),
            task_managers: BTreeMap::new(),
            attempt: AttemptNumber::default(),
            tasks: Arc::default(),
            metrics: BTreeMap::new(),
            inputs,
            look_ups: BTreeMap::new(),
            next_look_up: 0,
        }
    }

    /// How many slots each worker stands for that may come back.
    pub(super) fn awaited(&self) -> BTreeMap<WorkerId, u32> {
        self.placement.slots_of(&self.record.tasks())
    }

    fn perform(&mut self) {
        let job = self.start.job;
        while let Some(effect) = self.placement.poll_effect() {
            match effect {
                PlacementEffect::RequestSlots { count } => self.shared.request_slots(job, count),
                PlacementEffect::ReturnSlots { task_manager, count } => {
                    self.shared.return_slots(job, task_manager, count);
                }
                PlacementEffect::ReleaseSlots => self.shared.ended(job),
                PlacementEffect::StartWorker { task_manager, worker } => {
                    self.is_on(worker, task_manager);
                    let start = WorkerStart { worker, ..self.start.clone() };
                    self.shared.start_worker(task_manager, start);
                }
                PlacementEffect::StopWorker { task_manager, worker } => {
                    self.say(worker, ToWorker::End);
                    self.connected.remove(&worker);
                    if let Some(task_manager) = task_manager {
                        self.shared.stop_worker(task_manager, job, worker);
                    }
                }
                PlacementEffect::Deploy { attempt, restore, tasks } => {
                    if let Err(error) = self.deploy_to(attempt, restore.as_deref(), tasks) {
                        let failure = Failure::new(error.report());
                        self.placement.handle(PlacementInput::NotDeployed { attempt, failure });
                    }
                }
                PlacementEffect::CancelTasks { attempt, tasks } => {
                    for (worker, tasks) in self.by_worker(tasks) {
                        self.say(worker, ToWorker::Cancel { attempt, tasks });
                    }
                }
                PlacementEffect::Job(input) => self.tell_master(input),
            }
        }
    }

    fn deploy_to(
        &mut self,
        attempt: AttemptNumber,
        restore: Option<&CompletedCheckpoint>,
        tasks: Arc<BTreeMap<TaskId, Assignment>>,
    ) -> Result<()> {
        let restore = restore.map(metadata::encode).transpose()?;
        // Whoever has the job next must not use this number again, and can find these workers.
        self.record.deployed(attempt, &tasks);
        if let Some(ha) = &self.shared.ha {
            ha.put(&self.record)?;
        }
        self.begin(attempt, tasks);
        let addresses = self.connected.iter().map(|(worker, known)| (*worker, known.address));
        let addresses: BTreeMap<WorkerId, SocketAddr> = addresses.collect();
        for worker in self.connected.values() {
            let deploy = DeployTasks {
                attempt,
                restore: restore.clone(),
                tasks: (*self.tasks).clone(),
                addresses: addresses.clone(),
            };
            let _ = worker.outgoing.send(ToWorker::Deploy(Box::new(deploy)));
        }
        Ok(())
    }

    /// From now on, this attempt is meant.
    fn begin(&mut self, attempt: AttemptNumber, tasks: Arc<BTreeMap<TaskId, Assignment>>) {
        self.attempt = attempt;
        for (task, owner) in &*tasks {
            if owner.attempt == attempt || !self.metrics.contains_key(task) {
                self.metrics.insert(*task, TaskMetrics::default());
            }
        }
        self.tasks = tasks;
    }

    /// Whose tasks these are.
    fn by_worker(
        &self,
        tasks: impl IntoIterator<Item = TaskId>,
    ) -> BTreeMap<WorkerId, Vec<TaskId>> {
        let mut by_worker: BTreeMap<WorkerId, Vec<TaskId>> = BTreeMap::new();
        for task in tasks {
            if let Some(Assignment { worker, .. }) = self.tasks.get(&task) {
                by_worker.entry(*worker).or_default().push(task);
            }
        }
        by_worker
    }

    /// Says something to a worker; one that is lost hears nothing.
    fn say(&self, worker: WorkerId, message: ToWorker) {
        if let Some(connected) = self.connected.get(&worker) {
            let _ = connected.outgoing.send(message);
        }
    }

    fn is_on(&mut self, worker: WorkerId, task_manager: TaskManagerId) {
        if let Some(name) = self.shared.name_of(task_manager) {
            self.task_managers.insert(worker, name);
        }
    }

    fn tell_master(&self, input: JobInput) {
        // The thread that waits for it is this one.
        let _ = self.inputs.send(Input::Job(input));
    }
}

impl Workplace for Workers {
    type Event = WorkersEvent;

    fn deploy(
        &mut self,
        attempt: AttemptNumber,
        tasks: BTreeSet<TaskId>,
        restore: Option<Arc<CompletedCheckpoint>>,
    ) {
        self.shared.forget_awaited(self.start.job);
        self.placement.deploy(attempt, tasks, restore);
        self.perform();
    }

    fn reattach(&mut self, attempt: AttemptNumber) {
        let tasks = Arc::new(self.record.tasks());
        self.begin(attempt, tasks.clone());
        self.placement.reattach(attempt, tasks);
    }

    fn cancel(&mut self, attempt: AttemptNumber, tasks: BTreeSet<TaskId>) {
        self.shared.forget_awaited(self.start.job);
        self.placement.cancel(attempt, tasks);
        self.perform();
    }

    fn tell(&mut self, attempt: AttemptNumber, tasks: &[TaskId], command: Command) {
        if attempt != self.attempt {
            return;
        }
        let mut by_worker = self.by_worker(tasks.iter().copied());
        let is_news = matches!(command, Command::NotifyComplete(_) | Command::NotifyAborted(_));
        if is_news {
            // What is kept there of other checkpoints must go, also where no task is left to be told.
            for worker in self.connected.keys() {
                by_worker.entry(*worker).or_default();
            }
        }
        for (worker, tasks) in by_worker {
            self.say(worker, ToWorker::Tell { attempt, tasks, command });
        }
    }

    fn look_up(&mut self, task: TaskId, look_up: StateLookUp) {
        let Some(Assignment { worker, .. }) = self.tasks.get(&task) else { return };
        let (worker, number) = (*worker, self.next_look_up);
        self.next_look_up += 1;
        let (operator, question) = (look_up.operator(), look_up.question().clone());
        if self.connected.contains_key(&worker) {
            self.say(worker, ToWorker::LookUp { number, task, operator, question });
            self.look_ups.insert(number, (worker, look_up));
        }
    }

    fn savepoint(&mut self, checkpoint: CheckpointId, folder: &str) {
        for worker in self.connected.values() {
            let folder = folder.to_owned();
            let _ = worker.outgoing.send(ToWorker::Savepoint { checkpoint, folder });
        }
    }

    fn handle(&mut self, event: WorkersEvent) {
        match event {
            WorkersEvent::Placement(input) => {
                if let PlacementInput::WorkerKept { worker, task_manager } = input {
                    self.is_on(worker, task_manager);
                }
                if let PlacementInput::WorkerLost { worker, .. } = input {
                    self.look_ups.retain(|_, (asked, _)| *asked != worker);
                }
                self.placement.handle(input);
                self.perform();
            }
            WorkersEvent::Connected { worker, address, outgoing, standing: Some(standing) } => {
                self.connected.insert(worker, Connected { address, outgoing });
                self.placement.handle(PlacementInput::WorkerReturned { worker, standing });
                self.perform();
            }
            WorkersEvent::Connected { worker, address, outgoing, standing: None } => {
                let job = WorkerJob {
                    program: self.record.program.clone(),
                    graph: self.graph.clone(),
                    settings: self.record.settings.clone(),
                };
                let _ = outgoing.send(ToWorker::Start(Box::new(job)));
                self.connected.insert(worker, Connected { address, outgoing });
            }
            WorkersEvent::Found { number, found } => {
                if let Some((_, look_up)) = self.look_ups.remove(&number) {
                    look_up.answer(found.map_err(|(kind, why)| Error::new(kind, why)));
                }
            }
            WorkersEvent::Counted { attempt, counts } => {
                for (task, counts) in counts {
                    // What it counted before it began anew does not count.
                    let began = self.tasks.get(&task).map(|owner| owner.attempt);
                    if let Some(metrics) =
                        self.metrics.get(&task).filter(|_| began <= Some(attempt))
                    {
                        counts.put_into(metrics);
                    }
                }
            }
        }
    }

    fn metrics(&self) -> &BTreeMap<TaskId, TaskMetrics> {
        &self.metrics
    }

    fn task_manager_of(&self, task: TaskId) -> Option<String> {
        let owner = self.tasks.get(&task)?;
        self.task_managers.get(&owner.worker).cloned()
    }

    fn waiting_for(&self) -> Option<String> {
        self.shared.missing_slots(self.start.job)
    }

    fn over(&mut self) -> bool {
        let Some(ha) = &self.shared.ha else { return true };
        let removed = ha.remove(self.start.job);
        if let Err(error) = &removed {
            warn!("The job may be taken over, and keeps its checkpoints: {}", error.report());
        }
        removed.is_ok()
    }

    fn end(&mut self) {
        self.placement.handle(PlacementInput::End);
        self.perform();
        // Those that came when nobody waited for them any more.
        for worker in std::mem::take(&mut self.connected).into_values() {
            let _ = worker.outgoing.send(ToWorker::End);
        }
    }
}
