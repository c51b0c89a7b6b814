//! One value per key, with or without TTL: what value, reducing and aggregating state share.

use flott_core::codec::{Key, StateData};
use flott_core::{Result, WallTime};

use super::shape::{Plain, Shape, Stamped, StampedCell};
use super::ttl::StateTtlConfig;
use super::{Access, KeyedBackend};

/// A shape that holds one value.
pub(super) trait Single<V>: Shape {
    fn value(cell: &Self::Cell) -> &V;
    fn wrap(value: V, now: WallTime) -> Self::Cell;
    /// The value, noted as used.
    fn touch(cell: &mut Self::Cell, now: WallTime) -> &mut V;
}

impl<V: StateData> Single<V> for Plain<V> {
    #[inline]
    fn value(cell: &V) -> &V {
        cell
    }

    #[inline]
    fn wrap(value: V, _: WallTime) -> V {
        value
    }

    #[inline]
    fn touch(cell: &mut V, _: WallTime) -> &mut V {
        cell
    }
}

impl<V: StateData> Single<V> for Stamped<V> {
    #[inline]
    fn value(cell: &StampedCell<V>) -> &V {
        &cell.value
    }

    #[inline]
    fn wrap(value: V, now: WallTime) -> StampedCell<V> {
        StampedCell { value, used: now }
    }

    #[inline]
    fn touch(cell: &mut StampedCell<V>, now: WallTime) -> &mut V {
        cell.used = now;
        &mut cell.value
    }
}

impl<'a, K: Key, S: Shape> Access<'a, K, S> {
    #[inline]
    pub(super) fn get<V>(mut self) -> Option<&'a V>
    where
        S: Single<V>,
    {
        self.purge_for_read();
        let Self { table, hash, key, age, ttl, .. } = self;
        // A value that has expired and is still shown must not live longer for it.
        if ttl.is_some_and(StateTtlConfig::touches_on_read)
            && table.get(hash, key).is_some_and(|cell| !S::has_expired(cell, age))
        {
            return table.get_mut(hash, key).map(|cell| &*S::touch(cell, age.now));
        }
        table.get(hash, key).map(S::value)
    }

    #[inline]
    pub(super) fn get_mut<V>(mut self) -> Option<&'a mut V>
    where
        S: Single<V>,
    {
        self.purge_for_write();
        let Self { table, hash, key, age, .. } = self;
        table.get_mut(hash, key).map(|cell| S::touch(cell, age.now))
    }

    #[inline]
    pub(super) fn set<V>(self, value: V)
    where
        S: Single<V>,
    {
        let Self { table, hash, key, age, .. } = self;
        let mut cell = Some(S::wrap(value, age.now));
        let place = table.entry_or_insert_with(hash, key, || {
            cell.take().expect("an insertion takes place at most once")
        });
        if let Some(cell) = cell {
            *place = cell;
        }
    }

    #[inline]
    pub(super) fn get_or_insert_with<V>(mut self, insert: impl FnOnce() -> V) -> &'a mut V
    where
        S: Single<V>,
    {
        self.purge_for_write();
        let Self { table, hash, key, age, .. } = self;
        let cell = table.entry_or_insert_with(hash, key, || S::wrap(insert(), age.now));
        S::touch(cell, age.now)
    }

    pub(super) fn clear(self) {
        self.table.remove(self.hash, self.key);
    }
}

/// Where the one value of a state is, whichever shape it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct SingleIndex {
    pub(super) index: usize,
    pub(super) ttl: bool,
}

impl SingleIndex {
    #[inline]
    pub(super) fn get<K: Key, V: StateData>(
        self,
        backend: &mut KeyedBackend<K>,
    ) -> Result<Option<&V>> {
        Ok(if self.ttl {
            backend.look::<Stamped<V>>(self.index)?.get()
        } else {
            backend.look::<Plain<V>>(self.index)?.get()
        })
    }

    #[inline]
    pub(super) fn get_mut<K: Key, V: StateData>(
        self,
        backend: &mut KeyedBackend<K>,
    ) -> Result<Option<&mut V>> {
        Ok(if self.ttl {
            backend.access::<Stamped<V>>(self.index)?.get_mut()
        } else {
            backend.access::<Plain<V>>(self.index)?.get_mut()
        })
    }

    #[inline]
    pub(super) fn set<K: Key, V: StateData>(
        self,
        backend: &mut KeyedBackend<K>,
        value: V,
    ) -> Result<()> {
        if self.ttl {
            backend.access::<Stamped<V>>(self.index)?.set(value);
        } else {
            backend.access::<Plain<V>>(self.index)?.set(value);
        }
        Ok(())
    }

    #[inline]
    pub(super) fn get_or_insert_with<K: Key, V: StateData>(
        self,
        backend: &mut KeyedBackend<K>,
        insert: impl FnOnce() -> V,
    ) -> Result<&mut V> {
        Ok(if self.ttl {
            backend.access::<Stamped<V>>(self.index)?.get_or_insert_with(insert)
        } else {
            backend.access::<Plain<V>>(self.index)?.get_or_insert_with(insert)
        })
    }

    pub(super) fn clear<K: Key, V: StateData>(self, backend: &mut KeyedBackend<K>) -> Result<()> {
        if self.ttl {
            backend.access::<Stamped<V>>(self.index)?.clear();
        } else {
            backend.access::<Plain<V>>(self.index)?.clear();
        }
        Ok(())
    }

    /// The function that was registered with the state.
    pub(super) fn function<K: Key, F: Clone + 'static>(
        self,
        backend: &KeyedBackend<K>,
    ) -> Result<F> {
        let state = backend.states.get(self.index).ok_or_else(super::foreign_handle)?;
        let function = state.function.as_ref().and_then(|function| function.downcast_ref::<F>());
        function.cloned().ok_or_else(super::foreign_handle)
    }
}

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident<$($parameter:ident),+>) => {
        $(#[$doc])*
        pub struct $name<$($parameter),+> {
            at: SingleIndex,
            types: PhantomData<fn() -> ($($parameter,)+)>,
        }

        impl<$($parameter),+> $name<$($parameter),+> {
            pub(super) fn new(index: usize, ttl: bool) -> Self {
                Self { at: SingleIndex { index, ttl }, types: PhantomData }
            }
        }

        /// A handle to nothing yet: every use fails until `open` has put a registered one here.
        impl<$($parameter),+> Default for $name<$($parameter),+> {
            fn default() -> Self {
                let at = SingleIndex { index: usize::MAX, ttl: false };
                Self { at, types: PhantomData }
            }
        }

        super::single::copyable!($name<$($parameter),+>);
    };
}

/// `derive` would ask the same of the type parameters.
macro_rules! copyable {
    ($name:ident<$($parameter:ident),+>) => {
        impl<$($parameter),+> Clone for $name<$($parameter),+> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<$($parameter),+> Copy for $name<$($parameter),+> {}

        impl<$($parameter),+> std::fmt::Debug for $name<$($parameter),+> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}

pub(super) use {copyable, handle};
