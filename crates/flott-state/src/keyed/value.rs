//! One value per key.

use std::marker::PhantomData;

use flott_core::Result;
use flott_core::codec::StateData;

use super::context::KeyedStateContext;
use super::single::{SingleIndex, handle};

handle! {
    /// A handle to one value per key.
    ///
    /// Every method fails if there is no current key, and if the handle belongs to another
    /// operator.
    ValueState<V>
}

impl<V: StateData> ValueState<V> {
    /// The value of the current key.
    ///
    /// # Errors
    /// See the type.
    #[inline]
    pub fn get<'c>(&self, ctx: &'c mut impl KeyedStateContext) -> Result<Option<&'c V>> {
        self.at.get(ctx.keyed_backend()?)
    }

    /// The value of the current key, to be changed in place.
    ///
    /// # Errors
    /// See the type.
    #[inline]
    pub fn get_mut<'c>(&self, ctx: &'c mut impl KeyedStateContext) -> Result<Option<&'c mut V>> {
        self.at.get_mut(ctx.keyed_backend()?)
    }

    /// Sets the value of the current key.
    ///
    /// # Errors
    /// See the type.
    #[inline]
    pub fn update(&self, ctx: &mut impl KeyedStateContext, value: V) -> Result<()> {
        self.at.set(ctx.keyed_backend()?, value)
    }

    /// The value of the current key, to be changed in place; if there is none, `insert` makes it.
    ///
    /// # Errors
    /// See the type.
    #[inline]
    pub fn get_or_insert_with<'c>(
        &self,
        ctx: &'c mut impl KeyedStateContext,
        insert: impl FnOnce() -> V,
    ) -> Result<&'c mut V> {
        self.at.get_or_insert_with(ctx.keyed_backend()?, insert)
    }

    /// Removes the value of the current key.
    ///
    /// # Errors
    /// See the type.
    pub fn clear(&self, ctx: &mut impl KeyedStateContext) -> Result<()> {
        self.at.clear::<_, V>(ctx.keyed_backend()?)
    }
}
