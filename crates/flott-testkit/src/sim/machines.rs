//! The simulated machines of a run: workers with tasks on hosts, and the links between them. They outlive
//! a JobManager ([`super::leader`]). The simulator's shell around `Standing`, `Exchange` and `Task`; the
//! cluster's processes are the other one.

mod faults;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flott_checkpoint::CompletedCheckpoint;
use flott_cluster::plan::PlannedJob;
use flott_cluster::snapshot::{may_pass, read_states};
use flott_control::{
    Assignment, Failure, JobInput, PlacementInput, Standing, TaskManagerId, WorkerId,
};
use flott_core::{AttemptNumber, Error, ErrorKind, MonoTime, Result, TaskId, Timestamp};
use flott_plan::execution_graph;
use flott_runtime::build::{Deployment, Elsewhere, build_tasks};
use flott_runtime::exchange::{Exchange, Frame, Link};
use flott_runtime::{Command, KeptStates, Mailbox, Progress, Task, Wake};

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
    /// The attempt that it began with.
    pub(super) attempt: AttemptNumber,
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

/// A machine with a TaskManager; one that is started again is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Host(pub(super) u32);

/// A worker process.
pub(super) struct Worker {
    host: Host,
    /// What it says reaches the JobManager that leads.
    is_connected: bool,
    standing: Standing,
    /// The tables of its tasks' newest checkpoint.
    pub(super) kept: Arc<Mutex<KeptStates>>,
    pub(super) attempt: AttemptNumber,
    pub(super) tasks: BTreeMap<TaskId, Running>,
    exchange: Exchange,
    /// Tasks of a deployment that failed.
    missing: BTreeSet<TaskId>,
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
    pub(super) attempt: AttemptNumber,
    pub(super) restore: Option<Arc<CompletedCheckpoint>>,
    pub(super) tasks: Arc<BTreeMap<TaskId, Assignment>>,
}

impl Order {
    /// The tasks that begin with it, and who runs them.
    fn begin(&self) -> impl Iterator<Item = (TaskId, WorkerId)> {
        let begin = self.tasks.iter().filter(|(_, owner)| owner.attempt == self.attempt);
        begin.map(|(task, owner)| (*task, owner.worker))
    }
}

/// What the JobManager that leads hears of machines.
pub(super) enum LeaderEvent {
    Placement(PlacementInput),
    /// A TaskManager registers.
    Registered(Host),
    /// That a TaskManager is gone is seen.
    Lost(TaskManagerId),
}

/// What happens to machines.
pub(super) enum MachineEvent {
    StartWorker(Host, WorkerId),
    StopWorker(WorkerId),
    Deploy(WorkerId, Arc<Order>),
    Cancel(WorkerId, AttemptNumber, Vec<TaskId>),
    Tell(WorkerId, AttemptNumber, TaskId, Command),
    /// A frame arrives at the link with this number.
    Frame(u64, Frame),
    /// That a link is lost is seen at this end.
    LinkLost(u64),
    /// A new TaskManager comes.
    Started,
    /// A worker that has lost its JobManager finds the one that leads.
    Returns(WorkerId),
}

impl MachineEvent {
    /// Whom the JobManager says this to: a worker, or nobody in particular. Nothing if it is not said by
    /// the JobManager.
    pub(super) fn said_by_leader(&self) -> Option<Option<WorkerId>> {
        match self {
            Self::StopWorker(id) | Self::Deploy(id, _) | Self::Cancel(id, ..) => Some(Some(*id)),
            Self::Tell(id, ..) => Some(Some(*id)),
            Self::StartWorker(..) => Some(None),
            Self::Frame(..) | Self::LinkLost(_) | Self::Started | Self::Returns(_) => None,
        }
    }
}

#[derive(Default)]
pub(super) struct Machines {
    pub(super) hosts: BTreeSet<Host>,
    next_host: u32,
    pub(super) workers: BTreeMap<WorkerId, Worker>,
    connections: Vec<Connection>,
    outbox: Outbox,
    /// A task whose user code hangs until then.
    hanging: Option<(WorkerId, TaskId, MonoTime)>,
}

impl Machines {
    /// A machine comes.
    pub(super) fn start_host(&mut self, world: &mut World) {
        let host = Host(self.next_host);
        self.next_host += 1;
        self.hosts.insert(host);
        world.send(Way::FromHost(host), Event::Leader(LeaderEvent::Registered(host)));
    }

    /// The workers of a TaskManager.
    pub(super) fn workers_on(&self, host: Host) -> Vec<WorkerId> {
        let on_it = self.workers.iter().filter(|(_, worker)| worker.host == host);
        on_it.map(|(id, _)| *id).collect()
    }

    /// The JobManager is lost: everybody looks for the next one, and some find it late. What it had
    /// said may have got through, as far as it was heard.
    pub(super) fn leader_lost(&mut self, world: &mut World) {
        for host in &self.hosts {
            let delay = world.return_delay();
            let registered = Event::Leader(LeaderEvent::Registered(*host));
            world.send_after(Way::FromHost(*host), delay, registered);
        }
        let ids: Vec<WorkerId> = self.workers.keys().copied().collect();
        ids.into_iter().for_each(|id| self.disconnected(world, id));
    }

    /// A worker loses its connection to the JobManager, and will find the one that leads then.
    fn disconnected(&mut self, world: &mut World, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.is_connected) {
            worker.is_connected = false;
            let delay = world.return_delay();
            let returns = Event::Machine(MachineEvent::Returns(id));
            world.send_after(Way::ToWorker(id), delay, returns);
        }
    }

    /// A worker says something to the JobManager, if it knows one.
    pub(super) fn say(&mut self, world: &mut World, id: WorkerId, input: JobInput) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.standing.says(&input);
        if worker.is_connected {
            world.send(Way::FromWorker(id), Event::ToMaster(input));
        }
    }

    /// Something has arrived.
    pub(super) fn happen(
        &mut self,
        world: &mut World,
        planned: &PlannedJob,
        event: MachineEvent,
    ) -> std::result::Result<(), String> {
        match event {
            MachineEvent::StartWorker(host, id) => {
                if self.hosts.contains(&host) {
                    world.trace.line(format_args!("worker {} starts", id.0));
                    let worker = Worker {
                        host,
                        is_connected: true,
                        standing: Standing::default(),
                        kept: Arc::default(),
                        attempt: AttemptNumber::default(),
                        tasks: BTreeMap::new(),
                        exchange: Exchange::new(),
                        missing: BTreeSet::new(),
                    };
                    self.workers.insert(id, worker);
                    let ready = LeaderEvent::Placement(PlacementInput::WorkerReady { worker: id });
                    world.send(Way::FromWorker(id), Event::Leader(ready));
                }
            }
            MachineEvent::Started => self.start_host(world),
            MachineEvent::Returns(id) => self.returns(world, id),
            MachineEvent::StopWorker(id) => {
                if self.workers.remove(&id).is_some() {
                    // Whoever wanted that may be another JobManager by now.
                    self.report_lost(world, id);
                }
                self.disconnect(world, |connection| connection.ends.contains(&id));
            }
            MachineEvent::Deploy(id, order) => {
                self.start_tasks(world, planned, id, &order);
            }
            MachineEvent::Cancel(id, attempt, tasks) => {
                let worker = self.workers.get_mut(&id).filter(|worker| worker.attempt <= attempt);
                let Some(worker) = worker else { return Ok(()) };
                let attempt = worker.attempt;
                let mut missing = Vec::new();
                for task in tasks {
                    if let Some(running) = worker.tasks.get(&task) {
                        running.mailbox.send(Command::Cancel);
                    } else if worker.missing.remove(&task) {
                        missing.push(task);
                    }
                }
                for task in missing {
                    self.say(world, id, JobInput::TaskCanceled { attempt, task });
                }
            }
            MachineEvent::Tell(id, attempt, task, command) => {
                let worker = self.workers.get_mut(&id).filter(|worker| worker.attempt <= attempt);
                let Some(worker) = worker else { return Ok(()) };
                if let Command::TriggerCheckpoint(barrier) = command {
                    world.newest_triggered = world.newest_triggered.max(barrier.checkpoint);
                    worker.standing.triggered(barrier);
                }
                worker.kept.lock().unwrap_or_else(PoisonError::into_inner).told(command);
                if let Some(running) = worker.tasks.get(&task) {
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
        }
        self.send_frames(world);
        Ok(())
    }

    /// Puts frames on their way that were sent.
    pub(super) fn send_frames(&self, world: &mut World) {
        let frames =
            std::mem::take(&mut *self.outbox.lock().unwrap_or_else(PoisonError::into_inner));
        for (number, frame) in frames {
            let arrives = Event::Machine(MachineEvent::Frame(number ^ 1, frame));
            world.send(Way::Link(number), arrives);
        }
    }

    /// A worker finds the JobManager that leads, and says what it would need to know. One that was told
    /// nothing has nothing to say, and ends.
    fn returns(&mut self, world: &mut World, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let Some(standing) = worker.standing.summary() else {
            self.workers.remove(&id);
            return self.disconnect(world, |connection| connection.ends.contains(&id));
        };
        world.trace.line(format_args!("worker {} returns", id.0));
        worker.is_connected = true;
        let returned = PlacementInput::WorkerReturned { worker: id, standing };
        world.send(Way::FromWorker(id), Event::Leader(LeaderEvent::Placement(returned)));
        for input in worker.standing.said().to_vec() {
            world.send(Way::FromWorker(id), Event::ToMaster(input));
        }
    }

    fn link(&self, number: u64) -> Arc<dyn Link> {
        Arc::new(SimLink { number, outbox: self.outbox.clone() })
    }

    /// A worker is told what to run.
    fn start_tasks(
        &mut self,
        world: &mut World,
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
        worker.standing.deployed(attempt, order.begin().map(|(task, _)| task));
        worker.missing.clear();
        order.begin().for_each(|(task, _)| drop(worker.tasks.remove(&task)));
        match built {
            Ok(tasks) => worker.tasks.extend(tasks),
            Err(error) => {
                let own = order.begin().filter(|(_, owner)| *owner == id);
                worker.missing = own.map(|(task, _)| task).collect();
                let may_pass = may_pass(error.kind());
                let failure =
                    Failure { suppresses_restarts: !may_pass, ..Failure::new(error.report()) };
                self.say(world, id, JobInput::DeploymentFailed { attempt, failure });
            }
        }
    }

    fn build(
        &mut self,
        world: &World,
        planned: &PlannedJob,
        id: WorkerId,
        order: &Order,
    ) -> Result<BTreeMap<TaskId, Running>> {
        let plan = &planned.plan;
        let mut own: BTreeMap<TaskId, WorkerId> = order.begin().collect();
        let others: BTreeSet<WorkerId> =
            own.values().copied().filter(|other| *other != id).collect();
        let owners = own.clone();
        own.retain(|_, owner| *owner == id);
        let begins = |task: TaskId| own.contains_key(&task);
        let Some(worker) = self.workers.get(&id) else { return Ok(BTreeMap::new()) };
        let restored = read_states(plan, order.restore.as_deref(), &worker.kept, begins)?;
        // Connections to the workers that others are on: those that are there are used again.
        let mut links: BTreeMap<WorkerId, u64> = BTreeMap::new();
        for other in others {
            if self.workers.contains_key(&other) {
                links.insert(other, self.connect(id, other));
            }
        }
        let link = |task: TaskId| {
            let number = owners.get(&task).and_then(|worker| links.get(worker));
            let gone = || Error::new(ErrorKind::Io, "the simulated worker cannot be reached");
            number.map(|number| self.link(*number)).ok_or_else(gone)
        };
        let flags: BTreeMap<TaskId, Arc<Flag>> =
            own.keys().map(|task| (*task, Arc::new(Flag(AtomicBool::new(true))))).collect();
        let Some(worker) = self.workers.get(&id) else { return Ok(BTreeMap::new()) };
        worker.exchange.begin(order.attempt, |channel, began| {
            let consumer = execution_graph::consumer(&plan.graph, channel.edge, channel.consumer);
            let owner = consumer.and_then(|task| order.tasks.get(&task));
            owner.is_some_and(|owner| owner.attempt == began)
        });
        let deployment = Deployment {
            job: planned.spec.job,
            attempt: order.attempt,
            graph: &plan.graph,
            program: &world.program,
            settings: &plan.settings,
            clock: world.clock.clone(),
            wakers: &|task| flags[&task].clone() as Arc<dyn Wake>,
            begins: &begins,
            elsewhere: Some(Elsewhere { link: &link, exchange: &worker.exchange }),
        };
        let tasks = build_tasks(&deployment, restored)?.into_iter().map(|task| {
            let (mailbox, woken) = (task.mailbox(), flags[&task.id()].clone());
            let (id, attempt) = (task.id(), order.attempt);
            (id, Running { task, mailbox, woken, progress: Progress::More, attempt })
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
