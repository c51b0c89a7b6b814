//! Tasks of one deployment, stepped by hand until they come to rest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flott_checkpoint::CompletedCheckpoint;
use flott_cluster::plan::{PlannedJob, assign_record};
use flott_core::element::{Barrier, CheckpointKind};
use flott_core::{AttemptNumber, CheckpointId, Error, Result, TaskId, Timestamp, WallTime};
use flott_runtime::KeptStates;
use flott_runtime::build::{Deployment as Plan, build_tasks};
use flott_runtime::restore::{Reads, Source, load_tasks};
use flott_runtime::{Clock, Command, PendingSnapshot, Program, Progress, Task, TaskEvent, Wake};

use super::clock::HandClock;

/// Tasks that are still busy after so many steps will never come to rest.
const STEPS_MAX: usize = 1_000_000;

/// A wake-up that has not been answered yet.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Running {
    task: Task,
    woken: Arc<Flag>,
    progress: Progress,
}

impl Running {
    fn until(&self) -> Option<Timestamp> {
        match self.progress {
            Progress::Idle(until) | Progress::Blocked(until) => until,
            Progress::More | Progress::Done => None,
        }
    }

    fn is_ready(&self, now: WallTime) -> bool {
        self.progress == Progress::More
            || self.woken.0.load(Ordering::Relaxed)
            || self.until().is_some_and(|until| until <= now)
    }
}

pub(super) struct Deployment {
    planned: PlannedJob,
    /// In the order in which they are stepped, without those that have ended.
    tasks: Vec<Running>,
    clock: Arc<HandClock>,
    snapshots: Vec<PendingSnapshot>,
}

impl Deployment {
    /// Builds all tasks, with their state if there is a checkpoint to start from.
    pub(super) fn start(
        (program, planned): (&Program, PlannedJob),
        (restored, reads): (Option<&CompletedCheckpoint>, Reads),
        attempt: AttemptNumber,
        clock: Arc<HandClock>,
        downstream_first: bool,
    ) -> Result<Self> {
        let allow_non_restored = planned.plan.settings.allow_non_restored_state;
        let restored = match restored {
            Some(record) => {
                let assignment = assign_record(record, &planned.plan.graph, allow_non_restored)?;
                let source = Source {
                    storage: &planned.plan.storage,
                    kept: &KeptStates::default(),
                    backend: &planned.plan.settings.state_backend,
                    reads,
                };
                load_tasks(&planned.plan.graph, &assignment, &source, |_| true)?
            }
            None => BTreeMap::new(),
        };
        let ids = planned.spec.tasks.iter().map(|task| task.info.id);
        let flags: BTreeMap<TaskId, Arc<Flag>> =
            ids.map(|id| (id, Arc::new(Flag(AtomicBool::new(true))))).collect();
        let tasks = build_tasks(
            &Plan {
                job: planned.spec.job,
                attempt,
                graph: &planned.plan.graph,
                program,
                settings: &planned.plan.settings,
                clock: clock.clone(),
                wakers: &|id| flags[&id].clone() as Arc<dyn Wake>,
                begins: &|_| true,
                elsewhere: None,
            },
            restored,
        )?;
        let running = tasks.into_iter().map(|task| {
            let woken = flags[&task.id()].clone();
            Running { task, woken, progress: Progress::More }
        });
        let mut tasks: Vec<Running> = running.collect();
        if downstream_first {
            tasks.reverse();
        }
        Ok(Self { planned, tasks, clock, snapshots: Vec::new() })
    }

    pub(super) fn planned(&self) -> &PlannedJob {
        &self.planned
    }

    /// Whether every task has ended.
    pub(super) fn is_over(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Steps tasks until none has anything to do, at the time that it is.
    pub(super) fn settle(&mut self) -> Result<()> {
        let now = self.clock.now().wall;
        for _ in 0..STEPS_MAX {
            let Some(at) = self.tasks.iter().position(|running| running.is_ready(now)) else {
                return Ok(());
            };
            self.step(at)?;
        }
        Err(busy())
    }

    /// Tells every task that there may be something to do, and lets it be done.
    pub(super) fn wake(&mut self) -> Result<()> {
        self.tasks.iter().for_each(|running| running.woken.wake());
        self.settle()
    }

    /// Tells the sources alone, and lets them emit what they can.
    pub(super) fn wake_sources(&mut self) -> Result<()> {
        let (sources, now) = (self.sources(), self.clock.now().wall);
        let is_source = |running: &Running| sources.contains(&running.task.id());
        let all = self.tasks.iter().filter(|running| is_source(running));
        all.for_each(|running| running.woken.wake());
        for _ in 0..STEPS_MAX {
            let mut all = self.tasks.iter();
            let ready = all.position(|running| is_source(running) && running.is_ready(now));
            let Some(at) = ready else { return Ok(()) };
            self.step(at)?;
        }
        Err(busy())
    }

    fn sources(&self) -> Vec<TaskId> {
        let sources = self.planned.spec.tasks.iter().filter(|task| task.info.is_source);
        sources.map(|task| task.info.id).collect()
    }

    /// Lets time pass, with a stop whenever a task wants to be called.
    pub(super) fn advance(&mut self, by: Duration) -> Result<()> {
        let end = self.clock.after(by);
        loop {
            let next = self.tasks.iter().filter_map(Running::until).min();
            match next {
                Some(next) => self.clock.advance_to_wall(next, end),
                None => self.clock.advance_to(end),
            }
            self.settle()?;
            if self.clock.now().mono >= end {
                return Ok(());
            }
        }
    }

    /// Takes a checkpoint of everything that has been released.
    pub(super) fn checkpoint(&mut self, checkpoint: CheckpointId) -> Result<Vec<PendingSnapshot>> {
        let barrier = Barrier {
            kind: CheckpointKind::Checkpoint,
            checkpoint,
            triggered_at: self.clock.now().wall,
            base: None,
            unaligned: self.planned.plan.settings.unaligned_after.is_some(),
        };
        let sources = self.sources();
        for running in self.tasks.iter().filter(|running| sources.contains(&running.task.id())) {
            running.task.mailbox().send(Command::TriggerCheckpoint(barrier));
        }
        self.settle()?;
        let snapshots = std::mem::take(&mut self.snapshots);
        let (found, wanted) = (snapshots.len(), self.planned.spec.tasks.len());
        if found == wanted {
            return Ok(snapshots);
        }
        Err(Error::internal(format!(
            "checkpoint {checkpoint} did not complete: {found} of {wanted} tasks acknowledged it"
        )))
    }

    /// Tells every task that the checkpoint is complete.
    pub(super) fn notify_complete(&mut self, checkpoint: CheckpointId) -> Result<()> {
        for running in &self.tasks {
            running.task.mailbox().send(Command::NotifyComplete(checkpoint));
        }
        self.settle()
    }

    /// Tells every task that the checkpoint will not complete.
    pub(super) fn notify_aborted(&mut self, checkpoint: CheckpointId) -> Result<()> {
        for running in &self.tasks {
            running.task.mailbox().send(Command::NotifyAborted(checkpoint));
        }
        self.settle()
    }

    fn step(&mut self, at: usize) -> Result<()> {
        let running = &mut self.tasks[at];
        running.woken.0.store(false, Ordering::Relaxed);
        running.progress = running.task.step();
        let events = running.task.take_events();
        if running.progress == Progress::Done {
            self.tasks.remove(at);
        }
        for event in events {
            match event {
                TaskEvent::Snapshot(snapshot) => self.snapshots.push(snapshot),
                TaskEvent::Failed { error, .. } => return Err(error),
                TaskEvent::Declined(checkpoint) => {
                    return Err(Error::internal(format!("checkpoint {checkpoint} was declined")));
                }
                // They are read when they are needed, and not before.
                TaskEvent::Unread(_)
                | TaskEvent::Running
                | TaskEvent::EndOfData
                | TaskEvent::Finished
                | TaskEvent::Canceled => {}
            }
        }
        Ok(())
    }
}

fn busy() -> Error {
    Error::invalid(format!(
        "the tasks are still busy after {STEPS_MAX} steps: is there a timer that is always due?"
    ))
}
