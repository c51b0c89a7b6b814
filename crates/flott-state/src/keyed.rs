//! Keyed state: values of a record's key, one entry per key and state, kept in paged tables.
//!
//! An operator registers its states by descriptor when it opens and gets copyable handles. The
//! engine sets the current key before each record; a handle's methods then read and write the
//! entry of that key in place. On the heap a table has all entries, with state on disk those in use.

mod aggregating;
mod context;
mod descriptor;
mod disk;
mod list;
mod look_up;
mod map;
mod raw;
mod reducing;
mod register;
mod shape;
mod single;
mod small_map;
mod snapshot;
#[cfg(test)]
mod tests;
mod ttl;
mod unread;
mod value;

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;

use flott_checkpoint::snapshot::{SchemaText, StateKind};
use flott_core::codec::Key;
use flott_core::hash::stable_hash;
use flott_core::{Error, KeyGroup, KeyGroupRange, MaxParallelism, Result, Timestamp, WallTime};

pub use self::aggregating::{AggregateFunction, AggregatingState};
pub use self::context::KeyedStateContext;
pub use self::descriptor::{
    AggregatingStateDescriptor, ListStateDescriptor, MapStateDescriptor, ReduceFunction,
    ReducingStateDescriptor, ValueStateDescriptor,
};
pub use self::list::ListState;
pub use self::look_up::{StateAnswer, StateEntry, StateQuestion};
pub use self::map::MapState;
pub use self::raw::{RawSmallMap, RawValue};
pub use self::reducing::ReducingState;
pub use self::small_map::SmallMap;
pub use self::snapshot::KeyedSnapshot;
pub use self::ttl::{StateTtlConfig, StateVisibility, TtlTimeCharacteristic, UpdateType};
pub use self::value::ValueState;

pub use self::disk::Loaded;

use self::disk::Disk;
pub(crate) use self::disk::DiskMemory;
pub(crate) use self::register::kind_name;
use self::shape::{Age, Clocks, Shape};
use self::unread::UnreadTable;
use crate::restore::RestoredKeyedState;
use crate::schema::Schema;
use crate::store::StateBackend;
use crate::table::{PagedTable, SweepCursor};

/// A state with TTL looks for expired entries on every so-manieth access, a run of slots at a time:
/// on average 10 slots per access, some 5 entries, as in Flink.
const SWEEP_EVERY: u32 = 16;
const SWEEP_SLOTS: usize = 160;

/// The keyed states of one operator in one subtask.
pub struct KeyedBackend<K> {
    operator: String,
    range: KeyGroupRange,
    max: MaxParallelism,
    key_schema: SchemaText,
    clocks: Clocks,
    current: Current<K>,
    states: Vec<State<K>>,
    place: StateBackend,
    /// Restored states that are not yet registered.
    restored: Vec<RestoredKeyedState>,
}

enum Current<K> {
    None,
    Key(u64, K),
    /// A key that belongs to another subtask.
    Foreign(KeyGroup),
}

/// One registered state.
struct State<K> {
    name: String,
    kind: StateKind,
    /// The Rust type that was registered, for messages.
    type_name: &'static str,
    ttl: Option<StateTtlConfig>,
    value_schema: SchemaText,
    table: Box<dyn AnyTable<K>>,
    /// The function of a reducing or aggregating state.
    function: Option<Box<dyn Any + Send + Sync>>,
}

/// A table whose value type is known to the handle alone.
trait AnyTable<K>: Send {
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
    /// Asks the processor for what there is of a key with this hash.
    fn prefetch(&self, hash: u64);
    fn snapshot(&mut self, age: Age) -> Result<Box<dyn snapshot::AnySnapshot>>;
    /// The encoding of what is alive of a key's cell; nothing if nothing is.
    fn look_up(&mut self, hash: u64, key: &K, age: Age) -> Result<Option<Vec<u8>>>;
}

/// A table with the shape of its cells.
struct ShapedTable<K, S: Shape> {
    table: PagedTable<K, S::Cell>,
    cursor: SweepCursor,
    /// How many accesses there were since the last sweep.
    accesses: u32,
    beyond: Beyond<K, S>,
}

/// What there is of a state that its table does not have.
enum Beyond<K, S: Shape> {
    Nothing,
    /// Nothing yet: it goes to a store when it does not fit into memory.
    Small(Box<disk::Small>),
    /// The table is a part of what is in a store.
    Disk(Box<Disk<K>>),
    /// Some key groups are still to be read.
    Unread(Box<UnreadTable<K, S::Cell>>),
}

impl<K: Key, S: Shape> AnyTable<K> for ShapedTable<K, S> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn prefetch(&self, hash: u64) {
        self.table.prefetch(hash);
    }

    fn snapshot(&mut self, age: Age) -> Result<Box<dyn snapshot::AnySnapshot>> {
        Ok(match self.disk_memory(age)? {
            Some(memory) => {
                let (snapshot, shape) = (memory.snapshot()?, PhantomData);
                Box::new(snapshot::StoredSnapshot::<S> { memory, snapshot, shape })
            }
            None => {
                let unread = self.unread()?;
                Box::new(snapshot::ShapedSnapshot::<K, S> { table: self.table.snapshot(), unread })
            }
        })
    }

    fn look_up(&mut self, hash: u64, key: &K, age: Age) -> Result<Option<Vec<u8>>> {
        self.fetch(hash, key, age, false)?;
        let Some(cell) = self.table.get(hash, key) else { return Ok(None) };
        let mut bytes = Vec::new();
        let is_alive = S::encode(cell, age, &mut bytes)?;
        Ok(is_alive.then_some(bytes))
    }
}

/// One state at the current key.
struct Access<'a, K, S: Shape> {
    table: &'a mut PagedTable<K, S::Cell>,
    hash: u64,
    key: &'a K,
    age: Age,
    ttl: Option<StateTtlConfig>,
}

impl<K: Key> KeyedBackend<K> {
    /// The backend of a subtask of `operator` (its name, for messages) that owns `range`.
    pub fn new(operator: impl Into<String>, range: KeyGroupRange, max: MaxParallelism) -> Self {
        Self {
            operator: operator.into(),
            range,
            max,
            key_schema: Schema::of::<K>().to_text(),
            clocks: Clocks::default(),
            current: Current::None,
            states: Vec::new(),
            place: StateBackend::Heap,
            restored: Vec::new(),
        }
    }

    /// The same, with state that is registered later kept elsewhere than on the heap.
    #[must_use]
    pub fn on(self, place: StateBackend) -> Self {
        Self { place, ..self }
    }

    /// Hands over restored state, before anything is registered. Each state is decoded when its
    /// name is registered.
    pub fn restore(&mut self, states: Vec<RestoredKeyedState>) {
        self.restored.extend(states);
    }

    /// The names of restored states that nobody has registered: state that would be lost.
    pub fn unclaimed(&self) -> Vec<String> {
        let mut names: Vec<_> =
            self.restored.iter().map(|state| state.handle.name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Sets the time by which state expires. Call it before states are registered, and once per
    /// batch; time that goes backwards is ignored.
    #[inline]
    pub fn set_now(&mut self, now: WallTime) {
        self.clocks.now = self.clocks.now.max(Some(now));
    }

    /// Sets event time, by which state with TTL in event time expires, and the timestamp of what is processed. Event
    /// time that goes backwards is ignored.
    #[inline]
    pub fn set_event_time(&mut self, event_time: Timestamp, timestamp: Timestamp) {
        self.clocks.event_time = self.clocks.event_time.max(event_time);
        self.clocks.used = self.clocks.event_time.max(timestamp);
    }

    /// Whether a state that is registered has TTL in event time.
    pub fn expires_in_event_time(&self) -> bool {
        self.states.iter().any(|state| state.ttl.is_some_and(StateTtlConfig::is_in_event_time))
    }

    /// Sets the key that state belongs to from now on, with its stable hash.
    #[inline]
    pub fn set_current_key(&mut self, hash: u64, key: K) {
        let group = self.max.key_group(hash);
        self.current = if self.range.contains(group) {
            Current::Key(hash, key)
        } else {
            Current::Foreign(group)
        };
    }

    /// Asks the processor for the state of a key with this hash, which will be the current one before long.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        // Whoever uses a key of another subtask is told so then.
        if self.range.contains(self.max.key_group(hash)) {
            self.states.iter().for_each(|state| state.table.prefetch(hash));
        }
    }

    /// As [`Self::set_current_key`], for who has not hashed it.
    ///
    /// # Errors
    /// If the key has no stable hash: a floating-point number has none.
    pub fn use_key(&mut self, key: K) -> Result<()> {
        self.set_current_key(stable_hash(&key)?, key);
        Ok(())
    }

    /// Forgets the current key: state cannot be used until another is set.
    pub fn clear_current_key(&mut self) {
        self.current = Current::None;
    }

    /// The current key.
    pub fn current_key(&self) -> Option<&K> {
        match &self.current {
            Current::Key(_, key) => Some(key),
            Current::None | Current::Foreign(_) => None,
        }
    }

    /// The stable hash of the current key.
    pub fn current_hash(&self) -> Option<u64> {
        match &self.current {
            Current::Key(hash, _) => Some(*hash),
            Current::None | Current::Foreign(_) => None,
        }
    }

    /// The key groups that this subtask owns.
    pub fn range(&self) -> KeyGroupRange {
        self.range
    }

    /// The synchronous part of a snapshot: one reference per state and key group. State on disk first gets what was
    /// written since it was last brought up to date.
    ///
    /// # Errors
    /// If that cannot be encoded or written.
    pub fn snapshot(&mut self) -> Result<KeyedSnapshot> {
        KeyedSnapshot::of(self)
    }

    /// A state at the current key, to be written to.
    #[inline]
    fn access<S: Shape>(&mut self, index: usize) -> Result<Access<'_, K, S>> {
        self.access_to::<S>(index, true)
    }

    /// A state at the current key, to be read.
    #[inline]
    fn look<S: Shape>(&mut self, index: usize) -> Result<Access<'_, K, S>> {
        self.access_to::<S>(index, false)
    }

    #[inline]
    fn access_to<S: Shape>(&mut self, index: usize, writes: bool) -> Result<Access<'_, K, S>> {
        let (hash, key) = match &self.current {
            Current::Key(hash, key) => (*hash, key),
            Current::None | Current::Foreign(_) => {
                return Err(no_key(&self.operator, self.range, &self.current));
            }
        };
        let state = self.states.get_mut(index).ok_or_else(foreign_handle)?;
        let age = Age::new(state.ttl, self.clocks);
        let shaped = state.table.as_any_mut().downcast_mut::<ShapedTable<K, S>>();
        let shaped = shaped.ok_or_else(foreign_handle)?;
        // With TTL, reading may remove or touch.
        shaped.fetch(hash, key, age, writes || state.ttl.is_some())?;
        if state.ttl.is_some() && !matches!(shaped.beyond, Beyond::Disk(_)) {
            shaped.accesses += 1;
            if shaped.accesses == SWEEP_EVERY {
                shaped.accesses = 0;
                shaped.sweep(age);
            }
        }
        Ok(Access { table: &mut shaped.table, hash, key, age, ttl: state.ttl })
    }
}

#[cold]
fn no_key<K>(operator: &str, range: KeyGroupRange, current: &Current<K>) -> Error {
    match current {
        Current::Foreign(group) => Error::internal(format!(
            "operator \"{operator}\": a record of key group {} came to the subtask of key groups \
             {} to {}; is the hash of its key the same each time?",
            group.0,
            range.start,
            range.end - 1
        )),
        Current::None | Current::Key(..) => Error::invalid(format!(
            "operator \"{operator}\": keyed state was used without a current key; use it only \
             while a record of a keyed stream or a timer is processed"
        )),
    }
}

#[cold]
fn foreign_handle() -> Error {
    Error::invalid(
        "a state handle was used that this operator has not registered: register it in open",
    )
}

impl<K: Key, S: Shape> ShapedTable<K, S> {
    fn new(range: KeyGroupRange, max: MaxParallelism) -> Self {
        let table = PagedTable::new(range, max);
        Self { table, cursor: SweepCursor::default(), accesses: 0, beyond: Beyond::Nothing }
    }

    /// Looks at the next few entries, whichever keys they belong to, and removes what has expired.
    /// Without it, state of keys that never come again would stay for ever.
    #[cold]
    fn sweep(&mut self, age: Age) {
        let mut expired = Vec::new();
        self.table.sweep(&mut self.cursor, SWEEP_SLOTS, |key, cell| {
            if S::has_expired(cell, age) {
                expired.push(key.clone());
            }
        });
        for key in expired {
            if let Ok(hash) = stable_hash(&key) {
                purge::<K, S>(&mut self.table, hash, &key, age);
            }
        }
    }
}

impl<K: Key, S: Shape> Access<'_, K, S> {
    /// Before a read: removes what has expired, unless such values may be shown.
    #[inline]
    fn purge_for_read(&mut self) {
        if self.ttl.is_some_and(StateTtlConfig::hides_expired) {
            purge::<K, S>(self.table, self.hash, self.key, self.age);
        }
    }

    /// Before a write in place: what has expired must not live on in what is written.
    #[inline]
    fn purge_for_write(&mut self) {
        if self.ttl.is_some() {
            purge::<K, S>(self.table, self.hash, self.key, self.age);
        }
    }
}

fn purge<K: Key, S: Shape>(table: &mut PagedTable<K, S::Cell>, hash: u64, key: &K, age: Age) {
    if table.get(hash, key).is_some_and(|cell| S::has_expired(cell, age)) {
        let empty = table.get_mut(hash, key).is_some_and(|cell| S::purge(cell, age));
        if empty {
            table.remove(hash, key);
        }
    }
}

impl<K> fmt::Debug for KeyedBackend<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBackend")
            .field("operator", &self.operator)
            .field("range", &self.range)
            .field("states", &self.states.iter().map(|state| &state.name).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
