//! Where a task's state comes from and where it goes: what a deployment starts from is read, and the
//! asynchronous part of a checkpoint written. The simulator does it with the same code.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use flott_checkpoint::storage::CheckpointStorage;
use flott_checkpoint::{CompletedCheckpoint, DeclineReason};
use flott_control::JobInput;
use flott_core::element::CheckpointKind;
use flott_core::{Error, ErrorKind, Result, TaskId};
use flott_runtime::build::RestoredTask;
use flott_runtime::restore::{Reads, Source, load_tasks};
use flott_runtime::{Clock, KeptStates, PendingSnapshot};

use crate::plan::{TaskPlan, assign_record};

/// Reads the state that tasks start from that are `wanted`, except for what was kept of it.
/// From now on nothing else is kept. Blocks on storage.
///
/// A checkpoint of the job itself stays until there is a newer one, and was read back by nobody but this program's
/// tasks: its state is read when it is needed. That of another job, which somebody has named, is read at once: they
/// are told what is wrong with it before anything runs.
///
/// # Errors
/// If the record does not fit the program, or something of it cannot be read.
pub fn read_states(
    plan: &TaskPlan,
    restore: Option<&CompletedCheckpoint>,
    kept: &Mutex<KeptStates>,
    wanted: impl Fn(TaskId) -> bool,
) -> Result<BTreeMap<TaskId, RestoredTask>> {
    let kept = {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.restarted_from(restore);
        // Those that write snapshots of other tasks do not wait for what is read here.
        kept.clone()
    };
    let Some(record) = restore else { return Ok(BTreeMap::new()) };
    let assignment = assign_record(record, &plan.graph, plan.settings.allow_non_restored_state)?;
    let reads = if record.job == plan.job { Reads::Later } else { Reads::AtOnce };
    let (storage, backend) = (&plan.storage, &plan.settings.state_backend);
    let source = Source { storage, kept: &kept, backend, reads };
    load_tasks(&plan.graph, &assignment, &source, wanted)
}

/// Whether a failure to start tasks may pass by itself.
pub fn may_pass(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Io | ErrorKind::Unknown | ErrorKind::User | ErrorKind::Cancelled => true,
        ErrorKind::InvalidInput | ErrorKind::Corrupt | ErrorKind::Internal => false,
    }
}

/// Writes a snapshot to storage, or into the result if it is small: what has changed since the checkpoint that it
/// may build upon, if that was kept. Its tables are kept, if the job may start from them again. Blocks on storage.
pub fn write_snapshot(
    mut pending: PendingSnapshot,
    plan: &TaskPlan,
    storage: &Arc<dyn CheckpointStorage>,
    clock: &dyn Clock,
    kept: &Mutex<KeptStates>,
) -> JobInput {
    let PendingSnapshot { checkpoint, task, attempt, kind, mut metrics, .. } = pending;
    let declined = |error: Error| JobInput::Decline {
        attempt,
        checkpoint,
        task,
        reason: DeclineReason::AsyncException,
        message: error.report(),
    };
    let started = clock.now().mono;
    if let Err(error) = pending.complete() {
        return declined(error);
    }
    let lock = || kept.lock().unwrap_or_else(PoisonError::into_inner);
    let is_kept = plan.keeps_states && kind != CheckpointKind::Savepoint;
    let memory = is_kept.then(|| pending.memory());
    let is_base = plan.incremental && kind == CheckpointKind::Checkpoint;
    let bases = is_base.then(|| lock().bases(&pending));
    match pending.write(storage, plan.inline_threshold, bases) {
        Ok((snapshot, bytes)) => {
            let elapsed = clock.now().mono.since(started);
            metrics.async_nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
            metrics.bytes = bytes;
            if let Some(memory) = memory {
                lock().keep(checkpoint, memory, &snapshot);
            }
            JobInput::Ack { attempt, checkpoint, task, snapshot, metrics }
        }
        Err(error) => declined(error),
    }
}
