//! What the JobManager that leads knows of machines, and what is lost with it: who has which slots, and
//! where tasks run. The simulator's shell around `Slots` and `Placement`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flott_checkpoint::CompletedCheckpoint;
use flott_cluster::plan::PlannedJob;
use flott_control::{
    Assignment, Failure, JobInput, Placement, PlacementEffect, PlacementInput, SlotConfig,
    SlotEffect, Slots, TaskManagerId, WorkerId,
};
use flott_core::{AttemptNumber, JobId, TaskId};
use flott_runtime::Command;

use super::machines::{Host, LeaderEvent, MachineEvent, Machines, Order};
use super::world::{Event, JobRecord, Way, World};

/// So many numbers a JobManager has for its workers.
const WORKERS_EACH: u32 = 10_000;

pub(super) struct Leader {
    job: JobId,
    slots: Slots,
    slots_each: u32,
    hosts: BTreeMap<TaskManagerId, Host>,
    next_task_manager: u32,
    placement: Placement,
    attempt: AttemptNumber,
    /// Who runs what.
    owners: Arc<BTreeMap<TaskId, Assignment>>,
    /// Workers that another JobManager has started, with their numbers of slots.
    awaited: BTreeMap<WorkerId, u32>,
}

impl Leader {
    pub(super) fn new(world: &World, planned: &PlannedJob) -> Self {
        let placement =
            Placement::new(&planned.plan.graph, WorkerId(world.starts as u32 * WORKERS_EACH));
        let config = SlotConfig {
            request_timeout: Duration::from_secs(86_400),
            spread_out: world.scenario.spread_out,
        };
        Self {
            job: planned.spec.job,
            slots: Slots::new(config),
            slots_each: (placement.slots_needed() as u32).div_ceil(world.scenario.task_managers),
            hosts: BTreeMap::new(),
            next_task_manager: 0,
            placement,
            attempt: AttemptNumber::default(),
            owners: Arc::default(),
            awaited: BTreeMap::new(),
        }
    }

    pub(super) fn deploy(
        &mut self,
        world: &mut World,
        machines: &Machines,
        attempt: AttemptNumber,
        tasks: BTreeSet<TaskId>,
        restore: Option<Arc<CompletedCheckpoint>>,
    ) {
        self.awaited.clear();
        self.placement.deploy(attempt, tasks, restore);
        self.perform(world, machines);
    }

    /// Waits for the workers of the attempt that another JobManager has deployed.
    pub(super) fn reattach(&mut self, record: &JobRecord) {
        self.attempt = record.attempt;
        self.owners = record.tasks.clone();
        self.awaited = self.placement.slots_of(&record.tasks);
        self.placement.reattach(record.attempt, record.tasks.clone());
    }

    pub(super) fn cancel(
        &mut self,
        world: &mut World,
        machines: &Machines,
        attempt: AttemptNumber,
        tasks: BTreeSet<TaskId>,
    ) {
        // Those that are not waited for any more do not come back.
        self.awaited.clear();
        self.placement.cancel(attempt, tasks);
        self.perform(world, machines);
    }

    /// Tells tasks of an attempt; sometimes twice.
    pub(super) fn tell(
        &self,
        world: &mut World,
        attempt: AttemptNumber,
        tasks: Vec<TaskId>,
        command: Command,
    ) {
        for task in tasks {
            if let Some(worker) = self.owner_of(task).filter(|_| attempt == self.attempt) {
                for _ in 0..world.copies() {
                    let tell = MachineEvent::Tell(worker, attempt, task, command);
                    world.send(Way::ToWorker(worker), Event::Machine(tell));
                }
            }
        }
    }

    /// The worker that runs a task.
    pub(super) fn owner_of(&self, task: TaskId) -> Option<WorkerId> {
        self.owners.get(&task).map(|owner| owner.worker)
    }

    /// Something is heard of machines.
    pub(super) fn happen(&mut self, world: &mut World, machines: &Machines, event: LeaderEvent) {
        match event {
            LeaderEvent::Placement(input) => self.placement.handle(input),
            LeaderEvent::Registered(host) => {
                if machines.hosts.contains(&host) {
                    self.registered(world, machines, host);
                }
            }
            LeaderEvent::Lost(task_manager) => self.slots.lost(task_manager),
        }
        self.perform(world, machines);
    }

    /// A host is gone: that is seen, if it was known.
    pub(super) fn host_lost(&mut self, world: &mut World, host: Host) {
        let mut known = self.hosts.iter().filter(|(_, other)| **other == host);
        if let Some((task_manager, _)) = known.next() {
            let lost = Event::Leader(LeaderEvent::Lost(*task_manager));
            world.send(Way::FromHost(host), lost);
        }
    }

    /// A TaskManager comes, perhaps with workers of another JobManager.
    fn registered(&mut self, world: &mut World, machines: &Machines, host: Host) {
        let task_manager = TaskManagerId(self.next_task_manager);
        self.next_task_manager += 1;
        self.hosts.insert(task_manager, host);
        let workers = machines.workers_on(host);
        let kept = workers.iter().filter_map(|id| Some((*id, self.awaited.remove(id)?)));
        let kept: Vec<(WorkerId, u32)> = kept.collect();
        let taken = kept.iter().map(|(_, slots)| (self.job, *slots)).collect();
        self.slots.offer(task_manager, self.slots_each, taken);
        for worker in workers {
            if kept.iter().any(|(id, _)| *id == worker) {
                self.placement.handle(PlacementInput::WorkerKept { worker, task_manager });
            } else {
                let stop = Event::Machine(MachineEvent::StopWorker(worker));
                world.send(Way::ToHost(host), stop);
            }
        }
    }

    /// Does what placement and slots want done.
    fn perform(&mut self, world: &mut World, machines: &Machines) {
        loop {
            if let Some(effect) = self.placement.poll_effect() {
                self.perform_placement(world, machines, effect);
                continue;
            }
            match self.slots.poll_effect() {
                Some(SlotEffect::Granted { slots, .. }) => {
                    self.placement.handle(PlacementInput::SlotsGranted { slots });
                }
                Some(SlotEffect::Lost { task_manager, .. }) => {
                    let why = "it was killed".to_owned();
                    self.placement.handle(PlacementInput::TaskManagerLost { task_manager, why });
                }
                Some(SlotEffect::Refused { message, .. }) => {
                    self.placement.handle(PlacementInput::SlotsRefused { message });
                }
                None => break,
            }
        }
    }

    fn perform_placement(
        &mut self,
        world: &mut World,
        machines: &Machines,
        effect: PlacementEffect,
    ) {
        let job = self.job;
        match effect {
            PlacementEffect::RequestSlots { count } => {
                self.slots.request(world.now().mono, job, count);
            }
            PlacementEffect::ReturnSlots { task_manager, count } => {
                self.slots.give_back(job, task_manager, count);
            }
            PlacementEffect::ReleaseSlots => self.slots.release(job),
            PlacementEffect::StartWorker { task_manager, worker } => {
                if let Some(host) = self.hosts.get(&task_manager) {
                    let start = MachineEvent::StartWorker(*host, worker);
                    world.send(Way::ToHost(*host), Event::Machine(start));
                }
            }
            PlacementEffect::StopWorker { worker, .. } => {
                let delay = world.storage_delay();
                let stop = Event::Machine(MachineEvent::StopWorker(worker));
                world.send_after(Way::ToWorker(worker), delay, stop);
            }
            PlacementEffect::Deploy { attempt, restore, tasks } => {
                if !world.write_job_record(attempt, &tasks) {
                    let failure = Failure::new("the job's record cannot be written");
                    self.placement.handle(PlacementInput::NotDeployed { attempt, failure });
                    return;
                }
                self.attempt = attempt;
                self.owners = tasks.clone();
                let order = Arc::new(Order { attempt, restore, tasks });
                let told: BTreeSet<WorkerId> =
                    order.tasks.values().map(|owner| owner.worker).collect();
                for worker in told {
                    let deploy = MachineEvent::Deploy(worker, order.clone());
                    world.send(Way::ToWorker(worker), Event::Machine(deploy));
                }
            }
            PlacementEffect::CancelTasks { attempt, tasks } => {
                for worker in machines.workers.keys() {
                    let is_there = |task: &TaskId| self.owner_of(*task) == Some(*worker);
                    let own: Vec<TaskId> = tasks.iter().copied().filter(is_there).collect();
                    if !own.is_empty() {
                        let cancel = MachineEvent::Cancel(*worker, attempt, own);
                        world.send(Way::ToWorker(*worker), Event::Machine(cancel));
                    }
                }
            }
            PlacementEffect::Job(input) => self.tell_master(world, input),
        }
    }

    fn tell_master(&self, world: &mut World, input: JobInput) {
        world.send(Way::Storage, Event::ToMaster(input));
    }
}
