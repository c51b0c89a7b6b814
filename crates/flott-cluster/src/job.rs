//! One job: the loop that feeds its job master and performs what that decides.

mod checkpoint;
mod look_up;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use flott_checkpoint::coordinator::CheckpointStatus;
use flott_checkpoint::{CompletedCheckpoint, TerminalStatus};
use flott_control::view::JobView;
use flott_control::{JobEffect, JobInput, JobMaster, JobSpec, JobStatus};
use flott_core::accumulator::merged;
use flott_core::metrics::TaskMetrics;
use flott_core::{AttemptNumber, CheckpointId, Error, ErrorKind, Now, Result, TaskId};
use flott_datastream::{CheckpointSummary, JobExecutionResult};
use flott_runtime::{Clock, Command, StateLookUp};
use tracing::{info, warn};

use crate::io::IoPool;
use crate::jobs::Jobs;
use crate::logging;
use crate::plan::PlannedJob;
use crate::storage::savepoint::Savepoints;
use crate::tasks::Report;
use crate::view::{Publisher, Views};
use checkpoint::{location, summary};
pub(crate) use look_up::{JobLookUp, SendLookUp};

/// Threads that write checkpoints: one can be busy with a large state while others go on.
pub(crate) const IO_THREADS: usize = 2;

/// Where the tasks of a job are, and how to reach them.
pub(crate) trait Workplace {
    /// What can happen there, beside what tasks report.
    type Event: Send + 'static;

    /// Begins an attempt with these tasks, and the state of `restore`.
    fn deploy(
        &mut self,
        attempt: AttemptNumber,
        tasks: BTreeSet<TaskId>,
        restore: Option<Arc<CompletedCheckpoint>>,
    );

    /// Waits for the tasks of an attempt that another process has deployed.
    fn reattach(&mut self, attempt: AttemptNumber);

    /// Cancels tasks, at this newest attempt.
    fn cancel(&mut self, attempt: AttemptNumber, tasks: BTreeSet<TaskId>);

    /// Tells tasks, at this newest attempt.
    fn tell(&mut self, attempt: AttemptNumber, tasks: &[TaskId], command: Command);

    /// Has a task look into its state.
    fn look_up(&mut self, task: TaskId, look_up: StateLookUp);

    /// A checkpoint that is about to be triggered is a savepoint, in this folder, a path or a URL.
    fn savepoint(&mut self, checkpoint: CheckpointId, folder: &str);

    /// Takes in what happened.
    fn handle(&mut self, event: Self::Event);

    /// What the tasks count.
    fn metrics(&self) -> &BTreeMap<TaskId, TaskMetrics>;

    /// The TaskManager that a task is on, as people call it.
    fn task_manager_of(&self, task: TaskId) -> Option<String>;

    /// What a deployment waits for, in words.
    fn waiting_for(&self) -> Option<String>;

    /// The job is over. Whether nobody will start it again: then its checkpoints may be deleted.
    fn over(&mut self) -> bool;

    /// Nothing is left to do.
    fn end(&mut self);
}

/// What a runner waits for.
pub(crate) enum Input<E> {
    /// For the job's master.
    Job(JobInput),
    /// For the workplace.
    Workplace(E),
    /// For a task.
    LookUp(JobLookUp),
}

/// Runs one job from its start to its end, on the thread that calls [`JobRunner::run`].
pub(crate) struct JobRunner<W: Workplace> {
    planned: PlannedJob,
    master: JobMaster,
    clock: Arc<dyn Clock>,
    inputs: Receiver<Input<W::Event>>,
    sender: Sender<Input<W::Event>>,
    workplace: W,
    jobs: Jobs,
    savepoints: Savepoints,
    publisher: Option<Publisher>,
    io: Arc<IoPool>,
    fence: Fence,
    /// The job is over here, but perhaps not for others.
    keeps_files: bool,
}

/// Returns if what was written before may be acted on: nobody else has the job.
pub(crate) type Fence = Arc<dyn Fn() -> Result<()> + Send + Sync>;

/// What a runner shares with the rest of its process.
pub(crate) struct Surroundings {
    pub(crate) clock: Arc<dyn Clock>,
    /// Those who asked for checkpoints are answered by it.
    pub(crate) jobs: Jobs,
    /// What the job looks like is published here.
    pub(crate) views: Option<Views>,
    pub(crate) io: Arc<IoPool>,
    /// Where its savepoints are.
    pub(crate) savepoints: Savepoints,
    pub(crate) fence: Fence,
}

/// The way into a runner that is yet to be made.
pub(crate) struct Inputs<E> {
    pub(crate) sender: Sender<Input<E>>,
    receiver: Receiver<Input<E>>,
}

impl<E: Send + 'static> Inputs<E> {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = channel();
        Self { sender, receiver }
    }

    /// Takes what is to reach the job's master. After the end of the job nobody listens any more.
    pub(crate) fn report(&self) -> Report {
        let sender = self.sender.clone();
        Arc::new(move |input| drop(sender.send(Input::Job(input))))
    }

    /// Takes what is to reach a task.
    pub(crate) fn look_up(&self) -> SendLookUp {
        let sender = self.sender.clone();
        Arc::new(move |look_up| drop(sender.send(Input::LookUp(look_up))))
    }
}

impl<W: Workplace> JobRunner<W> {
    /// A runner of a job whose tasks will be at `workplace`. It starts with [`JobRunner::run`].
    pub(crate) fn new(
        planned: PlannedJob,
        workplace: W,
        inputs: Inputs<W::Event>,
        surroundings: Surroundings,
    ) -> Self {
        let Surroundings { clock, jobs, views, io, savepoints, fence } = surroundings;
        let now = clock.now();
        let seed = planned.spec.job.as_u128() as u64;
        Self {
            master: JobMaster::new(now, planned.spec.clone(), seed),
            publisher: views.map(|views| Publisher::new(views, &planned)),
            planned,
            workplace,
            jobs,
            savepoints,
            io,
            fence,
            keeps_files: false,
            clock,
            inputs: inputs.receiver,
            sender: inputs.sender,
        }
    }

    /// Shows the job before it runs: whoever has been told of it finds it.
    pub(crate) fn publish_first(&mut self) {
        self.publish();
    }

    /// Runs the job to its end.
    ///
    /// # Errors
    /// If the job fails: the message is that of the failure that ended it.
    pub(crate) fn run(mut self) -> Result<JobExecutionResult> {
        let _about = logging::of_job(self.planned.spec.job, &self.planned.spec.name).entered();
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
                Some(Input::Job(mut input)) => {
                    if let JobInput::TaskFailed { task, failure, .. } = &mut input {
                        failure.endpoint = self.workplace.task_manager_of(*task);
                    }
                    self.master.handle(now, input);
                }
                Some(Input::Workplace(event)) => self.workplace.handle(event),
                Some(Input::LookUp(look_up)) => {
                    let graph = &self.planned.plan.graph;
                    if let Some((task, look_up)) = look_up.ask(graph, self.sender.clone()) {
                        self.workplace.look_up(task, look_up);
                    }
                }
                None => self.master.handle_timeout(now),
            }
        };
        self.workplace.end();
        self.publish();
        match status {
            TerminalStatus::Finished | TerminalStatus::Canceled => Ok(JobExecutionResult {
                job: self.planned.spec.job,
                net_runtime: self.clock.now().mono.since(started.mono),
                cancelled: status == TerminalStatus::Canceled,
                checkpoints: self.checkpoints(),
                accumulators: merged(
                    self.workplace.metrics().values().map(|metrics| &metrics.accumulators),
                ),
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
            let waiting_for = self.workplace.waiting_for();
            publisher.publish(now, &self.master, |description| {
                let (metrics, place) =
                    (self.workplace.metrics(), |task| self.workplace.task_manager_of(task));
                let view = JobView::new(&self.master, description, metrics, place, location);
                JobView { waiting_for, ..view }
            });
        }
    }

    /// The next input; nothing if a time-out of the master comes first, or the time to publish.
    fn wait(&self) -> Option<Input<W::Event>> {
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
                JobEffect::Deploy { attempt, tasks, restore } => {
                    let JobSpec { job, tasks: all, .. } = &self.planned.spec;
                    let (count, of) = (tasks.len(), all.len());
                    let from = restore.as_ref().map(|record| record.checkpoint.to_string());
                    let from =
                        from.map_or("the beginning".to_owned(), |id| format!("checkpoint {id}"));
                    info!(
                        "Attempt {attempt} of job {job} begins with {count} of {of} tasks, from {from}."
                    );
                    self.workplace.deploy(attempt, tasks, restore);
                }
                JobEffect::Reattach { attempt } => self.workplace.reattach(attempt),
                JobEffect::Over => self.keeps_files = !self.workplace.over(),
                JobEffect::CancelTasks { attempt, tasks } => self.workplace.cancel(attempt, tasks),
                JobEffect::Checkpoint(effect) => self.perform_checkpoint(effect),
                JobEffect::AllRunning { attempt } => {
                    let JobSpec { name, job, tasks, .. } = &self.planned.spec;
                    info!(
                        "All {} tasks of job {name} ({job}) run, the newest attempt is {attempt}.",
                        tasks.len()
                    );
                }
                JobEffect::StopFailed { request, checkpoint } => {
                    self.stop_failed(request, checkpoint);
                }
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

    fn log_newest_failure(&self, to: JobStatus) {
        if matches!(to, JobStatus::Restarting | JobStatus::Failing)
            && let Some(entry) = self.master.exceptions().entries().next()
        {
            let task = entry.task_name.as_deref().unwrap_or("the job");
            warn!("{task} failed: {}", entry.failure.message);
        }
    }
}
