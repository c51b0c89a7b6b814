//! Keyed state that is read when it is needed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flott_checkpoint::snapshot::OperatorSnapshot;
use serde::{Deserialize, Deserializer, Serialize};

use super::*;
use crate::SnapshotWriter;
use crate::restore::{KeyedData, LaterData, PieceReader, UnreadStates};
use crate::testing::{MemoryStorage, OPERATOR, finish, inline_writer};

const KEYS: u32 = 200;

/// State of [`KEYS`] keys in files, and a backend that has it, but has read nothing of it.
struct Later {
    storage: Arc<MemoryStorage>,
    written: OperatorSnapshot,
    unread: UnreadStates,
    backend: KeyedBackend<u32>,
    state: ValueState<u64>,
}

fn empty() -> KeyedBackend<u32> {
    KeyedBackend::new("totals", max(8).range_of(0, 1), max(8))
}

fn later() -> Later {
    let mut backend = empty();
    let state = backend.value_state(ValueStateDescriptor::<u64>::new("v")).unwrap();
    for key in 0..KEYS {
        backend.set_current_key(hash(&key), key);
        state.update(&mut backend, u64::from(key)).unwrap();
    }
    let storage = Arc::new(MemoryStorage::default());
    let mut writer = SnapshotWriter::new(storage.clone(), "chk-1/a.state", 0);
    backend.snapshot().unwrap().write(OPERATOR, &mut writer).unwrap();
    let written = finish(writer);
    let unread = UnreadStates::default();
    let mut backend = empty();
    backend.restore(vec![RestoredKeyedState {
        handle: written.keyed[0].clone(),
        range: backend.range(),
        data: KeyedData::Later(LaterData {
            reader: Arc::new(PieceReader::new(storage.clone())),
            states: unread.clone(),
        }),
    }]);
    let state = backend.value_state(ValueStateDescriptor::<u64>::new("v")).unwrap();
    assert_eq!(storage.reads.load(Ordering::Relaxed), 0);
    Later { storage, written, unread, backend, state }
}

impl Later {
    fn get(&mut self, key: u32) -> Result<Option<u64>> {
        self.backend.set_current_key(hash(&key), key);
        Ok(self.state.get(&mut self.backend)?.copied())
    }

    /// Changes a byte of what was written last: of the last key group.
    fn damage(&self) {
        let mut files = self.storage.files.lock().unwrap();
        let file = files.values_mut().next().unwrap();
        *file.last_mut().unwrap() ^= 1;
    }

    fn write(&mut self) -> Result<OperatorSnapshot> {
        let mut writer = inline_writer();
        self.backend.snapshot()?.write(OPERATOR, &mut writer)?;
        Ok(finish(writer))
    }
}

/// A key of a key group.
fn key_of(group: u16) -> u32 {
    (0..KEYS).find(|key| max(8).key_group(hash(key)).0 == group).unwrap()
}

#[test]
fn a_key_group_is_read_when_a_key_of_it_is_used_and_once() {
    let mut later = later();
    for key in (0..8).map(key_of).chain(0..KEYS) {
        assert_eq!(later.get(key).unwrap(), Some(u64::from(key)));
    }
    assert_eq!(later.get(KEYS).unwrap(), None);
    // One read takes what follows with it.
    assert_eq!(later.storage.reads.load(Ordering::Relaxed), 1);
    later.storage.files.lock().unwrap().clear();
    assert_eq!(later.get(1).unwrap(), Some(1));
}

#[test]
fn a_snapshot_has_what_was_never_read() {
    let mut later = later();
    later.backend.set_current_key(hash(&7u32), 7);
    later.state.update(&mut later.backend, 7).unwrap();
    let written = later.write().unwrap();
    assert_eq!(written.digest, later.written.digest);
    // What the snapshot has read the task has, too.
    later.storage.files.lock().unwrap().clear();
    for key in 0..KEYS {
        assert_eq!(later.get(key).unwrap(), Some(u64::from(key)));
    }
}

#[test]
fn writes_after_a_snapshot_are_not_in_it() {
    let mut later = later();
    let snapshot = later.backend.snapshot().unwrap();
    for key in 0..KEYS {
        later.backend.set_current_key(hash(&key), key);
        later.state.update(&mut later.backend, 0).unwrap();
    }
    let mut writer = inline_writer();
    snapshot.write(OPERATOR, &mut writer).unwrap();
    assert_eq!(finish(writer).digest, later.written.digest);
    assert_eq!(later.get(5).unwrap(), Some(0));
}

#[test]
fn whoever_has_time_reads_ahead() {
    let mut later = later();
    assert_eq!(later.get(key_of(3)).unwrap(), Some(u64::from(key_of(3))));
    let ahead = later.unread.take();
    assert_eq!(ahead.len(), 8);
    std::thread::scope(|scope| {
        ahead.into_iter().for_each(|group| drop(scope.spawn(|| group.read())));
    });
    later.storage.files.lock().unwrap().clear();
    for key in 0..KEYS {
        assert_eq!(later.get(key).unwrap(), Some(u64::from(key)));
    }
    assert!(later.unread.take().is_empty());
}

#[test]
fn nothing_is_read_for_a_task_that_is_gone() {
    let Later { storage, unread, backend, .. } = later();
    let ahead = unread.take();
    drop(backend);
    ahead.into_iter().for_each(|group| group.read());
    assert_eq!(storage.reads.load(Ordering::Relaxed), 0);
}

#[test]
fn damage_is_found_when_it_is_used_and_at_the_next_snapshot_if_it_was_read_ahead() {
    let mut used = later();
    used.damage();
    assert_eq!(used.get(key_of(0)).unwrap(), Some(u64::from(key_of(0))));
    assert!(!used.unread.is_damaged());
    let error = used.get(key_of(7)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let place =
        "operator \"totals\": state \"v\", key group 7 cannot be restored from \"chk-1/a.state\"";
    assert!(error.to_string().contains(place), "{error}");
    assert!(used.unread.is_damaged());

    let mut ahead = later();
    ahead.damage();
    ahead.unread.take().into_iter().for_each(|group| group.read());
    assert!(ahead.unread.is_damaged());
    let error = ahead.backend.snapshot().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);

    let mut written = later();
    written.damage();
    assert_eq!(written.write().unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn what_cannot_be_read_now_is_read_later() {
    let mut later = later();
    let files = std::mem::take(&mut *later.storage.files.lock().unwrap());
    assert_eq!(later.get(1).unwrap_err().kind(), ErrorKind::Io);
    later.unread.take().into_iter().for_each(|group| group.read());
    assert!(!later.unread.is_damaged());
    *later.storage.files.lock().unwrap() = files;
    assert_eq!(later.get(1).unwrap(), Some(1));
    assert_eq!(later.write().unwrap().digest, later.written.digest);
}

static EXPLODES: AtomicBool = AtomicBool::new(false);

#[derive(Clone, Serialize)]
struct Explosive(u64);

impl<'de> Deserialize<'de> for Explosive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        assert!(!EXPLODES.load(Ordering::Relaxed), "the user's code panics");
        u64::deserialize(deserializer).map(Self)
    }
}

#[test]
fn a_panic_in_the_users_code_ends_nobody_who_reads_ahead() {
    let Later { storage, written, unread, .. } = later();
    drop(unread);
    let (mut backend, unread) = (empty(), UnreadStates::default());
    let reader = Arc::new(PieceReader::new(storage));
    let data = KeyedData::Later(LaterData { reader, states: unread.clone() });
    let (handle, range) = (written.keyed[0].clone(), backend.range());
    backend.restore(vec![RestoredKeyedState { handle, range, data }]);
    let state = backend.value_state(ValueStateDescriptor::<Explosive>::new("v")).unwrap();
    EXPLODES.store(true, Ordering::Relaxed);
    unread.take().into_iter().for_each(|group| group.read());
    EXPLODES.store(false, Ordering::Relaxed);
    assert!(!unread.is_damaged());
    backend.set_current_key(hash(&5u32), 5);
    assert_eq!(state.get(&mut backend).unwrap().map(|value| value.0), Some(5));
}
