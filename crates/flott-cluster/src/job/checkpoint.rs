//! What the checkpoint coordinator of a job wants done.

use std::time::Duration;

use flott_checkpoint::coordinator::CheckpointStats;
use flott_checkpoint::storage::{CheckpointStorage, StoreError};
use flott_checkpoint::{CompletedCheckpoint, Effect, metadata};
use flott_control::JobInput;
use flott_core::CheckpointId;
use flott_core::element::CheckpointKind;
use flott_datastream::CheckpointSummary;
use flott_runtime::Command;
use tracing::{info, warn};

use super::{Fence, Input, JobRunner, Workplace};
use crate::plan::PlannedJob;
use crate::storage::savepoint::{self, Savepoints};
use crate::storage::{CheckpointFolder, discard_claimed};

impl<W: Workplace> JobRunner<W> {
    pub(super) fn perform_checkpoint(&mut self, effect: Effect) {
        let spec = &self.planned.spec;
        match effect {
            Effect::PrepareLocation { checkpoint } => {
                let fence = self.fence.clone();
                self.with_storage(move |storage| {
                    let prepared = storage.prepare_checkpoint(checkpoint);
                    let prepared = prepared.and_then(|()| fence().map_err(StoreError::Failed));
                    Some(location_prepared(checkpoint, prepared))
                });
            }
            Effect::PrepareSavepoint { checkpoint, request } => {
                if let Some(place) = self.savepoints.begin(request, checkpoint) {
                    self.workplace.savepoint(checkpoint, &place.place().to_string());
                    self.with_storage(move |_| {
                        Some(location_prepared(checkpoint, place.prepare_checkpoint(checkpoint)))
                    });
                }
            }
            Effect::DiscardSavepoint { checkpoint } => {
                if let Some(place) = self.savepoints.of(checkpoint) {
                    self.with_storage(move |_| {
                        if let Err(error) = place.place().delete() {
                            warn!("A failed savepoint stays behind: {:#}", error.into_error());
                        }
                        None
                    });
                }
            }
            Effect::TriggerSources { attempt, barrier, tasks } => {
                self.workplace.tell(attempt, &tasks, Command::TriggerCheckpoint(barrier));
            }
            Effect::PersistMetadata { checkpoint, kind, record } => {
                let (place, fence) = (self.savepoints.of(checkpoint), self.fence.clone());
                self.with_storage(move |storage| {
                    let written = persist(storage, place.as_deref(), kind, &record, &fence);
                    Some(metadata_written(checkpoint, written))
                });
            }
            Effect::NotifyComplete { attempt, checkpoint, tasks } => {
                self.workplace.tell(attempt, &tasks, Command::NotifyComplete(checkpoint));
            }
            Effect::NotifyAborted { attempt, checkpoint, tasks } => {
                self.workplace.tell(attempt, &tasks, Command::NotifyAborted(checkpoint));
            }
            Effect::Discard { .. } | Effect::DiscardClaimed { .. } if self.keeps_files => {}
            Effect::Discard { paths } => self.with_storage(move |storage| {
                for path in paths {
                    if let Err(error) = storage.delete(&path) {
                        // What follows may be what a record needs that is still there.
                        warn!("Files stay behind: {:#}", error.into_error());
                        break;
                    }
                }
                None
            }),
            Effect::DiscardClaimed { record } => {
                if let Some(place) = self.planned.started_from.clone() {
                    let (checkpoint, owner) = (record.checkpoint, record.job);
                    info!("Checkpoint {checkpoint} of job {owner}, which was claimed, is deleted.");
                    let stores = self.savepoints.stores().clone();
                    self.with_storage(move |_| {
                        let discarded =
                            stores.place(&place).and_then(|place| discard_claimed(&place));
                        if let Err(error) = discarded {
                            warn!("A claimed checkpoint stays behind: {}", error.report());
                        }
                        None
                    });
                }
            }
            // The master acts on these itself.
            Effect::FailJob { .. } | Effect::Stopping { .. } => {}
            Effect::Answer { request, result } => {
                self.savepoints.forget(request);
                self.jobs.answer(spec.job, request, result);
            }
            Effect::Completed { checkpoint, stats } => {
                let CheckpointSummary { duration, state_bytes, longest_pause, .. } =
                    summary(&stats);
                info!(
                    "Completed checkpoint {checkpoint} for job {} ({state_bytes} bytes, {} ms, \
                     longest pause {} us) at {}",
                    spec.job,
                    duration.as_millis(),
                    longest_pause.as_micros(),
                    location(&self.planned, &self.savepoints, checkpoint),
                );
            }
            Effect::Failed { checkpoint, reason, message, culprit } => {
                let culprit = culprit.map(|task| format!(" Task {task}:")).unwrap_or_default();
                warn!("Checkpoint {checkpoint} failed. {reason}{culprit} {message}");
            }
        }
    }

    /// Tells who wanted the job to stop that it has not, but that there is a savepoint.
    pub(super) fn stop_failed(&self, request: u64, checkpoint: CheckpointId) {
        let place = location(&self.planned, &self.savepoints, checkpoint);
        let job = self.planned.spec.job;
        let why = format!(
            "A savepoint has been created at: {place}, but the corresponding job {job} failed during \
             stopping. The savepoint is consistent. If the job restarts, it goes on from there, and \
             commits what belongs to it."
        );
        self.jobs.answer(job, request, Err(why));
    }

    /// Runs something that waits for storage elsewhere, and feeds what it says to the master.
    fn with_storage(
        &self,
        work: impl FnOnce(&dyn CheckpointStorage) -> Option<JobInput> + Send + 'static,
    ) {
        let (storage, sender) = (self.planned.plan.storage.clone(), self.sender.clone());
        self.io.submit(move || {
            if let Some(input) = work(&*storage) {
                // After the end of the job nobody listens any more.
                let _ = sender.send(Input::Job(input));
            }
        });
    }
}

pub(super) fn summary(stats: &CheckpointStats) -> CheckpointSummary {
    let metrics = || stats.tasks.values().flatten().map(|task| &task.metrics);
    CheckpointSummary {
        checkpoint: stats.checkpoint,
        duration: stats.duration,
        state_bytes: stats.state_bytes,
        written_bytes: metrics().map(|own| own.bytes).sum(),
        longest_pause: metrics()
            .map(|own| Duration::from_nanos(own.sync_nanos))
            .max()
            .unwrap_or_default(),
    }
}

/// What people call the place of a checkpoint or savepoint.
pub(super) fn location(
    planned: &PlannedJob,
    savepoints: &Savepoints,
    checkpoint: CheckpointId,
) -> String {
    match savepoints.of(checkpoint) {
        Some(place) => place.location(checkpoint),
        None => planned.plan.storage.location(checkpoint),
    }
}

/// Writes a completed record where it belongs. Until it is known who leads, it is not known whether it counts.
fn persist(
    storage: &dyn CheckpointStorage,
    savepoint: Option<&CheckpointFolder>,
    kind: CheckpointKind,
    record: &CompletedCheckpoint,
    fence: &Fence,
) -> Result<(), StoreError> {
    let fence = || fence().map_err(StoreError::Unknown);
    if let Some(place) = savepoint {
        let relative = record.clone().relative_to(&place.place().to_string());
        savepoint::complete(&relative, storage, place)?;
        if kind == CheckpointKind::Savepoint {
            return Ok(());
        }
        storage.prepare_checkpoint(record.checkpoint)?;
        fence()?;
    }
    let bytes = metadata::encode(record).map_err(StoreError::Failed)?;
    storage.create_metadata(record.checkpoint, &bytes)?;
    fence()
}

fn location_prepared(checkpoint: CheckpointId, prepared: Result<(), StoreError>) -> JobInput {
    match prepared {
        Ok(()) => JobInput::LocationPrepared { checkpoint },
        Err(error) => JobInput::LocationFailed { checkpoint, message: error.into_error().report() },
    }
}

fn metadata_written(checkpoint: CheckpointId, written: Result<(), StoreError>) -> JobInput {
    match written {
        Ok(()) => JobInput::MetadataPersisted { checkpoint },
        Err(StoreError::Failed(error)) => {
            JobInput::MetadataFailed { checkpoint, message: error.report() }
        }
        Err(StoreError::Unknown(error)) => {
            JobInput::MetadataUnknown { checkpoint, message: error.report() }
        }
    }
}
