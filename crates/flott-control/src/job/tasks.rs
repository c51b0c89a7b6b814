//! The tasks of a job, each in the attempt that it began with.

use std::collections::{BTreeMap, BTreeSet};

use flott_core::{AttemptNumber, Now, TaskId, WallTime};

use super::spec::TaskSpec;
use super::status::ExecutionState;

/// A task, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskView<'a> {
    /// Which.
    pub id: TaskId,
    /// Its name, with its number.
    pub name: &'a str,
    /// The attempt that it began with.
    pub attempt: AttemptNumber,
    /// Where it is.
    pub state: ExecutionState,
    /// Since when.
    pub since: WallTime,
    /// When it entered each state that it has been in, in this attempt.
    pub entered: &'a BTreeMap<ExecutionState, WallTime>,
    /// Whether it has processed all of its data.
    pub end_of_data: bool,
}

#[derive(Debug)]
pub(super) struct Tasks(BTreeMap<TaskId, Task>);

#[derive(Debug)]
struct Task {
    name: String,
    attempt: AttemptNumber,
    state: ExecutionState,
    since: WallTime,
    entered: BTreeMap<ExecutionState, WallTime>,
    end_of_data: bool,
}

impl Task {
    fn new(name: String, attempt: AttemptNumber, state: ExecutionState, now: Now) -> Self {
        let entered = [(state, now.wall)].into();
        Self { name, attempt, state, since: now.wall, entered, end_of_data: false }
    }

    fn enter(&mut self, state: ExecutionState, now: Now) {
        (self.state, self.since) = (state, now.wall);
        self.entered.insert(state, now.wall);
    }
}

impl Tasks {
    /// The tasks of a job, of which none is deployed.
    pub(super) fn new(now: Now, specs: &[TaskSpec]) -> Self {
        let task = |spec: &TaskSpec| {
            let (name, attempt) = (spec.name.clone(), AttemptNumber::default());
            (spec.info.id, Task::new(name, attempt, ExecutionState::Created, now))
        };
        Self(specs.iter().map(task).collect())
    }

    /// Some are to be deployed, each anew.
    pub(super) fn scheduled(
        &mut self,
        now: Now,
        tasks: impl IntoIterator<Item = (TaskId, AttemptNumber)>,
    ) {
        for (id, attempt) in tasks {
            if let Some(task) = self.0.get_mut(&id) {
                let name = std::mem::take(&mut task.name);
                *task = Task::new(name, attempt, ExecutionState::Scheduled, now);
            }
        }
    }

    /// They are on their way: those that still wait for that.
    pub(super) fn deploying(&mut self, now: Now) {
        let waiting = self.0.values_mut().filter(|task| task.state == ExecutionState::Scheduled);
        waiting.for_each(|task| task.enter(ExecutionState::Deploying, now));
    }

    pub(super) fn views(&self) -> impl Iterator<Item = TaskView<'_>> {
        self.0.iter().map(|(id, task)| TaskView {
            id: *id,
            name: &task.name,
            attempt: task.attempt,
            state: task.state,
            since: task.since,
            entered: &task.entered,
            end_of_data: task.end_of_data,
        })
    }

    /// The attempt that a task of this job began with.
    pub(super) fn attempt_of(&self, task: TaskId) -> Option<AttemptNumber> {
        self.0.get(&task).map(|task| task.attempt)
    }

    /// Those that began with an attempt.
    pub(super) fn of(&self, attempt: AttemptNumber) -> BTreeSet<TaskId> {
        let own = self.0.iter().filter(|(_, task)| task.attempt == attempt);
        own.map(|(id, _)| *id).collect()
    }

    /// Those that do not run yet.
    pub(super) fn on_their_way(&self) -> BTreeSet<TaskId> {
        use ExecutionState::{Created, Deploying, Scheduled};
        let waiting = self.0.iter();
        let waiting =
            waiting.filter(|(_, task)| matches!(task.state, Created | Scheduled | Deploying));
        waiting.map(|(id, _)| *id).collect()
    }

    pub(super) fn name(&self, task: TaskId) -> Option<&str> {
        self.0.get(&task).map(|task| task.name.as_str())
    }

    pub(super) fn is_canceling(&self, task: TaskId) -> bool {
        self.0.get(&task).is_some_and(|task| task.state == ExecutionState::Canceling)
    }

    pub(super) fn end_of_data(&mut self, task: TaskId) {
        if let Some(task) = self.0.get_mut(&task) {
            task.end_of_data = true;
        }
    }

    /// Changes a task's state; false if it is out already, or told to end and now says that it
    /// runs.
    pub(super) fn change(&mut self, now: Now, task: TaskId, state: ExecutionState) -> bool {
        let Some(task) = self.0.get_mut(&task) else { return false };
        let is_new = match task.state {
            ExecutionState::Created | ExecutionState::Scheduled | ExecutionState::Deploying => true,
            ExecutionState::Running | ExecutionState::Canceling => state.is_out(),
            ExecutionState::Finished | ExecutionState::Canceled | ExecutionState::Failed => false,
        };
        if is_new {
            task.enter(state, now);
        }
        is_new
    }

    /// Tells those of these tasks to end that are not out, and were not told; says which.
    pub(super) fn cancel(&mut self, now: Now, tasks: &BTreeSet<TaskId>) -> BTreeSet<TaskId> {
        let open = self.0.iter_mut().filter(|(id, task)| {
            tasks.contains(id) && !task.state.is_out() && task.state != ExecutionState::Canceling
        });
        let told = open.map(|(id, task)| {
            task.enter(ExecutionState::Canceling, now);
            *id
        });
        told.collect()
    }

    /// The job ends before anything was deployed.
    pub(super) fn none_deployed(&mut self, now: Now) {
        for task in self.0.values_mut() {
            task.enter(ExecutionState::Canceled, now);
        }
    }

    pub(super) fn all_out(&self) -> bool {
        self.0.values().all(|task| task.state.is_out())
    }

    /// Whether some task has finished, and not because its data has ended.
    pub(super) fn any_stopped(&self) -> bool {
        let mut tasks = self.0.values();
        tasks.any(|task| task.state == ExecutionState::Finished && !task.end_of_data)
    }

    /// Whether all of these are out.
    pub(super) fn are_out(&self, tasks: &BTreeSet<TaskId>) -> bool {
        tasks.iter().filter_map(|id| self.0.get(id)).all(|task| task.state.is_out())
    }

    pub(super) fn all_finished(&self) -> bool {
        self.0.values().all(|task| task.state == ExecutionState::Finished)
    }

    /// Whether every task runs or has finished.
    pub(super) fn all_started(&self) -> bool {
        let mut states = self.0.values().map(|task| task.state);
        states.all(|state| matches!(state, ExecutionState::Running | ExecutionState::Finished))
    }
}
