//! From the snapshots of all tasks to a completed checkpoint, through the bytes that a real one has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flott_checkpoint::snapshot::{CheckpointTimes, OperatorInfo};
use flott_checkpoint::storage::{CheckpointStorage, METADATA_FILE, checkpoint_folder};
use flott_checkpoint::{CompletedCheckpoint, MemoryStorage, OperatorRecord, metadata};
use flott_cluster::plan::PlannedJob;
use flott_core::{CheckpointId, Result, WallTime};
use flott_runtime::{PendingSnapshot, StateFile};

use crate::look::look;

/// The state of a program at the end of a test, for another version of the program to start from;
/// see [`StreamTest::savepoint`](super::StreamTest::savepoint).
#[derive(Clone)]
pub struct Savepoint {
    pub(super) record: CompletedCheckpoint,
    pub(super) storage: Arc<MemoryStorage>,
}

impl Savepoint {
    /// Forgets the operators with these uids.
    pub(super) fn without(mut self, uids: &[&str]) -> Self {
        self.record.operators.retain(|operator| !uids.contains(&operator.info.uid.as_str()));
        self
    }

    /// A storage with the same files, for one run.
    pub(super) fn storage(&self) -> Result<Arc<MemoryStorage>> {
        let copy = MemoryStorage::new();
        for path in self.storage.paths() {
            let bytes = self.storage.read(&path, None).map_err(|error| error.into_error())?;
            copy.write(&path, &bytes).map_err(|error| error.into_error())?;
        }
        Ok(Arc::new(copy))
    }
}

/// Writes the snapshots and their record to storage, and reads the record back.
pub(super) fn complete(
    planned: &PlannedJob,
    storage: &Arc<MemoryStorage>,
    checkpoint: CheckpointId,
    snapshots: Vec<PendingSnapshot>,
    inline_threshold: usize,
) -> Result<CompletedCheckpoint> {
    let empty = |info: &OperatorInfo| OperatorRecord {
        info: info.clone(),
        subtasks: BTreeMap::new(),
        end_of_data: BTreeSet::new(),
    };
    let mut operators: Vec<OperatorRecord> = planned.spec.operators.iter().map(empty).collect();
    let files: Arc<dyn CheckpointStorage> = storage.clone();
    let mut file = StateFile::default();
    let written = snapshots.into_iter().map(|pending| {
        let task = pending.task;
        pending.write(&mut file, &files, inline_threshold, None).map(|(own, _)| (task, own))
    });
    let mut written = written.collect::<Result<Vec<_>>>()?;
    file.settle(&**storage, written.iter_mut().map(|(_, own)| &mut *own.operators))?;
    for (task, snapshot) in written {
        let chain = planned.plan.graph.vertex(task.vertex).into_iter();
        let ids: Vec<_> = chain.flat_map(|vertex| &vertex.operators).map(|own| own.id).collect();
        for operator in operators.iter_mut().filter(|operator| ids.contains(&operator.info.id)) {
            let own = snapshot.operators.iter().find(|own| own.operator == operator.info.id);
            if let Some(own) = own {
                operator.subtasks.insert(task.subtask, own.clone());
            }
            if snapshot.end_of_data {
                operator.end_of_data.insert(task.subtask);
            }
        }
    }
    let record = CompletedCheckpoint {
        checkpoint,
        job: planned.spec.job,
        job_name: planned.spec.name.clone(),
        times: CheckpointTimes { triggered_at: WallTime::MIN, completed_at: WallTime::MIN },
        operators,
    };
    let bytes = metadata::encode(&record)?;
    storage.create_metadata(checkpoint, &bytes).map_err(|error| error.into_error())?;
    let path = format!("{}/{METADATA_FILE}", checkpoint_folder(checkpoint));
    let bytes = storage.read(&path, None).map_err(|error| error.into_error())?;
    let record = metadata::decode(&bytes, &path)?;
    look(&record, |path| storage.read(path, None).ok())?;
    Ok(record)
}
