//! A map per key.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use flott_core::Result;
use flott_core::codec::{Key, StateData};

use super::context::KeyedStateContext;
use super::shape::{MapCell, MapOf};
use super::single::copyable;
use super::ttl::StateTtlConfig;
use super::{Access, KeyedBackend};

/// A handle to an ordered map per key.
///
/// Every method fails if there is no current key, and if the handle belongs to another operator.
pub struct MapState<UK, UV> {
    index: usize,
    types: PhantomData<fn() -> (UK, UV)>,
}

copyable!(MapState<UK, UV>);

/// A handle to nothing yet: every use fails until `open` has put a registered one here.
impl<UK, UV> Default for MapState<UK, UV> {
    fn default() -> Self {
        Self { index: usize::MAX, types: PhantomData }
    }
}

impl<UK: StateData + Ord, UV: StateData> MapState<UK, UV> {
    pub(super) fn new(index: usize) -> Self {
        Self { index, types: PhantomData }
    }

    /// The value of `map_key`.
    ///
    /// # Errors
    /// See the type.
    pub fn get<'c>(
        &self,
        ctx: &'c mut impl KeyedStateContext,
        map_key: &UK,
    ) -> Result<Option<&'c UV>> {
        let access = ctx.keyed_backend()?.look::<MapOf<UK, UV>>(self.index)?;
        let Access { table, hash, key, age, ttl, .. } = access;
        let Some(ttl) = ttl else {
            return Ok(table.get(hash, key).and_then(|cell| cell.entries.get(map_key)));
        };
        let used = table.get(hash, key).and_then(|cell| cell.used.get(map_key)).copied();
        let Some(used) = used else { return Ok(None) };
        if age.is_expired(used) && ttl.hides_expired() {
            remove(table, hash, key, map_key);
            return Ok(None);
        }
        if ttl.touches_on_read()
            && !age.is_expired(used)
            && let Some(used) = table.get_mut(hash, key).and_then(|cell| cell.used.get_mut(map_key))
        {
            *used = age.now;
        }
        Ok(table.get(hash, key).and_then(|cell| cell.entries.get(map_key)))
    }

    /// The value of `map_key`, to be changed in place: a use, which removes the value if it has expired.
    ///
    /// # Errors
    /// See the type.
    pub fn get_mut<'c>(
        &self,
        ctx: &'c mut impl KeyedStateContext,
        map_key: &UK,
    ) -> Result<Option<&'c mut UV>> {
        let Access { table, hash, key, age, ttl, .. } = self.access(ctx.keyed_backend()?)?;
        if ttl.is_some() {
            let used = table.get(hash, key).and_then(|cell| cell.used.get(map_key)).copied();
            if used.is_some_and(|used| age.is_expired(used)) {
                remove(table, hash, key, map_key);
                return Ok(None);
            }
        }
        let Some(cell) = table.get_mut(hash, key) else { return Ok(None) };
        if let Some(used) = cell.used.get_mut(map_key) {
            *used = age.now;
        }
        Ok(cell.entries.get_mut(map_key))
    }

    /// Sets the value of `map_key`.
    ///
    /// # Errors
    /// See the type.
    pub fn put(&self, ctx: &mut impl KeyedStateContext, map_key: UK, value: UV) -> Result<()> {
        let Access { table, hash, key, age, .. } = self.access(ctx.keyed_backend()?)?;
        let empty = || MapCell { entries: BTreeMap::new(), used: BTreeMap::new() };
        let cell = table.entry_or_insert_with(hash, key, empty);
        if age.has_ttl() {
            cell.used.insert(map_key.clone(), age.now);
        }
        cell.entries.insert(map_key, value);
        Ok(())
    }

    /// Sets the values of several keys.
    ///
    /// # Errors
    /// See the type.
    pub fn put_all(
        &self,
        ctx: &mut impl KeyedStateContext,
        entries: impl IntoIterator<Item = (UK, UV)>,
    ) -> Result<()> {
        entries.into_iter().try_for_each(|(map_key, value)| self.put(ctx, map_key, value))
    }

    /// Removes `map_key` and returns its value, unless that has expired.
    ///
    /// # Errors
    /// See the type.
    pub fn remove(&self, ctx: &mut impl KeyedStateContext, map_key: &UK) -> Result<Option<UV>> {
        let mut access = self.access(ctx.keyed_backend()?)?;
        access.purge_for_read();
        Ok(remove(access.table, access.hash, access.key, map_key))
    }

    /// Whether there is a value of `map_key`.
    ///
    /// # Errors
    /// See the type.
    pub fn contains(&self, ctx: &mut impl KeyedStateContext, map_key: &UK) -> Result<bool> {
        self.get(ctx, map_key).map(|value| value.is_some())
    }

    /// The entries, by key.
    ///
    /// # Errors
    /// See the type.
    pub fn iter<'c>(
        &self,
        ctx: &'c mut impl KeyedStateContext,
    ) -> Result<impl DoubleEndedIterator<Item = (&'c UK, &'c UV)>> {
        Ok(self.live(ctx.keyed_backend()?)?.into_iter().flatten())
    }

    /// The keys, in order.
    ///
    /// # Errors
    /// See the type.
    pub fn keys<'c>(
        &self,
        ctx: &'c mut impl KeyedStateContext,
    ) -> Result<impl DoubleEndedIterator<Item = &'c UK>> {
        Ok(self.live(ctx.keyed_backend()?)?.into_iter().flatten().map(|(key, _)| key))
    }

    /// Whether there are no entries.
    ///
    /// # Errors
    /// See the type.
    pub fn is_empty(&self, ctx: &mut impl KeyedStateContext) -> Result<bool> {
        Ok(self.live(ctx.keyed_backend()?)?.is_none_or(BTreeMap::is_empty))
    }

    /// Removes the map of the current key.
    ///
    /// # Errors
    /// See the type.
    pub fn clear(&self, ctx: &mut impl KeyedStateContext) -> Result<()> {
        let Access { table, hash, key, .. } = self.access(ctx.keyed_backend()?)?;
        table.remove(hash, key);
        Ok(())
    }

    /// All entries that may be read, noted as used where reading is a use.
    fn live<'b, K: Key>(
        &self,
        backend: &'b mut KeyedBackend<K>,
    ) -> Result<Option<&'b BTreeMap<UK, UV>>> {
        let mut access = backend.look::<MapOf<UK, UV>>(self.index)?;
        access.purge_for_read();
        let Access { table, hash, key, age, ttl, .. } = access;
        if ttl.is_some_and(StateTtlConfig::touches_on_read)
            && let Some(cell) = table.get_mut(hash, key)
        {
            for used in cell.used.values_mut().filter(|used| !age.is_expired(**used)) {
                *used = age.now;
            }
        }
        Ok(table.get(hash, key).map(|cell| &cell.entries))
    }

    fn access<'b, K: Key>(
        &self,
        backend: &'b mut KeyedBackend<K>,
    ) -> Result<Access<'b, K, MapOf<UK, UV>>> {
        backend.access(self.index)
    }
}

/// Removes an entry, and the map with its last one.
fn remove<K: Key, UK: Ord + Clone, UV: Clone>(
    table: &mut crate::table::PagedTable<K, MapCell<UK, UV>>,
    hash: u64,
    key: &K,
    map_key: &UK,
) -> Option<UV> {
    if !table.get(hash, key)?.entries.contains_key(map_key) {
        return None;
    }
    let cell = table.get_mut(hash, key)?;
    cell.used.remove(map_key);
    let value = cell.entries.remove(map_key);
    if cell.entries.is_empty() {
        table.remove(hash, key);
    }
    value
}
