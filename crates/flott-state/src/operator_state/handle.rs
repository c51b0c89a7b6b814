//! How an operator gets at its operator state.

use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use flott_core::Result;
use flott_core::codec::StateData;

use super::OperatorStateContext;

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident<$($parameter:ident),+>) => {
        $(#[$doc])*
        pub struct $name<$($parameter),+> {
            index: usize,
            types: PhantomData<fn() -> ($($parameter,)+)>,
        }

        impl<$($parameter),+> $name<$($parameter),+> {
            pub(super) fn new(index: usize) -> Self {
                Self { index, types: PhantomData }
            }
        }

        /// A handle to nothing yet: every use fails until `open` has put a registered one here.
        impl<$($parameter),+> Default for $name<$($parameter),+> {
            fn default() -> Self {
                Self::new(usize::MAX)
            }
        }

        impl<$($parameter),+> Clone for $name<$($parameter),+> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<$($parameter),+> Copy for $name<$($parameter),+> {}

        impl<$($parameter),+> fmt::Debug for $name<$($parameter),+> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}

handle! {
    /// A handle to a list of an operator. Every method fails if the handle belongs to another
    /// operator.
    OperatorListState<T>
}

handle! {
    /// A handle to an ordered map of which every subtask must hold the same copy: change it only
    /// by what every subtask sees. Every method fails if the handle belongs to another operator.
    BroadcastState<K, V>
}

impl<T: StateData> OperatorListState<T> {
    /// The elements.
    ///
    /// # Errors
    /// See the type.
    pub fn get<'c>(&self, ctx: &'c mut impl OperatorStateContext) -> Result<&'c [T]> {
        self.list(ctx).map(|list| list.as_slice())
    }

    /// Appends an element.
    ///
    /// # Errors
    /// See the type.
    pub fn add(&self, ctx: &mut impl OperatorStateContext, value: T) -> Result<()> {
        Arc::make_mut(self.list(ctx)?).push(value);
        Ok(())
    }

    /// Replaces the elements.
    ///
    /// # Errors
    /// See the type.
    pub fn update(&self, ctx: &mut impl OperatorStateContext, values: Vec<T>) -> Result<()> {
        *self.list(ctx)? = Arc::new(values);
        Ok(())
    }

    /// Removes all elements.
    ///
    /// # Errors
    /// See the type.
    pub fn clear(&self, ctx: &mut impl OperatorStateContext) -> Result<()> {
        self.update(ctx, Vec::new())
    }

    fn list<'c>(&self, ctx: &'c mut impl OperatorStateContext) -> Result<&'c mut Arc<Vec<T>>> {
        ctx.operator_state_backend()?.values(self.index)
    }
}

impl<K: StateData + Ord, V: StateData> BroadcastState<K, V> {
    /// The value of `key`.
    ///
    /// # Errors
    /// See the type.
    pub fn get<'c>(
        &self,
        ctx: &'c mut impl OperatorStateContext,
        key: &K,
    ) -> Result<Option<&'c V>> {
        self.map(ctx).map(|map| map.get(key))
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    /// See the type.
    pub fn put(&self, ctx: &mut impl OperatorStateContext, key: K, value: V) -> Result<()> {
        Arc::make_mut(self.map(ctx)?).insert(key, value);
        Ok(())
    }

    /// Removes `key` and returns its value.
    ///
    /// # Errors
    /// See the type.
    pub fn remove(&self, ctx: &mut impl OperatorStateContext, key: &K) -> Result<Option<V>> {
        let map = self.map(ctx)?;
        if !map.contains_key(key) {
            return Ok(None);
        }
        Ok(Arc::make_mut(map).remove(key))
    }

    /// Whether there is a value of `key`.
    ///
    /// # Errors
    /// See the type.
    pub fn contains(&self, ctx: &mut impl OperatorStateContext, key: &K) -> Result<bool> {
        self.map(ctx).map(|map| map.contains_key(key))
    }

    /// The entries, by key.
    ///
    /// # Errors
    /// See the type.
    pub fn iter<'c>(
        &self,
        ctx: &'c mut impl OperatorStateContext,
    ) -> Result<btree_map::Iter<'c, K, V>> {
        self.map(ctx).map(|map| map.iter())
    }

    /// Removes all entries.
    ///
    /// # Errors
    /// See the type.
    pub fn clear(&self, ctx: &mut impl OperatorStateContext) -> Result<()> {
        *self.map(ctx)? = Arc::default();
        Ok(())
    }

    fn map<'c>(
        &self,
        ctx: &'c mut impl OperatorStateContext,
    ) -> Result<&'c mut Arc<BTreeMap<K, V>>> {
        ctx.operator_state_backend()?.values(self.index)
    }
}
