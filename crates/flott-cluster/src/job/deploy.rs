//! The tasks of one deployment: built, placed on the drivers, told what to do.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use flott_checkpoint::storage::{CheckpointStorage, METADATA_FILE};
use flott_checkpoint::{CompletedCheckpoint, DeclineReason};
use flott_control::{Failure, JobInput};
use flott_core::metrics::TaskMetrics;
use flott_core::{AttemptNumber, CheckpointId, Error, ErrorKind, JobId, Result, TaskId};
use flott_runtime::build::{Deployment, build_tasks};
use flott_runtime::restore::load_tasks;
use flott_runtime::{Clock, Command, Mailbox, PendingSnapshot, TaskEvent, Wake};

use crate::driver::{DriverPool, EventSink, TaskCell};
use crate::io::IoPool;
use crate::plan::{PlannedJob, assign_record};
use crate::storage::{self, savepoint::Savepoints};

/// What a deployment runs on: drivers, storage threads, the clock, where events go, and where
/// savepoints are.
pub(super) type Shell<'a> =
    (&'a DriverPool, &'a Arc<IoPool>, &'a Arc<dyn Clock>, &'a Sender<JobInput>, &'a Savepoints);

/// The tasks of the newest deployment.
#[derive(Default)]
pub(super) struct DeployedTasks {
    attempt: AttemptNumber,
    mailboxes: BTreeMap<TaskId, Mailbox>,
    metrics: BTreeMap<TaskId, TaskMetrics>,
    /// Tasks that could not be deployed: nobody else will report their end.
    missing: Vec<TaskId>,
    /// Keeps the places of the tasks alive: the drivers hold them only while there is work.
    _cells: Vec<Arc<TaskCell>>,
}

impl DeployedTasks {
    /// Deploys every task of the job, with the state of `restore`. If that is not possible, the
    /// failure is sent to the master.
    pub(super) fn deploy(
        planned: &Arc<PlannedJob>,
        attempt: AttemptNumber,
        restore: Option<&CompletedCheckpoint>,
        shell: Shell<'_>,
    ) -> Self {
        let origin = restore.map(|record| Origin::of(planned, record));
        Self::try_deploy(planned, attempt, restore, origin.clone(), shell).unwrap_or_else(|error| {
            let error = explained(error, origin.as_ref());
            let failure = Failure {
                suppresses_restarts: !may_pass(error.kind()),
                ..Failure::new(error.report())
            };
            let (.., sender, _) = shell;
            let _ = sender.send(JobInput::GlobalFailure { failure });
            let missing = planned.spec.tasks.iter().map(|task| task.info.id).collect();
            Self { attempt, missing, ..Self::default() }
        })
    }

    fn try_deploy(
        planned: &Arc<PlannedJob>,
        attempt: AttemptNumber,
        restore: Option<&CompletedCheckpoint>,
        origin: Option<Origin>,
        shell: Shell<'_>,
    ) -> Result<Self> {
        let (drivers, _, clock, ..) = shell;
        let restored = match restore {
            Some(record) => {
                let allow = planned.settings.allow_non_restored_state;
                let assignment = assign_record(record, &planned.graph, allow)?;
                load_tasks(&planned.graph, &assignment, &*planned.storage)?
            }
            None => BTreeMap::new(),
        };
        let ids = planned.spec.tasks.iter().map(|task| task.info.id);
        let cells: BTreeMap<TaskId, Arc<TaskCell>> = ids.map(|id| (id, drivers.cell())).collect();
        let tasks = build_tasks(
            &Deployment {
                job: planned.spec.job,
                attempt,
                graph: &planned.graph,
                program: &planned.program,
                settings: &planned.settings,
                clock: clock.clone(),
                wakers: &|id| cells[&id].clone() as Arc<dyn Wake>,
                elsewhere: None,
            },
            restored,
        )?;
        let mailboxes = tasks.iter().map(|task| (task.id(), task.mailbox())).collect();
        let metrics = tasks.iter().map(|task| (task.id(), task.metrics())).collect();
        let sink = event_sink(planned, origin, shell);
        for task in tasks {
            drivers.run(&cells[&task.id()].clone(), task, attempt, sink.clone());
        }
        let cells = cells.into_values().collect();
        Ok(Self { attempt, mailboxes, metrics, missing: Vec::new(), _cells: cells })
    }

    /// What the tasks count.
    pub(super) fn metrics(&self) -> &BTreeMap<TaskId, TaskMetrics> {
        &self.metrics
    }

    /// Tells tasks of this deployment; those of an older one are gone.
    pub(super) fn tell(&self, attempt: AttemptNumber, tasks: &[TaskId], command: Command) {
        if attempt != self.attempt {
            return;
        }
        for task in tasks {
            if let Some(mailbox) = self.mailboxes.get(task) {
                mailbox.send(command);
            }
        }
    }

    pub(super) fn cancel(&self, attempt: AttemptNumber, sender: &Sender<JobInput>) {
        let all: Vec<TaskId> = self.mailboxes.keys().copied().collect();
        self.tell(attempt, &all, Command::Cancel);
        for task in &self.missing {
            let _ = sender.send(JobInput::TaskCanceled { attempt, task: *task });
        }
    }
}

/// The checkpoint that a deployment starts from.
#[derive(Clone)]
struct Origin {
    checkpoint: CheckpointId,
    job: JobId,
    /// Its folder, if that is known.
    location: Option<String>,
}

impl Origin {
    fn of(planned: &PlannedJob, record: &CompletedCheckpoint) -> Self {
        let (checkpoint, job) = (record.checkpoint, record.job);
        let location = if job == planned.spec.job {
            Some(planned.storage.location(checkpoint))
        } else {
            let file = record.files().into_iter().next();
            file.and_then(|file| Some(Path::new(file).parent()?.display().to_string()))
        };
        Self { checkpoint, job, location }
    }
}

/// Damaged state is not restored again and again: the user must say what to start from instead.
fn explained(error: Error, origin: Option<&Origin>) -> Error {
    let Some(origin) = origin.filter(|_| error.kind() == ErrorKind::Corrupt) else { return error };
    let Origin { checkpoint, job, location } = origin;
    let mut message = format!("checkpoint {checkpoint} of job {job} is damaged");
    if let Some(location) = location {
        message = format!("{message} (\"{location}\")");
        if let Some(other) = storage::offer(&Path::new(location).join(METADATA_FILE)) {
            let other = other.display();
            message =
                format!("{message}; the newest other intact one is \"{other}\": use it with -s");
        }
    }
    error.context(message)
}

/// Whether a failure to start may pass by itself.
fn may_pass(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Io | ErrorKind::Unknown | ErrorKind::User | ErrorKind::Cancelled => true,
        ErrorKind::InvalidInput | ErrorKind::Corrupt | ErrorKind::Internal => false,
    }
}

/// Turns what tasks say into inputs of the master; snapshots are written first.
fn event_sink(planned: &Arc<PlannedJob>, origin: Option<Origin>, shell: Shell<'_>) -> EventSink {
    let (_, io, clock, sender, savepoints) = shell;
    let (planned, clock, savepoints) = (planned.clone(), clock.clone(), savepoints.clone());
    // The pool outlives the drivers, but must not be kept alive by a task's event sink: its end is
    // the end of its threads.
    let io = Arc::downgrade(io);
    let sender = std::sync::Mutex::new(sender.clone());
    Arc::new(move |task, attempt, event| {
        let Ok(sender) = sender.lock().map(|sender| sender.clone()) else { return };
        let input = match event {
            TaskEvent::Running => JobInput::TaskRunning { attempt, task },
            TaskEvent::EndOfData => JobInput::EndOfData { attempt, task },
            TaskEvent::Finished => JobInput::TaskFinished { attempt, task },
            TaskEvent::Canceled => JobInput::TaskCanceled { attempt, task },
            TaskEvent::Failed { error, opened } => {
                let error = if opened { error } else { explained(error, origin.as_ref()) };
                let failure = Failure {
                    suppresses_restarts: !opened && !may_pass(error.kind()),
                    ..Failure::new(error.report())
                };
                JobInput::TaskFailed { attempt, task, failure }
            }
            TaskEvent::Declined(checkpoint) => JobInput::Decline {
                attempt,
                checkpoint,
                task,
                reason: DeclineReason::Subsumed,
                message: "a newer barrier arrived first".into(),
            },
            TaskEvent::Snapshot(pending) => {
                let (planned, clock) = (planned.clone(), clock.clone());
                let storage = match savepoints.of(pending.checkpoint) {
                    Some(place) => place,
                    None => planned.storage.clone(),
                };
                if let Some(io) = io.upgrade() {
                    io.submit(move || {
                        let _ = sender.send(write_snapshot(&planned, &storage, &*clock, pending));
                    });
                }
                return;
            }
        };
        // After the end of the job nobody listens any more.
        let _ = sender.send(input);
    })
}

/// The asynchronous part of a task's checkpoint.
fn write_snapshot(
    planned: &PlannedJob,
    storage: &Arc<dyn CheckpointStorage>,
    clock: &dyn Clock,
    pending: PendingSnapshot,
) -> JobInput {
    let PendingSnapshot { checkpoint, task, attempt, mut metrics, .. } = pending;
    let started = clock.now().mono;
    match pending.write(storage, planned.inline_threshold) {
        Ok(snapshot) => {
            let elapsed = clock.now().mono.since(started);
            metrics.async_nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
            metrics.bytes = snapshot.bytes();
            JobInput::Ack { attempt, checkpoint, task, snapshot, metrics }
        }
        Err(error) => JobInput::Decline {
            attempt,
            checkpoint,
            task,
            reason: DeclineReason::AsyncException,
            message: error.report(),
        },
    }
}
