//! `flat_map`: one record in, any number out.

use std::marker::PhantomData;

use flott_core::codec::Data;
use flott_core::{Now, Result};
use flott_runtime::{Batch, Collector, Operator};

use crate::outcome::Outcome;
use crate::stream::DataStream;

impl<T: Data> DataStream<T> {
    /// Turns each record into any number of others: `f` puts them into the collector. It returns
    /// nothing, or a `Result`: an error fails the task.
    pub fn flat_map<U: Data, R, M>(
        self,
        f: impl FnMut(T, &mut Collector<U>) -> R + Clone + Send + Sync + 'static,
    ) -> DataStream<U>
    where
        R: Outcome<(), M> + 'static,
        M: 'static,
    {
        self.transform("flat_map", move |_| FlatMap {
            f: f.clone(),
            types: PhantomData::<fn() -> (R, M)>,
        })
    }
}

struct FlatMap<F, R, M> {
    f: F,
    types: PhantomData<fn() -> (R, M)>,
}

impl<T, U, R, M, F> Operator<T, U> for FlatMap<F, R, M>
where
    F: FnMut(T, &mut Collector<U>) -> R + Send,
    R: Outcome<(), M>,
{
    fn process(&mut self, batch: &mut Batch<T>, out: &mut Collector<U>, _: Now) -> Result<()> {
        batch.try_drain(|record, timestamp| {
            out.set_timestamp(timestamp);
            (self.f)(record, out).into_result()
        })
    }
}
