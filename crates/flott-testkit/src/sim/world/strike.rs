//! One cell of the fault matrix: waits for its moment, and strikes.

use std::time::Duration;

use flott_control::JobInput;
use flott_core::{CheckpointId, MonoTime};
use flott_runtime::{Clock, Command};

use super::super::ledger::Callback;
use super::super::machines::MachineEvent;
use super::super::matrix::{Fault, Moment, Plot};
use super::super::process::Process;
use super::{Event, Way, World};

/// Who asks for what a plot wants.
const REQUEST: u64 = 1 << 40;

/// By how many milliseconds a wall clock is set forward, or that of the JobManager back.
const JUMP: i64 = 3_600_000;

/// By how many it is set back where tasks run: for so long, timers of processing time do not fire.
const JUMP_BACK: i64 = 300;

/// Out of three turns at the moment of a plot, how many pass: it strikes anywhere within it.
const PASSES: u64 = 2;

/// How far a plot is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum Stage {
    /// Nothing has happened.
    #[default]
    Waiting,
    /// The failure is there whose recovery is the moment.
    FailedOnce,
    /// That recovery has failed, too.
    FailedTwice,
    Struck,
}

/// What storage, or whoever keeps job records, will do to the next calls.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Forced {
    pub(in super::super) failed: u32,
    pub(in super::super) unknown: u32,
    pub(in super::super) late: u32,
    pub(in super::super) slow: u32,
    pub(in super::super) records: u32,
}

/// Whether one of so many is left; it is taken.
pub(in super::super) fn take(left: &mut u32) -> bool {
    let is_left = *left > 0;
    *left = left.saturating_sub(1);
    is_left
}

impl World {
    /// Strikes if it is the moment. The process may be another one then.
    pub(super) fn plot(&mut self, mut process: Process) -> Result<Process, String> {
        let Some(plot) = self.plot.filter(|_| self.stage != Stage::Struck && !self.is_over) else {
            return Ok(process);
        };
        let is_moment = match (plot.moment, self.stage) {
            (Moment::Recovery, Stage::FailedOnce)
            | (Moment::SecondRecovery, Stage::FailedTwice) => {
                process.recovers_from(self.failed_attempt)
            }
            (Moment::Recovery | Moment::SecondRecovery, Stage::Waiting) => {
                if self.is_between_checkpoints(&process) && process.fail_any_task(self) {
                    self.failed_attempt = process.attempt();
                    self.stage = Stage::FailedOnce;
                }
                false
            }
            (Moment::SecondRecovery, Stage::FailedOnce) => {
                let may_fail = process.recovers_from(self.failed_attempt)
                    && process.attempt() > self.failed_attempt;
                if may_fail && process.fail_any_task(self) {
                    self.failed_attempt = process.attempt();
                    self.stage = Stage::FailedTwice;
                }
                false
            }
            (moment, _) => self.is_at(moment, &process),
        };
        if !is_moment || self.faults.below(PASSES + 1) < PASSES {
            return Ok(process);
        }
        self.stage = Stage::Struck;
        self.trace.line(format_args!("{:?} strikes at {:?}", plot.fault, plot.moment));
        if matches!(plot.fault, Fault::JobManager | Fault::PausedJobManager) {
            return self.fail_over(process, plot.fault == Fault::PausedJobManager);
        }
        self.strike(&mut process, plot);
        Ok(process)
    }

    fn strike(&mut self, process: &mut Process, Plot { fault, .. }: Plot) {
        let is_back = self.faults.permille(500);
        match fault {
            Fault::HostOfState => process.kill_host_of(self, "verify"),
            Fault::HostOfSink => process.kill_host_of(self, "ledger"),
            Fault::Zombie => process.take_for_lost(self),
            // The process itself is another one then.
            Fault::JobManager | Fault::PausedJobManager => {}
            Fault::Partition => process.partition(self),
            Fault::Links => process.cut_links(self),
            Fault::Worker => process.kill_worker(self),
            Fault::JobRecord => self.forced.records = 2,
            Fault::StorageFails => {
                self.forced.failed = 2;
                process.fail_reads(2);
            }
            Fault::StorageSlow => self.forced.slow = 3,
            Fault::StorageUnknown => self.forced.unknown = 2,
            Fault::StorageLate => self.forced.late = 1,
            Fault::JobManagerClock => {
                self.leader_offset += if is_back { -JUMP } else { JUMP };
            }
            Fault::HostClock => self.clock.jump(if is_back { -JUMP_BACK } else { JUMP }),
            Fault::Messages => self.repeat_messages(),
            Fault::UserFailure => {
                let callback = *self.faults.choose(&Callback::ALL);
                self.ledger.sabotage(callback);
            }
            Fault::UserHang => process.hang(self),
            Fault::Savepoint => {
                let input = JobInput::SavepointRequested { request: REQUEST };
                self.send(Way::Storage, Event::ToMaster(input));
            }
            Fault::Stop | Fault::Rescale => {
                self.send(Way::Storage, Event::ToMaster(process.stop_request()));
            }
            Fault::Cancel => self.send(Way::Storage, Event::ToMaster(JobInput::Cancel)),
        }
    }

    fn is_at(&self, moment: Moment, process: &Process) -> bool {
        if !process.all_run() {
            return false;
        }
        match moment {
            Moment::BeforeTrigger => self.is_between_checkpoints(process),
            Moment::Alignment | Moment::Upload => {
                process.pending().any(|checkpoint| self.is_under_way(moment, checkpoint, process))
            }
            Moment::RecordDue => self.any_event(|event| {
                matches!(event, Event::WriteMetadata(_, record) if record.checkpoint > CheckpointId(1))
            }),
            Moment::NotifyDue => self.any_event(|event| {
                matches!(event, Event::ToMaster(JobInput::MetadataPersisted { checkpoint })
                    if *checkpoint > CheckpointId(1))
            }),
            Moment::Commit => self.any_event(|event| {
                matches!(event, Event::Machine(MachineEvent::Tell(.., Command::NotifyComplete(id)))
                    if *id > CheckpointId(1))
            }),
            Moment::Recovery | Moment::SecondRecovery => false,
        }
    }

    /// Whether barriers of a checkpoint are on their way, and how much has been written.
    fn is_under_way(&self, moment: Moment, checkpoint: CheckpointId, process: &Process) -> bool {
        let is_newest = self.newest_written.0 == checkpoint;
        let written = if is_newest { self.newest_written.1 } else { 0 };
        let is_triggered = self.newest_triggered >= checkpoint && checkpoint > CheckpointId(1);
        let is_wanted = if moment == Moment::Alignment {
            written == 0
        } else {
            written > 0 && written < process.tasks()
        };
        is_triggered && is_wanted
    }

    /// Whether all tasks run, there is a checkpoint, and none is under way.
    fn is_between_checkpoints(&self, process: &Process) -> bool {
        process.all_run()
            && process.pending().next().is_none()
            && self.ledger.newest(self.job()).is_some()
    }

    fn any_event(&self, is_it: impl Fn(&Event) -> bool) -> bool {
        self.events.values().any(is_it)
    }

    /// What is on its way to the job's master, or from it to tasks, comes again, in any order.
    fn repeat_messages(&mut self) {
        let copies = self.events.values().filter_map(|event| {
            if let Event::ToMaster(input) = event {
                return Some(Event::ToMaster(input.clone()));
            }
            let Event::Machine(MachineEvent::Tell(worker, attempt, task, command)) = event else {
                return None;
            };
            Some(Event::Machine(MachineEvent::Tell(*worker, *attempt, *task, *command)))
        });
        for copy in copies.collect::<Vec<_>>() {
            let delay = Duration::from_micros(self.network.below(50_000));
            self.send_after(Way::Storage, delay, copy);
        }
    }

    /// What the JobManager's clocks show.
    pub(in super::super) fn leader_now(&self) -> flott_core::Now {
        let now = self.clock.now();
        let wall = flott_core::Timestamp(now.wall.0 - self.clock.jumped() + self.leader_offset);
        flott_core::Now { wall, ..now }
    }

    /// Until when user code hangs that begins to now.
    pub(in super::super) fn hang_end(&self) -> MonoTime {
        self.clock.now().mono.plus(self.scenario.timeout * 2)
    }
}
