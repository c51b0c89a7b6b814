//! What a window keeps of its records, and what it gives when it fires.

use std::marker::PhantomData;
use std::sync::Arc;

use flott_core::Result;
use flott_core::codec::{Data, StateData};
use flott_runtime::Collector;
use flott_state::AggregateFunction;

use super::{ProcessWindowFunction, WindowContext};

/// What a window keeps of its records, and what it gives when it fires. Each subtask has its own clone.
pub(crate) trait WindowContents<K, T, U>: Clone + Send + Sync + 'static {
    /// What is kept of a window.
    type State: StateData;

    /// What is kept of one record.
    fn first(&self, value: T) -> Result<Self::State>;

    /// Adds a record.
    fn add(&self, state: &mut Self::State, value: T) -> Result<()>;

    /// What is kept of the records of both, those of `earlier` first.
    fn merge(&self, earlier: Self::State, later: Self::State) -> Result<Self::State>;

    /// The window fires.
    fn emit(
        &mut self,
        key: &K,
        context: &WindowContext,
        state: &Self::State,
        out: &mut Collector<U>,
    ) -> Result<()>;
}

/// One record, made of all, which is given away by `emit`.
pub(crate) struct Reduced<T, F, E> {
    update: F,
    emit: E,
    record: PhantomData<fn() -> T>,
}

impl<T, F, E> Reduced<T, F, E> {
    pub(super) fn new(update: F, emit: E) -> Self {
        Self { update, emit, record: PhantomData }
    }
}

impl<T, F: Clone, E: Clone> Clone for Reduced<T, F, E> {
    fn clone(&self) -> Self {
        Self::new(self.update.clone(), self.emit.clone())
    }
}

impl<K, T, U, F, E> WindowContents<K, T, U> for Reduced<T, F, E>
where
    T: StateData,
    F: Fn(&mut T, T) -> Result<()> + Clone + Send + Sync + 'static,
    E: FnMut(&K, &WindowContext, &T, &mut Collector<U>) -> Result<()>
        + Clone
        + Send
        + Sync
        + 'static,
{
    type State = T;

    fn first(&self, value: T) -> Result<T> {
        Ok(value)
    }

    fn add(&self, state: &mut T, value: T) -> Result<()> {
        (self.update)(state, value)
    }

    fn merge(&self, mut earlier: T, later: T) -> Result<T> {
        (self.update)(&mut earlier, later)?;
        Ok(earlier)
    }

    fn emit(
        &mut self,
        key: &K,
        context: &WindowContext,
        state: &T,
        out: &mut Collector<U>,
    ) -> Result<()> {
        (self.emit)(key, context, state, out)
    }
}

/// All records.
#[derive(Clone)]
pub(crate) struct Elements<W>(pub(super) W);

impl<K, T, U, W> WindowContents<K, T, U> for Elements<W>
where
    T: StateData,
    W: ProcessWindowFunction<K, T, U> + Clone + Sync + 'static,
{
    type State = Vec<T>;

    fn first(&self, value: T) -> Result<Vec<T>> {
        Ok(vec![value])
    }

    fn add(&self, state: &mut Vec<T>, value: T) -> Result<()> {
        state.push(value);
        Ok(())
    }

    fn merge(&self, mut earlier: Vec<T>, mut later: Vec<T>) -> Result<Vec<T>> {
        earlier.append(&mut later);
        Ok(earlier)
    }

    fn emit(
        &mut self,
        key: &K,
        context: &WindowContext,
        state: &Vec<T>,
        out: &mut Collector<U>,
    ) -> Result<()> {
        self.0.process(key, context, state, out)
    }
}

/// An accumulator, whose result is given away by `emit`.
pub(crate) struct Aggregated<F, A, R, E> {
    function: Arc<F>,
    emit: E,
    types: PhantomData<fn() -> (A, R)>,
}

impl<F, A, R, E> Aggregated<F, A, R, E> {
    pub(super) fn new(function: F, emit: E) -> Self {
        Self { function: Arc::new(function), emit, types: PhantomData }
    }
}

impl<F, A, R, E: Clone> Clone for Aggregated<F, A, R, E> {
    fn clone(&self) -> Self {
        Self { function: self.function.clone(), emit: self.emit.clone(), types: PhantomData }
    }
}

impl<K, T, F, A, R, U, E> WindowContents<K, T, U> for Aggregated<F, A, R, E>
where
    F: AggregateFunction<T, A, R> + 'static,
    A: StateData,
    R: Data,
    E: FnMut(&K, &WindowContext, R, &mut Collector<U>) -> Result<()>
        + Clone
        + Send
        + Sync
        + 'static,
{
    type State = A;

    fn first(&self, value: T) -> Result<A> {
        let mut accumulator = self.function.create_accumulator()?;
        self.function.add(&mut accumulator, value)?;
        Ok(accumulator)
    }

    fn add(&self, state: &mut A, value: T) -> Result<()> {
        self.function.add(state, value)
    }

    fn merge(&self, earlier: A, later: A) -> Result<A> {
        self.function.merge(earlier, later)
    }

    fn emit(
        &mut self,
        key: &K,
        context: &WindowContext,
        state: &A,
        out: &mut Collector<U>,
    ) -> Result<()> {
        let result = self.function.get_result(state)?;
        (self.emit)(key, context, result, out)
    }
}
