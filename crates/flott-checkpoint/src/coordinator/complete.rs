//! From the last acknowledgement to the completed checkpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flott_core::element::CheckpointKind;
use flott_core::mutant::Mutant;
use flott_core::{CheckpointId, Now, OperatorId, TaskId};

use super::Coordinator;
use super::event::Effect;
use super::pending::{BACKOFF_MAX, BACKOFF_MIN, Part, PartState, Pending, Phase};
use super::run::FinalCheckpoint;
use crate::reason::FailureReason;
use crate::record::{CompletedCheckpoint, OperatorRecord};
use crate::snapshot::{CheckpointTimes, OperatorInfo, OperatorSnapshot};

impl Coordinator {
    /// Writes the record of the oldest fully acknowledged checkpoint, unless one is being written:
    /// one at a time, because each record carries on what the one before it says about tasks that
    /// have finished.
    pub(super) fn write_next(&mut self, now: Now) {
        while self.is_settled() {
            let ready = self.pending.values().find(|pending| pending.is_acknowledged());
            let Some(pending) = ready else { return };
            let checkpoint = pending.checkpoint;
            match self.record(pending) {
                Ok(record) => {
                    // As a checkpoint of the job, it names the files in the savepoint's folder.
                    let record = match &pending.folder {
                        Some(folder) => record.rebased_own(folder),
                        None => record,
                    };
                    self.write(checkpoint, Arc::new(record));
                }
                Err(message) => {
                    let reason = FailureReason::FinalizeCheckpointFailure;
                    self.abort(now, checkpoint, reason, message, None);
                }
            }
        }
    }

    fn write(&mut self, checkpoint: CheckpointId, record: Arc<CompletedCheckpoint>) {
        if let Some(pending) = self.pending.get_mut(&checkpoint) {
            pending.phase = Phase::Writing {
                record: record.clone(),
                is_unknown: false,
                backoff: BACKOFF_MIN,
                retry_at: None,
            };
            let kind = pending.kind;
            self.effects.push_back(Effect::PersistMetadata { checkpoint, kind, record });
        }
    }

    /// Repeats the writes whose outcome is unknown and whose back-off is over.
    pub(super) fn write_again(&mut self, now: Now) {
        for pending in self.pending.values_mut() {
            if let Phase::Writing { record, retry_at, .. } = &mut pending.phase
                && retry_at.is_some_and(|at| at <= now.mono)
            {
                *retry_at = None;
                let (checkpoint, kind, record) = (pending.checkpoint, pending.kind, record.clone());
                self.effects.push_back(Effect::PersistMetadata { checkpoint, kind, record });
            }
        }
    }

    pub(super) fn metadata_unknown(&mut self, now: Now, checkpoint: CheckpointId, message: String) {
        if Mutant::UnknownMeansFailed.is_on() {
            return self.metadata_failed(now, checkpoint, message);
        }
        if let Some(pending) = self.writing(checkpoint)
            && let Phase::Writing { is_unknown, backoff, retry_at, .. } = &mut pending.phase
        {
            *is_unknown = true;
            if retry_at.is_none() {
                *retry_at = Some(now.mono.plus(*backoff));
                *backoff = (*backoff * 2).min(BACKOFF_MAX);
            }
        }
    }

    pub(super) fn metadata_failed(&mut self, now: Now, checkpoint: CheckpointId, message: String) {
        let Some(pending) = self.writing(checkpoint) else { return };
        match &pending.phase {
            // This try did not create the record, but an earlier one may have: still unknown.
            Phase::Writing { is_unknown: true, .. } => {
                self.metadata_unknown(now, checkpoint, message);
            }
            Phase::Writing { is_unknown: false, .. } | Phase::Preparing | Phase::Acking => {
                let reason = FailureReason::FinalizeCheckpointFailure;
                self.abort(now, checkpoint, reason, message, None);
            }
        }
    }

    /// The checkpoint exists.
    pub(super) fn metadata_persisted(&mut self, now: Now, checkpoint: CheckpointId) {
        if self.writing(checkpoint).is_none() {
            return;
        }
        let Some(pending) = self.pending.remove(&checkpoint) else { return };
        let tasks = self.audience(&pending);
        // What counts is what the tasks said in it, not why it was triggered.
        let is_at_end = pending.parts.values().all(Part::is_at_end_of_data);
        let Pending { attempt, request, kind, is_final, phase, refused, .. } = pending;
        let Phase::Writing { record, .. } = phase else { return };
        if kind == CheckpointKind::Savepoint {
            if Mutant::SavepointCommits.is_on() {
                self.effects.push_back(Effect::NotifyComplete { attempt, checkpoint, tasks });
            }
            self.completed(checkpoint, request);
            return self.retain_or_discard();
        }
        let is_stop = kind.is_savepoint();
        let subsumed = if is_stop && Mutant::StopIsNoCheckpoint.is_on() {
            Vec::new()
        } else {
            self.store.add(record)
        };
        self.failures.succeeded(checkpoint);
        self.last_completion = Some(now.mono);

        self.effects.push_back(Effect::NotifyComplete { attempt, checkpoint, tasks });
        self.completed(checkpoint, request.filter(|_| !is_stop));
        if let Some(request) = request.filter(|_| is_stop) {
            self.effects.push_back(Effect::Stopping { request, checkpoint });
        }
        let older: Vec<_> = self.pending.range(..checkpoint).map(|(id, _)| *id).collect();
        for older in older {
            let message = format!("checkpoint {checkpoint} completed first");
            self.abort(now, older, FailureReason::CheckpointSubsumed, message, None);
        }
        if let Some(run) = self.run.as_mut().filter(|run| run.attempt == attempt) {
            run.is_stopping |= is_stop;
            if is_at_end || is_stop {
                run.final_checkpoint = FinalCheckpoint::Done;
                self.schedule.stop();
            } else if is_final {
                self.retry_final(now);
            }
        }
        for subsumed in subsumed {
            self.stats.discarded(subsumed);
        }
        self.store.bury(checkpoint, refused.into_iter());
        self.sweep();
        self.discard_claimed(false);
        self.retain_or_discard();
    }

    /// Says so.
    fn completed(&mut self, checkpoint: CheckpointId, request: Option<u64>) {
        if let Some(stats) = self.stats.completed(checkpoint) {
            self.effects.push_back(Effect::Completed { checkpoint, stats });
        }
        if let Some(request) = request {
            self.effects.push_back(Effect::Answer { request, result: Ok(checkpoint) });
        }
    }

    /// The record of a checkpoint that every task has acknowledged, or finished before.
    fn record(&self, pending: &Pending) -> Result<CompletedCheckpoint, String> {
        let empty = |info: &OperatorInfo| OperatorRecord {
            info: info.clone(),
            subtasks: BTreeMap::new(),
            end_of_data: BTreeSet::new(),
        };
        let mut operators: Vec<OperatorRecord> = self.operators.iter().map(empty).collect();
        for (task, part) in &pending.parts {
            for id in &part.operators {
                let operator = operators.iter_mut().find(|operator| operator.info.id == *id);
                let operator = operator
                    .ok_or_else(|| format!("the job has no operator {id} (task {task})"))?;
                self.put(operator, *task, part)?;
            }
        }
        let times = CheckpointTimes {
            triggered_at: pending.triggered_at,
            completed_at: pending.last_ack_at,
        };
        Ok(CompletedCheckpoint {
            checkpoint: pending.checkpoint,
            job: self.job,
            job_name: self.job_name.clone(),
            times,
            operators,
        })
    }

    /// Puts a task's part into the record of one of its operators.
    fn put(&self, operator: &mut OperatorRecord, task: TaskId, part: &Part) -> Result<(), String> {
        let id: OperatorId = operator.info.id;
        let (snapshot, end_of_data) = match &part.state {
            PartState::Waiting => return Err(format!("task {task} has not acknowledged")),
            PartState::Acked(snapshot) => {
                let own = snapshot.operators.iter().find(|snapshot| snapshot.operator == id);
                (own.cloned(), snapshot.end_of_data)
            }
            PartState::Finished => {
                let before = self.store.latest().and_then(|latest| latest.operator(id));
                if let Some(before) = before
                    && before.info.parallelism != operator.info.parallelism
                    && before.has_state()
                {
                    // The task was restored with a share that no record has as such.
                    return Err(format!(
                        "task {task} finished before a checkpoint of this job completed, and \
                         its state was restored from parallelism {}",
                        before.info.parallelism
                    ));
                }
                let last = before.and_then(|before| before.subtasks.get(&task.subtask)).cloned();
                (last.map(OperatorSnapshot::without_in_flight), true)
            }
        };
        if let Some(snapshot) = snapshot {
            operator.subtasks.insert(task.subtask, snapshot);
        }
        if end_of_data {
            operator.end_of_data.insert(task.subtask);
        }
        Ok(())
    }
}
