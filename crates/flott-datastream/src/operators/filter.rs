//! `filter`: some records go on, the others do not.

use std::marker::PhantomData;

use flott_core::codec::Data;
use flott_core::{Now, Result};
use flott_runtime::{Batch, Collector, Operator};

use crate::outcome::Outcome;
use crate::stream::DataStream;

impl<T: Data> DataStream<T> {
    /// Keeps the records for which `f` returns `true`, or `Ok(true)`.
    #[must_use]
    pub fn filter<R, M>(self, f: impl FnMut(&T) -> R + Clone + Send + Sync + 'static) -> Self
    where
        R: Outcome<bool, M> + 'static,
        M: 'static,
    {
        self.transform("filter", move |_| Filter {
            f: f.clone(),
            types: PhantomData::<fn() -> (R, M)>,
        })
    }
}

struct Filter<F, R, M> {
    f: F,
    types: PhantomData<fn() -> (R, M)>,
}

impl<T, R, M, F> Operator<T, T> for Filter<F, R, M>
where
    F: FnMut(&T) -> R + Send,
    R: Outcome<bool, M>,
{
    fn process(&mut self, batch: &mut Batch<T>, out: &mut Collector<T>, _: Now) -> Result<()> {
        batch.try_retain(|record| (self.f)(record).into_result())?;
        out.collect_batch(batch);
        Ok(())
    }
}
