//! What goes wrong with machines.

use flott_control::{Failure, PlacementInput, WorkerId};
use flott_core::{MonoTime, TaskId};

use super::super::world::{Event, Way, World};
use super::{Connection, Host, LeaderEvent, MachineEvent, Machines};

impl Machines {
    /// The user code of some task hangs from now on.
    pub(in super::super) fn hang(&mut self, world: &mut World) {
        let tasks = self.workers.iter().flat_map(|(id, w)| w.tasks.keys().map(|task| (*id, *task)));
        let tasks: Vec<(WorkerId, TaskId)> = tasks.collect();
        if !tasks.is_empty() {
            let (worker, task) = *world.schedule.choose(&tasks);
            self.hanging = Some((worker, task, world.hang_end()));
        }
    }

    /// Whether the user code of a task hangs.
    pub(in super::super) fn hangs(&self, worker: WorkerId, task: TaskId, now: MonoTime) -> bool {
        self.hanging.is_some_and(|(w, t, until)| (w, t) == (worker, task) && now < until)
    }

    /// When the user code comes back that hangs.
    pub(in super::super) fn hangs_until(&self, now: MonoTime) -> Option<MonoTime> {
        self.hanging.map(|(.., until)| until).filter(|until| now < *until)
    }

    /// The host of a worker, or any.
    pub(in super::super) fn host_of(
        &self,
        world: &mut World,
        worker: Option<WorkerId>,
    ) -> Option<Host> {
        let known = worker.and_then(|id| self.workers.get(&id)).map(|worker| worker.host);
        let hosts: Vec<Host> = self.hosts.iter().copied().collect();
        known.or_else(|| (!hosts.is_empty()).then(|| *world.schedule.choose(&hosts)))
    }

    /// Any worker.
    pub(in super::super) fn any_worker(&self, world: &mut World) -> Option<WorkerId> {
        let ids: Vec<WorkerId> = self.workers.keys().copied().collect();
        (!ids.is_empty()).then(|| *world.schedule.choose(&ids))
    }

    /// Something happens to a machine, or to the network. Returns a host that is gone.
    pub(in super::super) fn fail(&mut self, world: &mut World) -> Option<Host> {
        let id = self.any_worker(world)?;
        let mut lost = None;
        match world.schedule.below(4) {
            0 => self.kill_worker(world, id),
            1 => self.take_for_lost(world, id),
            2 => {
                let other = self.any_worker(world)?;
                self.cut_links(world, id, Some(other));
            }
            _ => {
                lost = self.workers.get(&id).map(|worker| worker.host);
                lost.into_iter().for_each(|host| self.kill_host(world, host));
            }
        }
        self.send_frames(world);
        lost
    }

    pub(in super::super) fn kill_worker(&mut self, world: &mut World, id: WorkerId) {
        world.trace.line(format_args!("worker {} is killed", id.0));
        self.workers.remove(&id);
        self.disconnect(world, |connection| connection.ends.contains(&id));
        self.report_lost(world, id);
    }

    /// A worker goes on, but is taken for lost: a pause, or a cut line to the JobManager, which it may see
    /// as well.
    pub(in super::super) fn take_for_lost(&mut self, world: &mut World, id: WorkerId) {
        world.trace.line(format_args!("worker {} is taken for lost", id.0));
        self.report_lost(world, id);
        if world.schedule.permille(500) {
            self.disconnected(world, id);
        }
    }

    /// Links between a worker and another one break, or all of its links.
    pub(in super::super) fn cut_links(
        &mut self,
        world: &mut World,
        id: WorkerId,
        other: Option<WorkerId>,
    ) {
        world.trace.line(format_args!("links of worker {} are cut", id.0));
        self.disconnect(world, |connection| {
            let ends = connection.ends;
            ends.contains(&id) && other.is_none_or(|other| ends.contains(&other))
        });
    }

    /// A machine dies; another one will come. The JobManager is yet to see it.
    pub(in super::super) fn kill_host(&mut self, world: &mut World, host: Host) {
        world.trace.line(format_args!("host {} is killed", host.0));
        let on_it = self.workers_on(host);
        on_it.iter().for_each(|id| drop(self.workers.remove(id)));
        self.disconnect(world, |c| c.ends.iter().any(|end| on_it.contains(end)));
        self.hosts.remove(&host);
        let delay = world.storage_delay();
        world.send_after(Way::Storage, delay, Event::Machine(MachineEvent::Started));
    }

    /// A machine and the JobManager do not hear each other: each takes the other for lost.
    pub(in super::super) fn partition(&mut self, world: &mut World, host: Host) {
        world.trace.line(format_args!("host {} is cut off", host.0));
        for id in self.workers_on(host) {
            self.report_lost(world, id);
            self.disconnected(world, id);
        }
        let delay = world.return_delay();
        let registered = Event::Leader(LeaderEvent::Registered(host));
        world.send_after(Way::FromHost(host), delay, registered);
    }

    pub(super) fn report_lost(&self, world: &mut World, worker: WorkerId) {
        let failure = Failure::new("the simulated worker is lost");
        let lost = LeaderEvent::Placement(PlacementInput::WorkerLost { worker, failure });
        world.send(Way::FromWorker(worker), Event::Leader(lost));
    }

    /// Closes connections; both ends see it, each when it does.
    pub(super) fn disconnect(&mut self, world: &mut World, which: impl Fn(&Connection) -> bool) {
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
}
