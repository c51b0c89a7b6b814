//! The way past the current key, for operators that work on a batch at a time.

use std::marker::PhantomData;

use flott_core::Result;
use flott_core::codec::{Key, StateData};

use super::shape::{AGELESS, Plain};
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

    /// Sees to it that the table has what there is of these keys: before [`Self::table_mut`], for the keys of a batch
    /// that will be written to.
    ///
    /// # Errors
    /// If the handle belongs to another operator, or state on disk cannot be read or written.
    pub fn fetch<'k, K: Key>(
        &self,
        backend: &mut KeyedBackend<K>,
        keys: impl ExactSizeIterator<Item = (u64, &'k K)>,
    ) -> Result<()> {
        self.shaped(backend)?.fetch_all(keys, AGELESS)
    }

    /// Shows every value there is.
    ///
    /// # Errors
    /// As [`Self::fetch`], and those of `each`.
    pub fn for_each<K: Key>(
        &self,
        backend: &mut KeyedBackend<K>,
        each: impl FnMut(&V) -> Result<()>,
    ) -> Result<()> {
        self.shaped(backend)?.for_each(AGELESS, each)
    }

    /// The table. Fetch it once per batch, prefetch ahead, and upsert.
    ///
    /// # Errors
    /// If the handle belongs to another operator.
    pub fn table_mut<'b, K: Key>(
        &self,
        backend: &'b mut KeyedBackend<K>,
    ) -> Result<&'b mut PagedTable<K, V>> {
        self.shaped(backend).map(|shaped| &mut shaped.table)
    }

    fn shaped<'b, K: Key>(
        &self,
        backend: &'b mut KeyedBackend<K>,
    ) -> Result<&'b mut ShapedTable<K, Plain<V>>> {
        let state = backend.states.get_mut(self.index).ok_or_else(foreign_handle)?;
        state.table.as_any_mut().downcast_mut().ok_or_else(foreign_handle)
    }
}
