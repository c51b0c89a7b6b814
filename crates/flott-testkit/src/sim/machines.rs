//! The simulated machines of a run: TaskManagers with slots, workers with tasks, and the links between
//! them. The simulator's shell around `Slots`, `Placement`, `Exchange` and `Task`; the cluster's
//! processes are the other one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flott_checkpoint::CompletedCheckpoint;
use flott_cluster::plan::{PlannedJob, assign_record};
use flott_control::{
    Failure, JobInput, Placement, PlacementEffect, PlacementInput, SlotConfig, SlotEffect, Slots,
    TaskManagerId, WorkerId,
};
use flott_core::{AttemptNumber, Error, ErrorKind, Result, TaskId, Timestamp};
use flott_runtime::build::{Deployment, Elsewhere, build_tasks};
use flott_runtime::exchange::{Exchange, Frame, Link};
use flott_runtime::restore::load_tasks;
use flott_runtime::{Command, Mailbox, Progress, Task, Wake};

use super::world::{Event, Way, World};

/// What tasks say whose link is lost.
pub(super) const LINK_LOST: &str = "the simulated link is lost";

/// A wake-up that has not been answered yet.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(super) struct Running {
    pub(super) task: Task,
    mailbox: Mailbox,
    woken: Arc<Flag>,
    pub(super) progress: Progress,
}

impl Running {
    pub(super) fn is_ready(&self, now: Timestamp) -> bool {
        self.progress == Progress::More
            || self.woken.0.load(Ordering::Relaxed)
            || self.until().is_some_and(|until| until <= now)
    }

    pub(super) fn until(&self) -> Option<Timestamp> {
        match self.progress {
            Progress::Idle(until) | Progress::Blocked(until) => until,
            Progress::More | Progress::Done => None,
        }
    }

    pub(super) fn step(&mut self) {
        self.woken.0.store(false, Ordering::Relaxed);
        self.progress = self.task.step();
    }
}

/// A worker process.
#[derive(Default)]
pub(super) struct Worker {
    task_manager: Option<TaskManagerId>,
    pub(super) attempt: AttemptNumber,
    pub(super) tasks: BTreeMap<TaskId, Running>,
    exchange: Exchange,
    /// Tasks of a deployment that failed.
    missing: Vec<TaskId>,
}

/// A connection between two workers. Its ends are links with the numbers `2n` and `2n + 1`.
struct Connection {
    ends: [WorkerId; 2],
    is_open: bool,
}

/// Frames that wait to be put on their way, with the number of the link that they were sent on.
type Outbox = Arc<Mutex<Vec<(u64, Frame)>>>;

struct SimLink {
    number: u64,
    outbox: Outbox,
}

impl Link for SimLink {
    fn number(&self) -> u64 {
        self.number
    }

    fn send(&self, frame: Frame) {
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        outbox.push((self.number, frame));
    }
}

/// What a worker is told to run.
pub(super) struct Order {
    attempt: AttemptNumber,
    restore: Option<Arc<CompletedCheckpoint>>,
    workers: Arc<BTreeMap<TaskId, WorkerId>>,
}

/// What happens between the master and the machines.
pub(super) enum MachineEvent {
    Placement(PlacementInput),
    StartWorker(TaskManagerId, WorkerId),
    StopWorker(WorkerId),
    Deploy(WorkerId, Arc<Order>),
    Cancel(WorkerId, AttemptNumber),
    Tell(WorkerId, AttemptNumber, TaskId, Command),
    /// A frame arrives at the link with this number.
    Frame(u64, Frame),
    /// That a link is lost is seen at this end.
    LinkLost(u64),
    /// A new TaskManager comes.
    Offer,
    /// That a TaskManager is gone is seen.
    TaskManagerLost(TaskManagerId),
}

pub(super) struct Machines {
    slots: Slots,
    slots_each: u32,
    next_task_manager: u32,
    placement: Placement,
    pub(super) workers: BTreeMap<WorkerId, Worker>,
    connections: Vec<Connection>,
    outbox: Outbox,
    attempt: AttemptNumber,
    /// Who runs what in that attempt.
    owners: Arc<BTreeMap<TaskId, WorkerId>>,
}

impl Machines {
    pub(super) fn new(world: &mut World<'_>, planned: &PlannedJob) -> Self {
        let placement = Placement::new(&planned.plan.graph);
        let count = world.scenario.task_managers;
        let config = SlotConfig {
            request_timeout: Duration::from_secs(86_400),
            spread_out: world.scenario.spread_out,
        };
        let mut machines = Self {
            slots: Slots::new(config),
            slots_each: (placement.slots_needed() as u32).div_ceil(count),
            next_task_manager: 0,
            placement,
            workers: BTreeMap::new(),
            connections: Vec::new(),
            outbox: Outbox::default(),
            attempt: AttemptNumber::default(),
            owners: Arc::default(),
        };
        (0..count).for_each(|_| machines.offer());
        machines
    }

    pub(super) fn deploy(
        &mut self,
        world: &mut World<'_>,
        planned: &PlannedJob,
        attempt: AttemptNumber,
        restore: Option<Arc<CompletedCheckpoint>>,
    ) {
        self.placement.deploy(attempt, restore);
        self.perform(world, planned);
    }

    pub(super) fn cancel(
        &mut self,
        world: &mut World<'_>,
        planned: &PlannedJob,
        attempt: AttemptNumber,
    ) {
        self.placement.cancel(attempt);
        self.perform(world, planned);
    }

    /// Tells tasks of an attempt.
    pub(super) fn tell(
        &self,
        world: &mut World<'_>,
        attempt: AttemptNumber,
        tasks: Vec<TaskId>,
        command: Command,
    ) {
        for task in tasks {
            if let Some(worker) = self.owners.get(&task).filter(|_| attempt == self.attempt) {
                let tell = MachineEvent::Tell(*worker, attempt, task, command);
                world.send(Way::ToWorker(*worker), Event::Machine(tell));
            }
        }
    }

    /// Something has arrived.
    pub(super) fn happen(
        &mut self,
        world: &mut World<'_>,
        planned: &PlannedJob,
        event: MachineEvent,
    ) -> std::result::Result<(), String> {
        match event {
            MachineEvent::Placement(input) => {
                self.placement.handle(input);
                self.perform(world, planned);
            }
            MachineEvent::StartWorker(task_manager, id) => {
                if self.slots.counts().any(|(other, _)| other == task_manager) {
                    world.trace.line(format_args!("worker {} starts", id.0));
                    let worker = Worker { task_manager: Some(task_manager), ..Worker::default() };
                    self.workers.insert(id, worker);
                    let ready = MachineEvent::Placement(PlacementInput::WorkerReady { worker: id });
                    world.send(Way::FromWorker(id), Event::Machine(ready));
                }
            }
            MachineEvent::StopWorker(id) => {
                self.workers.remove(&id);
                self.disconnect(world, |connection| connection.ends.contains(&id));
            }
            MachineEvent::Deploy(id, order) => self.start_tasks(world, planned, id, &order),
            MachineEvent::Cancel(id, attempt) => {
                let Some(worker) = self.workers.get_mut(&id) else { return Ok(()) };
                if worker.attempt == attempt {
                    worker.tasks.values().for_each(|task| task.mailbox.send(Command::Cancel));
                    for task in std::mem::take(&mut worker.missing) {
                        let input = JobInput::TaskCanceled { attempt, task };
                        world.send(Way::FromWorker(id), Event::ToMaster(input));
                    }
                }
            }
            MachineEvent::Tell(id, attempt, task, command) => {
                let worker = self.workers.get(&id).filter(|worker| worker.attempt == attempt);
                if let Some(running) = worker.and_then(|worker| worker.tasks.get(&task)) {
                    running.mailbox.send(command);
                }
            }
            MachineEvent::Frame(number, frame) => {
                let connection = &self.connections[(number / 2) as usize];
                let owner = connection.ends[(number % 2) as usize];
                if let Some(worker) = self.workers.get(&owner).filter(|_| connection.is_open) {
                    let link = self.link(number);
                    let received = worker.exchange.receive(&link, frame);
                    received.map_err(|error| format!("VIOLATION: {}", error.report()))?;
                }
            }
            MachineEvent::LinkLost(number) => {
                let owner = self.connections[(number / 2) as usize].ends[(number % 2) as usize];
                if let Some(worker) = self.workers.get(&owner) {
                    worker.exchange.lost(number, LINK_LOST);
                }
            }
            MachineEvent::Offer => {
                self.offer();
                self.perform(world, planned);
            }
            MachineEvent::TaskManagerLost(id) => {
                self.slots.lost(id);
                self.perform(world, planned);
            }
        }
        self.send_frames(world);
        Ok(())
    }

    /// Something happens to a machine, or to the network; the scenario says how often.
    pub(super) fn fail(&mut self, world: &mut World<'_>) {
        let ids: Vec<WorkerId> = self.workers.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let id = *world.schedule.choose(&ids);
        match world.schedule.below(4) {
            0 => {
                world.trace.line(format_args!("worker {} is killed", id.0));
                self.workers.remove(&id);
                self.disconnect(world, |connection| connection.ends.contains(&id));
                self.report_lost(world, id);
            }
            // It goes on, but is taken for lost: a pause, or a cut line to the JobManager.
            1 => {
                world.trace.line(format_args!("worker {} is taken for lost", id.0));
                self.report_lost(world, id);
            }
            2 => {
                world.trace.line(format_args!("links of worker {} are cut", id.0));
                let other = *world.schedule.choose(&ids);
                self.disconnect(world, |connection| {
                    connection.ends.contains(&id) && connection.ends.contains(&other)
                });
            }
            _ => {
                let Some(task_manager) = self.workers.get(&id).and_then(|w| w.task_manager) else {
                    return;
                };
                world.trace.line(format_args!("task manager {} is killed", task_manager.0));
                let on_it =
                    self.workers.iter().filter(|(_, w)| w.task_manager == Some(task_manager));
                let on_it: Vec<WorkerId> = on_it.map(|(id, _)| *id).collect();
                on_it.iter().for_each(|id| drop(self.workers.remove(id)));
                self.disconnect(world, |c| c.ends.iter().any(|end| on_it.contains(end)));
                let lost = MachineEvent::TaskManagerLost(task_manager);
                world.send(Way::Storage, Event::Machine(lost));
                let delay = world.storage_delay();
                world.send_after(Way::Storage, delay, Event::Machine(MachineEvent::Offer));
            }
        }
        self.send_frames(world);
    }

    /// Puts frames on their way that were sent.
    pub(super) fn send_frames(&self, world: &mut World<'_>) {
        let frames =
            std::mem::take(&mut *self.outbox.lock().unwrap_or_else(PoisonError::into_inner));
        for (number, frame) in frames {
            let arrives = Event::Machine(MachineEvent::Frame(number ^ 1, frame));
            world.send(Way::Link(number), arrives);
        }
    }

    fn report_lost(&self, world: &mut World<'_>, worker: WorkerId) {
        let failure = Failure::new("the simulated worker is lost");
        let lost = MachineEvent::Placement(PlacementInput::WorkerLost { worker, failure });
        world.send(Way::FromWorker(worker), Event::Machine(lost));
    }

    fn offer(&mut self) {
        self.slots.offer(TaskManagerId(self.next_task_manager), self.slots_each);
        self.next_task_manager += 1;
    }

    /// Closes connections; both ends see it, each when it does.
    fn disconnect(&mut self, world: &mut World<'_>, which: impl Fn(&Connection) -> bool) {
        for (index, connection) in self.connections.iter_mut().enumerate() {
            if connection.is_open && which(connection) {
                connection.is_open = false;
                world.trace.line(format_args!("connection {index} is lost"));
                for number in [2 * index as u64, 2 * index as u64 + 1] {
                    let lost = Event::Machine(MachineEvent::LinkLost(number));
                    world.send(Way::Link(number ^ 1), lost);
                }
            }
        }
    }

    fn link(&self, number: u64) -> Arc<dyn Link> {
        Arc::new(SimLink { number, outbox: self.outbox.clone() })
    }

    /// Does what placement and slots want done.
    fn perform(&mut self, world: &mut World<'_>, planned: &PlannedJob) {
        let job = planned.spec.job;
        loop {
            if let Some(effect) = self.placement.poll_effect() {
                self.perform_placement(world, planned, effect);
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
        debug_assert!(self.slots.missing(job).is_none_or(|text| !text.is_empty()));
    }

    fn perform_placement(
        &mut self,
        world: &mut World<'_>,
        planned: &PlannedJob,
        effect: PlacementEffect,
    ) {
        let job = planned.spec.job;
        match effect {
            PlacementEffect::RequestSlots { count } => {
                self.slots.request(world.now().mono, job, count);
            }
            PlacementEffect::ReleaseSlots => self.slots.release(job),
            PlacementEffect::StartWorker { task_manager, worker } => {
                let start = MachineEvent::StartWorker(task_manager, worker);
                world.send(Way::Storage, Event::Machine(start));
            }
            PlacementEffect::StopWorker { worker, .. } => {
                let delay = world.storage_delay();
                let stop = Event::Machine(MachineEvent::StopWorker(worker));
                world.send_after(Way::Storage, delay, stop);
            }
            PlacementEffect::Deploy { attempt, restore, workers } => {
                self.attempt = attempt;
                self.owners = workers.clone();
                let order = Arc::new(Order { attempt, restore, workers });
                let told: std::collections::BTreeSet<WorkerId> =
                    order.workers.values().copied().collect();
                for worker in told {
                    let deploy = MachineEvent::Deploy(worker, order.clone());
                    world.send(Way::ToWorker(worker), Event::Machine(deploy));
                }
            }
            PlacementEffect::CancelTasks { attempt } => {
                let told: Vec<WorkerId> = self.workers.keys().copied().collect();
                for worker in told {
                    let cancel = MachineEvent::Cancel(worker, attempt);
                    world.send(Way::ToWorker(worker), Event::Machine(cancel));
                }
            }
            PlacementEffect::Job(input) => world.send(Way::Storage, Event::ToMaster(input)),
        }
    }

    /// A worker is told what to run.
    fn start_tasks(
        &mut self,
        world: &mut World<'_>,
        planned: &PlannedJob,
        id: WorkerId,
        order: &Order,
    ) {
        let attempt = order.attempt;
        if !self.workers.contains_key(&id) {
            return;
        }
        let built = self.build(world, planned, id, order);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.attempt = attempt;
        worker.missing.clear();
        match built {
            Ok(tasks) => worker.tasks = tasks,
            Err(error) => {
                worker.tasks.clear();
                let own = order.workers.iter().filter(|(_, owner)| **owner == id);
                worker.missing = own.map(|(task, _)| *task).collect();
                let may_pass = error.kind() == ErrorKind::Io;
                let failure =
                    Failure { suppresses_restarts: !may_pass, ..Failure::new(error.report()) };
                let failed = JobInput::DeploymentFailed { attempt, failure };
                world.send(Way::FromWorker(id), Event::ToMaster(failed));
            }
        }
    }

    fn build(
        &mut self,
        world: &World<'_>,
        planned: &PlannedJob,
        id: WorkerId,
        order: &Order,
    ) -> Result<BTreeMap<TaskId, Running>> {
        let plan = &planned.plan;
        let is_here = |task: TaskId| order.workers.get(&task) == Some(&id);
        let restored = match &order.restore {
            Some(record) => {
                let assignment = assign_record(record, &plan.graph, false)?;
                load_tasks(&plan.graph, &assignment, &*plan.storage, is_here)?
            }
            None => BTreeMap::new(),
        };
        // Connections to the workers that others are on: those that are there are used again.
        let mut links: BTreeMap<WorkerId, u64> = BTreeMap::new();
        for other in order.workers.values().filter(|other| **other != id) {
            if !links.contains_key(other) && self.workers.contains_key(other) {
                links.insert(*other, self.connect(id, *other));
            }
        }
        let link = |task: TaskId| {
            let number = order.workers.get(&task).and_then(|worker| links.get(worker));
            let gone = || Error::new(ErrorKind::Io, "the simulated worker cannot be reached");
            number.map(|number| self.link(*number)).ok_or_else(gone)
        };
        let flags: BTreeMap<TaskId, Arc<Flag>> = order
            .workers
            .keys()
            .map(|task| (*task, Arc::new(Flag(AtomicBool::new(true)))))
            .collect();
        let Some(worker) = self.workers.get(&id) else { return Ok(BTreeMap::new()) };
        worker.exchange.begin(order.attempt);
        let deployment = Deployment {
            job: planned.spec.job,
            attempt: order.attempt,
            graph: &plan.graph,
            program: &world.program,
            settings: &plan.settings,
            clock: world.clock.clone(),
            wakers: &|task| flags[&task].clone() as Arc<dyn Wake>,
            elsewhere: Some(Elsewhere {
                is_here: &is_here,
                link: &link,
                exchange: &worker.exchange,
            }),
        };
        let tasks = build_tasks(&deployment, restored)?.into_iter().map(|task| {
            let (mailbox, woken) = (task.mailbox(), flags[&task.id()].clone());
            (task.id(), Running { task, mailbox, woken, progress: Progress::More })
        });
        Ok(tasks.collect())
    }

    /// The number of the link from one worker to another, over a connection that it opens.
    fn connect(&mut self, from: WorkerId, to: WorkerId) -> u64 {
        let is_it = |connection: &Connection| connection.is_open && connection.ends == [from, to];
        let index = self.connections.iter().position(is_it).unwrap_or_else(|| {
            self.connections.push(Connection { ends: [from, to], is_open: true });
            self.connections.len() - 1
        });
        2 * index as u64
    }
}
