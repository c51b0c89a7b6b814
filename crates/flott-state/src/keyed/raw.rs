//! The way past the current key, for operators that work on a batch at a time.

use std::marker::PhantomData;

use flott_core::Result;
use flott_core::codec::{Key, StateData};

use super::shape::{AGELESS, Plain, Shape};
use super::single::copyable;
use super::small_map::{SmallMap, SmallMapOf};
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
        shaped::<K, Plain<V>>(backend, self.index)?.fetch_all(keys, AGELESS)
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
        shaped::<K, Plain<V>>(backend, self.index)?.for_each(AGELESS, each)
    }

    /// The table. Fetch it once per batch, prefetch ahead, and upsert.
    ///
    /// # Errors
    /// If the handle belongs to another operator.
    pub fn table_mut<'b, K: Key>(
        &self,
        backend: &'b mut KeyedBackend<K>,
    ) -> Result<&'b mut PagedTable<K, V>> {
        Ok(&mut shaped::<K, Plain<V>>(backend, self.index)?.table)
    }
}

/// A handle to the table of a map state without TTL that has few entries per key.
pub struct RawSmallMap<UK, UV> {
    index: usize,
    types: PhantomData<fn() -> (UK, UV)>,
}

copyable!(RawSmallMap<UK, UV>);

impl<UK: StateData + Ord, UV: StateData> RawSmallMap<UK, UV> {
    pub(super) fn new(index: usize) -> Self {
        Self { index, types: PhantomData }
    }

    /// As [`RawValue::fetch`].
    ///
    /// # Errors
    /// As [`RawValue::fetch`].
    #[inline]
    pub fn fetch<'k, K: Key>(
        &self,
        backend: &mut KeyedBackend<K>,
        keys: impl ExactSizeIterator<Item = (u64, &'k K)>,
    ) -> Result<()> {
        shaped::<K, SmallMapOf<UK, UV>>(backend, self.index)?.fetch_all(keys, AGELESS)
    }

    /// The table. A key without entries must not stay in it.
    ///
    /// # Errors
    /// If the handle belongs to another operator.
    #[inline]
    pub fn table_mut<'b, K: Key>(
        &self,
        backend: &'b mut KeyedBackend<K>,
    ) -> Result<&'b mut PagedTable<K, SmallMap<UK, UV>>> {
        Ok(&mut shaped::<K, SmallMapOf<UK, UV>>(backend, self.index)?.table)
    }
}

fn shaped<K: Key, S: Shape>(
    backend: &mut KeyedBackend<K>,
    index: usize,
) -> Result<&mut ShapedTable<K, S>> {
    let state = backend.states.get_mut(index).ok_or_else(foreign_handle)?;
    state.table.as_any_mut().downcast_mut().ok_or_else(foreign_handle)
}
