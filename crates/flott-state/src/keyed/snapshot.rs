//! The snapshot of a keyed backend.

use std::fmt;

use flott_core::codec::Key;
use flott_core::{OperatorId, Result};

use super::KeyedBackend;
use super::shape::{Age, Shape};
use crate::restore::StateMemory;
use crate::snapshot::{KeyedStateHead, SnapshotWriter};
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
}

impl<K: Key, S: Shape> AnySnapshot for ShapedSnapshot<K, S> {
    fn write(
        &self,
        operator: OperatorId,
        head: KeyedStateHead,
        age: Age,
        writer: &mut SnapshotWriter,
    ) -> Result<()> {
        let age = if writer.keeps_expired() { age.never() } else { age };
        writer.write_keyed(operator, head, &self.table, |cell, out| S::encode(cell, age, out))
    }

    fn memory(&self) -> StateMemory {
        StateMemory::new(self.table.clone())
    }
}

impl KeyedSnapshot {
    pub(super) fn of<K: Key>(backend: &mut KeyedBackend<K>) -> Self {
        let now = backend.now;
        let states = backend.states.iter_mut().map(|state| StateSnapshot {
            head: KeyedStateHead {
                name: state.name.clone(),
                kind: state.kind,
                ttl: state.ttl.is_some(),
                key_schema: backend.key_schema.clone(),
                value_schema: state.value_schema.clone(),
            },
            age: Age::new(state.ttl, now),
            table: state.table.snapshot(),
        });
        let states = states.collect();
        Self { states }
    }

    /// The states' names and tables, to begin from again without what is written.
    pub fn memories(&self) -> impl Iterator<Item = (&str, StateMemory)> {
        self.states.iter().map(|state| (state.head.name.as_str(), state.table.memory()))
    }

    /// The asynchronous part: encodes the states into `writer`.
    ///
    /// # Errors
    /// If a value cannot be encoded.
    pub fn write(self, operator: OperatorId, writer: &mut SnapshotWriter) -> Result<()> {
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
