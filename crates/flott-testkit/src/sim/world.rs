//! The simulated world: one thread, one clock, one seed. It runs the same machines as production
//! (job master, coordinator, tasks), and is as unkind to them as the scenario says.
//!
//! Everything that takes time in the world is an event: messages, writes to storage. In between,
//! any task that has something to do may be stepped: the seed chooses. A step takes time, too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flott_checkpoint::storage::METADATA_FILE;
use flott_checkpoint::{CompletedCheckpoint, MemoryStorage, TerminalStatus, metadata};
use flott_control::{Failure, JobInput, WorkerId};
use flott_core::config::Configuration;
use flott_core::element::CheckpointKind;
use flott_core::{AttemptNumber, CheckpointId, JobId, MonoTime, Now, TaskId};
use flott_runtime::{Clock, PendingSnapshot, Program, TaskEvent};

use super::clock::SimClock;
use super::ledger::Ledger;
use super::machines::{LINK_LOST, MachineEvent};
use super::process::Process;
use super::scenario::Scenario;
use super::trace::Trace;
use crate::rng::Rng;

/// A run that takes more turns than this hangs.
const TURNS_MAX: u64 = 300_000;

/// How often a task fails, or the process is killed, out of a thousand turns, as long as the
/// scenario has some left.
const TASK_FAILURE_PERMILLE: u64 = 6;
const KILL_PERMILLE: u64 = 3;

/// How often a worker, a TaskManager or a connection is lost, in the same way.
const MACHINE_FAILURE_PERMILLE: u64 = 4;

/// How often somebody asks for a savepoint, out of a thousand turns, in the same way.
const SAVEPOINT_PERMILLE: u64 = 4;

/// How often somebody wants the job to stop with a savepoint, in the same way.
const STOP_PERMILLE: u64 = 3;

/// After the record of a stop is complete and before the job has ended, for so many turns, what fails
/// does so so many times as often: that is where a stop goes wrong.
const STOPPING_TURNS: u32 = 60;
const STOPPING_FACTOR: u64 = 10;

/// What is on its way.
pub(super) enum Event {
    ToMaster(JobInput),
    Machine(MachineEvent),
    PrepareLocation(CheckpointId),
    WriteSnapshot(PendingSnapshot),
    WriteMetadata(CheckpointKind, Arc<CompletedCheckpoint>),
    /// A write of a record that nobody expects any more.
    LateMetadata(CheckpointKind, Arc<CompletedCheckpoint>),
    Discard(Vec<String>),
}

/// Messages on one way do not overtake each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    FromWorker(WorkerId),
    ToWorker(WorkerId),
    /// From the end of a connection with this number.
    Link(u64),
    /// Storage answers in any order, and so does what has no order.
    Storage,
}

/// Everything that survives a crash of the process, and the randomness.
pub(super) struct World<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) program: Arc<Program>,
    pub(super) config: Configuration,
    pub(super) ledger: Ledger,
    pub(super) clock: Arc<SimClock>,
    /// Everything that was ever written, by every run of the process.
    pub(super) disk: Arc<MemoryStorage>,
    pub(super) trace: Trace,
    pub(super) schedule: Rng,
    pub(super) store: Rng,
    network: Rng,
    faults: Rng,
    events: BTreeMap<(MonoTime, u64), Event>,
    event_number: u64,
    ways: BTreeMap<Way, MonoTime>,
    task_failures_left: u64,
    machine_failures_left: u64,
    kills_left: u64,
    savepoints_left: u64,
    stops_left: u64,
    /// Those that were completed.
    pub(super) savepoints: u64,
    /// How often the job has stopped with one.
    stops: u64,
    /// For how many more turns failures are likelier.
    stopping: u32,
    /// How many jobs there were, one after the other.
    runs: u64,
    /// How many times a process was started; the same job may go on in several.
    starts: u64,
    /// The newest attempt of the job that was deployed.
    pub(super) last_attempt: Option<AttemptNumber>,
    /// What the process that runs now was started from.
    start_point: Option<StartPoint>,
}

/// A record to start from.
#[derive(Clone, Debug)]
struct StartPoint {
    job: JobId,
    checkpoint: CheckpointId,
    /// Its files are named from here.
    folder: String,
    /// What its own folder there is called, without its number.
    name: &'static str,
}

/// What a run that went well has to tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The hash of everything that happened.
    pub trace: u64,
    /// Tasks that were made to fail.
    pub task_failures: u64,
    /// Workers, TaskManagers and connections that were lost.
    pub machine_failures: u64,
    /// Crashes of everything.
    pub kills: u64,
    /// Checkpoints that were completed.
    pub checkpoints: u64,
    /// Savepoints that were completed.
    pub savepoints: u64,
    /// How often the job stopped with one, and was started again from it.
    pub stops: u64,
    /// Transactions that were committed.
    pub transactions: u64,
}

impl<'a> World<'a> {
    pub(super) fn new(
        seed: u64,
        scenario: &'a Scenario,
        program: Arc<Program>,
        config: Configuration,
        ledger: Ledger,
        print: bool,
    ) -> Self {
        Self {
            scenario,
            program,
            config,
            ledger,
            clock: Arc::default(),
            disk: Arc::new(MemoryStorage::new()),
            trace: Trace::new(print),
            schedule: Rng::new(seed, 2),
            store: Rng::new(seed, 3),
            network: Rng::new(seed, 4),
            faults: Rng::new(seed, 5),
            events: BTreeMap::new(),
            event_number: 0,
            ways: BTreeMap::new(),
            task_failures_left: scenario.task_failures,
            machine_failures_left: scenario.machine_failures,
            kills_left: scenario.kills,
            savepoints_left: scenario.savepoints,
            stops_left: scenario.stops,
            stops: 0,
            stopping: 0,
            savepoints: 0,
            runs: 0,
            starts: 0,
            last_attempt: None,
            start_point: None,
        }
    }

    /// Runs the job to its end, however often the process dies.
    pub(super) fn run(&mut self) -> Result<Report, String> {
        let mut process = self.start()?;
        for _ in 0..TURNS_MAX {
            self.stopping = self.stopping.saturating_sub(1);
            if let Some((status, failure)) = process.perform_effects(self)? {
                if status != TerminalStatus::Finished {
                    return Err(format!(
                        "the job ended {status:?}: {}",
                        failure.unwrap_or_default()
                    ));
                }
                let Some(savepoint) = process.stopped_with() else { return Ok(self.report()) };
                self.stops += 1;
                process = self.start_from_savepoint(savepoint)?;
                continue;
            }
            if self.kills_left > 0 && self.fails(KILL_PERMILLE) {
                self.kills_left -= 1;
                process = self.crash(process)?;
                continue;
            }
            if self.machine_failures_left > 0 && self.fails(MACHINE_FAILURE_PERMILLE) {
                self.machine_failures_left -= 1;
                process.fail_machine(self);
                continue;
            }
            if self.savepoints_left > 0 && self.faults.permille(SAVEPOINT_PERMILLE) {
                self.savepoints_left -= 1;
                let request = self.savepoints_left;
                let input = JobInput::SavepointRequested { request };
                self.send(Way::Storage, Event::ToMaster(input));
            }
            if self.stops_left > 0 && self.faults.permille(STOP_PERMILLE) {
                self.stops_left -= 1;
                self.send(Way::Storage, Event::ToMaster(process.stop_request()));
            }
            self.turn(&mut process)?;
        }
        Err(format!("the job hangs: {}", process.describe()))
    }

    /// Whether something that fails now and then fails now.
    fn fails(&mut self, permille: u64) -> bool {
        let factor = if self.stopping > 0 { STOPPING_FACTOR } else { 1 };
        self.faults.permille(permille * factor)
    }

    /// The record of a stop is complete.
    pub(super) fn stop_recorded(&mut self) {
        self.stopping = STOPPING_TURNS;
    }

    /// One thing happens.
    fn turn(&mut self, process: &mut Process) -> Result<(), String> {
        let now = self.clock.now();
        let ready = process.ready_tasks(now.wall);
        let due = self.events.first_key_value().is_some_and(|((at, _), _)| *at <= now.mono);
        let timeout = process.timeout().is_some_and(|at| at <= now.mono);
        let choices = ready.len() + usize::from(due) + usize::from(timeout);
        if choices == 0 {
            return self.sleep(process);
        }
        let choice = self.schedule.below(choices as u64) as usize;
        if let Some(task) = ready.get(choice) {
            self.clock.advance(Duration::from_micros(self.schedule.below(400)));
            if self.task_failures_left > 0 && self.fails(TASK_FAILURE_PERMILLE) {
                self.task_failures_left -= 1;
                process.fail_task(self, *task);
                return Ok(());
            }
            return process.step(self, *task);
        }
        if choice == ready.len() && due {
            if let Some((_, event)) = self.events.pop_first() {
                process.happen(self, event)?;
            }
            return Ok(());
        }
        process.handle_timeout(now);
        Ok(())
    }

    /// Nothing can be done now: time passes until something can.
    fn sleep(&mut self, process: &Process) -> Result<(), String> {
        let event = self.events.first_key_value().map(|((at, _), _)| *at);
        let times = [event, process.timeout(), process.next_task_time()];
        let Some(next) = times.into_iter().flatten().min() else {
            return Err(format!("nothing will ever happen again: {}", process.describe()));
        };
        self.clock.advance_to(next);
        Ok(())
    }

    /// Sends something on its way.
    pub(super) fn send(&mut self, way: Way, event: Event) {
        let latency = self.network.below(self.scenario.latency_micros + 1);
        self.send_after(way, Duration::from_micros(latency), event);
    }

    pub(super) fn send_after(&mut self, way: Way, delay: Duration, event: Event) {
        let mut at = self.clock.now().mono.plus(delay);
        if way != Way::Storage {
            let newest = self.ways.entry(way).or_default();
            at = at.max(*newest);
            *newest = at;
        }
        self.event_number += 1;
        self.events.insert((at, self.event_number), event);
    }

    /// How long storage takes.
    pub(super) fn storage_delay(&mut self) -> Duration {
        let slow = self.store.permille(self.scenario.store_slow);
        let limit = if slow { self.scenario.timeout.as_micros() as u64 * 2 } else { 2_000 };
        Duration::from_micros(self.store.below(limit))
    }

    /// Starts the process from the newest checkpoint that there is. With high availability it is the
    /// same job that goes on; else somebody starts another one with `-s`.
    fn start(&mut self) -> Result<Process, String> {
        let goes_on = self.scenario.high_availability && self.runs > 0;
        if !goes_on {
            self.runs += 1;
            self.last_attempt = None;
        }
        let job = self.job();
        let last = if goes_on { job } else { JobId::from_u128(u128::from(self.runs - 1)) };
        self.look_for_newest(last)?;
        self.start_process(job)
    }

    /// The job has stopped: somebody starts another one from its savepoint. What was on its way is not
    /// any more.
    fn start_from_savepoint(
        &mut self,
        (folder, checkpoint): (String, CheckpointId),
    ) -> Result<Process, String> {
        self.events.clear();
        self.ways.clear();
        let job = self.job();
        self.runs += 1;
        self.last_attempt = None;
        self.start_point = Some(StartPoint { job, checkpoint, folder, name: "savepoint-chk" });
        self.start_process(self.job())
    }

    fn start_process(&mut self, job: JobId) -> Result<Process, String> {
        self.starts += 1;
        let restored = self.record_at_start_point()?;
        let from = restored.as_ref().map(|record| record.checkpoint);
        self.trace.line(format_args!("start {} of job {job} from {from:?}", self.starts));
        Process::start(self, job, restored).map_err(|error| error.report())
    }

    /// The job that runs now.
    fn job(&self) -> JobId {
        JobId::from_u128(u128::from(self.runs))
    }

    /// Where the process that runs now puts its savepoints: each in a folder that is nobody else's.
    pub(super) fn savepoint_folder(&self) -> String {
        format!("/savepoints/{}", self.starts)
    }

    /// The attempt that the process that runs now begins with.
    pub(super) fn first_attempt(&self) -> AttemptNumber {
        self.last_attempt.map_or(AttemptNumber::default(), AttemptNumber::next)
    }

    /// What `-s` would be given, or a JobManager takes: the newest record of a job, or what that was
    /// started from.
    fn look_for_newest(&mut self, job: JobId) -> Result<(), String> {
        let folder = format!("/{job}");
        let paths = self.disk.paths();
        let ids = paths.iter().filter_map(|path| {
            let number = path.strip_prefix(&folder)?.strip_prefix("/chk-")?;
            let number = number.strip_suffix(METADATA_FILE)?.strip_suffix('/')?;
            number.parse().ok().map(CheckpointId)
        });
        let Some(newest) = ids.max() else { return Ok(()) };
        if let Some(before) = &self.start_point {
            let is_same = (before.job, before.checkpoint) == (job, newest);
            if before.checkpoint >= newest && !is_same {
                return Err(format!("checkpoint {newest} is not newer than {before:?}"));
            }
        }
        self.start_point = Some(StartPoint { job, checkpoint: newest, folder, name: "chk" });
        Ok(())
    }

    /// A record that exists must be whole.
    fn record_at_start_point(&self) -> Result<Option<CompletedCheckpoint>, String> {
        let Some(StartPoint { job, checkpoint, folder, name }) = &self.start_point else {
            return Ok(None);
        };
        let path = format!("{folder}/{name}-{checkpoint}/{METADATA_FILE}");
        let bytes = flott_checkpoint::storage::CheckpointStorage::read(&*self.disk, &path, None);
        let bytes = bytes.map_err(|error| error.into_error().report())?;
        let record = metadata::decode(&bytes, &path).map_err(|error| error.report())?;
        // Its own files a job finds where they are.
        Ok(Some(if *job == self.job() { record } else { record.rebased(folder) }))
    }

    /// The process dies. What it was writing may or may not get through.
    fn crash(&mut self, mut process: Process) -> Result<Process, String> {
        self.trace.line(format_args!("crash"));
        for (_, event) in std::mem::take(&mut self.events) {
            let is_write = matches!(
                event,
                Event::WriteSnapshot(_) | Event::WriteMetadata(..) | Event::LateMetadata(..)
            );
            if is_write && self.faults.permille(500) {
                process.happen(self, event)?;
            } else if let Event::Discard(paths) = event {
                // Some of it is gone, the rest stays.
                let limit = self.faults.below(4) as usize;
                process.discard(self, paths, limit)?;
            }
        }
        self.events.clear();
        self.ways.clear();
        drop(process);
        self.start()
    }

    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }

    fn report(&self) -> Report {
        Report {
            trace: self.trace.hash(),
            task_failures: self.scenario.task_failures - self.task_failures_left,
            machine_failures: self.scenario.machine_failures - self.machine_failures_left,
            kills: self.scenario.kills - self.kills_left,
            checkpoints: self.ledger.checkpoints(),
            savepoints: self.savepoints,
            stops: self.stops,
            transactions: self.ledger.transactions(),
        }
    }
}

/// What a task says, as the master hears it; a snapshot is written first.
pub(super) fn message(
    attempt: AttemptNumber,
    task: TaskId,
    event: TaskEvent,
) -> Result<Event, String> {
    Ok(Event::ToMaster(match event {
        TaskEvent::Running => JobInput::TaskRunning { attempt, task },
        TaskEvent::EndOfData => JobInput::EndOfData { attempt, task },
        TaskEvent::Finished => JobInput::TaskFinished { attempt, task },
        TaskEvent::Canceled => JobInput::TaskCanceled { attempt, task },
        TaskEvent::Declined(checkpoint) => JobInput::Decline {
            attempt,
            checkpoint,
            task,
            reason: flott_checkpoint::DeclineReason::Subsumed,
            message: "a newer barrier arrived first".into(),
        },
        TaskEvent::Snapshot(pending) => return Ok(Event::WriteSnapshot(pending)),
        TaskEvent::Failed { error, .. } if error.report().contains(LINK_LOST) => {
            let failure = Failure::new(error.report());
            JobInput::TaskFailed { attempt, task, failure }
        }
        // No task fails by itself here: whatever else it says is a finding.
        TaskEvent::Failed { error, .. } => return Err(error.report()),
    }))
}

/// The failure of a task that was chosen to fail.
pub(super) fn injected(attempt: AttemptNumber, task: TaskId) -> Event {
    let failure = Failure::new("the simulator made it fail");
    Event::ToMaster(JobInput::TaskFailed { attempt, task, failure })
}
