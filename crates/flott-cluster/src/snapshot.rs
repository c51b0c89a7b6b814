//! Where a task's state comes from and where it goes: what a deployment starts from is read, and the
//! asynchronous part of a checkpoint written. The simulator does it with the same code.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flott_checkpoint::snapshot::{SubtaskCheckpointMetrics, TaskSnapshot};
use flott_checkpoint::storage::CheckpointStorage;
use flott_checkpoint::{CompletedCheckpoint, DeclineReason};
use flott_control::JobInput;
use flott_core::element::CheckpointKind;
use flott_core::{AttemptNumber, CheckpointId, ErrorKind, Result, TaskId};
use flott_runtime::build::RestoredTask;
use flott_runtime::restore::{Reads, Source, load_tasks};
use flott_runtime::{Clock, KeptStates, PendingSnapshot, TaskMemory};
use flott_state::StateFile;

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
        let mut kept = lock(kept);
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
///
/// `more` may give other ones of the same checkpoint, which go into the same file, as long as there is little in it.
pub fn write_snapshots(
    first: PendingSnapshot,
    mut more: impl FnMut() -> Option<PendingSnapshot>,
    plan: &TaskPlan,
    storage: &Arc<dyn CheckpointStorage>,
    clock: &dyn Clock,
    kept: &Mutex<KeptStates>,
) -> Vec<JobInput> {
    let (mut file, mut written, mut inputs) = (StateFile::default(), Vec::new(), Vec::new());
    let mut next = Some(first);
    while let Some(pending) = next {
        let PendingSnapshot { checkpoint, task, attempt, .. } = pending;
        let started = clock.now().mono;
        match encode(pending, &mut file, plan, storage, kept) {
            Ok(own) => written.push((started, own)),
            Err(error) => inputs.push(declined(attempt, checkpoint, task, error.report())),
        }
        next = if file.len() < plan.merged_bytes { more() } else { None };
    }
    let operators = written.iter_mut().map(|(_, own)| &mut *own.snapshot.operators);
    let settled = file.settle(&**storage, operators).map_err(|error| error.report());
    for (started, own) in written {
        let Encoded { checkpoint, task, attempt, mut metrics, snapshot, memory } = own;
        if let Err(message) = &settled {
            inputs.push(declined(attempt, checkpoint, task, message.clone()));
            continue;
        }
        let elapsed = clock.now().mono.since(started);
        metrics.async_nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        if let Some(memory) = memory {
            lock(kept).keep(checkpoint, memory, &snapshot);
        }
        inputs.push(JobInput::Ack { attempt, checkpoint, task, snapshot, metrics });
    }
    inputs
}

/// What a task remembers, whose file is not written yet.
struct Encoded {
    checkpoint: CheckpointId,
    task: TaskId,
    attempt: AttemptNumber,
    metrics: SubtaskCheckpointMetrics,
    snapshot: TaskSnapshot,
    memory: Option<TaskMemory>,
}

fn encode(
    mut pending: PendingSnapshot,
    file: &mut StateFile,
    plan: &TaskPlan,
    storage: &Arc<dyn CheckpointStorage>,
    kept: &Mutex<KeptStates>,
) -> Result<Encoded> {
    let PendingSnapshot { checkpoint, task, attempt, kind, mut metrics, .. } = pending;
    pending.complete()?;
    let is_kept = plan.keeps_states && kind != CheckpointKind::Savepoint;
    let memory = is_kept.then(|| pending.memory());
    let is_base = plan.incremental && kind == CheckpointKind::Checkpoint;
    let bases = is_base.then(|| lock(kept).bases(&pending));
    let (snapshot, bytes) = pending.write(file, storage, plan.inline_threshold, bases)?;
    metrics.bytes = bytes;
    Ok(Encoded { checkpoint, task, attempt, metrics, snapshot, memory })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// That a snapshot cannot be written.
pub(crate) fn declined(
    attempt: AttemptNumber,
    checkpoint: CheckpointId,
    task: TaskId,
    message: String,
) -> JobInput {
    JobInput::Decline { attempt, checkpoint, task, reason: DeclineReason::AsyncException, message }
}

/// Snapshots of a process's tasks that wait to be written. Whoever writes one takes others along, as long as there
/// is room in its file: so the fewer files there are, the slower storage is.
#[derive(Default)]
pub(crate) struct WaitingSnapshots(Mutex<VecDeque<PendingSnapshot>>);

impl WaitingSnapshots {
    pub(crate) fn add(&self, pending: PendingSnapshot) {
        lock(&self.0).push_back(pending);
    }

    /// The one that has waited longest.
    pub(crate) fn take(&self) -> Option<PendingSnapshot> {
        lock(&self.0).pop_front()
    }

    /// Another one of the same checkpoint that nothing must be read for: that would keep the others waiting.
    pub(crate) fn take_of(&self, checkpoint: CheckpointId) -> Option<PendingSnapshot> {
        let mut waiting = lock(&self.0);
        let is_one = |own: &PendingSnapshot| own.checkpoint == checkpoint && own.is_complete();
        let index = waiting.iter().position(is_one)?;
        waiting.remove(index)
    }
}
