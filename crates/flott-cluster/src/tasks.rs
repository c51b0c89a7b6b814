//! Tasks in this process: built, placed on the drivers, told what to do. In the
//! embedded cluster these are all tasks of a job, in a worker its share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use flott_checkpoint::snapshot::KeyedStateHandle;
use flott_checkpoint::storage::{CheckpointStorage, METADATA_FILE};
use flott_checkpoint::{CompletedCheckpoint, DeclineReason};
use flott_control::{Failure, JobInput};
use flott_core::element::CheckpointKind;
use flott_core::metrics::TaskMetrics;
use flott_core::{AttemptNumber, CheckpointId, Error, ErrorKind, JobId, Result, TaskId};
use flott_runtime::build::{Deployment, Elsewhere, build_tasks};
use flott_runtime::{
    Clock, Command, KeptStates, Mailbox, PendingSnapshot, Program, StateLookUp, TaskEvent, Wake,
};

use crate::driver::{DriverPool, EventSink, Running, TaskCell};
use crate::io::IoPool;
use crate::logging;
use crate::memory::MemoryLimit;
use crate::plan::TaskPlan;
use crate::snapshot::{WaitingSnapshots, declined, may_pass, read_states, write_snapshots};
use crate::storage::{self, Stores, savepoint::Savepoints};

/// Takes what is to reach the job's master.
pub(crate) type Report = Arc<dyn Fn(JobInput) + Send + Sync>;

/// What the tasks of a job run on in this process.
pub(crate) struct Site {
    pub(crate) plan: Arc<TaskPlan>,
    pub(crate) program: Arc<Program>,
    pub(crate) drivers: DriverPool,
    /// Dropped after the drivers: it finishes what they have handed over.
    pub(crate) io: Arc<IoPool>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Where savepoints are.
    pub(crate) savepoints: Savepoints,
    pub(crate) stores: Stores,
    /// The tables of the newest checkpoint.
    pub(crate) kept: Kept,
    pub(crate) report: Report,
    /// Hears what a task has counted, just before its end is reported.
    pub(crate) counted: CountReport,
}

/// Takes what a task of an attempt has counted.
pub(crate) type CountReport = Arc<dyn Fn(AttemptNumber, TaskId, &TaskMetrics) + Send + Sync>;

/// Tables of checkpoints, as the threads of a process share them.
pub(crate) type Kept = Arc<Mutex<KeptStates>>;

/// The tasks that have begun here.
#[derive(Default)]
pub(crate) struct DeployedTasks {
    /// The newest.
    attempt: AttemptNumber,
    tasks: BTreeMap<TaskId, Deployed>,
    metrics: BTreeMap<TaskId, TaskMetrics>,
    /// Tasks that could not be deployed: nobody else will report their end.
    missing: BTreeSet<TaskId>,
    /// The attempt in which a task was made to fail.
    failed: Option<AttemptNumber>,
}

struct Deployed {
    mailbox: Mailbox,
    /// Keeps the place of the task alive: the drivers hold it only while there is work.
    _cell: Arc<TaskCell>,
}

impl DeployedTasks {
    /// These tasks begin anew, here or elsewhere: nothing more is said of them as they were.
    pub(crate) fn forget(&mut self, tasks: &BTreeSet<TaskId>) {
        self.tasks.retain(|task, _| !tasks.contains(task));
        self.metrics.retain(|task, _| !tasks.contains(task));
        self.missing.clear();
    }

    /// Begins an attempt with these tasks here, and the state of `restore`. If that is not possible, the
    /// failure is reported.
    pub(crate) fn begin(
        &mut self,
        site: &Site,
        attempt: AttemptNumber,
        own: BTreeSet<TaskId>,
        restore: Option<&CompletedCheckpoint>,
        elsewhere: Option<Elsewhere<'_>>,
    ) {
        self.attempt = attempt;
        let origin = restore.map(|record| Origin::of(&site.plan, record));
        if let Err(error) = self.try_begin(site, restore, origin.clone(), &own, elsewhere) {
            let error = explained(error, origin.as_ref(), &site.stores);
            let failure = Failure {
                suppresses_restarts: !may_pass(error.kind()),
                ..Failure::new(error.report())
            };
            self.missing = own;
            (site.report)(JobInput::DeploymentFailed { attempt, failure });
        }
    }

    fn try_begin(
        &mut self,
        site: &Site,
        restore: Option<&CompletedCheckpoint>,
        origin: Option<Origin>,
        own: &BTreeSet<TaskId>,
        elsewhere: Option<Elsewhere<'_>>,
    ) -> Result<()> {
        let Site { plan, program, drivers, clock, kept, .. } = site;
        let attempt = self.attempt;
        let restored = read_states(plan, restore, kept, |id| own.contains(&id))?;
        let cells: BTreeMap<TaskId, Arc<TaskCell>> =
            own.iter().map(|id| (*id, drivers.cell())).collect();
        let tasks = build_tasks(
            &Deployment {
                job: plan.job,
                attempt,
                graph: &plan.graph,
                program,
                settings: &plan.settings,
                clock: clock.clone(),
                wakers: &|id| cells[&id].clone() as Arc<dyn Wake>,
                begins: &|id| own.contains(&id),
                elsewhere,
            },
            restored,
        )?;
        let metrics: BTreeMap<TaskId, TaskMetrics> =
            tasks.iter().map(|task| (task.id(), task.metrics())).collect();
        let sink = event_sink(site, origin, metrics.clone());
        self.metrics.extend(metrics);
        for task in tasks {
            let (id, mailbox) = (task.id(), task.mailbox());
            let cell = cells[&id].clone();
            let vertex = plan.graph.vertex(id.vertex).map_or("", |vertex| &vertex.name);
            let span = logging::of_task(plan.job, vertex, id.subtask, attempt);
            drivers.run(&cell, Running { task, attempt, sink: sink.clone(), span });
            self.tasks.insert(id, Deployed { mailbox, _cell: cell });
        }
        Ok(())
    }

    /// The newest attempt that was begun.
    pub(crate) fn attempt(&self) -> AttemptNumber {
        self.attempt
    }

    /// What the tasks count.
    pub(crate) fn metrics(&self) -> &BTreeMap<TaskId, TaskMetrics> {
        &self.metrics
    }

    /// Tells tasks; what was meant for those of an older attempt comes too late.
    pub(crate) fn tell(
        &self,
        site: &Site,
        attempt: AttemptNumber,
        tasks: &[TaskId],
        command: Command,
    ) {
        if attempt < self.attempt {
            return;
        }
        site.kept.lock().unwrap_or_else(PoisonError::into_inner).told(command);
        for task in tasks.iter().filter_map(|task| self.tasks.get(task)) {
            task.mailbox.send(command);
        }
    }

    /// Has a task look into its state; one that is not here does not answer.
    pub(crate) fn look_up(&self, task: TaskId, look_up: StateLookUp) {
        if let Some(deployed) = self.tasks.get(&task) {
            deployed.mailbox.look_up(look_up);
        }
    }

    /// Makes a task fail if this process takes more memory than it may: once in an attempt.
    pub(crate) fn check_memory(&mut self, site: &Site, limit: MemoryLimit) {
        if self.failed == Some(self.attempt) {
            return;
        }
        let sizes = self.tasks.keys().filter_map(|task| {
            let bytes = self.metrics.get(task)?.state_bytes.get();
            Some((*task, u64::try_from(bytes).unwrap_or(0)))
        });
        if let Some((task, error)) = limit.exceeded(&site.plan.graph, &sizes.collect())
            && let Some(deployed) = self.tasks.get(&task)
        {
            deployed.mailbox.fail(error);
            self.failed = Some(self.attempt);
        }
    }

    /// Cancels tasks.
    pub(crate) fn cancel(&mut self, site: &Site, attempt: AttemptNumber, tasks: &[TaskId]) {
        self.tell(site, attempt, tasks, Command::Cancel);
        for task in tasks {
            if self.missing.remove(task) {
                (site.report)(JobInput::TaskCanceled { attempt: self.attempt, task: *task });
            }
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
    fn of(plan: &TaskPlan, record: &CompletedCheckpoint) -> Self {
        let (checkpoint, job) = (record.checkpoint, record.job);
        let location = if job == plan.job {
            Some(plan.storage.location(checkpoint))
        } else {
            let file = record.files().into_iter().next();
            file.and_then(|file| Some(file.rsplit_once('/')?.0.to_owned()))
        };
        Self { checkpoint, job, location }
    }
}

/// Damaged state is not restored again and again: the user must say what to start from instead.
fn explained(error: Error, origin: Option<&Origin>, stores: &Stores) -> Error {
    let Some(origin) = origin.filter(|_| error.kind() == ErrorKind::Corrupt) else { return error };
    let Origin { checkpoint, job, location } = origin;
    let mut message = format!("checkpoint {checkpoint} of job {job} is damaged");
    if let Some(location) = location {
        message = format!("{message} (\"{location}\")");
        let record = stores.place(location).map(|folder| folder.join(METADATA_FILE));
        if let Some(other) = record.ok().and_then(|record| storage::offer(stores, &record)) {
            message =
                format!("{message}; the newest other intact one is \"{other}\": use it with -s");
        }
    }
    error.context(message)
}

/// Counts what a task remembers among its metrics.
fn show_state_bytes(written: &JobInput, metrics: &BTreeMap<TaskId, TaskMetrics>) {
    if let JobInput::Ack { task, snapshot, .. } = written
        && let Some(metrics) = metrics.get(task)
    {
        let keyed = snapshot.operators.iter().flat_map(|own| &own.keyed);
        let bytes = keyed.map(KeyedStateHandle::used_bytes).sum::<u64>();
        metrics.state_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

/// Turns what tasks say into inputs of the master; snapshots are written first.
fn event_sink(
    site: &Site,
    origin: Option<Origin>,
    metrics: BTreeMap<TaskId, TaskMetrics>,
) -> EventSink {
    let Site { plan, clock, savepoints, stores, report, counted, .. } = site;
    let (plan, clock, savepoints, report) =
        (plan.clone(), clock.clone(), savepoints.clone(), report.clone());
    let (counted, stores) = (counted.clone(), stores.clone());
    let kept = site.kept.clone();
    let (metrics, waiting) = (Arc::new(metrics), Arc::new(WaitingSnapshots::default()));
    // The pool outlives the drivers, but must not be kept alive by a task's event sink: its end is
    // the end of its threads.
    let io = Arc::downgrade(&site.io);
    Arc::new(move |task, attempt, event| {
        let input = match event {
            TaskEvent::Running => JobInput::TaskRunning { attempt, task },
            TaskEvent::EndOfData => JobInput::EndOfData { attempt, task },
            TaskEvent::Finished => {
                if let Some(metrics) = metrics.get(&task) {
                    counted(attempt, task, metrics);
                }
                JobInput::TaskFinished { attempt, task }
            }
            TaskEvent::Canceled => JobInput::TaskCanceled { attempt, task },
            TaskEvent::Failed { error, opened } => {
                let error = if opened { error } else { explained(error, origin.as_ref(), &stores) };
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
            TaskEvent::Unread(groups) => {
                if let Some(io) = io.upgrade() {
                    groups.into_iter().for_each(|group| io.submit(move || group.read()));
                }
                return;
            }
            TaskEvent::Snapshot(pending) => {
                waiting.add(pending);
                let (plan, clock, report) = (plan.clone(), clock.clone(), report.clone());
                let (savepoints, kept) = (savepoints.clone(), kept.clone());
                let (metrics, waiting) = (metrics.clone(), waiting.clone());
                if let Some(io) = io.upgrade() {
                    io.submit(move || {
                        // Another thread may have taken it along.
                        let Some(first) = waiting.take() else { return };
                        let PendingSnapshot { checkpoint, task, attempt, kind, .. } = first;
                        let storage = match kind {
                            CheckpointKind::Checkpoint => Ok(plan.storage.clone()),
                            CheckpointKind::Savepoint | CheckpointKind::Stop { .. } => {
                                match savepoints.wait(checkpoint) {
                                    Some(place) => place.map(|place| place as _),
                                    // Nobody waits for a savepoint that was given up.
                                    None => return,
                                }
                            }
                        };
                        let storage: Arc<dyn CheckpointStorage> = match storage {
                            Ok(storage) => storage,
                            Err(message) => {
                                return report(declined(attempt, checkpoint, task, message));
                            }
                        };
                        let more = || waiting.take_of(checkpoint);
                        for written in write_snapshots(first, more, &plan, &storage, &*clock, &kept)
                        {
                            show_state_bytes(&written, &metrics);
                            report(written);
                        }
                    });
                }
                return;
            }
        };
        report(input);
    })
}
