//! A task's part in an unaligned checkpoint: barriers are seen before their turn, what they overtake is copied,
//! and after a restore it is processed first.

use std::collections::BTreeSet;
use std::time::Duration;

use flott_core::element::Control;
use flott_core::{CheckpointId, MonoTime, Result, Timestamp, WallTime};

use super::checkpoint::nanos;
use super::{Head, StepContext, Task, TaskEvent};
use crate::align::Aligner;
use crate::gate::Reading;
use crate::in_flight::{Capture, Found};
use crate::snapshot::PendingSnapshot;
use crate::stage::Signal;

/// A snapshot whose state is taken, while some of what its barriers overtake is still to come.
pub(super) struct Recording {
    pending: PendingSnapshot,
    /// When the first barrier was seen.
    started: MonoTime,
    /// Channels whose barrier has not come yet.
    open: BTreeSet<usize>,
    capture: Capture,
}

/// What a task wants of its channels.
pub(super) struct Wanted<'a> {
    pub(super) aligner: &'a Aligner,
    pub(super) recording: &'a mut Option<Recording>,
}

impl Reading for Wanted<'_> {
    fn is_blocked(&self, channel: usize) -> bool {
        self.aligner.is_blocked(channel)
    }

    fn capture(&mut self, channel: usize) -> Option<&mut Capture> {
        let recording = self.recording.as_mut().filter(|own| own.open.contains(&channel));
        recording.map(|recording| &mut recording.capture)
    }
}

impl Task {
    /// Looks at the barriers that wait in the channels, and takes the snapshot ahead of what is before them if it
    /// is time to.
    pub(super) fn look_ahead(&mut self, context: &mut StepContext<'_>) -> Result<()> {
        let Head::Gate(gate) = &mut self.head else { return Ok(()) };
        if !self.aligner.may_overtake() {
            return Ok(());
        }
        if gate.has_new_marks() {
            for mark in gate.marks() {
                if let Control::Barrier(barrier) = mark {
                    let events = self.aligner.announce(barrier, context.now.mono);
                    self.align_events(events, context)?;
                }
            }
            self.record_waiting(context)?;
        }
        if self.recording.as_ref().is_some_and(|own| own.capture.is_broken()) {
            self.abandon_recording(context)?;
        }
        let due = self.aligner.overtake(context.now.mono);
        self.align_events(due.into_iter().collect(), context)
    }

    /// When to look again, whatever happens.
    pub(super) fn overtaking_time(&self, context: &StepContext<'_>) -> Option<WallTime> {
        let now = context.now;
        let deadline = self.aligner.deadline().filter(|deadline| *deadline > now.mono)?;
        // To the millisecond after it: a time that has come must be one at which it is due.
        Some(now.wall.plus(deadline.since(now.mono) + Duration::from_millis(1)))
    }

    /// The state is taken; the snapshot is whole when what its barrier has overtaken is copied.
    pub(super) fn record(
        &mut self,
        pending: PendingSnapshot,
        started: MonoTime,
        open: BTreeSet<usize>,
        context: &mut StepContext<'_>,
    ) -> Result<()> {
        if open.is_empty() {
            self.events.push(TaskEvent::Snapshot(pending));
            return Ok(());
        }
        let left = self.is_recovering.then(|| {
            let reached = self.restored.event_times.get(&self.head_operator);
            reached.map_or(Timestamp::MIN, |reached| reached.after)
        });
        let mut capture = Capture::new(pending.checkpoint, self.valve.clone(), left);
        if let Head::Gate(gate) = &self.head {
            gate.overtake_rest(&mut capture);
        }
        // If there is another one, its checkpoint is over: there is one at a time.
        self.recording = Some(Recording { pending, started, open, capture });
        self.record_waiting(context)
    }

    /// Copies what waits in the channels whose barrier has come. The others are copied as they are read.
    fn record_waiting(&mut self, context: &mut StepContext<'_>) -> Result<()> {
        let (Head::Gate(gate), Some(recording)) = (&self.head, &mut self.recording) else {
            return Ok(());
        };
        let mut open = BTreeSet::new();
        for channel in std::mem::take(&mut recording.open) {
            match gate.overtake(channel, &mut recording.capture) {
                Found::Nothing => drop(open.insert(channel)),
                Found::Barrier => {}
                Found::Cancellation => return self.abandon_recording(context),
            }
        }
        recording.open = open;
        self.finish_recording(context)
    }

    /// A control element has been read.
    pub(super) fn record_control(
        &mut self,
        channel: usize,
        control: Control,
        context: &mut StepContext<'_>,
    ) -> Result<()> {
        let recording = self.recording.as_mut().filter(|own| own.open.contains(&channel));
        let Some(recording) = recording else { return Ok(()) };
        match recording.capture.finds(control) {
            Found::Nothing => recording.capture.control(channel, control),
            Found::Barrier => drop(recording.open.remove(&channel)),
            Found::Cancellation => return self.abandon_recording(context),
        }
        self.finish_recording(context)
    }

    fn finish_recording(&mut self, context: &mut StepContext<'_>) -> Result<()> {
        let Some(recording) = self.recording.take_if(|own| own.open.is_empty()) else {
            return Ok(());
        };
        let Recording { mut pending, started, capture, .. } = recording;
        // Where channels stay aligned, one subtask's time is not another's.
        let Ok(batches) = capture.finish(self.aligner.all_may_be_overtaken()) else {
            return self.decline(pending.checkpoint, context);
        };
        if let Head::Gate(gate) = &mut self.head
            && !batches.is_empty()
        {
            match gate.in_flight(batches) {
                Ok(in_flight) => pending.add_in_flight(self.head_operator, in_flight),
                Err(_) => return self.decline(pending.checkpoint, context),
            }
        }
        pending.metrics.alignment_nanos = nanos(self.clock.now().mono.since(started));
        self.events.push(TaskEvent::Snapshot(pending));
        Ok(())
    }

    /// What was overtaken will never be known to its end.
    pub(super) fn abandon_recording(&mut self, context: &mut StepContext<'_>) -> Result<()> {
        match self.recording.take() {
            Some(recording) => self.decline(recording.pending.checkpoint, context),
            None => Ok(()),
        }
    }

    /// The checkpoint is off.
    pub(super) fn forget_recording(&mut self, checkpoint: CheckpointId) {
        self.recording.take_if(|own| own.pending.checkpoint == checkpoint);
    }

    /// Records are left that were in flight in the checkpoint that the task starts from.
    pub(super) fn begin_recovery(&mut self, context: &mut StepContext<'_>) -> Result<()> {
        self.is_recovering = true;
        let reached = self.restored.event_times.get(&self.head_operator);
        self.reach(reached.map(|reached| reached.before), context)
    }

    /// Event time was here already before the restore.
    fn reach(&mut self, watermark: Option<Timestamp>, context: &mut StepContext<'_>) -> Result<()> {
        let events = watermark.map(|watermark| self.valve.recover(watermark));
        self.valve_events(events.unwrap_or_default(), context)
    }

    /// Processes all of the records in flight that are left, whether or not there is room for what comes of it:
    /// they are not to be in flight in the next checkpoint.
    pub(super) fn recover_all(&mut self, context: &mut StepContext<'_>) -> Result<()> {
        while self.is_recovering {
            self.recover(context)?;
        }
        Ok(())
    }

    /// Processes a batch of the records that were in flight in the checkpoint that the task starts from. What the
    /// channels bring comes after them.
    pub(super) fn recover(&mut self, context: &mut StepContext<'_>) -> Result<()> {
        let mut found = false;
        self.signal(&mut Signal::Recover(&mut found), context)?;
        if found {
            return Ok(());
        }
        self.is_recovering = false;
        let reached = self.restored.event_times.remove(&self.head_operator);
        self.reach(reached.map(|reached| reached.after), context)
    }
}
