//! The snapshot of a keyed backend.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use flott_core::codec::Key;
use flott_core::{OperatorId, Result};

use super::KeyedBackend;
use super::disk::{DiskMemory, StoreSource};
use super::shape::{Age, Shape};
use super::unread::{self, LaterGroups};
use crate::restore::StateMemory;
use crate::schema::{Layout, Stamps};
use crate::snapshot::{KeyedStateHead, SnapshotWriter, TableSource};
use crate::store::StoreSnapshot;
use crate::table::TableSnapshot;

/// The keyed states of one operator at one moment, to be written while the task goes on.
pub struct KeyedSnapshot {
    states: Vec<StateSnapshot>,
}

struct StateSnapshot {
    head: KeyedStateHead,
    age: Age,
    table: Box<dyn AnySnapshot>,
}

/// A table snapshot whose value type nobody needs to know any more.
pub(super) trait AnySnapshot: Send {
    /// Whether there is nothing that the task had not read.
    fn is_complete(&self) -> bool;

    /// Reads what the task had not read.
    fn complete(&mut self) -> Result<()>;

    fn write(
        &self,
        operator: OperatorId,
        head: KeyedStateHead,
        age: Age,
        writer: &mut SnapshotWriter,
    ) -> Result<()>;

    /// The table, to begin from again.
    fn memory(&self) -> StateMemory;
}

pub(super) struct ShapedSnapshot<K, S: Shape> {
    pub(super) table: TableSnapshot<K, S::Cell>,
    /// Key groups that are not in it yet.
    pub(super) unread: LaterGroups<K, S::Cell>,
}

impl<K: Key, S: Shape> AnySnapshot for ShapedSnapshot<K, S> {
    fn is_complete(&self) -> bool {
        self.unread.is_empty()
    }

    fn complete(&mut self) -> Result<()> {
        unread::complete(&mut self.table, &mut self.unread)
    }

    fn write(
        &self,
        operator: OperatorId,
        head: KeyedStateHead,
        age: Age,
        writer: &mut SnapshotWriter,
    ) -> Result<()> {
        let age = if writer.keeps_expired() { age.never() } else { age };
        let mut source = TableSource::new(&self.table, |cell, out| S::encode(cell, age, out));
        writer.write_keyed(operator, head, &mut source)
    }

    fn memory(&self) -> StateMemory {
        StateMemory::new(self.table.clone())
    }
}

/// A state that is in a store.
pub(super) struct StoredSnapshot<S: Shape> {
    pub(super) memory: DiskMemory,
    /// What the store held: it stays until it is written, even if it is let go of otherwise.
    pub(super) snapshot: Arc<dyn StoreSnapshot>,
    pub(super) shape: PhantomData<fn() -> S>,
}

impl<S: Shape> AnySnapshot for StoredSnapshot<S> {
    fn is_complete(&self) -> bool {
        true
    }

    fn complete(&mut self) -> Result<()> {
        Ok(())
    }

    fn write(
        &self,
        operator: OperatorId,
        head: KeyedStateHead,
        age: Age,
        writer: &mut SnapshotWriter,
    ) -> Result<()> {
        let takes_all = !age.has_ttl() || writer.keeps_expired();
        let layout = Layout::own(Stamps::of(head.kind, head.ttl));
        let mut source = StoreSource::new(&self.memory, self.snapshot.clone(), |value, out| {
            if takes_all {
                out.extend_from_slice(value);
                return Ok(true);
            }
            let mut cell = S::decode(value, &layout, age)?;
            if S::purge(&mut cell, age) { Ok(false) } else { S::encode(&cell, age, out) }
        });
        writer.write_keyed(operator, head, &mut source)
    }

    fn memory(&self) -> StateMemory {
        StateMemory::of_disk(self.memory.clone())
    }
}

impl KeyedSnapshot {
    pub(super) fn of<K: Key>(backend: &mut KeyedBackend<K>) -> Result<Self> {
        let clocks = backend.clocks;
        let states = backend.states.iter_mut().map(|state| {
            let head = KeyedStateHead {
                name: state.name.clone(),
                kind: state.kind,
                ttl: state.ttl.is_some(),
                key_schema: backend.key_schema.clone(),
                value_schema: state.value_schema.clone(),
            };
            let age = Age::new(state.ttl, clocks);
            Ok(StateSnapshot { head, age, table: state.table.snapshot(age)? })
        });
        Ok(Self { states: states.collect::<Result<_>>()? })
    }

    /// Whether the task had read all of its state when the snapshot was taken.
    pub fn is_complete(&self) -> bool {
        self.states.iter().all(|state| state.table.is_complete())
    }

    /// Reads what the task had not read when the snapshot was taken. Blocks on storage.
    ///
    /// # Errors
    /// If something cannot be read, or is damaged.
    pub fn complete(&mut self) -> Result<()> {
        self.states.iter_mut().try_for_each(|state| state.table.complete())
    }

    /// The states' names and tables, to begin from again without what is written, once the snapshot is complete.
    pub fn memories(&self) -> impl Iterator<Item = (&str, StateMemory)> {
        self.states.iter().map(|state| (state.head.name.as_str(), state.table.memory()))
    }

    /// The asynchronous part: encodes the states into `writer`, complete.
    ///
    /// # Errors
    /// If a value cannot be encoded, and those of [`Self::complete`].
    pub fn write(mut self, operator: OperatorId, writer: &mut SnapshotWriter) -> Result<()> {
        self.complete()?;
        let mut states = self.states.into_iter();
        states.try_for_each(|state| state.table.write(operator, state.head, state.age, writer))
    }
}

impl fmt::Debug for KeyedSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedSnapshot")
            .field("states", &self.states.iter().map(|state| &state.head.name).collect::<Vec<_>>())
            .finish()
    }
}
