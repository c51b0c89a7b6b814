//! The tasks of one attempt.

use std::collections::BTreeMap;

use flott_core::{Now, TaskId, WallTime};

use super::spec::TaskSpec;
use super::status::ExecutionState;

/// A task, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskView<'a> {
    /// Which.
    pub id: TaskId,
    /// Its name, with its number.
    pub name: &'a str,
    /// Where it is.
    pub state: ExecutionState,
    /// Since when.
    pub since: WallTime,
    /// Whether it has processed all of its data.
    pub end_of_data: bool,
}

#[derive(Debug)]
pub(super) struct Tasks(BTreeMap<TaskId, Task>);

#[derive(Debug)]
struct Task {
    name: String,
    state: ExecutionState,
    since: WallTime,
    end_of_data: bool,
}

impl Tasks {
    /// The tasks of a new attempt, all on their way.
    pub(super) fn new(now: Now, specs: &[TaskSpec]) -> Self {
        let task = |spec: &TaskSpec| {
            let (name, state) = (spec.name.clone(), ExecutionState::Created);
            (spec.info.id, Task { name, state, since: now.wall, end_of_data: false })
        };
        Self(specs.iter().map(task).collect())
    }

    /// They are to be deployed.
    pub(super) fn scheduled(&mut self) {
        for task in self.0.values_mut() {
            task.state = ExecutionState::Scheduled;
        }
    }

    /// They are on their way: those that still wait for that.
    pub(super) fn deploying(&mut self, now: Now) {
        let waiting = self.0.values_mut().filter(|task| task.state == ExecutionState::Scheduled);
        waiting.for_each(|task| (task.state, task.since) = (ExecutionState::Deploying, now.wall));
    }

    pub(super) fn views(&self) -> impl Iterator<Item = TaskView<'_>> {
        self.0.iter().map(|(id, Task { name, state, since, end_of_data })| TaskView {
            id: *id,
            name,
            state: *state,
            since: *since,
            end_of_data: *end_of_data,
        })
    }

    pub(super) fn contains(&self, task: TaskId) -> bool {
        self.0.contains_key(&task)
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
            (task.state, task.since) = (state, now.wall);
        }
        is_new
    }

    /// Tells every task that is not out to end; false if all are out.
    pub(super) fn cancel(&mut self, now: Now) -> bool {
        let open = self.0.values_mut().filter(|task| !task.state.is_out());
        let told =
            open.map(|task| (task.state, task.since) = (ExecutionState::Canceling, now.wall));
        told.count() > 0
    }

    /// The job ends before anything was deployed.
    pub(super) fn none_deployed(&mut self, now: Now) {
        for task in self.0.values_mut() {
            (task.state, task.since) = (ExecutionState::Canceled, now.wall);
        }
    }

    pub(super) fn all_out(&self) -> bool {
        self.0.values().all(|task| task.state.is_out())
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
