//! The workers of one job, as its thread knows them: performs what the job's placement decides.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use flott_checkpoint::{CompletedCheckpoint, metadata};
use flott_control::{Failure, JobInput, Placement, PlacementEffect, PlacementInput, WorkerId};
use flott_core::metrics::TaskMetrics;
use flott_core::{AttemptNumber, CheckpointId, TaskId};
use flott_plan::JobGraph;
use flott_runtime::Command;
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
    },
    /// What the tasks of an attempt have counted.
    Counted {
        attempt: AttemptNumber,
        counts: Vec<(TaskId, TaskCounts)>,
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
    attempt: AttemptNumber,
    tasks: Arc<BTreeMap<TaskId, WorkerId>>,
    metrics: BTreeMap<TaskId, TaskMetrics>,
    inputs: Sender<Input<WorkersEvent>>,
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
        ticket: u128,
        inputs: Sender<Input<WorkersEvent>>,
    ) -> Self {
        let start = WorkerStart {
            job: record.job,
            worker: WorkerId(0),
            ticket,
            binary: record.binary.clone(),
            arguments: record.arguments.clone(),
            settings: settings(&shared.config.settings),
        };
        Self {
            shared,
            placement: Placement::new(graph),
            start,
            graph: graph.clone(),
            record,
            connected: BTreeMap::new(),
            attempt: AttemptNumber::default(),
            tasks: Arc::default(),
            metrics: BTreeMap::new(),
            inputs,
        }
    }

    fn perform(&mut self) {
        let job = self.start.job;
        while let Some(effect) = self.placement.poll_effect() {
            match effect {
                PlacementEffect::RequestSlots { count } => self.shared.request_slots(job, count),
                PlacementEffect::ReleaseSlots => self.shared.ended(job),
                PlacementEffect::StartWorker { task_manager, worker } => {
                    let start = WorkerStart { worker, ..self.start.clone() };
                    self.shared.start_worker(task_manager, start);
                }
                PlacementEffect::StopWorker { task_manager, worker } => {
                    self.say(worker, ToWorker::End);
                    self.connected.remove(&worker);
                    self.shared.stop_worker(task_manager, job, worker);
                }
                PlacementEffect::Deploy { attempt, restore, workers } => {
                    self.deploy_to(attempt, restore.as_deref(), workers);
                }
                PlacementEffect::CancelTasks { attempt } => {
                    for worker in self.connected.values() {
                        let _ = worker.outgoing.send(ToWorker::Cancel { attempt });
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
        workers: Arc<BTreeMap<TaskId, WorkerId>>,
    ) {
        let restore = match restore.map(metadata::encode).transpose() {
            Ok(restore) => restore,
            Err(error) => {
                let failure = Failure::new(error.report());
                return self.tell_master(JobInput::DeploymentFailed { attempt, failure });
            }
        };
        self.attempt = attempt;
        self.metrics = workers.keys().map(|task| (*task, TaskMetrics::default())).collect();
        self.tasks = workers;
        let addresses = self.connected.iter().map(|(worker, known)| (*worker, known.address));
        let addresses: BTreeMap<WorkerId, SocketAddr> = addresses.collect();
        for worker in self.connected.values() {
            let deploy = DeployTasks {
                attempt,
                restore: restore.clone(),
                workers: (*self.tasks).clone(),
                addresses: addresses.clone(),
            };
            let _ = worker.outgoing.send(ToWorker::Deploy(Box::new(deploy)));
        }
    }

    /// Says something to a worker; one that is lost hears nothing.
    fn say(&self, worker: WorkerId, message: ToWorker) {
        if let Some(connected) = self.connected.get(&worker) {
            let _ = connected.outgoing.send(message);
        }
    }

    fn tell_master(&self, input: JobInput) {
        // The thread that waits for it is this one.
        let _ = self.inputs.send(Input::Job(input));
    }
}

impl Workplace for Workers {
    type Event = WorkersEvent;

    fn deploy(&mut self, attempt: AttemptNumber, restore: Option<Arc<CompletedCheckpoint>>) {
        // Whoever has the job next must not use this number again.
        self.record.attempt = Some(attempt);
        if let Some(ha) = &self.shared.ha
            && let Err(error) = ha.put(&self.record)
        {
            let failure = Failure::new(error.report());
            self.tell_master(JobInput::DeploymentFailed { attempt, failure });
            return;
        }
        self.placement.deploy(attempt, restore);
        self.perform();
    }

    fn cancel(&mut self, attempt: AttemptNumber) {
        self.placement.cancel(attempt);
        self.perform();
    }

    fn tell(&mut self, attempt: AttemptNumber, tasks: &[TaskId], command: Command) {
        if attempt != self.attempt {
            return;
        }
        let mut by_worker: BTreeMap<WorkerId, Vec<TaskId>> = BTreeMap::new();
        for task in tasks {
            if let Some(worker) = self.tasks.get(task) {
                by_worker.entry(*worker).or_default().push(*task);
            }
        }
        for (worker, tasks) in by_worker {
            self.say(worker, ToWorker::Tell { attempt, tasks, command });
        }
    }

    fn savepoint(&mut self, checkpoint: CheckpointId, folder: &Path) {
        for worker in self.connected.values() {
            let folder = folder.to_path_buf();
            let _ = worker.outgoing.send(ToWorker::Savepoint { checkpoint, folder });
        }
    }

    fn handle(&mut self, event: WorkersEvent) {
        match event {
            WorkersEvent::Placement(input) => {
                self.placement.handle(input);
                self.perform();
            }
            WorkersEvent::Connected { worker, address, outgoing } => {
                let job = WorkerJob {
                    program: self.record.program.clone(),
                    graph: self.graph.clone(),
                    settings: self.record.settings.clone(),
                };
                let _ = outgoing.send(ToWorker::Start(Box::new(job)));
                self.connected.insert(worker, Connected { address, outgoing });
            }
            WorkersEvent::Counted { attempt, counts } if attempt == self.attempt => {
                for (task, counts) in counts {
                    if let Some(metrics) = self.metrics.get(&task) {
                        metrics.records_in.raise(counts.records_in);
                        metrics.records_out.raise(counts.records_out);
                        metrics.input_watermark.set(counts.input_watermark);
                    }
                }
            }
            WorkersEvent::Counted { .. } => {}
        }
    }

    fn metrics(&self) -> &BTreeMap<TaskId, TaskMetrics> {
        &self.metrics
    }

    fn waiting_for(&self) -> Option<String> {
        self.shared.missing_slots(self.start.job)
    }

    fn end(&mut self) {
        self.placement.handle(PlacementInput::End);
        self.perform();
        if let Some(ha) = &self.shared.ha
            && let Err(error) = ha.remove(self.start.job)
        {
            warn!("{}", error.report());
        }
        // Those that came when nobody waited for them any more.
        for worker in std::mem::take(&mut self.connected).into_values() {
            let _ = worker.outgoing.send(ToWorker::End);
        }
    }
}
