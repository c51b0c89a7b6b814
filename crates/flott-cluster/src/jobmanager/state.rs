//! What the threads of a JobManager share.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flott_control::processes::{Answer, Question};
use flott_control::view::TaskManagerView;
use flott_control::{PlacementInput, SlotCount, SlotEffect, Slots, TaskManagerId, WorkerId};
use flott_core::{Error, ErrorKind, JobId, Result, WallTime};
use flott_runtime::Clock;
use tokio::sync::Notify;
use tracing::info;

use super::JobManagerConfig;
use super::binaries::Binaries;
use super::ha::HaStore;
use super::workers::WorkersEvent;
use crate::clock::SystemClock;
use crate::io::IoPool;
use crate::job::{IO_THREADS, Input};
use crate::jobs::Jobs;
use crate::process::no_task_manager;
use crate::rpc::Outgoing;
use crate::rpc::messages::{TaskManagerInfo, ToTaskManager, WorkerStart};
use crate::storage::Stores;
use crate::view::Views;

/// How long a TaskManager may take to answer what people ask.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What the threads of a JobManager share.
pub(crate) struct Shared {
    pub(super) config: JobManagerConfig,
    pub(super) clock: Arc<SystemClock>,
    pub(super) jobs: Jobs,
    pub(super) views: Views,
    pub(super) binaries: Binaries,
    pub(super) stores: Stores,
    /// What is written down for the next JobManager, if anything.
    pub(super) ha: Option<Arc<HaStore>>,
    /// Writes the records of all jobs.
    pub(super) io: Arc<IoPool>,
    state: Mutex<State>,
    /// Something about slots has changed.
    slots_changed: Notify,
    random: AtomicU64,
}

struct State {
    slots: Slots,
    task_managers: BTreeMap<TaskManagerId, TaskManager>,
    next_task_manager: u32,
    running: BTreeMap<JobId, RunningJob>,
    /// Who waits for a TaskManager's answer, by the number of the question.
    asking: BTreeMap<u64, Sender<std::result::Result<Answer, String>>>,
}

struct TaskManager {
    info: TaskManagerInfo,
    outgoing: Outgoing<ToTaskManager>,
    last_heartbeat: WallTime,
}

struct RunningJob {
    ticket: u128,
    inputs: Sender<Input<WorkersEvent>>,
    /// Workers that another JobManager has had started, and how many slots each stands for.
    awaited: BTreeMap<WorkerId, u32>,
}

impl Shared {
    pub(super) fn new(
        mut config: JobManagerConfig,
        stores: Stores,
        ha: Option<Arc<HaStore>>,
    ) -> Result<Self> {
        let mut others = None;
        if let Some(binaries) = ha.as_ref().map(|ha| ha.binaries()) {
            if binaries.is_local() {
                config.upload_dir.get_or_insert_with(|| PathBuf::from(binaries.to_string()));
            } else {
                others = Some(binaries);
            }
        }
        let state = State {
            slots: Slots::new(config.slots.clone()),
            task_managers: BTreeMap::new(),
            next_task_manager: 0,
            running: BTreeMap::new(),
            asking: BTreeMap::new(),
        };
        let jobs = Jobs::default();
        jobs.reach(&stores);
        Ok(Self {
            binaries: Binaries::open(&config, others)?,
            stores,
            ha,
            config,
            clock: Arc::new(SystemClock),
            jobs,
            views: Views::new(),
            io: Arc::new(IoPool::start(IO_THREADS)?),
            state: Mutex::new(state),
            slots_changed: Notify::new(),
            random: AtomicU64::new(0),
        })
    }

    /// Returns if what was written before may be acted on: nobody else leads.
    ///
    /// # Errors
    /// If that cannot be known.
    pub(super) fn still_leads(&self) -> Result<()> {
        self.ha.as_ref().map_or(Ok(()), |ha| ha.still_leads())
    }

    /// What nobody can guess.
    pub(super) fn new_ticket(&self) -> u128 {
        let half = || {
            let mut hasher = RandomState::new().build_hasher();
            hasher.write_u64(self.random.fetch_add(1, Ordering::Relaxed));
            u128::from(hasher.finish())
        };
        half() << 64 | half()
    }

    /// A TaskManager has come, with workers that another JobManager has had started.
    pub(super) fn joined(
        &self,
        info: TaskManagerInfo,
        workers: Vec<(JobId, WorkerId)>,
        outgoing: Outgoing<ToTaskManager>,
    ) -> TaskManagerId {
        let mut state = self.lock();
        let id = TaskManagerId(state.next_task_manager);
        state.next_task_manager += 1;
        info!("TaskManager {} has come, with {} slots.", info.name, info.slots);
        let slots = info.slots;
        let last_heartbeat = self.clock.now().wall;
        let mut taken = BTreeMap::new();
        for (job, worker) in workers {
            let running = state.running.get_mut(&job);
            match running.and_then(|running| running.awaited.remove(&worker)) {
                Some(slots) => {
                    taken.insert(job, slots);
                    state.tell(job, PlacementInput::WorkerKept { worker, task_manager: id });
                }
                None => drop(outgoing.send(ToTaskManager::StopWorker { job, worker })),
            }
        }
        state.task_managers.insert(id, TaskManager { info, outgoing, last_heartbeat });
        state.slots.offer(id, slots, taken);
        self.perform(&mut state);
        id
    }

    /// A TaskManager has said something.
    pub(super) fn heard(&self, id: TaskManagerId) {
        let now = self.clock.now().wall;
        if let Some(task_manager) = self.lock().task_managers.get_mut(&id) {
            task_manager.last_heartbeat = now;
            let _ = task_manager.outgoing.send(ToTaskManager::Heartbeat);
        }
    }

    /// A TaskManager is lost.
    pub(super) fn left(&self, id: TaskManagerId, why: &str) {
        let mut state = self.lock();
        let Some(task_manager) = state.task_managers.remove(&id) else { return };
        info!("TaskManager {} is lost: {why}.", task_manager.info.name);
        state.slots.lost(id);
        while let Some(effect) = state.slots.poll_effect() {
            if let SlotEffect::Lost { job, task_manager: id } = effect {
                let why = format!("{}: {why}", task_manager.info.name);
                let input = PlacementInput::TaskManagerLost { task_manager: id, why };
                state.tell(job, input);
            }
        }
    }

    /// A job begins; `inputs` is the way to its thread. It may have workers, each standing for so many
    /// slots, that another JobManager has had started.
    pub(super) fn began(
        &self,
        job: JobId,
        ticket: u128,
        inputs: Sender<Input<WorkersEvent>>,
        awaited: BTreeMap<WorkerId, u32>,
    ) {
        self.lock().running.insert(job, RunningJob { ticket, inputs, awaited });
    }

    /// A job waits no more for workers that another JobManager has had started.
    pub(super) fn forget_awaited(&self, job: JobId) {
        if let Some(running) = self.lock().running.get_mut(&job) {
            running.awaited.clear();
        }
    }

    /// A job gives slots on a TaskManager back.
    pub(super) fn return_slots(&self, job: JobId, id: TaskManagerId, count: u32) {
        let mut state = self.lock();
        state.slots.give_back(job, id, count);
        self.perform(&mut state);
    }

    /// A job is over.
    pub(super) fn ended(&self, job: JobId) {
        let mut state = self.lock();
        state.running.remove(&job);
        state.slots.release(job);
        self.perform(&mut state);
    }

    /// The way to the thread of a job, for one of its workers.
    pub(super) fn job_of(&self, job: JobId, ticket: u128) -> Option<Sender<Input<WorkersEvent>>> {
        let state = self.lock();
        let running = state.running.get(&job)?;
        (running.ticket == ticket).then(|| running.inputs.clone())
    }

    /// Tells the thread of a job, if it has one.
    pub(super) fn tell_job(&self, job: JobId, event: WorkersEvent) {
        if let Some(running) = self.lock().running.get(&job) {
            let _ = running.inputs.send(Input::Workplace(event));
        }
    }

    pub(super) fn request_slots(&self, job: JobId, count: u32) {
        let now = self.clock.now().mono;
        let mut state = self.lock();
        state.slots.request(now, job, count);
        if let Some(missing) = state.slots.missing(job) {
            info!("Job {job} waits for slots: {missing}.");
        }
        self.perform(&mut state);
        drop(state);
        self.slots_changed.notify_one();
    }

    /// Why a job waits for slots; nothing if it does not.
    pub(super) fn missing_slots(&self, job: JobId) -> Option<String> {
        self.lock().slots.missing(job)
    }

    pub(super) fn start_worker(&self, id: TaskManagerId, start: WorkerStart) {
        if let Some(task_manager) = self.lock().task_managers.get(&id) {
            let _ = task_manager.outgoing.send(ToTaskManager::StartWorker(start));
        }
    }

    pub(super) fn stop_worker(&self, id: TaskManagerId, job: JobId, worker: WorkerId) {
        if let Some(task_manager) = self.lock().task_managers.get(&id) {
            let _ = task_manager.outgoing.send(ToTaskManager::StopWorker { job, worker });
        }
    }

    /// What people call a TaskManager.
    pub(super) fn name_of(&self, id: TaskManagerId) -> Option<String> {
        self.lock().task_managers.get(&id).map(|task_manager| task_manager.info.name.clone())
    }

    /// Asks a TaskManager, and waits.
    ///
    /// # Errors
    /// If there is none of that name, or it does not answer.
    pub(super) fn ask(&self, name: &str, question: Question) -> Result<Answer> {
        let number = self.random.fetch_add(1, Ordering::Relaxed);
        let answered = {
            let mut state = self.lock();
            let mut known = state.task_managers.values();
            let found = known.find(|task_manager| task_manager.info.name == name);
            let found = found.ok_or_else(|| no_task_manager(name))?;
            let _ = found.outgoing.send(ToTaskManager::Ask { number, question });
            let (answer, answered) = channel();
            state.asking.insert(number, answer);
            answered
        };
        let answer = answered.recv_timeout(ANSWER_TIMEOUT);
        self.lock().asking.remove(&number);
        match answer {
            Ok(answer) => answer.map_err(Error::invalid),
            Err(_) => Err(Error::new(ErrorKind::Io, format!("{name} does not answer"))),
        }
    }

    /// A TaskManager has answered.
    pub(super) fn answered(&self, number: u64, answer: std::result::Result<Answer, String>) {
        if let Some(asking) = self.lock().asking.remove(&number) {
            let _ = asking.send(answer);
        }
    }

    /// Every TaskManager.
    pub(super) fn task_managers(&self) -> Vec<TaskManagerView> {
        let state = self.lock();
        let view = |(id, count): (TaskManagerId, SlotCount)| {
            let task_manager = state.task_managers.get(&id)?;
            let TaskManagerInfo { name, slots, cpus, memory } = task_manager.info.clone();
            let (free_slots, last_heartbeat) = (count.free, task_manager.last_heartbeat);
            Some(TaskManagerView { name, slots, free_slots, cpus, memory, last_heartbeat })
        };
        state.slots.counts().filter_map(view).collect()
    }

    /// Tells jobs that have waited for slots too long, for ever.
    pub(super) async fn watch_slots(self: Arc<Self>) {
        loop {
            let (due, now) = (self.lock().slots.poll_timeout(), self.clock.now().mono);
            let wait = async {
                match due {
                    Some(due) => tokio::time::sleep(due.since(now)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wait => {}
                () = self.slots_changed.notified() => {}
            }
            let mut state = self.lock();
            state.slots.handle_timeout(self.clock.now().mono);
            self.perform(&mut state);
        }
    }

    /// Tells jobs what has become of their slots.
    fn perform(&self, state: &mut State) {
        while let Some(effect) = state.slots.poll_effect() {
            match effect {
                SlotEffect::Granted { job, slots } => {
                    state.tell(job, PlacementInput::SlotsGranted { slots });
                }
                SlotEffect::Refused { job, message } => {
                    state.tell(job, PlacementInput::SlotsRefused { message });
                }
                SlotEffect::Lost { job, task_manager } => {
                    let why = "it is gone".to_owned();
                    state.tell(job, PlacementInput::TaskManagerLost { task_manager, why });
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell(&self, job: JobId, input: PlacementInput) {
        if let Some(running) = self.running.get(&job) {
            let _ = running.inputs.send(Input::Workplace(WorkersEvent::Placement(input)));
        }
    }
}
