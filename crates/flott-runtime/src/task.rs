//! A task: one subtask of a chain, stepped by whoever has time.
//!
//! `step` takes one batch through the chain, or handles one event, and says what it waits for. It
//! never blocks, never sleeps, starts no thread and reads no clock but the one it was given. What
//! it has to say goes into an outbox of [`TaskEvent`]s; what it is told comes in [`Command`]s.

mod checkpoint;
mod event;
mod mailbox;
mod pace;
mod settings;
mod unaligned;

use std::collections::BTreeSet;
use std::sync::Arc;

use flott_core::element::{CheckpointKind, Control};
use flott_core::metrics::{Occupation, TaskMetrics};
use flott_core::mutant::Mutant;
use flott_core::{AttemptNumber, CheckpointId, Error, Now, OperatorId, Result, TaskId, Timestamp};

use crate::align::Aligner;
use crate::build::RestoredTask;
use crate::chain::{SourceHead, guarded};
use crate::gate::{Gate, GateEvent};
use crate::operator::{SourceStatus, Wake};
use crate::stage::{Signal, Survey};
use crate::watermark::{ValveEvent, WatermarkValve};

use mailbox::Taken;
use pace::Pace;
use unaligned::{Recording, Wanted};

pub use event::{Progress, TaskEvent};
pub use mailbox::{Command, Mailbox};
pub use settings::{Clock, TaskSettings};

/// How much of its input one step may handle: as many batches, so that a step is worth its
/// overhead and short enough for others to get their turn.
const BATCHES_PER_STEP: usize = 8;

/// What travels through the chain during a step.
pub struct StepContext<'a> {
    /// The time of the step.
    pub now: Now,
    pub(crate) waker: &'a Arc<dyn Wake>,
    pub(crate) batch: bool,
    pub(crate) checkpointing: bool,
    pub(crate) batch_records: usize,
    /// How many records go through the chain at once.
    pub(crate) at_once: usize,
    pub(crate) records_in: u64,
    pub(crate) records_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Operators are not open yet.
    Created,
    /// Records go through.
    Running,
    /// All data has gone through; the checkpoint that has it is still to complete.
    Draining {
        /// The first checkpoint that was taken since.
        covered_by: Option<CheckpointId>,
    },
    /// The savepoint has been taken that the job stops with; it is still to complete.
    Suspended {
        /// The savepoint.
        by: CheckpointId,
    },
    /// Over.
    Done,
}

pub(crate) enum Head {
    Source(Box<dyn SourceHead>),
    Gate(Box<dyn Gate>),
}

/// One subtask of a chain of operators.
pub struct Task {
    id: TaskId,
    attempt: AttemptNumber,
    settings: TaskSettings,
    head: Head,
    waker: Arc<dyn Wake>,
    mailbox: Mailbox,
    clock: Arc<dyn Clock>,
    metrics: TaskMetrics,
    restored: RestoredTask,
    phase: Phase,
    /// Whether the input ends because the job's user wants it so.
    is_drained: bool,
    aligner: Aligner,
    valve: WatermarkValve,
    /// Channels that have sent all their data.
    drained: Vec<bool>,
    /// The first operator of the chain.
    head_operator: OperatorId,
    pace: Pace,
    /// Whether records may be left that were in flight in the checkpoint that the task starts from.
    is_recovering: bool,
    /// A snapshot that is taken, except for what its barriers overtake.
    recording: Option<Recording>,
    events: Vec<TaskEvent>,
}

/// What a task is made of.
pub(crate) struct TaskParts {
    pub(crate) id: TaskId,
    pub(crate) attempt: AttemptNumber,
    pub(crate) settings: TaskSettings,
    pub(crate) head: Head,
    pub(crate) head_operator: OperatorId,
    pub(crate) channels: usize,
    /// Those whose records no barrier may overtake.
    pub(crate) aligned_channels: BTreeSet<usize>,
    pub(crate) waker: Arc<dyn Wake>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: TaskMetrics,
    pub(crate) restored: RestoredTask,
}

impl Task {
    pub(crate) fn new(parts: TaskParts) -> Self {
        let TaskParts {
            id,
            attempt,
            settings,
            head,
            head_operator,
            channels,
            aligned_channels,
            waker,
            clock,
            metrics,
            restored,
        } = parts;
        Self {
            id,
            attempt,
            mailbox: Mailbox::new(waker.clone()),
            aligner: Aligner::new(settings.mode, channels)
                .overtaking(settings.unaligned_after, aligned_channels),
            valve: WatermarkValve::new(channels),
            drained: vec![false; channels],
            pace: Pace::new(settings.records_at_once),
            settings,
            head,
            waker,
            clock,
            metrics,
            restored,
            phase: Phase::Created,
            is_drained: false,
            head_operator,
            is_recovering: false,
            recording: None,
            events: Vec::new(),
        }
    }

    /// Which task it is.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Where to put its commands.
    pub fn mailbox(&self) -> Mailbox {
        self.mailbox.clone()
    }

    /// What it counts.
    pub fn metrics(&self) -> TaskMetrics {
        self.metrics.clone()
    }

    /// What it has had to say since the last call, in order. Drain it after every step.
    pub fn take_events(&mut self) -> Vec<TaskEvent> {
        std::mem::take(&mut self.events)
    }

    /// Makes some progress.
    pub fn step(&mut self) -> Progress {
        let waker = self.waker.clone();
        let mut context = StepContext {
            now: self.clock.now(),
            waker: &waker,
            batch: self.settings.batch,
            checkpointing: self.settings.checkpointing,
            batch_records: self.settings.batch_records,
            at_once: self.pace.at_once(),
            records_in: 0,
            records_out: 0,
            bytes_in: 0,
            bytes_out: 0,
        };
        self.metrics.times.enter(Occupation::Busy, context.now.mono);
        // Operators are guarded, with their names. What they send is the user's, too: it may panic
        // where it is cloned or measured.
        let result = guarded(|| self.try_step(&mut context));
        let progress = result.unwrap_or_else(|error| {
            // What matters is the first failure, not what closing a failed task says.
            let opened = self.phase != Phase::Created && !self.restored.unread.is_damaged();
            let _ = guarded(|| self.signal(&mut Signal::Flush, &mut context));
            let _ = guarded(|| self.signal(&mut Signal::Close, &mut context));
            self.end(TaskEvent::Failed { error, opened })
        });
        self.count(&context, progress);
        progress
    }

    fn count(&mut self, context: &StepContext<'_>, progress: Progress) {
        let now = self.clock.now().mono;
        let occupation = match progress {
            Progress::More => Occupation::Busy,
            Progress::Blocked(_) => Occupation::Backpressured,
            Progress::Idle(_) | Progress::Done => Occupation::Idle,
        };
        self.metrics.times.enter(occupation, now);
        for (counter, count) in [
            (&self.metrics.records_in, context.records_in),
            (&self.metrics.records_out, context.records_out),
            (&self.metrics.bytes_in, context.bytes_in),
            (&self.metrics.bytes_out, context.bytes_out),
        ] {
            if count > 0 {
                counter.add(count);
            }
        }
        if context.records_in > 0 {
            self.pace.measure(context.records_in, now.since(context.now.mono));
        }
    }

    fn try_step(&mut self, context: &mut StepContext<'_>) -> Result<Progress> {
        match self.phase {
            Phase::Created => return self.open(context),
            Phase::Running | Phase::Draining { .. } | Phase::Suspended { .. } => {}
            Phase::Done => return Ok(Progress::Done),
        }
        let Taken { commands, look_ups } = self.mailbox.take()?;
        for mut look_up in look_ups {
            self.signal(&mut Signal::LookUp(&mut look_up), context)?;
        }
        for command in commands {
            self.command(command, context)?;
            if self.phase == Phase::Done {
                return Ok(Progress::Done);
            }
        }
        // Whether or not there is room for records: barriers take none.
        self.look_ahead(context)?;
        let mut survey = self.survey(context)?;
        if survey.next_time.is_some_and(|time| time <= context.now.wall) {
            self.signal(&mut Signal::ProcessingTime, context)?;
            survey = self.survey(context)?;
        }
        if survey.blocked {
            self.signal(&mut Signal::Flush, context)?;
            return Ok(Progress::Blocked(survey.next_time));
        }
        if self.is_recovering && !Mutant::RecoverLast.is_on() {
            self.recover(context)?;
            return Ok(Progress::More);
        }
        match self.head {
            Head::Source(_) => self.poll(survey, context),
            Head::Gate(_) => self.read(context),
        }
    }

    /// What the chain waits for. After the end of data, or of the job, no timer fires any more.
    fn survey(&mut self, context: &mut StepContext<'_>) -> Result<Survey> {
        let mut survey = Survey::default();
        self.signal(&mut Signal::Survey(&mut survey), context)?;
        if self.phase != Phase::Running {
            survey.next_time = None;
        }
        survey.wants(self.overtaking_time(context));
        Ok(survey)
    }

    fn open(&mut self, context: &mut StepContext<'_>) -> Result<Progress> {
        let mut restored = std::mem::take(&mut self.restored);
        restored.state_backend = self.settings.state_backend.clone();
        self.signal(&mut Signal::Open(&mut restored), context)?;
        if !restored.unclaimed.is_empty() && !self.settings.allow_non_restored_state {
            return Err(Error::invalid(format!(
                "the checkpoint has state that the program no longer has: {}; to leave it out, \
                 restore with -n (--allowNonRestoredState)",
                restored.unclaimed.join(", ")
            )));
        }
        self.restored = restored;
        self.phase = Phase::Running;
        self.events.push(TaskEvent::Running);
        let unread = self.restored.unread.take();
        if !unread.is_empty() {
            self.events.push(TaskEvent::Unread(unread));
        }
        if self.restored.has_in_flight {
            self.begin_recovery(context)?;
        } else if self.restored.end_of_data && matches!(self.head, Head::Source(_)) {
            self.end_of_data(context)?;
        }
        Ok(Progress::More)
    }

    fn command(&mut self, command: Command, context: &mut StepContext<'_>) -> Result<()> {
        match command {
            Command::TriggerCheckpoint(barrier) => {
                let events = self.aligner.trigger(barrier, context.now.mono);
                let drain = barrier.kind == CheckpointKind::Stop { drain: true };
                if drain && !events.is_empty() && self.phase == Phase::Running {
                    self.recover_all(context)?;
                    self.is_drained = true;
                    self.end_of_input(context)?;
                }
                self.align_events(events, context)?;
            }
            Command::NotifyComplete(checkpoint) => {
                self.signal(&mut Signal::Complete(checkpoint), context)?;
                let covering = match self.phase {
                    Phase::Draining { covered_by } => covered_by,
                    Phase::Suspended { by } => Some(by),
                    Phase::Created | Phase::Running | Phase::Done => None,
                };
                if covering.is_some_and(|covering| checkpoint >= covering) {
                    self.finish(context)?;
                }
            }
            Command::NotifyAborted(checkpoint) => {
                self.aligner.abort(checkpoint);
                self.forget_recording(checkpoint);
                self.signal(&mut Signal::Aborted(checkpoint), context)?;
                if self.phase == (Phase::Suspended { by: checkpoint }) {
                    self.phase = Phase::Running;
                }
            }
            Command::Cancel => {
                let _ = self.signal(&mut Signal::Close, context);
                self.end(TaskEvent::Canceled);
            }
        }
        Ok(())
    }

    fn poll(&mut self, survey: Survey, context: &mut StepContext<'_>) -> Result<Progress> {
        let limit = self.settings.batch_records.min(context.at_once);
        let Head::Source(source) = &mut self.head else { return Ok(Progress::Done) };
        if self.phase != Phase::Running {
            source.signal(&mut Signal::Flush, context)?;
            return Ok(Progress::Idle(None));
        }
        match source.poll(limit, context)? {
            SourceStatus::More => Ok(Progress::More),
            SourceStatus::Idle(until) => {
                source.signal(&mut Signal::Flush, context)?;
                let mut survey = survey;
                survey.wants(until);
                Ok(Progress::Idle(survey.next_time))
            }
            SourceStatus::EndOfInput => {
                self.end_of_input(context)?;
                Ok(Progress::More)
            }
        }
    }

    fn read(&mut self, context: &mut StepContext<'_>) -> Result<Progress> {
        for _ in 0..BATCHES_PER_STEP {
            self.look_ahead(context)?;
            let Self { head: Head::Gate(gate), aligner, recording, .. } = self else { break };
            match gate.read(&mut Wanted { aligner, recording }, context)? {
                GateEvent::Processed => {}
                GateEvent::Control(channel, control) => self.control(channel, control, context)?,
                GateEvent::Empty => {
                    gate.signal(&mut Signal::Flush, context)?;
                    // A timer may have been set by what was just read.
                    let next = self.survey(context)?.next_time;
                    return Ok(Progress::Idle(next));
                }
            }
            if self.phase == Phase::Done {
                return Ok(Progress::Done);
            }
            let Self { pace, clock, .. } = self;
            let took = || clock.now().mono.since(context.now.mono);
            if pace.is_enough(context.records_in, took) || self.survey(context)?.blocked {
                break;
            }
        }
        Ok(Progress::More)
    }

    fn control(
        &mut self,
        channel: usize,
        control: Control,
        context: &mut StepContext<'_>,
    ) -> Result<()> {
        self.record_control(channel, control, context)?;
        match control {
            Control::Watermark(watermark) => {
                let events = self.valve.watermark_on(channel, watermark);
                self.valve_events(events, context)
            }
            Control::Idle => {
                let events = self.valve.idle_on(channel, true);
                self.valve_events(events, context)
            }
            Control::Active => {
                let events = self.valve.idle_on(channel, false);
                self.valve_events(events, context)
            }
            Control::Barrier(barrier) => {
                let events = self.aligner.barrier(channel, barrier, context.now.mono);
                self.align_events(events, context)
            }
            Control::CancelBarrier(checkpoint) => {
                if self.aligner.abort(checkpoint) {
                    self.decline(checkpoint, context)?;
                }
                Ok(())
            }
            Control::EndOfData { drain } => {
                self.is_drained |= drain;
                let events = self.valve.end_on(channel);
                self.valve_events(events, context)?;
                self.drained[channel] = true;
                if self.drained.iter().all(|drained| *drained) {
                    self.end_of_data(context)?;
                }
                Ok(())
            }
            Control::EndOfPartition => {
                let events = self.aligner.end(channel);
                self.align_events(events, context)
            }
        }
    }

    fn valve_events(
        &mut self,
        events: Vec<ValveEvent>,
        context: &mut StepContext<'_>,
    ) -> Result<()> {
        for event in events {
            match event {
                ValveEvent::Watermark(watermark) => {
                    self.metrics.input_watermark.set(watermark.0);
                    // Restored after its end, the task has been through all of event time.
                    if !self.restored.end_of_data {
                        self.signal(&mut Signal::Watermark(watermark), context)?;
                    }
                }
                ValveEvent::Idle(idle) => self.signal(&mut Signal::Idle(idle), context)?,
            }
        }
        Ok(())
    }

    /// A source has no more data: event time is at its end.
    fn end_of_input(&mut self, context: &mut StepContext<'_>) -> Result<()> {
        self.signal(&mut Signal::Watermark(Timestamp::MAX), context)?;
        self.end_of_data(context)
    }

    /// All data has gone through. Ends the task, unless a checkpoint has to cover that first.
    fn end_of_data(&mut self, context: &mut StepContext<'_>) -> Result<()> {
        if !self.restored.end_of_data || Mutant::FinishTwice.is_on() {
            self.signal(&mut Signal::Finish, context)?;
        }
        let end = Control::EndOfData { drain: self.is_drained };
        self.signal(&mut Signal::Emit(end), context)?;
        self.events.push(TaskEvent::EndOfData);
        self.phase = Phase::Draining { covered_by: None };
        let waits = self.settings.await_final_checkpoint || self.is_drained;
        if !waits || Mutant::FinishBeforeFinalCommit.is_on() {
            self.finish(context)?;
        }
        Ok(())
    }

    fn finish(&mut self, context: &mut StepContext<'_>) -> Result<()> {
        // What was overtaken is not known to its end: the checkpoint must not do without it.
        self.abandon_recording(context)?;
        self.signal(&mut Signal::Emit(Control::EndOfPartition), context)?;
        self.signal(&mut Signal::Close, context)?;
        self.end(TaskEvent::Finished);
        Ok(())
    }

    fn end(&mut self, event: TaskEvent) -> Progress {
        self.phase = Phase::Done;
        self.mailbox.close();
        self.events.push(event);
        Progress::Done
    }

    fn signal(&mut self, signal: &mut Signal<'_>, context: &mut StepContext<'_>) -> Result<()> {
        match &mut self.head {
            Head::Source(source) => source.signal(signal, context),
            Head::Gate(gate) => gate.signal(signal, context),
        }
    }
}
