//! What a process writes, and what the world does to that.

use std::sync::Arc;

use flott_checkpoint::storage::{CheckpointStorage, StoreError};
use flott_checkpoint::{CompletedCheckpoint, metadata};
use flott_cluster::snapshot::write_snapshots;
use flott_cluster::storage::complete_savepoint;
use flott_control::{JobInput, WorkerId};
use flott_core::element::CheckpointKind;
use flott_runtime::PendingSnapshot;

use super::super::storage::Outcome;
use super::super::world::{Event, Way, World, take};
use super::Process;
use crate::look::look;

impl Process {
    pub(super) fn write_snapshot(
        &mut self,
        world: &mut World,
        worker: WorkerId,
        pending: PendingSnapshot,
    ) {
        let PendingSnapshot { checkpoint, task, kind, .. } = pending;
        let outcome = outcome(world, true);
        world.trace.line(format_args!("snapshot {checkpoint} of {task}: {outcome:?}"));
        world.snapshot_written(checkpoint);
        let place = world.places.get(&checkpoint).filter(|_| kind.is_savepoint());
        let folder = place.unwrap_or(&self.folder).clone();
        folder.next_write(outcome);
        let storage: Arc<dyn CheckpointStorage> = folder.clone();
        let (plan, clock) = (&self.planned.plan, world.clock.clone());
        // A worker that is gone writes no more; here what it has written just arrives late.
        let kept = self.machines.workers.get(&worker).map(|host| host.kept.clone());
        let kept = kept.unwrap_or_default();
        let merges = world.store.permille(500);
        let more = || if merges { world.take_snapshot(worker, checkpoint) } else { None };
        let inputs = write_snapshots(pending, more, plan, &storage, &*clock, &kept);
        folder.next_write(Outcome::Done);
        for input in inputs {
            world.send(Way::Storage, Event::ToMaster(input));
        }
    }

    /// Deletes up to `limit` files.
    pub(in super::super) fn discard(
        &mut self,
        world: &mut World,
        paths: Vec<String>,
        limit: usize,
    ) -> Result<(), String> {
        let files = paths.into_iter().flat_map(|path| {
            let mut files = self.folder.below(&path);
            files.push(path);
            files
        });
        for path in files.take(limit) {
            world.trace.line(format_args!("discard {path}"));
            self.folder.delete(&path).map_err(|error| error.into_error().report())?;
        }
        Ok(())
    }

    pub(super) fn write_metadata(
        &mut self,
        world: &mut World,
        kind: CheckpointKind,
        record: &Arc<CompletedCheckpoint>,
    ) -> Result<(), String> {
        let checkpoint = record.checkpoint;
        let mut outcome = outcome(world, true);
        let may_come = outcome == Outcome::LostUnknown && world.store.permille(500);
        if may_come || outcome == Outcome::LateUnknown {
            outcome = Outcome::LateUnknown;
            let delay = world.storage_delay() * 10;
            let late = Event::LateMetadata(kind, record.clone());
            world.send_after(Way::Storage, delay, late);
        }
        world.trace.line(format_args!("record of checkpoint {checkpoint}: {outcome:?}"));
        // That of a stop is written twice: either may go wrong.
        let is_own = match kind {
            CheckpointKind::Checkpoint => true,
            CheckpointKind::Savepoint => false,
            CheckpointKind::Stop { .. } => world.store.permille(500),
        };
        let folder = if is_own { &self.folder } else { &self.savepoint_folder };
        folder.next_write(outcome);
        let written = self.create_metadata(world, kind, record)?;
        self.folder.next_write(Outcome::Done);
        self.savepoint_folder.next_write(Outcome::Done);
        let input = match written {
            Ok(()) => JobInput::MetadataPersisted { checkpoint },
            Err(StoreError::Failed(error)) => {
                JobInput::MetadataFailed { checkpoint, message: error.report() }
            }
            Err(StoreError::Unknown(error)) => {
                JobInput::MetadataUnknown { checkpoint, message: error.report() }
            }
        };
        world.send(Way::Storage, Event::ToMaster(input));
        Ok(())
    }

    /// Writes a record, and looks at what that did.
    pub(super) fn create_metadata(
        &self,
        world: &mut World,
        kind: CheckpointKind,
        record: &CompletedCheckpoint,
    ) -> Result<Result<(), StoreError>, String> {
        let (job, checkpoint) = (self.planned.spec.job, record.checkpoint);
        let mut written = Ok(());
        if kind.is_savepoint() {
            let relative = record.clone().relative_to(&self.savepoints_in);
            written = complete_savepoint(&relative, &*self.folder, &*self.savepoint_folder);
            if written.is_ok() {
                world.savepoints += 1;
            }
        }
        if kind != CheckpointKind::Savepoint && written.is_ok() {
            let bytes = metadata::encode(record).map_err(|error| error.report())?;
            written = self.folder.create_metadata(checkpoint, &bytes);
            // A plain savepoint commits nothing: for the ledger it does not exist.
            let path = self.folder.record(checkpoint);
            if self.folder.peek(&path).is_ok_and(|found| found == bytes) {
                world.ledger.completed(job, checkpoint);
                if kind.is_savepoint() {
                    world.stop_recorded((self.savepoints_in.clone(), checkpoint));
                }
                self.must_be_readable(record)?;
            }
        }
        Ok(written)
    }

    /// A completed record names only what exists, and is what it says.
    fn must_be_readable(&self, record: &CompletedCheckpoint) -> Result<(), String> {
        for path in record.files() {
            if self.folder.peek(path).is_err() {
                let checkpoint = record.checkpoint;
                return Err(format!(
                    "checkpoint {checkpoint} is complete, but {path} is not there"
                ));
            }
        }
        look(record, |path| self.folder.peek(path).ok()).map_err(|error| {
            format!("checkpoint {} is complete, but {}", record.checkpoint, error.report())
        })
    }
}

/// What the world does to a write. Only what can be repeated may stay unknown.
pub(super) fn outcome(world: &mut World, may_be_unknown: bool) -> Outcome {
    if take(&mut world.forced.failed) {
        return Outcome::Failed;
    }
    if may_be_unknown && take(&mut world.forced.late) {
        return Outcome::LateUnknown;
    }
    if may_be_unknown && take(&mut world.forced.unknown) {
        return *world.store.choose(&[Outcome::DoneUnknown, Outcome::LostUnknown]);
    }
    let (failed, unknown) = (world.scenario.store_failed, world.scenario.store_unknown);
    if world.store.permille(failed) {
        Outcome::Failed
    } else if may_be_unknown && world.store.permille(unknown) {
        *world.store.choose(&[Outcome::DoneUnknown, Outcome::LostUnknown])
    } else {
        Outcome::Done
    }
}
