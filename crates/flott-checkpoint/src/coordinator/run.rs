//! The tasks of the current attempt, and how near they are to their end.

use std::collections::BTreeMap;

use flott_core::{AttemptNumber, MonoTime, TaskId};

use super::event::TaskInfo;

/// All tasks of an attempt run, or have finished.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) attempt: AttemptNumber,
    pub(super) final_checkpoint: FinalCheckpoint,
    /// The savepoint is complete with which the job stops: its tasks finish.
    pub(super) is_stopping: bool,
    tasks: BTreeMap<TaskId, RunningTask>,
}

#[derive(Debug)]
struct RunningTask {
    info: TaskInfo,
    end_of_data: bool,
    finished: bool,
}

/// The checkpoint that lets tasks at the end of their data commit and finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FinalCheckpoint {
    /// Some task has data left. Ends when none has.
    NotYet,
    /// To be triggered as soon as one may be.
    Due,
    /// Triggered. Ends when it completes or fails.
    UnderWay,
    /// It failed. Ends when the time has come to try again.
    RetryAt(MonoTime),
    /// Completed: the tasks may finish, further periodic checkpoints would tell nothing new.
    Done,
}

impl Run {
    pub(super) fn new(attempt: AttemptNumber, tasks: Vec<TaskInfo>) -> Self {
        let running =
            |info: TaskInfo| (info.id, RunningTask { info, end_of_data: false, finished: false });
        Self {
            attempt,
            final_checkpoint: FinalCheckpoint::NotYet,
            is_stopping: false,
            tasks: tasks.into_iter().map(running).collect(),
        }
    }

    pub(super) fn end_of_data(&mut self, task: TaskId) {
        if let Some(task) = self.tasks.get_mut(&task) {
            task.end_of_data = true;
        }
    }

    pub(super) fn finish(&mut self, task: TaskId) {
        if let Some(task) = self.tasks.get_mut(&task) {
            task.finished = true;
        }
    }

    /// Every task, and whether it has finished.
    pub(super) fn tasks(&self) -> impl Iterator<Item = (&TaskInfo, bool)> {
        self.tasks.values().map(|task| (&task.info, task.finished))
    }

    pub(super) fn is_finished(&self, task: TaskId) -> bool {
        self.tasks.get(&task).is_some_and(|task| task.finished)
    }

    pub(super) fn any_finished(&self) -> bool {
        self.tasks.values().any(|task| task.finished)
    }

    pub(super) fn all_finished(&self) -> bool {
        self.tasks.values().all(|task| task.finished)
    }

    /// Whether a final checkpoint is called for: some task runs and none has data left.
    pub(super) fn is_at_end_of_data(&self) -> bool {
        let mut running = self.tasks.values().filter(|task| !task.finished).peekable();
        running.peek().is_some() && running.all(|task| task.end_of_data)
    }

    /// The running tasks to which no other task can send a barrier.
    pub(super) fn triggers(&self) -> Vec<TaskId> {
        let has_no_running_input = |info: &TaskInfo| {
            info.is_source
                || (!info.inputs.is_empty() && info.inputs.iter().all(|i| self.is_finished(*i)))
        };
        self.tasks
            .values()
            .filter(|task| !task.finished && has_no_running_input(&task.info))
            .map(|task| task.info.id)
            .collect()
    }

    pub(super) fn final_retry_at(&self) -> Option<MonoTime> {
        match self.final_checkpoint {
            FinalCheckpoint::RetryAt(at) => Some(at),
            FinalCheckpoint::NotYet
            | FinalCheckpoint::Due
            | FinalCheckpoint::UnderWay
            | FinalCheckpoint::Done => None,
        }
    }

    pub(super) fn tick(&mut self, now: MonoTime) {
        if self.final_retry_at().is_some_and(|at| at <= now) {
            self.final_checkpoint = FinalCheckpoint::Due;
        }
    }
}
