//! One accumulator per key.

use std::marker::PhantomData;
use std::sync::Arc;

use flott_core::Result;
use flott_core::codec::StateData;

use super::context::KeyedStateContext;
use super::single::{SingleIndex, handle};

/// Adds values up in an accumulator, from which a result can be taken at any time.
pub trait AggregateFunction<IN, ACC, OUT>: Send + Sync {
    /// The accumulator of no values.
    ///
    /// # Errors
    /// Any error fails the task.
    fn create_accumulator(&self) -> Result<ACC>;

    /// Adds a value.
    ///
    /// # Errors
    /// Any error fails the task.
    fn add(&self, accumulator: &mut ACC, value: IN) -> Result<()>;

    /// The result so far.
    ///
    /// # Errors
    /// Any error fails the task.
    fn get_result(&self, accumulator: &ACC) -> Result<OUT>;

    /// The accumulator of the values of both, as windows merge.
    ///
    /// # Errors
    /// Any error fails the task.
    fn merge(&self, a: ACC, b: ACC) -> Result<ACC>;
}

handle! {
    /// A handle to one accumulator per key to which values are added with an
    /// [`AggregateFunction`].
    ///
    /// Every method fails if there is no current key, and if the handle belongs to another
    /// operator.
    AggregatingState<IN, ACC, OUT>
}

impl<IN: 'static, ACC: StateData, OUT: 'static> AggregatingState<IN, ACC, OUT> {
    /// Adds a value.
    ///
    /// # Errors
    /// See the type; and if the function fails.
    pub fn add(&self, ctx: &mut impl KeyedStateContext, value: IN) -> Result<()> {
        let backend = ctx.keyed_backend()?;
        let function: Arc<dyn AggregateFunction<IN, ACC, OUT>> = self.at.function(backend)?;
        if let Some(accumulator) = self.at.get_mut::<_, ACC>(backend)? {
            return function.add(accumulator, value);
        }
        let mut accumulator = function.create_accumulator()?;
        function.add(&mut accumulator, value)?;
        self.at.set(backend, accumulator)
    }

    /// The result so far, if values were added.
    ///
    /// # Errors
    /// See the type; and if the function fails.
    pub fn get(&self, ctx: &mut impl KeyedStateContext) -> Result<Option<OUT>> {
        let backend = ctx.keyed_backend()?;
        let function: Arc<dyn AggregateFunction<IN, ACC, OUT>> = self.at.function(backend)?;
        let accumulator = self.at.get::<_, ACC>(backend)?;
        accumulator.map(|accumulator| function.get_result(accumulator)).transpose()
    }

    /// Forgets the values so far.
    ///
    /// # Errors
    /// See the type.
    pub fn clear(&self, ctx: &mut impl KeyedStateContext) -> Result<()> {
        self.at.clear::<_, ACC>(ctx.keyed_backend()?)
    }
}
