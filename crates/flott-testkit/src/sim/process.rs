//! A run of the JobManager, and the machines that it has: what a crash takes away. The simulator's shell
//! around the machines of `flott-control` and `flott-runtime`; the cluster's processes are the other one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flott_checkpoint::storage::{CheckpointStorage, StoreError, checkpoint_folder};
use flott_checkpoint::{CompletedCheckpoint, DeclineReason, Effect, TerminalStatus, metadata};
use flott_cluster::plan::PlannedJob;
use flott_cluster::storage::complete_savepoint;
use flott_control::{JobEffect, JobInput, JobMaster, JobStatus, WorkerId};
use flott_core::element::CheckpointKind;
use flott_core::{CheckpointId, JobId, MonoTime, Now, TaskId, Timestamp};
use flott_runtime::{Command, PendingSnapshot, Progress};

use super::clock::SimClock;
use super::leader::Leader;
use super::machines::{Machines, Running};
use super::storage::{JobFolder, Outcome};
use super::world::{Event, Message, Way, World, injected, message};

/// How long workers have to come back.
pub(super) const REATTACH_TIMEOUT: Duration = Duration::from_millis(200);

/// Who wants the job to stop; others want savepoints.
const STOP_REQUEST: u64 = u64::MAX;

pub(super) struct Process {
    planned: PlannedJob,
    folder: Arc<JobFolder>,
    master: JobMaster,
    leader: Leader,
    machines: Machines,
    /// Where savepoints go: no restart looks there.
    savepoint_folder: Arc<JobFolder>,
    savepoints_in: String,
    /// Checkpoints that are savepoints.
    savepoints: BTreeSet<CheckpointId>,
    /// The savepoint that the job has stopped with.
    stopped_with: Option<CheckpointId>,
}

impl Process {
    pub(super) fn start(
        world: &mut World<'_>,
        job: JobId,
        restored: Option<CompletedCheckpoint>,
        machines: Machines,
    ) -> flott_core::Result<Self> {
        let folder = Arc::new(JobFolder::new(world.disk.clone(), format!("/{job}")));
        let graph = &world.program.graph;
        let mut planned = PlannedJob::new(job, graph, &world.config, restored, folder.clone())?;
        Arc::make_mut(&mut planned.plan).settings.batch_records = world.scenario.batch_records;
        let mut leader = Leader::new(world, &planned);
        if let Some(record) = &world.record {
            planned.spec.first_attempt = record.attempt;
            planned.spec.reattach = Some(REATTACH_TIMEOUT);
            leader.reattach(record);
        }
        let mut master = JobMaster::new(world.now(), planned.spec.clone(), 0);
        master.handle(world.now(), JobInput::Start);
        Ok(Self {
            leader,
            machines,
            planned,
            folder,
            master,
            savepoint_folder: Arc::new(JobFolder::of_savepoints(
                world.disk.clone(),
                world.savepoint_folder(),
            )),
            savepoints_in: world.savepoint_folder(),
            savepoints: BTreeSet::new(),
            stopped_with: None,
        })
    }

    /// The savepoint that the job has stopped with, if it has: there is more to do. Whoever wanted it may
    /// not have heard of it, if the JobManager was lost that he had asked.
    pub(super) fn stopped_with(&self, world: &World<'_>) -> Option<(String, CheckpointId)> {
        let answered = self.stopped_with.map(|checkpoint| (self.savepoints_in.clone(), checkpoint));
        let newest = world.ledger.newest(self.planned.spec.job);
        let unheard = world.stop_record.clone().filter(|(_, stop)| Some(*stop) == newest);
        answered.or(unheard)
    }

    /// What is left when the JobManager is lost.
    pub(super) fn into_machines(self) -> Machines {
        self.machines
    }

    /// What somebody says who wants the job to stop.
    pub(super) fn stop_request(&self) -> JobInput {
        let folder = self.savepoints_in.clone();
        JobInput::StopRequested { request: STOP_REQUEST, drain: false, folder }
    }

    fn folder_of(&self, checkpoint: CheckpointId) -> &Arc<JobFolder> {
        if self.savepoints.contains(&checkpoint) { &self.savepoint_folder } else { &self.folder }
    }

    /// What a hanging job looks like.
    pub(super) fn describe(&self) -> String {
        let views = self.master.tasks().map(|task| {
            let mut running = self.machines.workers.values().filter_map(|w| w.tasks.get(&task.id));
            let progress = running.next().map(|running| running.progress);
            format!("{} is {} ({progress:?})", task.name, task.state)
        });
        let views: Vec<String> = views.collect();
        let pending: Vec<CheckpointId> = self.master.coordinator().pending().collect();
        let status = self.master.status();
        format!("the job is {status}, {}; pending checkpoints {pending:?}", views.join(", "))
    }

    pub(super) fn ready_tasks(&self, now: Timestamp) -> Vec<(WorkerId, TaskId)> {
        let all = self.machines.workers.iter();
        let all = all.flat_map(|(id, worker)| worker.tasks.iter().map(move |task| (id, task)));
        let ready = all.filter(|(_, (_, running))| running.is_ready(now));
        ready.map(|(worker, (task, _))| (*worker, *task)).collect()
    }

    pub(super) fn next_task_time(&self) -> Option<MonoTime> {
        let tasks = self.machines.workers.values().flat_map(|worker| worker.tasks.values());
        tasks.filter_map(Running::until).min().map(SimClock::mono_of)
    }

    pub(super) fn timeout(&self) -> Option<MonoTime> {
        self.master.poll_timeout().map(|(at, _)| at)
    }

    pub(super) fn handle_timeout(&mut self, now: Now) {
        self.master.handle_timeout(now);
    }

    /// Steps a task.
    pub(super) fn step(
        &mut self,
        world: &mut World<'_>,
        (worker, id): (WorkerId, TaskId),
    ) -> Result<(), String> {
        let Some(host) = self.machines.workers.get_mut(&worker) else { return Ok(()) };
        let (attempt, Some(running)) = (host.attempt, host.tasks.get_mut(&id)) else {
            return Ok(());
        };
        running.step();
        let events = running.task.take_events();
        world.trace.line(format_args!("step {id} {:?} {} events", running.progress, events.len()));
        if running.progress == Progress::Done {
            host.tasks.remove(&id);
        }
        for event in events {
            match message(attempt, id, event)? {
                Message::Input(input) => {
                    for _ in 0..world.copies() {
                        self.machines.say(world, worker, input.clone());
                    }
                }
                Message::Snapshot(pending) => {
                    let delay = world.storage_delay();
                    world.send_after(Way::Storage, delay, Event::WriteSnapshot(pending));
                }
            }
        }
        self.machines.send_frames(world);
        Ok(())
    }

    /// A task dies where it is.
    pub(super) fn fail_task(&mut self, world: &mut World<'_>, (worker, id): (WorkerId, TaskId)) {
        world.trace.line(format_args!("failure of {id}"));
        if let Some(host) = self.machines.workers.get_mut(&worker)
            && host.tasks.remove(&id).is_some()
        {
            let failed = injected(host.attempt, id);
            self.machines.say(world, worker, failed);
        }
    }

    /// Something happens to a machine.
    pub(super) fn fail_machine(&mut self, world: &mut World<'_>) {
        if let Some(host) = self.machines.fail(world) {
            self.leader.host_lost(world, host);
        }
    }

    /// Something has arrived.
    pub(super) fn happen(&mut self, world: &mut World<'_>, event: Event) -> Result<(), String> {
        match event {
            Event::ToMaster(input) => {
                world.trace.line(format_args!("to master {}", name_of(&input)));
                self.master.handle(world.now(), input);
            }
            Event::Machine(event) => self.machines.happen(world, &self.planned, event)?,
            Event::Leader(event) => self.leader.happen(world, &self.machines, event),
            Event::PrepareLocation(checkpoint) => {
                let folder = self.folder_of(checkpoint);
                folder.next_write(outcome(world, false));
                let input = match folder.prepare_checkpoint(checkpoint) {
                    Ok(()) => JobInput::LocationPrepared { checkpoint },
                    Err(error) => JobInput::LocationFailed {
                        checkpoint,
                        message: error.into_error().report(),
                    },
                };
                world.send(Way::Storage, Event::ToMaster(input));
            }
            Event::WriteSnapshot(pending) => self.write_snapshot(world, pending),
            Event::WriteMetadata(kind, record) => self.write_metadata(world, kind, &record)?,
            Event::LateMetadata(kind, record) => {
                let checkpoint = record.checkpoint;
                world.trace.line(format_args!("late record of checkpoint {checkpoint}"));
                // A repeated write got through before: by now the checkpoint may be subsumed and
                // deleted, and no store keeps a write on its way for that long.
                if !kind.is_savepoint()
                    && !world.ledger.is_completed(self.planned.spec.job, checkpoint)
                {
                    let _ = self.create_metadata(world, kind, &record)?;
                }
            }
            Event::Discard(paths) => self.discard(world, paths, usize::MAX)?,
        }
        Ok(())
    }

    fn write_snapshot(&mut self, world: &mut World<'_>, pending: PendingSnapshot) {
        let PendingSnapshot { checkpoint, task, attempt, metrics, kind, .. } = pending;
        let outcome = outcome(world, true);
        world.trace.line(format_args!("snapshot {checkpoint} of {task}: {outcome:?}"));
        let place = world.places.get(&checkpoint).filter(|_| kind.is_savepoint());
        let folder = place.unwrap_or(&self.folder).clone();
        folder.next_write(outcome);
        let storage: Arc<dyn CheckpointStorage> = folder.clone();
        let input = match pending.write(&storage, self.planned.plan.inline_threshold) {
            Ok(snapshot) => JobInput::Ack { attempt, checkpoint, task, snapshot, metrics },
            Err(error) => JobInput::Decline {
                attempt,
                checkpoint,
                task,
                reason: DeclineReason::AsyncException,
                message: error.report(),
            },
        };
        folder.next_write(Outcome::Done);
        world.send(Way::Storage, Event::ToMaster(input));
    }

    /// Deletes up to `limit` files.
    pub(super) fn discard(
        &mut self,
        world: &mut World<'_>,
        paths: Vec<String>,
        limit: usize,
    ) -> Result<(), String> {
        let files = paths.into_iter().flat_map(|path| {
            let mut files = self.folder.below(&path);
            files.push(path);
            files
        });
        for path in files.take(limit) {
            world.trace.line(format_args!("discard {path}"));
            self.folder.delete(&path).map_err(|error| error.into_error().report())?;
        }
        Ok(())
    }

    fn write_metadata(
        &mut self,
        world: &mut World<'_>,
        kind: CheckpointKind,
        record: &Arc<CompletedCheckpoint>,
    ) -> Result<(), String> {
        let checkpoint = record.checkpoint;
        let mut outcome = outcome(world, true);
        if outcome == Outcome::LostUnknown && world.store.permille(500) {
            outcome = Outcome::LateUnknown;
            let delay = world.storage_delay() * 10;
            let late = Event::LateMetadata(kind, record.clone());
            world.send_after(Way::Storage, delay, late);
        }
        world.trace.line(format_args!("record of checkpoint {checkpoint}: {outcome:?}"));
        // That of a stop is written twice: either may go wrong.
        let is_own = match kind {
            CheckpointKind::Checkpoint => true,
            CheckpointKind::Savepoint => false,
            CheckpointKind::Stop { .. } => world.store.permille(500),
        };
        let folder = if is_own { &self.folder } else { &self.savepoint_folder };
        folder.next_write(outcome);
        let written = self.create_metadata(world, kind, record)?;
        self.folder.next_write(Outcome::Done);
        self.savepoint_folder.next_write(Outcome::Done);
        let input = match written {
            Ok(()) => JobInput::MetadataPersisted { checkpoint },
            Err(StoreError::Failed(error)) => {
                JobInput::MetadataFailed { checkpoint, message: error.report() }
            }
            Err(StoreError::Unknown(error)) => {
                JobInput::MetadataUnknown { checkpoint, message: error.report() }
            }
        };
        world.send(Way::Storage, Event::ToMaster(input));
        Ok(())
    }

    /// Writes a record, and looks at what that did.
    fn create_metadata(
        &self,
        world: &mut World<'_>,
        kind: CheckpointKind,
        record: &CompletedCheckpoint,
    ) -> Result<Result<(), StoreError>, String> {
        let (job, checkpoint) = (self.planned.spec.job, record.checkpoint);
        let mut written = Ok(());
        if kind.is_savepoint() {
            let relative = record.clone().relative_to(&self.savepoints_in);
            written = complete_savepoint(&relative, &*self.folder, &*self.savepoint_folder);
            if written.is_ok() {
                world.savepoints += 1;
            }
        }
        if kind != CheckpointKind::Savepoint && written.is_ok() {
            let bytes = metadata::encode(record).map_err(|error| error.report())?;
            written = self.folder.create_metadata(checkpoint, &bytes);
            // A plain savepoint commits nothing: for the ledger it does not exist.
            let path = self.folder.record(checkpoint);
            if self.folder.read(&path, None).is_ok_and(|found| found == bytes) {
                world.ledger.completed(job, checkpoint);
                if kind.is_savepoint() {
                    world.stop_recorded((self.savepoints_in.clone(), checkpoint));
                }
                self.must_be_readable(record)?;
            }
        }
        Ok(written)
    }

    /// A completed record names only what exists.
    fn must_be_readable(&self, record: &CompletedCheckpoint) -> Result<(), String> {
        for path in record.files() {
            if self.folder.read(path, None).is_err() {
                let checkpoint = record.checkpoint;
                return Err(format!(
                    "checkpoint {checkpoint} is complete, but {path} is not there"
                ));
            }
        }
        Ok(())
    }

    /// Does everything that the master wants done, unless the process dies meanwhile.
    pub(super) fn perform_effects(&mut self, world: &mut World<'_>) -> Fate {
        let mut fate = Fate::GoesOn;
        while let Some(effect) = self.master.poll_effect() {
            if world.dies_now() {
                return Fate::Dies;
            }
            match effect {
                JobEffect::Deploy { attempt, restore } => {
                    world.trace.line(format_args!("deploy attempt {attempt}"));
                    self.leader.deploy(world, &self.machines, attempt, restore);
                }
                JobEffect::Reattach { attempt } => {
                    world.trace.line(format_args!("reattach attempt {attempt}"));
                }
                JobEffect::Over => world.over(),
                JobEffect::CancelTasks { attempt } => {
                    self.leader.cancel(world, &self.machines, attempt);
                }
                JobEffect::Checkpoint(effect) => {
                    if let Effect::PrepareSavepoint { checkpoint, .. } = &effect {
                        self.savepoints.insert(*checkpoint);
                        world.places.insert(*checkpoint, self.savepoint_folder.clone());
                    }
                    if let Effect::Answer { request: STOP_REQUEST, result: Ok(id) } = &effect {
                        self.stopped_with = Some(*id);
                    }
                    perform_checkpoint(world, &self.leader, effect);
                }
                JobEffect::StopFailed { checkpoint, .. } => {
                    world.trace.line(format_args!("failed after savepoint {checkpoint} to stop"));
                }
                JobEffect::AllRunning { attempt } => {
                    world.trace.line(format_args!("all run, attempt {attempt}"));
                }
                JobEffect::StatusChanged { from, to } => {
                    world.trace.line(format_args!("from {from} to {to}"));
                    let goes_on = (from, to) == (JobStatus::Reconciling, JobStatus::Running);
                    world.reattached += u64::from(goes_on);
                }
                JobEffect::Ended { status, failure } => fate = Fate::Ended(status, failure),
            }
        }
        fate
    }
}

/// What becomes of a process.
pub(super) enum Fate {
    GoesOn,
    Dies,
    Ended(TerminalStatus, Option<String>),
}

fn perform_checkpoint(world: &mut World<'_>, leader: &Leader, effect: Effect) {
    match effect {
        Effect::PrepareLocation { checkpoint } | Effect::PrepareSavepoint { checkpoint, .. } => {
            world.send(Way::Storage, Event::PrepareLocation(checkpoint));
        }
        Effect::TriggerSources { attempt, barrier, tasks } => {
            leader.tell(world, attempt, tasks, Command::TriggerCheckpoint(barrier));
        }
        Effect::PersistMetadata { kind, record, .. } => {
            let delay = world.storage_delay();
            world.send_after(Way::Storage, delay, Event::WriteMetadata(kind, record));
        }
        Effect::NotifyComplete { attempt, checkpoint, tasks } => {
            leader.tell(world, attempt, tasks, Command::NotifyComplete(checkpoint));
        }
        Effect::NotifyAborted { attempt, checkpoint, tasks } => {
            leader.tell(world, attempt, tasks, Command::NotifyAborted(checkpoint));
        }
        Effect::Discard { paths } => {
            let delay = world.storage_delay();
            world.send_after(Way::Storage, delay, Event::Discard(paths));
        }
        Effect::Completed { checkpoint, .. } => {
            world.trace.line(format_args!("completed {checkpoint}"));
        }
        Effect::Failed { checkpoint, reason, .. } => {
            world.trace.line(format_args!("failed {checkpoint}: {reason}"));
        }
        Effect::DiscardSavepoint { checkpoint } => {
            let delay = world.storage_delay();
            let paths =
                vec![format!("{}/{}", world.savepoint_folder(), checkpoint_folder(checkpoint))];
            world.send_after(Way::Storage, delay, Event::Discard(paths));
        }
        Effect::FailJob { .. } | Effect::Stopping { .. } | Effect::Answer { .. } => {}
    }
}

/// What the world does to a write. Only what can be repeated may stay unknown.
fn outcome(world: &mut World<'_>, may_be_unknown: bool) -> Outcome {
    let (failed, unknown) = (world.scenario.store_failed, world.scenario.store_unknown);
    if world.store.permille(failed) {
        Outcome::Failed
    } else if may_be_unknown && world.store.permille(unknown) {
        *world.store.choose(&[Outcome::DoneUnknown, Outcome::LostUnknown])
    } else {
        Outcome::Done
    }
}

/// The name of an input, for the trace: without the bytes that it may carry.
fn name_of(input: &JobInput) -> String {
    let text = format!("{input:?}");
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}
