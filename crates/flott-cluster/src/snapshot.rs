//! The asynchronous part of a task's checkpoint: state is written, and what became of that is said. The
//! simulator does it with the same code.

use std::sync::{Arc, Mutex, PoisonError};

use flott_checkpoint::DeclineReason;
use flott_checkpoint::storage::CheckpointStorage;
use flott_control::JobInput;
use flott_core::element::CheckpointKind;
use flott_runtime::{Clock, KeptStates, PendingSnapshot};

/// Writes a snapshot to storage, or into the result if it is smaller than `inline_threshold` bytes. Its
/// tables are kept, if the job may start from them again. Blocks on storage.
pub fn write_snapshot(
    pending: PendingSnapshot,
    storage: &Arc<dyn CheckpointStorage>,
    inline_threshold: usize,
    clock: &dyn Clock,
    kept: Option<&Mutex<KeptStates>>,
) -> JobInput {
    let PendingSnapshot { checkpoint, task, attempt, kind, mut metrics, .. } = pending;
    let kept = kept.filter(|_| kind != CheckpointKind::Savepoint);
    let memory = kept.map(|_| pending.memory());
    let started = clock.now().mono;
    match pending.write(storage, inline_threshold) {
        Ok(snapshot) => {
            let elapsed = clock.now().mono.since(started);
            metrics.async_nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
            metrics.bytes = snapshot.bytes();
            if let (Some(kept), Some(memory)) = (kept, memory) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.keep(checkpoint, memory, &snapshot);
            }
            JobInput::Ack { attempt, checkpoint, task, snapshot, metrics }
        }
        Err(error) => JobInput::Decline {
            attempt,
            checkpoint,
            task,
            reason: DeclineReason::AsyncException,
            message: error.report(),
        },
    }
}
