//! One value per key, combined with what is added.

use std::marker::PhantomData;

use flott_core::Result;
use flott_core::codec::StateData;

use super::context::KeyedStateContext;
use super::descriptor::ReduceFunction;
use super::single::{SingleIndex, handle};

handle! {
    /// A handle to one value per key to which values are added with a reduce function.
    ///
    /// Every method fails if there is no current key, and if the handle belongs to another
    /// operator.
    ReducingState<V>
}

impl<V: StateData> ReducingState<V> {
    /// Combines `value` with what is there.
    ///
    /// # Errors
    /// See the type; and if the function fails.
    pub fn add(&self, ctx: &mut impl KeyedStateContext, value: V) -> Result<()> {
        let backend = ctx.keyed_backend()?;
        let reduce: ReduceFunction<V> = self.at.function(backend)?;
        match self.at.get_mut(backend)? {
            Some(old) => *old = reduce(old, &value)?,
            None => self.at.set(backend, value)?,
        }
        Ok(())
    }

    /// What the values so far were combined to.
    ///
    /// # Errors
    /// See the type.
    pub fn get<'c>(&self, ctx: &'c mut impl KeyedStateContext) -> Result<Option<&'c V>> {
        self.at.get(ctx.keyed_backend()?)
    }

    /// Forgets the values so far.
    ///
    /// # Errors
    /// See the type.
    pub fn clear(&self, ctx: &mut impl KeyedStateContext) -> Result<()> {
        self.at.clear::<_, V>(ctx.keyed_backend()?)
    }
}
