//! What can go wrong with the machines of a process, and where a job is then.

use flott_control::{ExecutionState, JobStatus, WorkerId};
use flott_core::{AttemptNumber, TaskId};

use super::super::world::{World, injected};
use super::Process;

impl Process {
    /// A task dies where it is.
    pub(in super::super) fn fail_task(
        &mut self,
        world: &mut World,
        (worker, id): (WorkerId, TaskId),
    ) {
        world.trace.line(format_args!("failure of {id}"));
        if let Some(host) = self.machines.workers.get_mut(&worker)
            && let Some(running) = host.tasks.remove(&id)
        {
            let failed = injected(running.attempt, id);
            self.machines.say(world, worker, failed);
        }
    }

    /// Something happens to a machine.
    pub(in super::super) fn fail_machine(&mut self, world: &mut World) {
        if let Some(host) = self.machines.fail(world) {
            self.leader.host_lost(world, host);
        }
    }

    /// Machines of the task with this uid die.
    pub(in super::super) fn kill_host_of(&mut self, world: &mut World, uid: &str) {
        let operator = self.planned.spec.operators.iter().find(|operator| operator.uid == uid);
        let id = operator.map(|operator| operator.id);
        let tasks = self.planned.spec.tasks.iter().map(|task| &task.info);
        let mut tasks = tasks.filter(|info| id.is_some_and(|id| info.operators.contains(&id)));
        let worker = tasks.next().and_then(|info| self.leader.owner_of(info.id));
        if let Some(host) = self.machines.host_of(world, worker) {
            self.machines.kill_host(world, host);
            self.leader.host_lost(world, host);
        }
        self.machines.send_frames(world);
    }

    pub(in super::super) fn kill_worker(&mut self, world: &mut World) {
        if let Some(worker) = self.machines.any_worker(world) {
            self.machines.kill_worker(world, worker);
        }
        self.machines.send_frames(world);
    }

    pub(in super::super) fn take_for_lost(&mut self, world: &mut World) {
        if let Some(worker) = self.machines.any_worker(world) {
            self.machines.take_for_lost(world, worker);
        }
    }

    pub(in super::super) fn cut_links(&mut self, world: &mut World) {
        if let Some(worker) = self.machines.any_worker(world) {
            self.machines.cut_links(world, worker, None);
        }
    }

    pub(in super::super) fn partition(&mut self, world: &mut World) {
        if let Some(host) = self.machines.host_of(world, None) {
            self.machines.partition(world, host);
            self.leader.host_lost(world, host);
        }
    }

    pub(in super::super) fn hang(&mut self, world: &mut World) {
        self.machines.hang(world);
    }

    /// So many reads of the job's state fail next.
    pub(in super::super) fn fail_reads(&self, count: u32) {
        self.folder.fail_reads(count);
    }

    /// Some task fails. False if there is none.
    pub(in super::super) fn fail_any_task(&mut self, world: &mut World) -> bool {
        let tasks = self.machines.workers.iter();
        let tasks = tasks.flat_map(|(id, worker)| worker.tasks.keys().map(|task| (*id, *task)));
        let task = tasks.last();
        task.into_iter().for_each(|task| self.fail_task(world, task));
        task.is_some()
    }

    /// Whether every task runs.
    pub(in super::super) fn all_run(&self) -> bool {
        let mut tasks = self.master.tasks();
        self.master.status() == JobStatus::Running
            && tasks.all(|task| task.state == ExecutionState::Running)
    }

    /// Whether the job is on its way back from the failure of this attempt.
    pub(in super::super) fn recovers_from(&self, attempt: AttemptNumber) -> bool {
        let status = self.master.status();
        let is_over = self.master.attempt() > attempt && self.all_run();
        !status.is_terminal()
            && !is_over
            && (status != JobStatus::Running || attempt < self.attempt())
    }
}
