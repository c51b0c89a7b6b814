//! A list per key.

use std::marker::PhantomData;

use flott_core::Result;
use flott_core::codec::{Key, StateData};

use super::context::KeyedStateContext;
use super::shape::{ListCell, ListOf};
use super::single::copyable;
use super::ttl::StateTtlConfig;
use super::{Access, KeyedBackend};

/// A handle to a list per key.
///
/// Every method fails if there is no current key, and if the handle belongs to another operator.
pub struct ListState<V> {
    index: usize,
    types: PhantomData<fn() -> V>,
}

copyable!(ListState<V>);

/// A handle to nothing yet: every use fails until `open` has put a registered one here.
impl<V> Default for ListState<V> {
    fn default() -> Self {
        Self { index: usize::MAX, types: PhantomData }
    }
}

impl<V: StateData> ListState<V> {
    pub(super) fn new(index: usize) -> Self {
        Self { index, types: PhantomData }
    }

    /// The elements of the current key; none if there is no list.
    ///
    /// # Errors
    /// See the type.
    pub fn get<'c>(&self, ctx: &'c mut impl KeyedStateContext) -> Result<&'c [V]> {
        let mut access = ctx.keyed_backend()?.look::<ListOf<V>>(self.index)?;
        access.purge_for_read();
        let Access { table, hash, key, age, ttl, .. } = access;
        if ttl.is_some_and(StateTtlConfig::touches_on_read)
            && let Some(cell) = table.get_mut(hash, key)
        {
            for used in cell.used.iter_mut().filter(|used| !age.is_expired(**used)) {
                *used = age.now;
            }
        }
        Ok(table.get(hash, key).map_or(&[], |cell| &cell.values))
    }

    /// Appends an element.
    ///
    /// # Errors
    /// See the type.
    pub fn add(&self, ctx: &mut impl KeyedStateContext, value: V) -> Result<()> {
        self.add_all(ctx, std::iter::once(value))
    }

    /// Appends elements.
    ///
    /// # Errors
    /// See the type.
    pub fn add_all(
        &self,
        ctx: &mut impl KeyedStateContext,
        values: impl IntoIterator<Item = V>,
    ) -> Result<()> {
        let Access { table, hash, key, age, .. } = self.access(ctx.keyed_backend()?)?;
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return Ok(());
        }
        let empty = || ListCell { values: Vec::new(), used: Vec::new() };
        let cell = table.entry_or_insert_with(hash, key, empty);
        cell.values.extend(values);
        if age.has_ttl() {
            cell.used.resize(cell.values.len(), age.now);
        }
        Ok(())
    }

    /// Replaces the list; an empty one removes it.
    ///
    /// # Errors
    /// See the type.
    pub fn update(&self, ctx: &mut impl KeyedStateContext, values: Vec<V>) -> Result<()> {
        self.clear(ctx)?;
        self.add_all(ctx, values)
    }

    /// Removes the list of the current key.
    ///
    /// # Errors
    /// See the type.
    pub fn clear(&self, ctx: &mut impl KeyedStateContext) -> Result<()> {
        let Access { table, hash, key, .. } = self.access(ctx.keyed_backend()?)?;
        table.remove(hash, key);
        Ok(())
    }

    fn access<'b, K: Key>(
        &self,
        backend: &'b mut KeyedBackend<K>,
    ) -> Result<Access<'b, K, ListOf<V>>> {
        backend.access(self.index)
    }
}
