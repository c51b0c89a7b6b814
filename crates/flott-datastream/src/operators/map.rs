//! `map`: one record in, one record out.

use std::marker::PhantomData;

use flott_core::codec::Data;
use flott_core::{Now, Result};
use flott_runtime::{Batch, Collector, Operator};

use crate::outcome::Outcome;
use crate::stream::DataStream;

impl<T: Data> DataStream<T> {
    /// Turns each record into another. `f` returns the new record, or a `Result` with it: an error
    /// fails the task.
    pub fn map<U: Data, R, M>(
        self,
        f: impl FnMut(T) -> R + Clone + Send + Sync + 'static,
    ) -> DataStream<U>
    where
        R: Outcome<U, M> + 'static,
        M: 'static,
    {
        self.transform("map", move |_| Map { f: f.clone(), types: PhantomData::<fn() -> (R, M)> })
    }
}

struct Map<F, R, M> {
    f: F,
    types: PhantomData<fn() -> (R, M)>,
}

impl<T, U, R, M, F> Operator<T, U> for Map<F, R, M>
where
    F: FnMut(T) -> R + Send,
    R: Outcome<U, M>,
{
    fn process(&mut self, batch: &mut Batch<T>, out: &mut Collector<U>, _: Now) -> Result<()> {
        out.collect_mapped(batch, |record| (self.f)(record).into_result())
    }
}
