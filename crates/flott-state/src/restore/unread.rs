//! State that is read when it is needed: key groups that a task has, and whose entries are still in storage.
//!
//! A task that goes on from its job's checkpoint need not wait until all of its state is read. A key group is read
//! when a record of it comes, when a snapshot is written, or when somebody gets round to it who has nothing to do with
//! the task: whoever is first, the others wait for that one. No snapshot is written without all of them, so
//! the checkpoint that they are read from stays until nobody needs it any more.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use flott_checkpoint::snapshot::GroupRange;
use flott_core::codec::Key;
use flott_core::{Error, ErrorKind, KeyGroup, KeyGroupRange, MaxParallelism, Result};

use super::RestoredKeyedState;
use super::pieces::{PieceReader, read_layers};
use crate::schema::Layout;
use crate::table::{PagedTable, TableSnapshot};

/// Where state is that is read later, and who is told of it.
#[derive(Clone, Debug)]
pub struct LaterData {
    /// Reads its pieces.
    pub reader: Arc<PieceReader>,
    /// What the task has yet to read.
    pub states: UnreadStates,
}

/// What a task has yet to read of its state.
#[derive(Clone, Default)]
pub struct UnreadStates(Arc<Mutex<Unread>>);

#[derive(Default)]
struct Unread {
    /// Key groups that nobody was asked to read.
    groups: Vec<UnreadGroup>,
    /// Whether one of them is damaged, or cannot be read by this program.
    is_damaged: bool,
    /// The first error that says so, until the task has heard of it.
    damage: Option<Error>,
}

impl UnreadStates {
    /// The key groups that were not read when their states were registered, to be read when there is time.
    pub fn take(&self) -> Vec<UnreadGroup> {
        std::mem::take(&mut self.lock().groups)
    }

    /// Whether something that was read is damaged, or cannot be read by this program: to start again from the same
    /// checkpoint would be of no use.
    pub fn is_damaged(&self) -> bool {
        self.lock().is_damaged
    }

    /// Fails if something is damaged that nobody has heard of.
    pub(crate) fn check(&self) -> Result<()> {
        self.lock().damage.take().map_or(Ok(()), Err)
    }

    pub(crate) fn add(&self, groups: impl Iterator<Item = UnreadGroup>) {
        self.lock().groups.extend(groups);
    }

    /// Notes whether reading has failed for good.
    fn note<T>(&self, result: Result<T>) -> Result<T> {
        let is_for_good = |kind| match kind {
            ErrorKind::Corrupt | ErrorKind::InvalidInput | ErrorKind::Internal => true,
            ErrorKind::Io | ErrorKind::Unknown | ErrorKind::User | ErrorKind::Cancelled => false,
        };
        if result.as_ref().is_err_and(|error| is_for_good(error.kind())) {
            self.lock().is_damaged = true;
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Unread> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for UnreadStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnreadStates").field("groups", &self.lock().groups.len()).finish()
    }
}

/// A key group of a state that may still have to be read.
pub struct UnreadGroup {
    group: Weak<dyn ReadGroup>,
    states: UnreadStates,
}

impl UnreadGroup {
    /// Reads it, if that was not done and its task still wants it. Of an error that will not pass the task hears at its
    /// next snapshot; after any other, and if decoding panics, the group is read when it is needed. Blocks on storage;
    /// from any thread.
    pub fn read(self) {
        let Some(group) = self.group.upgrade() else { return };
        // Decoding is the user's code. What it panics with is the task's, when that reads the group itself.
        let read = catch_unwind(AssertUnwindSafe(|| group.read_ahead()));
        if let Ok(Err(error)) = read {
            let mut states = self.states.lock();
            if states.is_damaged {
                states.damage.get_or_insert(error);
            }
        }
    }
}

impl fmt::Debug for UnreadGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnreadGroup")
    }
}

/// A key group whose types nobody needs to know.
trait ReadGroup: Send + Sync {
    fn read_ahead(&self) -> Result<()>;
}

/// How a state is read that is restored later.
pub(crate) struct StateReader<V> {
    pub(crate) operator: String,
    pub(crate) max: MaxParallelism,
    pub(crate) decode: Box<DecodeValue<V>>,
    pub(crate) parts: Vec<LaterPart>,
}

type DecodeValue<V> = dyn Fn(&[u8], &Layout) -> Result<V> + Send + Sync;

/// What one subtask has written of a state.
pub(crate) struct LaterPart {
    pub(crate) state: RestoredKeyedState,
    pub(crate) data: LaterData,
    pub(crate) layout: Layout,
}

/// One key group of it, before or after it is read.
pub(crate) struct LaterGroup<K, V> {
    state: Arc<StateReader<V>>,
    part: usize,
    layers: Vec<GroupRange>,
    entries: Mutex<Option<TableSnapshot<K, V>>>,
}

impl<V: Clone + Send + Sync + 'static> StateReader<V> {
    /// The key groups of `owned` that have entries.
    pub(crate) fn groups<K: Key>(
        self: &Arc<Self>,
        owned: KeyGroupRange,
    ) -> Vec<(KeyGroup, Arc<LaterGroup<K, V>>)> {
        let mut groups = Vec::new();
        for (part, LaterPart { state, data, .. }) in self.parts.iter().enumerate() {
            let wanted = state.layers_in(owned).map(|layers| {
                let group: Arc<LaterGroup<K, V>> = Arc::new(LaterGroup {
                    state: self.clone(),
                    part,
                    layers: layers.to_vec(),
                    entries: Mutex::new(None),
                });
                (layers[0].group, group)
            });
            let wanted: Vec<_> = wanted.collect();
            data.states.add(wanted.iter().map(|(_, group)| {
                let group: Weak<LaterGroup<K, V>> = Arc::downgrade(group);
                UnreadGroup { group, states: data.states.clone() }
            }));
            groups.extend(wanted);
        }
        groups
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> LaterGroup<K, V> {
    /// Its entries: a table of this key group alone. Blocks on storage.
    pub(crate) fn read(&self) -> Result<TableSnapshot<K, V>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entries) = &*entries {
            return Ok(entries.clone());
        }
        let states = &self.state.parts[self.part].data.states;
        let read = states.note(self.read_entries())?;
        *entries = Some(read.clone());
        Ok(read)
    }

    fn read_entries(&self) -> Result<TableSnapshot<K, V>> {
        let StateReader { operator, max, decode, parts, .. } = &*self.state;
        let LaterPart { state, data, layout } = &parts[self.part];
        let start = u32::from(self.layers[0].group.0);
        let mut table = PagedTable::new(KeyGroupRange { start, end: start + 1 }, *max);
        let read = |piece, span| data.reader.read(&state.handle, piece, span);
        let pieces = read_layers(&state.handle, &self.layers, read)
            .map_err(|error| state.explained(error, operator, &self.layers[0]))?;
        let decode = |bytes: &[u8]| decode(bytes, layout);
        state.read_group(&pieces, &self.layers, operator, &mut table, *max, decode)?;
        Ok(table.snapshot())
    }

    /// What has happened to the states of the task.
    pub(crate) fn check(&self) -> Result<()> {
        self.state.parts[self.part].data.states.check()
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> ReadGroup for LaterGroup<K, V> {
    fn read_ahead(&self) -> Result<()> {
        self.read().map(|_| ())
    }
}
