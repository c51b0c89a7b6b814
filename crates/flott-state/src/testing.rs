//! What the tests of this crate share: storage in memory, and the way from a snapshot back.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flott_checkpoint::snapshot::{DataRef, OperatorSnapshot, OperatorStateHandle, Redistribution};
use flott_checkpoint::storage::{CheckpointStorage, StoreError};
use flott_core::hash::stable_hash;
use flott_core::{CheckpointId, Error, ErrorKind, KeyGroupRange, MaxParallelism, OperatorId};
use serde::Serialize;

use crate::restore::{
    KeyedData, PieceBytes, RestoredChunk, RestoredKeyedState, RestoredOperatorState,
};
use crate::snapshot::SnapshotWriter;

pub(crate) const OPERATOR: OperatorId = OperatorId::from_u128(7);

pub(crate) fn hash<T: Serialize + ?Sized>(key: &T) -> u64 {
    stable_hash(key).unwrap()
}

pub(crate) fn max(groups: u32) -> MaxParallelism {
    MaxParallelism::new(groups).unwrap()
}

#[derive(Default)]
pub(crate) struct MemoryStorage {
    pub(crate) files: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) refuses: bool,
    pub(crate) keeps_none: bool,
    /// How often something was read.
    pub(crate) reads: AtomicUsize,
}

impl MemoryStorage {
    fn insert(&self, path: &str, bytes: &[u8]) {
        self.files.lock().unwrap().insert(path.to_owned(), bytes.to_vec());
    }
}

impl CheckpointStorage for MemoryStorage {
    fn prepare(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn prepare_checkpoint(&self, _: CheckpointId) -> Result<(), StoreError> {
        Ok(())
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<bool, StoreError> {
        if self.refuses {
            return Err(StoreError::Unknown(Error::new(flott_core::ErrorKind::Unknown, "gone")));
        }
        if !self.keeps_none {
            self.insert(path, bytes);
        }
        Ok(!self.keeps_none)
    }

    fn create_metadata(&self, _: CheckpointId, _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }

    fn read(&self, path: &str, range: Option<(u64, u64)>) -> Result<Vec<u8>, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let missing = || StoreError::Failed(Error::new(ErrorKind::Io, format!("no file {path}")));
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let file = files.get(path).ok_or_else(missing)?;
        let (start, length) = range.unwrap_or((0, file.len() as u64));
        let bytes = file.get(start as usize..(start + length) as usize).ok_or_else(missing)?;
        Ok(bytes.to_vec())
    }

    fn delete(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    fn location(&self, _: CheckpointId) -> String {
        "memory".into()
    }
}

/// A writer whose state stays in the handles.
pub(crate) fn inline_writer() -> SnapshotWriter {
    SnapshotWriter::new(Arc::new(MemoryStorage::default()), "chk-1/a.state", usize::MAX)
}

/// What one operator wrote.
pub(crate) fn finish(writer: SnapshotWriter) -> OperatorSnapshot {
    only(writer.finish().unwrap())
}

/// The operator, which has nothing if it is not there.
pub(crate) fn only(mut operators: Vec<OperatorSnapshot>) -> OperatorSnapshot {
    assert!(operators.len() <= 1);
    operators.pop().unwrap_or(OperatorSnapshot {
        operator: OPERATOR,
        keyed: Vec::new(),
        operator_states: Vec::new(),
        digest: 0,
    })
}

pub(crate) fn inline(data: &DataRef) -> Vec<u8> {
    match data {
        DataRef::Inline(bytes) => bytes.clone(),
        DataRef::File { path, .. } => panic!("{path} is not inline"),
    }
}

/// The keyed state of `snapshots` for the subtask that owns `range`.
pub(crate) fn keyed(
    snapshots: &[OperatorSnapshot],
    range: KeyGroupRange,
) -> Vec<RestoredKeyedState> {
    let states = snapshots.iter().flat_map(|snapshot| &snapshot.keyed);
    states
        .map(|handle| {
            let mut handle = handle.clone();
            handle.groups.retain(|group| range.contains(group.group));
            let pieces =
                handle.pieces.iter().map(|piece| PieceBytes { start: 0, bytes: inline(piece) });
            let data = KeyedData::Bytes(pieces.map(Some).collect());
            RestoredKeyedState { handle, range, data }
        })
        .filter(|state| !state.handle.groups.is_empty())
        .collect()
}

fn chunk(handle: &OperatorStateHandle, take: impl Fn(usize) -> bool) -> RestoredChunk {
    let starts = std::iter::once(0).chain(handle.ends.iter().copied());
    let elements = starts.zip(&handle.ends).map(|(start, end)| start..*end).enumerate();
    RestoredChunk {
        bytes: inline(&handle.data),
        elements: elements.filter(|(index, _)| take(*index)).map(|(_, range)| range).collect(),
        checksum: handle.checksum,
    }
}

/// The operator state of `snapshots` for one of `parallelism` subtasks.
pub(crate) fn operator_states(
    snapshots: &[OperatorSnapshot],
    subtask: usize,
    parallelism: usize,
) -> Vec<RestoredOperatorState> {
    let mut states = BTreeMap::<String, RestoredOperatorState>::new();
    for handle in snapshots.iter().flat_map(|snapshot| &snapshot.operator_states) {
        let state = states.entry(handle.name.clone()).or_insert_with(|| RestoredOperatorState {
            name: handle.name.clone(),
            redistribution: handle.redistribution,
            schema: handle.schema.clone(),
            chunks: Vec::new(),
        });
        match handle.redistribution {
            Redistribution::Split => {
                state.chunks.push(chunk(handle, |index| index % parallelism == subtask));
            }
            Redistribution::Union | Redistribution::InFlight { .. } => {
                state.chunks.push(chunk(handle, |_| true))
            }
            Redistribution::Broadcast => state.chunks = vec![chunk(handle, |_| true)],
        }
    }
    states.into_values().collect()
}
