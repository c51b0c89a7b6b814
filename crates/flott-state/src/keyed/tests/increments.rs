//! Snapshots that refer to what earlier ones have written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flott_checkpoint::snapshot::{DataRef, KeyedStateHandle, OperatorSnapshot, SchemaText};
use flott_core::{OperatorId, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::restore::{KeyedData, LaterData, PieceBytes, PieceReader, StateMemory, UnreadStates};
use crate::testing::{MemoryStorage, OPERATOR, finish, inline_writer, only};
use crate::{BaseState, SnapshotWriter, StateBackend, StateFile, check_file};

type Backend = KeyedBackend<u32>;
type Entries = BTreeMap<u32, String>;

fn empty() -> Backend {
    KeyedBackend::new("totals", max(8).range_of(0, 1), max(8))
}

/// On the heap, and in a store with a table of few entries before it.
fn places() -> [StateBackend; 2] {
    [StateBackend::Heap, super::disk::on_disk(0)]
}

/// A backend whose checkpoints go to files.
struct History {
    place: StateBackend,
    backend: Backend,
    state: ValueState<String>,
    model: Entries,
    storage: Arc<MemoryStorage>,
    /// What each checkpoint has, what it was written from, and how many bytes it took.
    checkpoints: BTreeMap<u64, (OperatorSnapshot, Option<StateMemory>, usize)>,
    number: u64,
    /// How large files become.
    file_bytes: usize,
}

impl History {
    fn new(place: StateBackend) -> Self {
        let mut backend = empty().on(place.clone());
        let state = backend.value_state(ValueStateDescriptor::new("v")).unwrap();
        Self {
            place,
            backend,
            state,
            model: Entries::new(),
            storage: Arc::default(),
            checkpoints: BTreeMap::new(),
            number: 0,
            file_bytes: usize::MAX,
        }
    }

    fn put(&mut self, key: u32, value: String) {
        self.backend.set_current_key(hash(&key), key);
        self.state.update(&mut self.backend, value.clone()).unwrap();
        self.model.insert(key, value);
    }

    fn remove(&mut self, key: u32) {
        self.backend.set_current_key(hash(&key), key);
        self.state.clear(&mut self.backend).unwrap();
        self.model.remove(&key);
    }

    /// Takes a checkpoint that may build upon an earlier one.
    fn checkpoint(&mut self, base: Option<u64>) -> u64 {
        self.number += 1;
        let number = self.number;
        let snapshot = self.backend.snapshot().unwrap();
        let memory = snapshot.memories().next().map(|(_, memory)| memory);
        let base = base.and_then(|base| self.checkpoints.get(&base));
        let bases = base.and_then(|(written, memory, _)| {
            let handle = written.keyed.first()?.clone();
            Some(BaseState { operator: OPERATOR, handle, memory: memory.clone()? })
        });
        let path = format!("chk-{number}/a.state");
        let mut writer = SnapshotWriter::new(self.storage.clone(), path, 0)
            .based_on(number, bases.into_iter().collect())
            .files_of(self.file_bytes);
        snapshot.write(OPERATOR, &mut writer).unwrap();
        let bytes = writer.bytes();
        let written = self.finish(number, writer);
        self.checkpoints.insert(number, (written, memory, bytes));
        number
    }

    /// Every other time another task's state is in the file already.
    fn finish(&self, number: u64, writer: SnapshotWriter) -> OperatorSnapshot {
        if number % 2 == 1 {
            return finish(writer);
        }
        let mut file = StateFile::default();
        let other = OperatorId::from_u128(2);
        let mut first =
            SnapshotWriter::new(self.storage.clone(), format!("chk-{number}/b.state"), 0);
        let batch = format!("records of {number}").into_bytes();
        first
            .write_in_flight(other, false, SchemaText("u8".into()), std::slice::from_ref(&batch))
            .unwrap();
        let mut first = first.finish_into(&mut file);
        let mut own = writer.finish_into(&mut file);
        file.settle(&*self.storage, [&mut *first, &mut *own]).unwrap();
        let files = self.storage.files.lock().unwrap();
        let DataRef::File { path, offset, length } = &first[0].operator_states[0].data else {
            panic!("not in a file")
        };
        let found = &files[path][*offset as usize..(offset + length) as usize];
        assert_eq!((&**path, found), (&*format!("chk-{number}/b.state"), &*batch));
        check_file(&files[path]).unwrap();
        only(own)
    }

    fn handle(&self, checkpoint: u64) -> Option<&KeyedStateHandle> {
        self.checkpoints[&checkpoint].0.keyed.first()
    }

    /// What a checkpoint has, as a reader of its files sees it.
    fn read(&self, checkpoint: u64) -> Backend {
        self.restored(checkpoint, self.place.clone(), |handle| {
            let pieces = handle.pieces.iter().zip(handle.spans());
            let pieces = pieces.map(|(piece, span)| {
                let span = span?;
                let DataRef::File { path, offset, .. } = piece else { panic!("not in a file") };
                let file = &self.storage.files.lock().unwrap()[path];
                let range = (offset + span.start) as usize..(offset + span.end) as usize;
                Some(PieceBytes { start: span.start, bytes: file[range].to_vec() })
            });
            KeyedData::Bytes(pieces.collect())
        })
    }

    /// The same, on the heap, when it is needed.
    fn read_later(&self, checkpoint: u64) -> Backend {
        self.restored(checkpoint, StateBackend::Heap, |_| {
            let reader = Arc::new(PieceReader::new(self.storage.clone()));
            KeyedData::Later(LaterData { reader, states: UnreadStates::default() })
        })
    }

    fn restored(
        &self,
        checkpoint: u64,
        place: StateBackend,
        data: impl Fn(&KeyedStateHandle) -> KeyedData,
    ) -> Backend {
        let mut backend = empty().on(place);
        let restored = self.handle(checkpoint).map(|handle| RestoredKeyedState {
            handle: handle.clone(),
            range: backend.range(),
            data: data(handle),
        });
        backend.restore(restored.into_iter().collect());
        backend
    }

    /// A checkpoint has exactly this, and says so.
    fn check(&self, checkpoint: u64, expected: &Entries) {
        self.check_restored(self.read(checkpoint), checkpoint, expected);
        self.check_restored(self.read_later(checkpoint), checkpoint, expected);
    }

    fn check_restored(&self, mut backend: Backend, checkpoint: u64, expected: &Entries) {
        let state = backend.value_state(ValueStateDescriptor::<String>::new("v")).unwrap();
        let mut found = Entries::new();
        for key in expected.keys() {
            backend.set_current_key(hash(key), *key);
            found.extend(state.get(&mut backend).unwrap().map(|value| (*key, value.clone())));
        }
        assert_eq!(found, *expected);
        let mut whole = inline_writer();
        backend.snapshot().unwrap().write(OPERATOR, &mut whole).unwrap();
        let whole = finish(whole);
        assert_eq!(whole.digest, self.checkpoints[&checkpoint].0.digest);
        let entries = |written: Option<&KeyedStateHandle>| written.map_or(0, |own| own.entries());
        assert_eq!(entries(whole.keyed.first()), expected.len() as u64, "nothing more is there");
        assert_eq!(entries(self.handle(checkpoint)), expected.len() as u64);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(u32, u8),
    Remove(u32),
    /// All keys.
    Clear,
    /// Takes a checkpoint upon the one so many before it, if it has files.
    Checkpoint(u64),
    /// Fills up with many keys: pages are split.
    Fill(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..60u32, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        8 => (0..60u32).prop_map(Step::Remove),
        1 => Just(Step::Clear),
        6 => (1..4u64).prop_map(Step::Checkpoint),
        1 => (100..600u32).prop_map(Step::Fill),
    ]
}

proptest! {
    #[test]
    fn every_checkpoint_has_what_was_there_whatever_it_builds_upon(
        steps in prop::collection::vec(step(), 1..150),
        place in 0..2usize,
        file_bytes in prop::option::of(24..3_000usize),
    ) {
        let mut history = History::new(places()[place].clone());
        history.file_bytes = file_bytes.unwrap_or(usize::MAX);
        let mut expected = BTreeMap::new();
        for step in steps {
            match step {
                Step::Put(key, value) => history.put(key, format!("value {value}")),
                Step::Remove(key) => history.remove(key),
                Step::Clear => {
                    let keys: Vec<u32> = history.model.keys().copied().collect();
                    keys.into_iter().for_each(|key| history.remove(key));
                }
                Step::Fill(count) => {
                    (100..100 + count).for_each(|key| history.put(key, format!("filled {count}")));
                }
                Step::Checkpoint(back) => {
                    let base = history.number.checked_sub(back - 1);
                    let number = history.checkpoint(base);
                    expected.insert(number, history.model.clone());
                }
            }
        }
        for (number, expected) in expected {
            history.check(number, &expected);
        }
    }
}

#[test]
fn what_has_not_changed_is_not_written_again() {
    for place in places() {
        let mut history = History::new(place);
        (0..20_000).for_each(|key| history.put(key, format!("value {key}")));
        let first = history.checkpoint(None);
        let second = history.checkpoint(Some(first));
        assert_eq!(history.checkpoints[&second].2, 0);
        assert_eq!(history.handle(second).unwrap().pieces, history.handle(first).unwrap().pieces);
        history.put(7, "other".into());
        history.remove(9);
        let third = history.checkpoint(Some(second));
        assert!(history.checkpoints[&third].2 < 50, "one value and one key");
        history.check(third, &history.model);
        history.check(first, &(0..20_000).map(|key| (key, format!("value {key}"))).collect());
    }
}

#[test]
fn large_state_goes_to_several_files() {
    for place in places() {
        let mut history = History::new(place);
        history.file_bytes = 10_000;
        (0..10_000).for_each(|key| history.put(key, format!("value {key}")));
        let first = history.checkpoint(None);
        assert_eq!(history.handle(first).unwrap().pieces.len(), 8, "a group each");
        assert_eq!(history.storage.files.lock().unwrap().len(), 8);
        history.check(first, &history.model);
        history.put(1, "other".into());
        let second = history.checkpoint(Some(first));
        assert_eq!(history.handle(second).unwrap().pieces.len(), 9);
        history.check(second, &history.model);
    }
}

#[test]
fn a_value_that_is_written_as_it_was_has_not_changed() {
    for place in places() {
        let mut history = History::new(place);
        (0..1_000).for_each(|key| history.put(key, "the same".into()));
        let first = history.checkpoint(None);
        (0..1_000).for_each(|key| history.put(key, "the same".into()));
        let second = history.checkpoint(Some(first));
        assert_eq!(history.checkpoints[&second].2, 0);
    }
}

#[test]
fn old_files_are_let_go_of_little_by_little() {
    for place in places() {
        let mut history = History::new(place);
        // Half of the keys never change.
        (0..40_000).for_each(|key| history.put(key, format!("value {key}")));
        let mut newest = history.checkpoint(None);
        let whole = history.checkpoints[&newest].2;
        let mut most = 0;
        for round in 0..120 {
            (0..400)
                .for_each(|at| history.put((round * 400 + at) % 20_000, format!("round {round}")));
            let base = newest;
            newest = history.checkpoint(Some(base));
            history.checkpoints.get_mut(&base).unwrap().1 = None;
            let (_, memory, bytes) = &history.checkpoints[&newest];
            // Eight groups in 32 turns: one at a time.
            assert!(*bytes < whole / 8 + whole / 20, "{bytes} of {whole}");
            assert!(memory.is_some());
            most = most.max(history.handle(newest).unwrap().pieces.len());
        }
        history.check(newest, &history.model);
        assert!(most < 64, "{most} files");
        let handle = history.handle(newest).unwrap();
        let files: BTreeSet<&str> = handle
            .pieces
            .iter()
            .map(|piece| match piece {
                DataRef::File { path, .. } => path.as_str(),
                DataRef::Inline(_) => panic!("not in a file"),
            })
            .collect();
        assert!(!files.contains("chk-1/a.state"), "{files:?}");
        assert!(handle.bytes() < 3 * whole as u64, "{} of {whole}", handle.bytes());
    }
}

#[test]
fn a_change_for_a_key_that_is_not_there_is_damage() {
    let mut history = History::new(StateBackend::Heap);
    (0..1_000).for_each(|key| history.put(key, "value".into()));
    let first = history.checkpoint(None);
    history.remove(1);
    let second = history.checkpoint(Some(first));
    let (snapshot, ..) = history.checkpoints.get_mut(&second).unwrap();
    let changed = snapshot.keyed[0].groups.iter().position(|range| range.removed == 1).unwrap();
    let twice = snapshot.keyed[0].groups[changed];
    snapshot.keyed[0].groups.insert(changed, twice);
    let refused = |history: &History| {
        let mut backend = history.read(second);
        let error = backend.value_state(ValueStateDescriptor::<String>::new("v")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        error.report()
    };
    assert!(refused(&history).contains("a key is removed that is not there"));
    let (snapshot, ..) = history.checkpoints.get_mut(&second).unwrap();
    snapshot.keyed[0].groups.drain(changed..=changed + 1);
    snapshot.keyed[0].groups[changed - 1].live -= 1;
    assert!(refused(&history).contains("entries and not"));
}

#[test]
fn what_expires_between_two_checkpoints_is_still_told_apart() {
    let mut backend = empty();
    let ttl = StateTtlConfig::new(Duration::from_millis(100));
    let state = backend.value_state(ValueStateDescriptor::<u8>::new("v").ttl(ttl)).unwrap();
    let put = |backend: &mut Backend, time, key: u32| {
        backend.set_now(Timestamp(time));
        backend.set_current_key(hash(&key), key);
        state.update(backend, 1).unwrap();
    };
    (0..500).for_each(|key| put(&mut backend, 0, key));
    let storage = Arc::new(MemoryStorage::default());
    let write = |backend: &mut Backend, turn: u64, bases| {
        let path = format!("chk-{turn}/a.state");
        let mut writer = SnapshotWriter::new(storage.clone(), path, 0).based_on(turn, bases);
        let snapshot = backend.snapshot().unwrap();
        let memory = snapshot.memories().next().map(|(_, memory)| memory).unwrap();
        snapshot.write(OPERATOR, &mut writer).unwrap();
        (finish(writer), memory)
    };
    let (first, memory) = write(&mut backend, 1, Vec::new());
    // Nearly all have expired; some of them are swept from the table as others are used.
    (0..40).for_each(|key| put(&mut backend, 1_000, key));
    let handle = first.keyed[0].clone();
    let base = BaseState { operator: OPERATOR, handle, memory };
    let (second, _) = write(&mut backend, 2, vec![base]);
    let (whole, _) = write(&mut backend, 3, Vec::new());
    assert_eq!(second.digest, whole.digest);
    assert_eq!(second.keyed[0].entries(), whole.keyed[0].entries());
    let mut savepoint = inline_writer();
    backend.snapshot().unwrap().write(OPERATOR, &mut savepoint).unwrap();
    assert_eq!(finish(savepoint).keyed[0].entries(), 40, "a savepoint has what is alive");
}
