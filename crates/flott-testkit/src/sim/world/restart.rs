//! How the process dies, and what it is started from again.

use std::collections::BTreeMap;
use std::time::Duration;

use flott_checkpoint::storage::METADATA_FILE;
use flott_checkpoint::{CompletedCheckpoint, VoidIds, metadata};
use flott_control::WorkerId;
use flott_core::{CheckpointId, JobId, MonoTime};
use flott_runtime::Clock;

use super::super::machines::Machines;
use super::super::process::Process;
use super::super::scenario::Scenario;
use super::ghost::Open;
use super::{Event, StartPoint, World};

/// What is said where an operator cannot be rescaled: some of its subtasks have finished.
const HALF_FINISHED: &str = "subtasks had finished";

impl World {
    /// Starts the process from the newest checkpoint that there is. With high availability it is the
    /// same job that goes on; else somebody starts another one with `-s`.
    pub(super) fn start(&mut self) -> Result<Process, String> {
        let goes_on = self.scenario.high_availability && self.runs > 0;
        let last = self.job();
        if !goes_on {
            self.next_job()?;
        }
        let job = self.job();
        self.look_for_newest(last)?;
        self.start_process(job, None)
    }

    /// The job was cancelled: somebody starts another one from its newest checkpoint.
    pub(super) fn start_after_cancel(&mut self) -> Result<Process, String> {
        self.events.clear();
        self.ways.clear();
        let last = self.job();
        self.next_job()?;
        self.look_for_newest(last)?;
        self.start_process(self.job(), None)
    }

    /// The next job is another one: it may have another parallelism.
    fn next_job(&mut self) -> Result<(), String> {
        if self.runs > 0 && self.scenario.rescales {
            let drawn = Scenario::draw_parallelism(&mut self.faults, self.scenario.side_by_side);
            self.parallelism_before = std::mem::replace(&mut self.scenario.parallelism, drawn);
            self.write_program()?;
        }
        self.runs += 1;
        self.record = None;
        self.is_over = false;
        self.places.clear();
        self.stop_record = None;
        self.void = None;
        Ok(())
    }

    /// The program, as the scenario says.
    fn write_program(&mut self) -> Result<(), String> {
        let [sources, keyed, sinks] = self.scenario.parallelism;
        self.trace.line(format_args!("parallelism {sources}, {keyed}, {sinks}"));
        let program = super::super::job::program(self.seed, &self.scenario, &self.ledger);
        self.program = program.map_err(|error| error.report())?.into();
        Ok(())
    }

    /// The job has stopped: somebody starts another one from its savepoint. What was on its way is not
    /// any more.
    pub(super) fn start_from_savepoint(
        &mut self,
        (folder, checkpoint): (String, CheckpointId),
    ) -> Result<Process, String> {
        self.events.clear();
        self.ways.clear();
        let job = self.job();
        self.next_job()?;
        self.start_point = Some(StartPoint { job, checkpoint, folder, name: "savepoint-chk" });
        self.start_process(self.job(), None)
    }

    /// Starts a JobManager, with the machines that there are, or with new ones.
    fn start_process(&mut self, job: JobId, machines: Option<Machines>) -> Result<Process, String> {
        self.starts += 1;
        let restored = self.record_at_start_point()?;
        let from = restored.as_ref().map(|record| record.checkpoint);
        self.trace.line(format_args!("start {} of job {job} from {from:?}", self.starts));
        let machines = machines.unwrap_or_else(|| self.new_machines());
        let started = Process::start(self, job, restored.clone(), machines);
        let report = match started.map_err(|error| error.report()) {
            Ok(process) => return Ok(process),
            Err(report) => report,
        };
        if !report.contains(HALF_FINISHED) || self.scenario.parallelism == self.parallelism_before {
            return Err(report);
        }
        // That is said, and then done.
        self.scenario.parallelism = self.parallelism_before;
        self.write_program()?;
        self.events.clear();
        self.ways.clear();
        let machines = self.new_machines();
        Process::start(self, job, restored, machines).map_err(|error| error.report())
    }

    fn new_machines(&mut self) -> Machines {
        let mut machines = Machines::default();
        (0..self.scenario.task_managers).for_each(|_| machines.start_host(self));
        machines
    }

    /// The job that runs now.
    pub(super) fn job(&self) -> JobId {
        JobId::from_u128(u128::from(self.runs))
    }

    /// Where the process that runs now puts its savepoints: each in a folder that is nobody else's.
    pub(in super::super) fn savepoint_folder(&self) -> String {
        format!("/savepoints/{}", self.starts)
    }

    /// What `-s` would be given, or a JobManager takes: the newest record of a job, or what that was
    /// started from.
    fn look_for_newest(&mut self, job: JobId) -> Result<(), String> {
        let folder = format!("/{job}");
        let ids = self.numbers(job, |file| file == METADATA_FILE);
        let counts = |id: &CheckpointId| !self.void.is_some_and(|void| void.contains(*id));
        let Some(newest) = ids.into_iter().filter(counts).max() else { return Ok(()) };
        if let Some(before) = &self.start_point {
            let is_same = (before.job, before.checkpoint) == (job, newest);
            if before.checkpoint >= newest && !is_same {
                return Err(format!("checkpoint {newest} is not newer than {before:?}"));
            }
        }
        self.start_point = Some(StartPoint { job, checkpoint: newest, folder, name: "chk" });
        Ok(())
    }

    /// The numbers of a job's checkpoints that have such a file.
    fn numbers(&self, job: JobId, is_wanted: impl Fn(&str) -> bool) -> Vec<CheckpointId> {
        let folder = format!("/{job}/chk-");
        let paths = self.disk.paths();
        let numbers = paths.iter().filter_map(|path| {
            let (number, file) = path.strip_prefix(&folder)?.split_once('/')?;
            is_wanted(file).then(|| number.parse().ok().map(CheckpointId)).flatten()
        });
        numbers.collect()
    }

    /// The JobManager before may still be there: what it writes from now on does not count.
    fn leave_ids_out(&mut self, job: JobId) {
        let start = self.start_point.as_ref();
        let own = start.filter(|start| start.job == job).map(|start| start.checkpoint);
        let used = self.numbers(job, |_| true).into_iter();
        let used = used.chain(start.map(|start| start.checkpoint));
        let highest = used.chain(self.void.map(VoidIds::end)).max().unwrap_or(CheckpointId(0));
        self.void = Some(VoidIds::after_takeover(own, highest));
    }

    /// What there is of the checkpoint that the process was started from: its record first.
    pub(in super::super) fn claimed(&self, record: &CompletedCheckpoint) -> Vec<String> {
        let Some(StartPoint { checkpoint, folder, name, .. }) = &self.start_point else {
            return Vec::new();
        };
        let own = format!("{folder}/{name}-{checkpoint}/{METADATA_FILE}");
        let files = record.files().into_iter().map(str::to_owned);
        std::iter::once(own).chain(files).collect()
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

    /// The JobManager dies, and with it everything else, or not.
    pub(super) fn die(&mut self, process: Process) -> Result<Process, String> {
        let may_fail_over = self.scenario.high_availability
            && (self.leader_losses_left > 0 || self.kills_left == 0);
        if may_fail_over && (self.kills_left == 0 || self.faults.permille(500)) {
            self.leader_losses_left = self.leader_losses_left.saturating_sub(1);
            let is_paused = self.faults.permille(500);
            self.fail_over(process, is_paused)
        } else {
            self.kills_left = self.kills_left.saturating_sub(1);
            self.crash(process)
        }
    }

    /// Everything dies.
    pub(super) fn crash(&mut self, mut process: Process) -> Result<Process, String> {
        self.trace.line(format_args!("crash"));
        for (_, event) in std::mem::take(&mut self.events) {
            let left = self.leader_loses(&mut process, event)?;
            if let Some(event @ Event::WriteSnapshot(..)) = left
                && self.faults.permille(500)
            {
                process.happen(self, event)?;
            }
        }
        self.events.clear();
        self.ways.clear();
        drop(process);
        self.start()
    }

    /// The JobManager dies, or is only paused for longer than its lease, and another one takes over.
    pub(super) fn fail_over(
        &mut self,
        mut process: Process,
        is_paused: bool,
    ) -> Result<Process, String> {
        let what = if is_paused { "paused" } else { "killed" };
        self.trace.line(format_args!("the JobManager is {what}"));
        let mut kept = Vec::new();
        let mut open = Open::default();
        for (at, event) in std::mem::take(&mut self.events) {
            let event = if is_paused {
                self.pauses(event, process.job_folder(), &mut open)?
            } else {
                Some(event)
            };
            let Some(event) = event else { continue };
            if let Some(event) = self.leader_loses(&mut process, event)? {
                kept.push((at, event));
            }
        }
        // What storage answers, nobody hears. What was said to machines is heard to some point.
        self.events.clear();
        let mut heard: BTreeMap<Option<WorkerId>, MonoTime> = BTreeMap::new();
        for ((at, number), event) in kept {
            let to = if let Event::Machine(event) = &event { event.said_by_leader() } else { None };
            let is_heard = to.is_none_or(|to| {
                let limit = self.scenario.latency_micros + 1;
                let now = self.clock.now().mono;
                let until = heard
                    .entry(to)
                    .or_insert_with(|| now.plus(Duration::from_micros(self.faults.below(limit))));
                at <= *until
            });
            if is_heard {
                self.events.insert((at, number), event);
            }
        }
        let job = self.job();
        let (mut machines, ghost) = process.into_parts();
        machines.leader_lost(self);
        self.look_for_newest(job)?;
        if is_paused {
            self.leave(ghost, open);
            self.leave_ids_out(job);
        }
        self.start_process(job, Some(machines))
    }

    /// What becomes of something on its way when the JobManager dies. What it was writing may or may
    /// not get through; what does not concern it stays.
    fn leader_loses(
        &mut self,
        process: &mut Process,
        event: Event,
    ) -> Result<Option<Event>, String> {
        match event {
            Event::WriteMetadata(..) | Event::LateMetadata(..) => {
                if self.faults.permille(500) {
                    process.happen(self, event)?;
                }
            }
            Event::Discard(paths) => {
                // Some of it is gone, the rest stays.
                let limit = self.faults.below(4) as usize;
                process.discard(self, paths, limit)?;
            }
            Event::ToMaster(_) | Event::Leader(_) | Event::PrepareLocation(_) => {}
            Event::Machine(_)
            | Event::WriteSnapshot(..)
            | Event::ReadState(_)
            | Event::Ghost(_) => {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }
}
