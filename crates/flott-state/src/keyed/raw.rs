//! The way past the current key, for operators that work on a batch at a time.

use std::marker::PhantomData;

use flott_core::Result;
use flott_core::codec::{Key, StateData};

use super::shape::Plain;
use super::single::copyable;
use super::{KeyedBackend, ShapedTable, foreign_handle};
use crate::table::PagedTable;

/// A handle to the table of a value state without TTL.
pub struct RawValue<V> {
    index: usize,
    types: PhantomData<fn() -> V>,
}

copyable!(RawValue<V>);

impl<V: StateData> RawValue<V> {
    pub(super) fn new(index: usize) -> Self {
        Self { index, types: PhantomData }
    }

    /// The table. Fetch it once per batch, prefetch ahead, and upsert.
    ///
    /// # Errors
    /// If the handle belongs to another operator.
    pub fn table_mut<'b, K: Key>(
        &self,
        backend: &'b mut KeyedBackend<K>,
    ) -> Result<&'b mut PagedTable<K, V>> {
        let state = backend.states.get_mut(self.index).ok_or_else(foreign_handle)?;
        let shaped = state.table.as_any_mut().downcast_mut::<ShapedTable<K, Plain<V>>>();
        shaped.map(|shaped| &mut shaped.table).ok_or_else(foreign_handle)
    }
}
