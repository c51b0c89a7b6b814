//! The simulated world: one thread, one clock, one seed. It runs the same machines as production
//! (job master, coordinator, tasks), and is as unkind to them as the scenario says.
//!
//! Everything that takes time in the world is an event: messages, writes to storage. In between,
//! any task that has something to do may be stepped: the seed chooses. A step takes time, too.

mod ghost;
mod message;
mod restart;
mod strike;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flott_checkpoint::{CompletedCheckpoint, MemoryStorage, TerminalStatus, VoidIds};
use flott_control::{Assignment, JobInput, WorkerId};
use flott_core::config::Configuration;
use flott_core::element::CheckpointKind;
use flott_core::{AttemptNumber, CheckpointId, JobId, MonoTime, Now, TaskId};
use flott_runtime::{Clock, PendingSnapshot, Program};
use flott_state::UnreadGroup;

use super::clock::SimClock;
use super::ledger::Ledger;
use super::machines::{Host, LeaderEvent, MachineEvent};
use super::matrix::{Fault, Plot};
use super::process::{Fate, Process, REATTACH_TIMEOUT};
use super::scenario::Scenario;
use super::storage::JobFolder;
use super::trace::Trace;
use crate::rng::Rng;
pub(super) use ghost::{Ghost, GhostEvent};
pub(super) use message::{Message, injected, message};
pub(super) use strike::take;
use strike::{Forced, Stage};

/// A run that takes more turns than this hangs.
const TURNS_MAX: u64 = 300_000;

/// How often a slow task does nothing when it is its turn, out of a thousand times.
const SLOW_PERMILLE: u64 = 850;

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

/// How often the JobManager dies between two effects, in the same way.
const EFFECT_KILL_PERMILLE: u64 = 8;

/// How often it is paused, out of a thousand turns in which a record is being written.
const PAUSE_PERMILLE: u64 = 60;

/// How often a message comes twice, out of a thousand, where they do.
const DUPLICATE_PERMILLE: u64 = 30;

/// For so many turns after the record of a stop is complete, and after a job's record is written, what
/// fails does so so many times as often: that is where a stop, and a take-over, go wrong.
const STOPPING_TURNS: u32 = 60;
const DEPLOYING_TURNS: u32 = 5;
const TENDER_FACTOR: u64 = 10;

/// What is on its way.
pub(super) enum Event {
    ToMaster(JobInput),
    Machine(MachineEvent),
    Leader(LeaderEvent),
    PrepareLocation(CheckpointId),
    WriteSnapshot(WorkerId, PendingSnapshot),
    /// Somebody has time for state that a task has not read.
    ReadState(UnreadGroup),
    WriteMetadata(CheckpointKind, Arc<CompletedCheckpoint>),
    /// A write of a record that nobody expects any more.
    LateMetadata(CheckpointKind, Arc<CompletedCheckpoint>),
    Discard(Vec<String>),
    /// What a JobManager does that was paused, and leads no more.
    Ghost(GhostEvent),
}

/// Messages on one way do not overtake each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    FromWorker(WorkerId),
    ToWorker(WorkerId),
    FromHost(Host),
    ToHost(Host),
    /// From the end of a connection with this number.
    Link(u64),
    /// Storage answers in any order, and so does what has no order.
    Storage,
}

/// Everything that survives a crash of the process, and the randomness.
pub(super) struct World {
    pub(super) scenario: Scenario,
    seed: u64,
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
    tender: u32,
    /// How many jobs there were, one after the other.
    runs: u64,
    /// How many times a process was started; the same job may go on in several.
    pub(super) starts: u64,
    /// What the JobManager that leads has written down of the job, for the next one.
    pub(super) record: Option<JobRecord>,
    /// The job's checkpoints that do not count.
    pub(super) void: Option<VoidIds>,
    /// JobManagers that were paused.
    ghosts: Vec<Ghost>,
    /// One of them has just written a record: whoever looks for the newest now finds it.
    is_haunted: bool,
    leader_losses_left: u64,
    /// How often a JobManager went on with the tasks that ran.
    pub(super) reattached: u64,
    /// How often only a part of the job began again.
    pub(super) partly: u64,
    /// The job is over: nobody minds any more what becomes of the process.
    is_over: bool,
    /// The folders of the job's savepoints, as workers know them.
    pub(super) places: BTreeMap<CheckpointId, Arc<JobFolder>>,
    /// The savepoint of the newest stop whose record exists: its folder and number.
    pub(super) stop_record: Option<(String, CheckpointId)>,
    /// What is to go wrong, and how far that is.
    pub(super) plot: Option<Plot>,
    stage: Stage,
    /// The attempt that failed for it.
    failed_attempt: AttemptNumber,
    /// What storage does next.
    pub(super) forced: Forced,
    /// The newest checkpoint that some task was told of, and one with how many snapshots it has.
    pub(super) newest_triggered: CheckpointId,
    newest_written: (CheckpointId, usize),
    /// By how many milliseconds the JobManager's wall clock is wrong.
    leader_offset: i64,
    /// That of the job before this one.
    parallelism_before: [u32; 3],
    /// What the process that runs now was started from.
    start_point: Option<StartPoint>,
}

/// What a JobManager writes down of a job that is deployed.
#[derive(Clone)]
pub(super) struct JobRecord {
    pub(super) attempt: AttemptNumber,
    pub(super) tasks: Arc<BTreeMap<TaskId, Assignment>>,
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
    /// How often the JobManager alone was killed, and another one took over.
    pub leader_losses: u64,
    /// How often that one went on with the tasks that ran.
    pub reattached: u64,
    /// How often only a part of the job began again.
    pub partly: u64,
    /// Checkpoints that were completed.
    pub checkpoints: u64,
    /// Savepoints that were completed.
    pub savepoints: u64,
    /// How often the job stopped with one, and was started again from it.
    pub stops: u64,
    /// Transactions that were committed.
    pub transactions: u64,
    /// Whether the moment of the plot came.
    pub has_struck: bool,
}

impl World {
    pub(super) fn new(
        seed: u64,
        scenario: Scenario,
        program: Arc<Program>,
        config: Configuration,
        ledger: Ledger,
        trace: Trace,
    ) -> Self {
        Self {
            seed,
            program,
            config,
            ledger,
            clock: Arc::default(),
            disk: Arc::new(MemoryStorage::new()),
            trace,
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
            tender: 0,
            savepoints: 0,
            runs: 0,
            starts: 0,
            record: None,
            void: None,
            ghosts: Vec::new(),
            is_haunted: false,
            leader_losses_left: scenario.leader_losses,
            reattached: 0,
            partly: 0,
            is_over: false,
            places: BTreeMap::new(),
            stop_record: None,
            start_point: None,
            plot: None,
            stage: Stage::default(),
            failed_attempt: AttemptNumber::default(),
            forced: Forced::default(),
            newest_triggered: CheckpointId(0),
            newest_written: (CheckpointId(0), 0),
            leader_offset: 0,
            parallelism_before: scenario.parallelism,
            scenario,
        }
    }

    /// Runs the job to its end, however often the process dies.
    pub(super) fn run(&mut self) -> Result<Report, String> {
        let mut process = self.start()?;
        for _ in 0..TURNS_MAX {
            self.tender = self.tender.saturating_sub(1);
            match process.perform_effects(self)? {
                Fate::GoesOn => {}
                Fate::Dies => {
                    process = self.die(process)?;
                    continue;
                }
                Fate::Ended(TerminalStatus::Finished, _) => {
                    let Some(savepoint) = process.stopped_with(self) else {
                        return Ok(self.report());
                    };
                    self.stops += 1;
                    process = self.start_from_savepoint(savepoint)?;
                    continue;
                }
                // Somebody starts another job from what is left.
                Fate::Ended(TerminalStatus::Canceled, _) if self.is_cancelled() => {
                    process = self.start_after_cancel()?;
                    continue;
                }
                Fate::Ended(status, failure) => {
                    let failure = failure.unwrap_or_default();
                    return Err(format!("the job ended {status:?}: {failure}"));
                }
            }
            process = self.plot(process)?;
            if self.pauses_now() {
                process = self.fail_over(process, true)?;
                continue;
            }
            if std::mem::take(&mut self.is_haunted) && self.kills_left > 0 && !self.is_over {
                self.kills_left -= 1;
                process = self.crash(process)?;
                continue;
            }
            if self.may_die() && self.fails(KILL_PERMILLE) {
                process = self.die(process)?;
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
        let factor = if self.tender > 0 { TENDER_FACTOR } else { 1 };
        self.faults.permille(permille * factor)
    }

    /// The record of a stop is complete.
    pub(super) fn stop_recorded(&mut self, record: (String, CheckpointId)) {
        self.tender = STOPPING_TURNS;
        self.stop_record = Some(record);
    }

    /// The job is over: nobody starts it again.
    pub(super) fn over(&mut self) {
        self.record = None;
        self.is_over = true;
    }

    fn may_die(&self) -> bool {
        !self.is_over && self.kills_left + self.leader_losses_left > 0
    }

    /// Whether the JobManager dies between two things that it does at once; the last ones of a job are
    /// where most can go wrong.
    pub(super) fn dies_now(&mut self, is_ending: bool) -> bool {
        if is_ending && self.scenario.dies_at_end && !self.is_over {
            self.scenario.dies_at_end = self.faults.permille(700);
            return !self.scenario.dies_at_end;
        }
        self.may_die() && self.fails(EFFECT_KILL_PERMILLE)
    }

    /// Whether the JobManager is paused while a record is being written: that is when it matters most who
    /// leads.
    fn pauses_now(&mut self) -> bool {
        let may_pause = !self.is_over && self.leader_losses_left > 0;
        let is_writing = |event: &Event| matches!(event, Event::WriteMetadata(..));
        let pauses = may_pause
            && self.events.values().any(is_writing)
            && self.faults.permille(PAUSE_PERMILLE);
        self.leader_losses_left -= u64::from(pauses);
        // The next one may be lost as soon.
        if pauses {
            self.tender = STOPPING_TURNS;
        }
        pauses
    }

    fn is_cancelled(&self) -> bool {
        self.plot.is_some_and(|plot| plot.fault == Fault::Cancel) && self.stage == Stage::Struck
    }

    /// Whether storage cannot be read when a worker starts its tasks.
    pub(super) fn reads_fail(&mut self) -> bool {
        self.store.permille(self.scenario.read_failed)
    }

    /// A snapshot has been written, or that was tried.
    pub(super) fn snapshot_written(&mut self, checkpoint: CheckpointId) {
        let (newest, count) = &mut self.newest_written;
        if *newest == checkpoint {
            *count += 1;
        } else {
            (*newest, *count) = (checkpoint, 1);
        }
    }

    /// Another snapshot of the same checkpoint that waits to be written by the same worker.
    pub(super) fn take_snapshot(
        &mut self,
        worker: WorkerId,
        checkpoint: CheckpointId,
    ) -> Option<PendingSnapshot> {
        let is_one = |event: &Event| {
            matches!(event, Event::WriteSnapshot(by, own)
                if *by == worker && own.checkpoint == checkpoint && own.is_complete())
        };
        let (at, _) = self.events.iter().find(|(_, event)| is_one(event))?;
        let at = *at;
        let Some(Event::WriteSnapshot(_, pending)) = self.events.remove(&at) else { return None };
        self.trace.line(format_args!("and that of {} in the same file", pending.task));
        self.snapshot_written(checkpoint);
        Some(pending)
    }

    /// How often a message comes.
    pub(super) fn copies(&mut self) -> u32 {
        1 + u32::from(self.scenario.duplicates && self.network.permille(DUPLICATE_PERMILLE))
    }

    /// How long somebody looks for the JobManager that leads: sometimes longer than that waits.
    pub(super) fn return_delay(&mut self) -> Duration {
        let limit =
            if self.faults.permille(100) { REATTACH_TIMEOUT * 2 } else { REATTACH_TIMEOUT / 10 };
        Duration::from_micros(self.faults.below(limit.as_micros() as u64))
    }

    /// Writes down what the next JobManager has to know. False if that is not known to be done.
    pub(super) fn write_job_record(
        &mut self,
        attempt: AttemptNumber,
        tasks: &Arc<BTreeMap<TaskId, Assignment>>,
    ) -> bool {
        if !self.scenario.high_availability {
            return true;
        }
        let fails =
            take(&mut self.forced.records) || self.store.permille(self.scenario.store_failed);
        if !fails || self.store.permille(500) {
            self.record = Some(JobRecord { attempt, tasks: tasks.clone() });
            self.tender = self.tender.max(DEPLOYING_TURNS);
        }
        !fails
    }

    /// One thing happens.
    fn turn(&mut self, process: &mut Process) -> Result<(), String> {
        let now = self.clock.now();
        let ready = process.ready_tasks(now);
        let due = self.events.first_key_value().is_some_and(|((at, _), _)| *at <= now.mono);
        let timeout = process.timeout().is_some_and(|at| at <= now.mono);
        let choices = ready.len() + usize::from(due) + usize::from(timeout);
        if choices == 0 {
            return self.sleep(process);
        }
        let choice = self.schedule.below(choices as u64) as usize;
        if let Some(task) = ready.get(choice) {
            self.clock.advance(Duration::from_micros(self.schedule.below(400)));
            if process.is_slow(self, task.1) && self.schedule.permille(SLOW_PERMILLE) {
                return Ok(());
            }
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
        process.handle_timeout(self.leader_now());
        Ok(())
    }

    /// Nothing can be done now: time passes until something can.
    fn sleep(&mut self, process: &Process) -> Result<(), String> {
        let event = self.events.first_key_value().map(|((at, _), _)| *at);
        let times = [event, process.timeout(), process.next_task_time(&self.clock)];
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
        if take(&mut self.forced.slow) {
            return self.scenario.timeout * 2;
        }
        let slow = self.store.permille(self.scenario.store_slow);
        let limit = if slow { self.scenario.timeout.as_micros() as u64 * 2 } else { 2_000 };
        Duration::from_micros(self.store.below(limit))
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
            leader_losses: self.scenario.leader_losses - self.leader_losses_left,
            reattached: self.reattached,
            partly: self.partly,
            checkpoints: self.ledger.checkpoints(),
            savepoints: self.savepoints,
            stops: self.stops,
            transactions: self.ledger.transactions(),
            has_struck: self.stage == Stage::Struck,
        }
    }
}
