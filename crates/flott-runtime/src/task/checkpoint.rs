//! A task's part in a checkpoint: from the last barrier to references to its state.

use std::time::Duration;

use flott_checkpoint::snapshot::SubtaskCheckpointMetrics;
use flott_core::element::{Barrier, CheckpointKind, Control};
use flott_core::mutant::Mutant;
use flott_core::{CheckpointId, MonoTime, Result};

use super::{Head, Phase, StepContext, Task, TaskEvent};
use crate::align::AlignEvent;
use crate::snapshot::{OperatorParts, PendingSnapshot};
use crate::stage::{Signal, Survey};

impl Task {
    pub(super) fn align_events(
        &mut self,
        events: Vec<AlignEvent>,
        context: &mut StepContext<'_>,
    ) -> Result<()> {
        for event in events {
            match event {
                AlignEvent::Take { barrier, started, overtaken } => {
                    if barrier.kind.is_savepoint() {
                        self.recover_all(context)?;
                    }
                    if self.phase == Phase::Done {
                        return Ok(());
                    }
                    let pending = self.checkpoint(barrier, started, context)?;
                    self.record(pending, started, overtaken, context)?;
                }
                AlignEvent::Aborted(checkpoint) => self.decline(checkpoint, context)?,
            }
        }
        Ok(())
    }

    /// Takes the snapshot: what comes before the barrier is emitted, the barrier is sent, and
    /// references to the state are taken, all before another record is touched.
    fn checkpoint(
        &mut self,
        barrier: Barrier,
        aligning_since: MonoTime,
        context: &mut StepContext<'_>,
    ) -> Result<PendingSnapshot> {
        let started = self.clock.now();
        let mut parts: Vec<OperatorParts> = Vec::new();
        self.signal(&mut Signal::Prepare(barrier), context)?;
        if Mutant::EmitBetweenSnapshotAndBarrier.is_on() && matches!(self.head, Head::Source(_)) {
            self.signal(&mut Signal::Snapshot(barrier, &mut parts), context)?;
            self.poll(Survey::default(), context)?;
            self.signal(&mut Signal::Emit(Control::Barrier(barrier)), context)?;
        } else {
            self.signal(&mut Signal::Emit(Control::Barrier(barrier)), context)?;
            self.signal(&mut Signal::Snapshot(barrier, &mut parts), context)?;
        }
        // Drained by its user, a job may be started again from here: with the sources where they are,
        // and operators that begin anew.
        let is_stop = matches!(barrier.kind, CheckpointKind::Stop { .. });
        let end_of_data = match &mut self.phase {
            Phase::Draining { covered_by } => {
                covered_by.get_or_insert(barrier.checkpoint);
                !self.is_drained
            }
            Phase::Running if is_stop => {
                self.phase = Phase::Suspended { by: barrier.checkpoint };
                false
            }
            Phase::Created | Phase::Running | Phase::Suspended { .. } | Phase::Done => false,
        };
        let delay_millis = started.wall.0.saturating_sub(barrier.triggered_at.0).max(0);
        let alignment = started.mono.since(aligning_since);
        let metrics = SubtaskCheckpointMetrics {
            start_delay_nanos: (delay_millis.unsigned_abs() * 1_000_000)
                .saturating_sub(nanos(alignment)),
            alignment_nanos: nanos(alignment),
            sync_nanos: nanos(self.clock.now().mono.since(started.mono)),
            unaligned: barrier.unaligned,
            overtaken_bytes: parts.iter().map(OperatorParts::in_flight_bytes).sum(),
            ..SubtaskCheckpointMetrics::default()
        };
        Ok(PendingSnapshot {
            checkpoint: barrier.checkpoint,
            kind: barrier.kind,
            base: barrier.base,
            task: self.id,
            attempt: self.attempt,
            metrics,
            end_of_data,
            parts,
        })
    }

    /// Declines a checkpoint that cannot be taken.
    pub(super) fn decline(
        &mut self,
        checkpoint: CheckpointId,
        context: &mut StepContext<'_>,
    ) -> Result<()> {
        self.signal(&mut Signal::Emit(Control::CancelBarrier(checkpoint)), context)?;
        self.events.push(TaskEvent::Declined(checkpoint));
        Ok(())
    }
}

/// A duration in nanoseconds, as metrics have it.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
