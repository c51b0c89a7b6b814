//! A run of the JobManager, and the machines that it has: what a crash takes away. The simulator's shell
//! around the machines of `flott-control` and `flott-runtime`; the cluster's processes are the other one.

mod faults;
mod storage;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flott_checkpoint::storage::{CheckpointStorage, checkpoint_folder};
use flott_checkpoint::{CompletedCheckpoint, Effect, TerminalStatus};
use flott_cluster::plan::PlannedJob;
use flott_control::{JobEffect, JobInput, JobMaster, JobStatus, Reattach, WorkerId};
use flott_core::{AttemptNumber, CheckpointId, JobId, MonoTime, Now, TaskId};
use flott_runtime::{Clock, Command, Progress};

use super::clock::SimClock;
use super::leader::Leader;
use super::machines::{MachineEvent, Machines};
use super::storage::JobFolder;
use super::world::{Event, Ghost, Message, Way, World, message};
use storage::outcome;

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
    /// What the JobManager was about to do when it died, or was paused.
    not_done: Option<JobEffect>,
}

impl Process {
    pub(super) fn start(
        world: &mut World,
        job: JobId,
        restored: Option<CompletedCheckpoint>,
        machines: Machines,
    ) -> flott_core::Result<Self> {
        let folder = Arc::new(JobFolder::new(world.disk.clone(), format!("/{job}")));
        let graph = &world.program.graph;
        let mut planned = PlannedJob::new(job, graph, &world.config, restored, folder.clone())?;
        let settings = &mut Arc::make_mut(&mut planned.plan).settings;
        settings.batch_records = world.scenario.batch_records;
        settings.records_at_once = world.scenario.records_at_once;
        settings.state_backend = world.scenario.state_backend();
        let mut leader = Leader::new(world, &planned);
        if let Some(record) = &world.record {
            planned.spec.first_attempt = record.attempt;
            let attempts = record.tasks.iter().map(|(task, owner)| (*task, owner.attempt));
            let attempts = attempts.collect();
            planned.spec.reattach = Some(Reattach { wait: REATTACH_TIMEOUT, attempts });
            leader.reattach(record);
        }
        if let Some(void) = world.void {
            planned.spec.first_checkpoint = void.end();
        }
        let mut master = JobMaster::new(world.leader_now(), planned.spec.clone(), 0);
        master.handle(world.leader_now(), JobInput::Start);
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
            not_done: None,
        })
    }

    /// The savepoint that the job has stopped with, if it has: there is more to do. Whoever wanted it may
    /// not have heard of it, if the JobManager was lost that he had asked.
    pub(super) fn stopped_with(&self, world: &World) -> Option<(String, CheckpointId)> {
        let answered = self.stopped_with.map(|checkpoint| (self.savepoints_in.clone(), checkpoint));
        let newest = world.ledger.newest(self.planned.spec.job);
        let unheard = world.stop_record.clone().filter(|(_, stop)| Some(*stop) == newest);
        answered.or(unheard)
    }

    /// What is left when the JobManager is lost; and what that was, if it is only paused.
    pub(super) fn into_parts(self) -> (Machines, Ghost) {
        (self.machines, Ghost::new(self.master, self.not_done, self.folder))
    }

    /// What somebody says who wants the job to stop.
    pub(super) fn stop_request(&self) -> JobInput {
        let folder = self.savepoints_in.clone();
        JobInput::StopRequested { request: STOP_REQUEST, drain: false, folder }
    }

    /// Where the job's checkpoints are.
    pub(super) fn job_folder(&self) -> &JobFolder {
        &self.folder
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

    pub(super) fn ready_tasks(&self, now: Now) -> Vec<(WorkerId, TaskId)> {
        let all = self.machines.workers.iter();
        let all = all.flat_map(|(id, worker)| worker.tasks.iter().map(move |task| (id, task)));
        let ready = all.filter(|(_, (_, running))| running.is_ready(now.wall));
        let ready = ready.map(|(worker, (task, _))| (*worker, *task));
        ready.filter(|(worker, task)| !self.machines.hangs(*worker, *task, now.mono)).collect()
    }

    /// Whether a task is one of the slow ones.
    pub(super) fn is_slow(&self, world: &World, task: TaskId) -> bool {
        let slow =
            world.scenario.slow_vertex.and_then(|at| self.planned.plan.graph.vertices.get(at));
        slow.is_some_and(|vertex| vertex.id == task.vertex)
    }

    pub(super) fn next_task_time(&self, clock: &SimClock) -> Option<MonoTime> {
        let now = clock.now().mono;
        let all = self.machines.workers.iter();
        let all = all.flat_map(|(id, worker)| worker.tasks.iter().map(move |task| (id, task)));
        let awake = all.filter(|(id, (task, _))| !self.machines.hangs(**id, **task, now));
        let due = awake.filter_map(|(_, (_, running))| running.until());
        let due = due.min().map(|time| clock.mono_of(time));
        due.into_iter().chain(self.machines.hangs_until(now)).min()
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
        world: &mut World,
        (worker, id): (WorkerId, TaskId),
    ) -> Result<(), String> {
        let Some(host) = self.machines.workers.get_mut(&worker) else { return Ok(()) };
        let Some(running) = host.tasks.get_mut(&id) else { return Ok(()) };
        let attempt = running.attempt;
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
                    world.send_after(Way::Storage, delay, Event::WriteSnapshot(worker, pending));
                }
                Message::Unread(groups) => {
                    for group in groups {
                        let delay = world.storage_delay();
                        world.send_after(Way::Storage, delay, Event::ReadState(group));
                    }
                }
            }
        }
        self.machines.send_frames(world);
        Ok(())
    }

    pub(super) fn attempt(&self) -> AttemptNumber {
        self.master.attempt()
    }

    pub(super) fn pending(&self) -> impl Iterator<Item = CheckpointId> {
        self.master.coordinator().pending()
    }

    /// How many tasks the job has.
    pub(super) fn tasks(&self) -> usize {
        self.planned.spec.tasks.len()
    }

    /// Something has arrived.
    pub(super) fn happen(&mut self, world: &mut World, event: Event) -> Result<(), String> {
        match event {
            Event::ToMaster(input) => {
                world.trace.line(format_args!("to master {}", name_of(&input)));
                self.master.handle(world.leader_now(), input);
            }
            Event::Machine(event) => {
                if matches!(event, MachineEvent::Deploy(..)) && world.reads_fail() {
                    self.folder.fail_reads(1);
                }
                self.machines.happen(world, &self.planned, event)?;
            }
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
            Event::WriteSnapshot(worker, pending) => self.write_snapshot(world, worker, pending),
            Event::ReadState(group) => {
                world.trace.line(format_args!("read ahead"));
                group.read();
            }
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
            Event::Ghost(event) => world.ghost(event)?,
        }
        Ok(())
    }

    /// Does everything that the master wants done, unless the process dies meanwhile.
    pub(super) fn perform_effects(&mut self, world: &mut World) -> Result<Fate, String> {
        let mut fate = Fate::GoesOn;
        while let Some(effect) = self.master.poll_effect() {
            if world.dies_now(self.master.status().is_terminal()) {
                self.not_done = Some(effect);
                return Ok(Fate::Dies);
            }
            match effect {
                JobEffect::Deploy { attempt, tasks, restore } => {
                    let count = tasks.len();
                    world.trace.line(format_args!("deploy attempt {attempt} of {count} tasks"));
                    world.partly += u64::from(count < self.tasks());
                    self.must_be_newest(world, restore.as_deref())?;
                    self.leader.deploy(world, &self.machines, attempt, tasks, restore);
                }
                JobEffect::Reattach { attempt } => {
                    world.trace.line(format_args!("reattach attempt {attempt}"));
                }
                JobEffect::Over => world.over(),
                JobEffect::CancelTasks { attempt, tasks } => {
                    self.leader.cancel(world, &self.machines, attempt, tasks);
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
        Ok(fate)
    }

    /// A restart begins at the newest checkpoint whose record exists, and nowhere else.
    fn must_be_newest(
        &self,
        world: &World,
        restore: Option<&CompletedCheckpoint>,
    ) -> Result<(), String> {
        let newest = world.ledger.newest(self.planned.spec.job);
        let from = restore.map(|record| record.checkpoint);
        if newest.is_some() && newest != from {
            return Err(format!("a restart begins at {from:?}, and checkpoint {newest:?} exists"));
        }
        Ok(())
    }
}

/// What becomes of a process.
pub(super) enum Fate {
    GoesOn,
    Dies,
    Ended(TerminalStatus, Option<String>),
}

fn perform_checkpoint(world: &mut World, leader: &Leader, effect: Effect) {
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
        Effect::DiscardClaimed { record } => {
            let delay = world.storage_delay();
            world.send_after(Way::Storage, delay, Event::Discard(world.claimed(&record)));
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

/// The name of an input, for the trace: without the bytes that it may carry.
fn name_of(input: &JobInput) -> String {
    let text = format!("{input:?}");
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}
