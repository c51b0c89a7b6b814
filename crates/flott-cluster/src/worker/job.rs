//! A worker's share of a job, once its program is built.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::sleep;

use flott_checkpoint::{CheckpointConfig, metadata};
use flott_core::config::{Configuration, options};
use flott_core::{Error, ErrorKind, Result, TaskId};
use flott_plan::execution_graph;
use flott_runtime::build::Elsewhere;
use flott_runtime::{Clock, Command, Program, StateLookUp};
use tracing::warn;

use super::call::Call;
use super::voice::Voice;
use super::{COUNT_INTERVAL, WorkerSpec};
use crate::clock::SystemClock;
use crate::disk_state::state_backend;
use crate::driver::{DriverPool, driver_threads};
use crate::exchange::DataPlane;
use crate::io::IoPool;
use crate::job::IO_THREADS;
use crate::memory::MemoryLimit;
use crate::plan::TaskPlan;
use crate::prepare::configuration;
use crate::rpc::messages::{DeployTasks, FromWorker, TaskCounts, ToWorker, WorkerJob};
use crate::storage::savepoint::Savepoints;
use crate::storage::{self, Copies, Stores};
use crate::tasks::{DeployedTasks, Kept, Site};

/// A worker that has been given its job.
pub(super) struct Work {
    pub(super) spec: WorkerSpec,
    pub(super) job: WorkerJob,
    pub(super) plane: DataPlane,
    pub(super) call: Call,
}

impl Work {
    /// Runs tasks of the job, as the JobManager says, until it is over.
    ///
    /// # Errors
    /// If the JobManager is lost and no other one takes over, or this process cannot work for the job.
    pub(super) fn run(mut self, program: Arc<Program>, config: &Configuration) -> Result<()> {
        let voice = Arc::new(Voice::new(self.call.outgoing()));
        let (site, copies) = match self.site(program, config, &voice) {
            Ok(made) => made,
            Err(error) => {
                self.call.refuse(&error);
                return Err(error);
            }
        };
        let limit = MemoryLimit::new(&configuration(&self.spec.settings)?)?;
        voice.say(FromWorker::Ready);
        let mut deployed = DeployedTasks::default();
        let mut counted = BTreeMap::new();
        let mut counted_at = site.clock.now().mono;
        loop {
            if site.clock.now().mono.since(counted_at) >= COUNT_INTERVAL {
                count(&voice, &deployed, &mut counted);
                deployed.check_memory(&site, limit);
                counted_at = site.clock.now().mono;
            }
            let said = match self.call.next_within(COUNT_INTERVAL) {
                Ok(said) => said,
                Err(lost) => {
                    counted.clear();
                    self.call = self.next_call(&voice, lost)?;
                    voice.found(self.call.outgoing(), || counts(&deployed, &mut counted));
                    continue;
                }
            };
            match said {
                Some(ToWorker::Deploy(deploy)) => {
                    let begins = begins(&deploy);
                    voice.deployed(deploy.attempt, &begins);
                    site.savepoints.abandon_all();
                    self.deploy(&site, &mut deployed, &deploy, begins)?;
                    counted.clear();
                }
                Some(ToWorker::Cancel { attempt, tasks }) => {
                    deployed.cancel(&site, attempt, &tasks);
                }
                Some(ToWorker::Tell { attempt, tasks, command }) => {
                    match command {
                        Command::TriggerCheckpoint(barrier) => voice.triggered(barrier),
                        Command::NotifyAborted(checkpoint) => site.savepoints.abandon(checkpoint),
                        Command::NotifyComplete(checkpoint) => {
                            if let Some(copies) = copies.clone() {
                                site.io.submit(move || copies.completed(checkpoint));
                            }
                        }
                        Command::Cancel => {}
                    }
                    deployed.tell(&site, attempt, &tasks, command);
                }
                Some(ToWorker::LookUp { number, task, operator, question }) => {
                    let voice = voice.clone();
                    let look_up = StateLookUp::new(operator, question, move |found| {
                        let found = found.map_err(|error| (error.kind(), error.report()));
                        voice.say(FromWorker::Found { number, found });
                    });
                    deployed.look_up(task, look_up);
                }
                Some(ToWorker::Savepoint { checkpoint, folder }) => {
                    site.savepoints.place(checkpoint, &folder);
                }
                Some(ToWorker::End) => {
                    if let Some(copies) = &copies {
                        copies.clear();
                    }
                    return Ok(());
                }
                Some(ToWorker::Start(_) | ToWorker::Heartbeat) | None => {}
            }
        }
    }

    /// Looks for the next JobManager, if there can be one and something runs here for it to take over.
    #[expect(clippy::disallowed_methods, reason = "nothing says when the next one listens")]
    fn next_call(&self, voice: &Voice, lost: Error) -> Result<Call> {
        let standing = voice.lost().filter(|_| self.spec.jobmanager.has_successors());
        if standing.is_none() {
            return Err(lost);
        }
        warn!("{}: this worker goes on, and looks for the next one.", lost.report());
        let clock = SystemClock;
        let since = clock.now().mono;
        loop {
            match Call::start(&self.spec, self.plane.address(), standing) {
                Ok(call) => return Ok(call),
                Err(error) if error.kind() == ErrorKind::InvalidInput => return Err(error),
                Err(error) => {
                    if clock.now().mono.since(since) >= self.spec.registration_timeout {
                        return Err(error.context("taskmanager.registration.timeout is over"));
                    }
                    sleep(self.spec.jobmanager.retry());
                }
            }
        }
    }

    /// What tasks run on here, and what copies there are of their state; the program must be that of the job.
    fn site(
        &self,
        program: Arc<Program>,
        config: &Configuration,
        voice: &Arc<Voice>,
    ) -> Result<(Site, Option<Arc<Copies>>)> {
        let WorkerJob { program: wanted, graph, settings } = &self.job;
        if let Some(difference) = program.graph.difference(wanted) {
            return Err(Error::invalid(format!(
                "the job function does not build the same program in every process: {difference} \
                 differs. It must not depend on time, chance, the environment or the machine"
            )));
        }
        let threads = driver_threads(config)?;
        // The JobManager's word, which knows what the job was started with.
        let config = configuration(settings)?;
        let checkpointing = CheckpointConfig::from_configuration(&config)?;
        // What reaches stores is this machine's business, not the job's.
        let machine = configuration(&self.spec.settings)?;
        let stores = Stores::new(&machine);
        let mut storage = storage::for_job(&stores, &checkpointing.storage, self.spec.job)?;
        let has_copies = config.get(&options::LOCAL_BACKUP)?;
        let copies = has_copies.then(|| {
            let folder = self.spec.local_state.join(self.spec.job.to_string());
            Arc::new(Copies::new(storage.clone(), folder))
        });
        if let Some(copies) = &copies {
            storage = copies.clone();
        }
        let mut plan = TaskPlan::new(self.spec.job, graph.clone(), &config, storage)?;
        plan.settings.state_backend = state_backend(&config, &machine)?;
        let (reporting, counting) = (voice.clone(), voice.clone());
        let clock = Arc::new(SystemClock);
        let site = Site {
            plan: Arc::new(plan),
            program,
            drivers: DriverPool::start(threads, clock.clone())?,
            io: Arc::new(IoPool::start(IO_THREADS)?),
            clock,
            savepoints: Savepoints::new(stores.clone()),
            stores,
            kept: Kept::default(),
            report: Arc::new(move |input| reporting.report(input)),
            counted: Arc::new(move |attempt, task, metrics| {
                counting.say_of(|| {
                    let counts = vec![(task, TaskCounts::of(metrics, SystemClock.now().mono))];
                    Some(FromWorker::Counted { attempt, counts })
                });
            }),
        };
        Ok((site, copies))
    }

    /// Begins an attempt, with those tasks of `begins` that are this worker's.
    fn deploy(
        &self,
        site: &Site,
        deployed: &mut DeployedTasks,
        deploy: &DeployTasks,
        mut begins: BTreeSet<TaskId>,
    ) -> Result<()> {
        let DeployTasks { attempt, restore, tasks, addresses } = deploy;
        let graph = &site.plan.graph;
        self.plane.exchange().begin(*attempt, |channel, began| {
            let consumer = execution_graph::consumer(graph, channel.edge, channel.consumer);
            let owner = consumer.and_then(|task| tasks.get(&task));
            owner.is_some_and(|owner| owner.attempt == began)
        });
        let link = |task: TaskId| {
            let owner = tasks.get(&task).map(|owner| owner.worker);
            let found = owner.and_then(|worker| Some((worker, *addresses.get(&worker)?)));
            let (worker, address) =
                found.ok_or_else(|| Error::internal(format!("nobody runs the task {task}")))?;
            self.plane.link(worker, address)
        };
        let elsewhere = Elsewhere { link: &link, exchange: self.plane.exchange() };
        let decode = |bytes: &Vec<u8>| metadata::decode(bytes, "what the JobManager says");
        let restore = restore.as_ref().map(decode).transpose()?;
        deployed.forget(&begins);
        begins.retain(|task| tasks.get(task).is_some_and(|owner| owner.worker == self.spec.worker));
        deployed.begin(site, *attempt, begins, restore.as_ref(), Some(elsewhere));
        Ok(())
    }
}

/// The tasks that begin with a deployment, wherever they run.
fn begins(deploy: &DeployTasks) -> BTreeSet<TaskId> {
    let begin = deploy.tasks.iter().filter(|(_, owner)| owner.attempt == deploy.attempt);
    begin.map(|(task, _)| *task).collect()
}

/// Says what has changed since the last time.
fn count(voice: &Voice, deployed: &DeployedTasks, counted: &mut BTreeMap<TaskId, TaskCounts>) {
    voice.say_of(|| counts(deployed, counted));
}

/// What has changed since the last time.
fn counts(
    deployed: &DeployedTasks,
    counted: &mut BTreeMap<TaskId, TaskCounts>,
) -> Option<FromWorker> {
    let now = SystemClock.now().mono;
    let all = deployed.metrics().iter();
    let all = all.map(|(task, metrics)| (*task, TaskCounts::of(metrics, now)));
    let new: Vec<(TaskId, TaskCounts)> =
        all.filter(|(task, counts)| counted.get(task) != Some(counts)).collect();
    counted.extend(new.iter().cloned());
    let attempt = deployed.attempt();
    (!new.is_empty()).then_some(FromWorker::Counted { attempt, counts: new })
}
