//! One job in this process: the loop that feeds its job master and performs what that decides.

mod deploy;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use flott_checkpoint::coordinator::{CheckpointStats, CheckpointStatus};
use flott_checkpoint::storage::{CheckpointStorage, StoreError};
use flott_checkpoint::{Effect, TerminalStatus, metadata};
use flott_control::{JobEffect, JobInput, JobMaster};
use flott_core::{AttemptNumber, CheckpointId, Error, ErrorKind, Now, Result, TaskId};
use flott_datastream::{CheckpointSummary, JobExecutionResult};
use flott_runtime::{Clock, Command};
use tracing::{info, warn};

use crate::driver::DriverPool;
use crate::io::IoPool;
use crate::jobs::Jobs;
use crate::plan::PlannedJob;
use crate::storage::savepoint::{self, Savepoints};
use crate::view::{Publisher, Views};
use deploy::DeployedTasks;

/// Threads that write checkpoints: one can be busy with a large state while others go on.
const IO_THREADS: usize = 2;

/// Runs one job from its start to its end, on the thread that calls [`JobRunner::run`].
pub(crate) struct JobRunner {
    planned: Arc<PlannedJob>,
    master: JobMaster,
    clock: Arc<dyn Clock>,
    inputs: Receiver<JobInput>,
    sender: Sender<JobInput>,
    deployed: DeployedTasks,
    jobs: Jobs,
    savepoints: Savepoints,
    publisher: Option<Publisher>,
    drivers: DriverPool,
    /// Dropped after the drivers: it finishes what they have handed over.
    io: Arc<IoPool>,
}

impl JobRunner {
    /// Starts the job's threads. The job itself starts with [`JobRunner::run`]; what is sent to the
    /// returned end reaches its master. Checkpoints that `jobs` was asked for are reported to it;
    /// what the job looks like is published to `views`.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(crate) fn start(
        planned: PlannedJob,
        driver_threads: usize,
        clock: Arc<dyn Clock>,
        jobs: Jobs,
        views: Option<&Views>,
    ) -> Result<(Self, Sender<JobInput>)> {
        let (sender, inputs) = channel();
        let now = clock.now();
        let seed = planned.spec.job.as_u128() as u64;
        let runner = Self {
            master: JobMaster::new(now, planned.spec.clone(), seed),
            drivers: DriverPool::start(driver_threads, clock.clone())?,
            io: Arc::new(IoPool::start(IO_THREADS)?),
            jobs,
            savepoints: Savepoints::default(),
            publisher: views.map(|views| Publisher::new(views.clone(), &planned)),
            planned: Arc::new(planned),
            clock,
            inputs,
            sender: sender.clone(),
            deployed: DeployedTasks::default(),
        };
        Ok((runner, sender))
    }

    /// Where its savepoints are.
    pub(crate) fn savepoints(&self) -> Savepoints {
        self.savepoints.clone()
    }

    /// Runs the job to its end.
    ///
    /// # Errors
    /// If the job fails: the message is that of the failure that ended it.
    pub(crate) fn run(mut self) -> Result<JobExecutionResult> {
        let started = self.clock.now();
        self.master.handle(started, JobInput::Start);
        let (status, failure) = loop {
            if let Some(end) = self.perform_effects() {
                break end;
            }
            self.publish();
            let input = self.wait();
            let now = self.clock.now();
            match input {
                Some(input) => self.master.handle(now, input),
                None => self.master.handle_timeout(now),
            }
        };
        self.publish();
        match status {
            TerminalStatus::Finished | TerminalStatus::Canceled => Ok(JobExecutionResult {
                job: self.planned.spec.job,
                net_runtime: self.clock.now().mono.since(started.mono),
                cancelled: status == TerminalStatus::Canceled,
                checkpoints: self.checkpoints(),
            }),
            TerminalStatus::Failed => Err(Error::new(ErrorKind::User, failure.unwrap_or_default())),
        }
    }

    /// The completed checkpoints that the coordinator still remembers.
    fn checkpoints(&self) -> Vec<CheckpointSummary> {
        let history = self.master.coordinator().stats().history.iter();
        history.filter(|stats| stats.status == CheckpointStatus::Completed).map(summary).collect()
    }

    /// Shows what has changed to whoever looks, unless that was done a moment ago.
    fn publish(&mut self) {
        if let Some(publisher) = &mut self.publisher {
            let (planned, savepoints) = (&self.planned, &self.savepoints);
            let location = |checkpoint| location(planned, savepoints, checkpoint);
            let now = self.clock.now().mono;
            publisher.publish(now, &self.master, self.deployed.metrics(), location);
        }
    }

    /// The next input; nothing if a time-out of the master comes first, or the time to publish.
    fn wait(&self) -> Option<JobInput> {
        let publication = self.publisher.as_ref().and_then(Publisher::due);
        let timeout = self.master.poll_timeout().map(|(deadline, _)| deadline);
        let Some(deadline) = timeout.into_iter().chain(publication).min() else {
            // This runner holds a sender: the channel does not close.
            return self.inputs.recv().ok();
        };
        let Now { mono, .. } = self.clock.now();
        self.inputs.recv_timeout(deadline.since(mono)).ok()
    }

    /// Does everything that the master wants done. Says how the job ended, if it has.
    fn perform_effects(&mut self) -> Option<(TerminalStatus, Option<String>)> {
        let mut end = None;
        while let Some(effect) = self.master.poll_effect() {
            match effect {
                JobEffect::Deploy { attempt, restore } => {
                    self.deployed = DeployedTasks::deploy(
                        &self.planned,
                        attempt,
                        restore.as_deref(),
                        (&self.drivers, &self.io, &self.clock, &self.sender, &self.savepoints),
                    );
                }
                JobEffect::CancelTasks { attempt } => self.deployed.cancel(attempt, &self.sender),
                JobEffect::Checkpoint(effect) => self.perform_checkpoint(effect),
                JobEffect::StatusChanged { from, to } => {
                    let spec = &self.planned.spec;
                    info!("Job {} ({}) switched from state {from} to {to}.", spec.name, spec.job);
                    self.log_newest_failure(to);
                }
                JobEffect::Ended { status, failure } => end = Some((status, failure)),
            }
        }
        end
    }

    fn log_newest_failure(&self, to: flott_control::JobStatus) {
        use flott_control::JobStatus;
        if matches!(to, JobStatus::Restarting | JobStatus::Failing)
            && let Some(entry) = self.master.exceptions().entries().next()
        {
            let task = entry.task_name.as_deref().unwrap_or("the job");
            warn!("{task} failed: {}", entry.failure.message);
        }
    }

    fn perform_checkpoint(&self, effect: Effect) {
        let spec = &self.planned.spec;
        match effect {
            Effect::PrepareLocation { checkpoint } => self.with_storage(move |storage| {
                Some(location_prepared(checkpoint, storage.prepare_checkpoint(checkpoint)))
            }),
            Effect::PrepareSavepoint { checkpoint, request } => {
                if let Some(place) = self.savepoints.begin(request, checkpoint) {
                    self.with_storage(move |_| {
                        Some(location_prepared(checkpoint, place.prepare_checkpoint(checkpoint)))
                    });
                }
            }
            Effect::DiscardSavepoint { checkpoint } => {
                if let Some(place) = self.savepoints.of(checkpoint) {
                    self.with_storage(move |_| {
                        if let Err(error) = savepoint::discard(&place) {
                            let folder = place.folder().display();
                            warn!("A failed savepoint stays behind in {folder}: {error}");
                        }
                        None
                    });
                }
            }
            Effect::TriggerSources { attempt, barrier, tasks } => {
                self.tell(attempt, &tasks, Command::TriggerCheckpoint(barrier));
            }
            Effect::PersistMetadata { checkpoint, record } => {
                let savepoint = self.savepoints.of(checkpoint);
                self.with_storage(move |storage| {
                    let written = match savepoint {
                        Some(place) => savepoint::complete(&record, storage, &place),
                        None => metadata::encode(&record)
                            .map_err(StoreError::Failed)
                            .and_then(|bytes| storage.create_metadata(checkpoint, &bytes)),
                    };
                    Some(metadata_written(checkpoint, written))
                });
            }
            Effect::NotifyComplete { attempt, checkpoint, tasks } => {
                self.tell(attempt, &tasks, Command::NotifyComplete(checkpoint));
            }
            Effect::NotifyAborted { attempt, checkpoint, tasks } => {
                self.tell(attempt, &tasks, Command::NotifyAborted(checkpoint));
            }
            Effect::Discard { paths } => self.with_storage(move |storage| {
                for path in paths {
                    if let Err(error) = storage.delete(&path) {
                        warn!("A file stays behind: {:#}", error.into_error());
                    }
                }
                None
            }),
            Effect::FailJob { message } => warn!("{message}"),
            Effect::Answer { request, result } => {
                self.savepoints.forget(request);
                self.jobs.answer(spec.job, request, result);
            }
            Effect::Completed { checkpoint, stats } => {
                let CheckpointSummary { duration, state_bytes, longest_pause, .. } =
                    summary(&stats);
                info!(
                    "Completed checkpoint {checkpoint} for job {} ({state_bytes} bytes, {} ms, \
                     longest pause {} us) at {}",
                    spec.job,
                    duration.as_millis(),
                    longest_pause.as_micros(),
                    location(&self.planned, &self.savepoints, checkpoint),
                );
            }
            Effect::Failed { checkpoint, reason, message, culprit } => {
                let culprit = culprit.map(|task| format!(" Task {task}:")).unwrap_or_default();
                warn!("Checkpoint {checkpoint} failed. {reason}{culprit} {message}");
            }
        }
    }

    fn tell(&self, attempt: AttemptNumber, tasks: &[TaskId], command: Command) {
        self.deployed.tell(attempt, tasks, command);
    }

    /// Runs something that waits for storage elsewhere, and feeds what it says to the master.
    fn with_storage(
        &self,
        work: impl FnOnce(&dyn CheckpointStorage) -> Option<JobInput> + Send + 'static,
    ) {
        let (storage, sender) = (self.planned.storage.clone(), self.sender.clone());
        self.io.submit(move || {
            if let Some(input) = work(&*storage) {
                // After the end of the job nobody listens any more.
                let _ = sender.send(input);
            }
        });
    }
}

fn summary(stats: &CheckpointStats) -> CheckpointSummary {
    let pauses = stats.tasks.values().flatten().map(|task| task.metrics.sync_nanos);
    CheckpointSummary {
        checkpoint: stats.checkpoint,
        duration: stats.duration,
        state_bytes: stats.state_bytes,
        longest_pause: Duration::from_nanos(pauses.max().unwrap_or(0)),
    }
}

/// What people call the place of a checkpoint or savepoint.
fn location(planned: &PlannedJob, savepoints: &Savepoints, checkpoint: CheckpointId) -> String {
    match savepoints.of(checkpoint) {
        Some(place) => place.location(checkpoint),
        None => planned.storage.location(checkpoint),
    }
}

fn location_prepared(checkpoint: CheckpointId, prepared: Result<(), StoreError>) -> JobInput {
    match prepared {
        Ok(()) => JobInput::LocationPrepared { checkpoint },
        Err(error) => JobInput::LocationFailed { checkpoint, message: error.into_error().report() },
    }
}

fn metadata_written(checkpoint: CheckpointId, written: Result<(), StoreError>) -> JobInput {
    match written {
        Ok(()) => JobInput::MetadataPersisted { checkpoint },
        Err(StoreError::Failed(error)) => {
            JobInput::MetadataFailed { checkpoint, message: error.report() }
        }
        Err(StoreError::Unknown(error)) => {
            JobInput::MetadataUnknown { checkpoint, message: error.report() }
        }
    }
}
