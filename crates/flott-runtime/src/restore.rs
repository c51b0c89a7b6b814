//! From a checkpoint to the state that each task starts from: reads the bytes that an assignment
//! names.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use flott_checkpoint::assign::{
    Assignment, KeyedRestore, OperatorRestore, OperatorStateRestore, ProgramOperator,
};
use flott_checkpoint::snapshot::{DataRef, KeyedStateHandle, StateKind};
use flott_checkpoint::storage::CheckpointStorage;
use flott_core::{KeyGroupRange, OperatorId, Result, TaskId};
use flott_plan::JobGraph;
use flott_state::{
    DiskBackend, KeyedData, LaterData, Loaded, PieceBytes, PieceReader, RestoredChunk,
    RestoredKeyedState, RestoredOperatorState, StateBackend, UnreadStates,
};

use crate::build::RestoredTask;
use crate::kept::KeptStates;
use crate::operator::RestoredOperator;

/// When keyed state on the heap is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Before the tasks begin: what is damaged is found before anything has happened.
    AtOnce,
    /// When a record needs it, or somebody has time. The files must stay until a newer checkpoint is complete.
    Later,
}

/// Where state comes from, and where it goes.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Where it was written to.
    pub storage: &'a Arc<dyn CheckpointStorage>,
    /// What this process has kept of it.
    pub kept: &'a KeptStates,
    /// Where tasks keep it.
    pub backend: &'a StateBackend,
    /// When it is read.
    pub reads: Reads,
}

/// Reads what every task of the graph needs that is `wanted`, except for tables that were kept. Keyed state is put
/// where the backend keeps it. Blocks on storage.
///
/// # Errors
/// If a file is missing, damaged, or shorter than the record says; the error names it and the operator.
pub fn load_tasks(
    graph: &JobGraph,
    assignment: &Assignment,
    source: &Source<'_>,
    wanted: impl Fn(TaskId) -> bool,
) -> Result<BTreeMap<TaskId, RestoredTask>> {
    let mut tasks = BTreeMap::new();
    let states = count_states(graph, assignment, &wanted);
    for vertex in &graph.vertices {
        for subtask in 0..vertex.parallelism {
            let id = TaskId { vertex: vertex.id, subtask };
            if !wanted(id) {
                continue;
            }
            let operators = vertex.operators.iter().map(|operator| operator.id);
            let end_of_data = end_of_data(assignment, operators, subtask);
            let mut task = RestoredTask { end_of_data, ..RestoredTask::default() };
            let unread = &task.unread.clone();
            for operator in &vertex.operators {
                let restore = assignment.restores.get(&(operator.id, subtask));
                let owned = vertex.max_parallelism.range_of(subtask, vertex.parallelism);
                let name = &operator.name;
                let own = Own { operator: operator.id, name, owned, unread, states };
                let restored = load_operator(&own, restore, source);
                let restored = restored.map_err(|error| {
                    let name = &operator.name;
                    error.context(format!("cannot restore operator \"{name}\" ({})", operator.id))
                })?;
                task.operators.insert(operator.id, restored);
            }
            tasks.insert(id, task);
        }
    }
    Ok(tasks)
}

/// How many keyed states begin here.
fn count_states(
    graph: &JobGraph,
    assignment: &Assignment,
    wanted: impl Fn(TaskId) -> bool,
) -> usize {
    let here = graph.vertices.iter().flat_map(|vertex| {
        let operators = vertex.operators.iter().map(|operator| (vertex.id, operator.id));
        operators.flat_map(|own| (0..vertex.parallelism).map(move |subtask| (own, subtask)))
    });
    let here =
        here.filter(|((vertex, _), subtask)| wanted(TaskId { vertex: *vertex, subtask: *subtask }));
    let restores = here.filter_map(|((_, operator), subtask)| {
        assignment.restores.get(&(operator, subtask)).map(|restore| &restore.keyed)
    });
    restores.map(|keyed| names(keyed).len()).sum()
}

/// The states that are kept where the backend says.
fn names(keyed: &[KeyedRestore]) -> BTreeSet<&str> {
    let own = keyed.iter().filter(|part| part.handle.kind != StateKind::Timers);
    own.map(|part| part.handle.name.as_str()).collect()
}

/// Whether a chain was through with its data: if all of its operators were that are not new.
fn end_of_data(
    assignment: &Assignment,
    operators: impl Iterator<Item = OperatorId>,
    subtask: u32,
) -> bool {
    let restores = operators.filter_map(|id| assignment.restores.get(&(id, subtask)));
    let mut ended = restores.map(|restore| restore.end_of_data).peekable();
    ended.peek().is_some() && ended.all(|ended| ended)
}

/// An operator in a subtask.
struct Own<'a> {
    operator: OperatorId,
    name: &'a str,
    /// The key groups of the subtask.
    owned: KeyGroupRange,
    /// What the subtask reads later.
    unread: &'a UnreadStates,
    /// How many keyed states begin in this process.
    states: usize,
}

fn load_operator(
    own: &Own<'_>,
    restore: Option<&OperatorRestore>,
    source: &Source<'_>,
) -> Result<RestoredOperator> {
    let Source { storage, kept, backend, reads } = *source;
    let mut restored = RestoredOperator { is_restored: true, ..RestoredOperator::default() };
    let Some(restore) = restore else { return Ok(restored) };
    restored.end_of_data = restore.end_of_data;
    let mut loaded: BTreeMap<&str, Loaded> = BTreeMap::new();
    if let StateBackend::Disk(disk) = backend {
        let is_kept =
            |part: &KeyedRestore| kept.find(own.operator, &part.handle, own.owned).is_some();
        for name in names(&restore.keyed) {
            let parts = || restore.keyed.iter().filter(|part| part.handle.name == name);
            let handles = parts().map(|part| (&part.handle, part.range));
            if !parts().all(is_kept) && !disk.has_room_for(handles, own.states) {
                let what = format!("{}, {name}", own.name);
                loaded.insert(name, load_into(disk, &what, parts(), storage)?);
            }
        }
    }
    for KeyedRestore { handle, range } in &restore.keyed {
        let is_timers = handle.kind == StateKind::Timers;
        let in_store = loaded.get(handle.name.as_str()).filter(|_| !is_timers);
        let is_later = matches!(backend, StateBackend::Heap) && reads == Reads::Later;
        let data = if let Some(loaded) = in_store {
            KeyedData::Store(loaded.clone())
        } else if let Some(memory) = kept.find(own.operator, handle, own.owned) {
            KeyedData::Memory(memory.clone())
        } else if is_later && !is_timers {
            let reader = Arc::new(PieceReader::new(storage.clone()));
            KeyedData::Later(LaterData { reader, states: own.unread.clone() })
        } else {
            KeyedData::Bytes(read_pieces(handle, &**storage)?)
        };
        restored.keyed.push(RestoredKeyedState { handle: handle.clone(), range: *range, data });
    }
    for OperatorStateRestore { name, redistribution, schema, chunks } in &restore.operator_states {
        let chunks = chunks.iter().map(|chunk| {
            let bytes = read(&chunk.data, &**storage)?;
            let elements = chunk.elements.clone();
            Ok(RestoredChunk { bytes, elements, checksum: chunk.checksum })
        });
        restored.operator_states.push(RestoredOperatorState {
            name: name.clone(),
            redistribution: *redistribution,
            schema: schema.clone(),
            chunks: chunks.collect::<Result<_>>()?,
        });
    }
    Ok(restored)
}

/// Loads all parts of a state into a store.
fn load_into<'a>(
    disk: &DiskBackend,
    what: &str,
    parts: impl Iterator<Item = &'a KeyedRestore>,
    storage: &Arc<dyn CheckpointStorage>,
) -> Result<Loaded> {
    let parts: Vec<_> = parts.map(|part| (&part.handle, part.range)).collect();
    let reader = PieceReader::new(storage.clone());
    disk.load(what, &parts, |part, piece, span| reader.read(parts[part].0, piece, span))
}

/// Reads what the handle's ranges need of each piece. Blocks on storage.
///
/// # Errors
/// If a file is missing or shorter than the record says.
pub fn read_pieces(
    handle: &KeyedStateHandle,
    storage: &dyn CheckpointStorage,
) -> Result<Vec<Option<PieceBytes>>> {
    let pieces = handle.pieces.iter().zip(handle.spans());
    let read = pieces.map(|(piece, span)| {
        let Some(Range { start, end }) = span else { return Ok(None) };
        let bytes = match piece {
            DataRef::Inline(bytes) => {
                return Ok(Some(PieceBytes { start: 0, bytes: bytes.clone() }));
            }
            DataRef::File { path, offset, .. } => {
                read_file(path, offset.saturating_add(start), end - start, storage)?
            }
        };
        Ok(Some(PieceBytes { start, bytes }))
    });
    read.collect()
}

/// Reads what a reference refers to. Blocks on storage.
///
/// # Errors
/// As [`read_pieces`].
pub fn read(data: &DataRef, storage: &dyn CheckpointStorage) -> Result<Vec<u8>> {
    match data {
        DataRef::Inline(bytes) => Ok(bytes.clone()),
        DataRef::File { path, offset, length } => read_file(path, *offset, *length, storage),
    }
}

fn read_file(
    path: &str,
    offset: u64,
    length: u64,
    storage: &dyn CheckpointStorage,
) -> Result<Vec<u8>> {
    storage.read(path, Some((offset, length))).map_err(|error| error.into_error())
}

/// The operators of a graph, as an assignment wants to know them.
pub fn program_operators(graph: &JobGraph) -> Vec<ProgramOperator> {
    let vertices = graph.vertices.iter();
    vertices
        .flat_map(|vertex| {
            vertex.operators.iter().map(|operator| ProgramOperator {
                id: operator.id,
                uid: operator.uid.clone(),
                name: operator.name.clone(),
                parallelism: vertex.parallelism,
                max_parallelism: vertex.max_parallelism,
                max_parallelism_explicit: operator.max_parallelism_explicit,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flott_checkpoint::snapshot::{CheckpointTimes, OperatorInfo, SubtaskCheckpointMetrics};
    use flott_checkpoint::{CompletedCheckpoint, MemoryStorage, OperatorRecord};
    use flott_core::element::CheckpointKind;
    use flott_core::hash::stable_hash;
    use flott_core::{AttemptNumber, CheckpointId, JobId, MaxParallelism, Timestamp, VertexId};
    use flott_state::{KeyedBackend, StateFile, ValueStateDescriptor};

    use super::*;
    use crate::{Command, OperatorParts, PendingSnapshot, TaskMemory};

    #[test]
    fn an_operator_that_is_new_in_a_chain_does_not_make_it_end_again() {
        let [old, other, new] = ["old", "other", "new"].map(OperatorId::from_name);
        let ended = |end_of_data| OperatorRestore { end_of_data, ..OperatorRestore::default() };
        let restores = BTreeMap::from([((old, 0), ended(true)), ((other, 0), ended(false))]);
        let assignment = Assignment { restores, ..Assignment::default() };
        let has_ended =
            |operators: &[OperatorId]| end_of_data(&assignment, operators.iter().copied(), 0);
        assert!(has_ended(&[old]) && has_ended(&[old, new]));
        assert!(!has_ended(&[old, other]) && !has_ended(&[new]));
    }

    #[test]
    fn what_was_kept_is_not_read() {
        let operator = OperatorId::from_name("count");
        let max = MaxParallelism::new(8).unwrap();
        let mut backend = KeyedBackend::<u8>::new("count", max.range_of(0, 1), max);
        let count = backend.value_state(ValueStateDescriptor::<i64>::new("count")).unwrap();
        backend.set_current_key(stable_hash(&1u8).unwrap(), 1);
        count.update(&mut backend, 5).unwrap();
        let mut parts = OperatorParts::new(operator);
        parts.add_keyed(backend.snapshot().unwrap());
        let task = TaskId { vertex: VertexId::from_u128(1), subtask: 0 };
        let pending = PendingSnapshot {
            checkpoint: CheckpointId(3),
            kind: CheckpointKind::Checkpoint,
            base: None,
            task,
            attempt: AttemptNumber(0),
            metrics: SubtaskCheckpointMetrics::default(),
            end_of_data: false,
            parts: vec![parts],
        };
        let memory = pending.memory();
        let storage = Arc::new(MemoryStorage::new());
        let files = storage.clone() as Arc<dyn CheckpointStorage>;
        let mut file = StateFile::default();
        let (mut written, _) = pending.write(&mut file, &files, 0, None).unwrap();
        file.settle(&*storage, [&mut *written.operators]).unwrap();
        let handle = written.operators[0].keyed[0].clone();
        let range = max.range_of(0, 1);
        let restore = OperatorRestore {
            keyed: vec![KeyedRestore { handle, range }],
            ..OperatorRestore::default()
        };
        for path in storage.paths() {
            storage.delete(&path).unwrap();
        }
        let info = OperatorInfo {
            id: operator,
            uid: "count".into(),
            name: "count".into(),
            parallelism: 1,
            max_parallelism: max,
        };
        let record = CompletedCheckpoint {
            checkpoint: CheckpointId(3),
            job: JobId::from_u128(1),
            job_name: "job".into(),
            times: CheckpointTimes { triggered_at: Timestamp(0), completed_at: Timestamp(0) },
            operators: vec![OperatorRecord {
                info,
                subtasks: BTreeMap::from([(0, written.operators[0].clone())]),
                end_of_data: Default::default(),
            }],
        };
        let mut kept = KeptStates::default();
        let load_as = |operator, kept: &KeptStates| {
            let unread = &UnreadStates::default();
            let own = Own { operator, name: "count", owned: range, unread, states: 1 };
            let (storage, backend) = (&files, &StateBackend::Heap);
            let source = Source { storage, kept, backend, reads: Reads::AtOnce };
            load_operator(&own, Some(&restore), &source)
        };
        let load = |kept: &KeptStates| load_as(operator, kept);
        let keep = |kept: &mut KeptStates, memory: &TaskMemory| {
            kept.keep(CheckpointId(3), memory.clone(), &written);
        };
        keep(&mut kept, &memory);
        assert!(matches!(load(&kept).unwrap().keyed[0].data, KeyedData::Memory(_)));
        let other = OperatorId::from_name("other");
        assert!(load_as(other, &kept).is_err(), "not its table");
        // A later checkpoint under way changes nothing, until it is complete.
        kept.told(Command::NotifyAborted(CheckpointId(4)));
        kept.restarted_from(Some(&record));
        assert!(load(&kept).is_ok());
        kept.told(Command::NotifyComplete(CheckpointId(4)));
        assert!(load(&kept).is_err(), "nothing starts from it any more");
        // Nor from what a checkpoint has without it: it came too late for that.
        let mut late = KeptStates::default();
        keep(&mut late, &memory);
        late.restarted_from(Some(&CompletedCheckpoint { operators: Vec::new(), ..record }));
        assert!(load(&late).is_err());
        keep(&mut late, &memory);
        assert!(load(&late).is_err(), "nor if it comes later still");
        // What comes too late is not kept.
        keep(&mut kept, &memory);
        assert!(load(&kept).is_err());
        kept.restarted_from(None);
        kept.told(Command::NotifyAborted(CheckpointId(3)));
        keep(&mut kept, &memory);
        assert!(load(&kept).is_err(), "its checkpoint was aborted");
    }
}
