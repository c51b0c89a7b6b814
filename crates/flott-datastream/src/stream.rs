//! A stream of records, and the verbs that turn it into another.

use std::sync::Arc;

use flott_core::codec::{Data, Key};
use flott_core::hash::stable_hash;
use flott_core::{Error, ErrorKind};
use flott_plan::{ChainingStrategy, NodeId, NodeKind, Partitioning, StreamNode};
use flott_runtime::{EdgeCode, NodeCode, Operator, OperatorInstance, OutputTag};
use std::marker::PhantomData;

use crate::environment::StreamExecutionEnvironment;
use crate::keyed::{Keyed, KeyedStream};
use crate::outcome::Outcome;

/// Where a stream comes from, and how it goes on from there.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) node: NodeId,
    pub(crate) partitioning: Option<Partitioning>,
    pub(crate) code: EdgeCode,
    pub(crate) side_output: Option<String>,
}

/// A stream of records of type `T`. Clones are the same stream, read more than once.
pub struct DataStream<T> {
    env: StreamExecutionEnvironment,
    /// More than one for a union.
    endpoints: Vec<Endpoint>,
    record: PhantomData<fn() -> T>,
}

impl<T> Clone for DataStream<T> {
    fn clone(&self) -> Self {
        Self { env: self.env.clone(), endpoints: self.endpoints.clone(), record: PhantomData }
    }
}

impl<T: Data> DataStream<T> {
    pub(crate) fn new(env: StreamExecutionEnvironment, node: NodeId) -> Self {
        let endpoint =
            Endpoint { node, partitioning: None, code: EdgeCode::default(), side_output: None };
        Self { env, endpoints: vec![endpoint], record: PhantomData }
    }

    /// The program that the stream belongs to.
    pub fn environment(&self) -> &StreamExecutionEnvironment {
        &self.env
    }

    // What the operator that made this stream is called, and how it runs.

    /// Names the operator.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        self.with_node(|node| node.name = name.to_owned())
    }

    /// Gives the operator the id that its state is found by in a checkpoint: unique in the job, and
    /// the same in every version of it.
    #[must_use]
    pub fn uid(self, uid: &str) -> Self {
        self.with_node(|node| node.uid = Some(uid.to_owned()))
    }

    /// How many subtasks the operator has: 1 or more.
    #[must_use]
    pub fn set_parallelism(self, parallelism: u32) -> Self {
        self.with_node(|node| node.parallelism = Some(parallelism))
    }

    /// How many key groups the operator has: 1 to 32768.
    #[must_use]
    pub fn set_max_parallelism(self, max_parallelism: u32) -> Self {
        self.with_node(|node| node.max_parallelism = Some(max_parallelism))
    }

    /// Says of a source that it comes to an end by itself: only then can its job run in batch mode.
    #[must_use]
    pub fn bounded(self) -> Self {
        self.with_node(|node| node.bounded = true)
    }

    /// Runs the operator in a task of its own.
    #[must_use]
    pub fn disable_chaining(self) -> Self {
        self.with_node(|node| node.chaining = ChainingStrategy::Never)
    }

    /// Begins a new chain with the operator.
    #[must_use]
    pub fn start_new_chain(self) -> Self {
        self.with_node(|node| node.chaining = ChainingStrategy::Head)
    }

    /// Operators of different groups never share a slot.
    #[must_use]
    pub fn slot_sharing_group(self, group: &str) -> Self {
        self.with_node(|node| node.slot_sharing_group = Some(group.to_owned()))
    }

    pub(crate) fn with_node(self, change: impl FnOnce(&mut StreamNode)) -> Self {
        match self.endpoints.as_slice() {
            [endpoint] if endpoint.side_output.is_none() => {
                self.env.change_node(endpoint.node, change);
            }
            _ => {
                self.env.note(Err(Error::invalid(
                    "a union or a side output is no operator: set name, uid, parallelism and \
                     chaining on the operators that it comes from",
                )));
            }
        }
        self
    }

    // Where records go.

    /// Deals records round-robin to all subtasks of the next operator.
    #[must_use]
    pub fn rebalance(self) -> Self {
        self.partitioned(Partitioning::Rebalance)
    }

    /// Deals records round-robin to some subtasks of the next operator, so that each of those has
    /// few producers.
    #[must_use]
    pub fn rescale(self) -> Self {
        self.partitioned(Partitioning::Rescale)
    }

    /// Sends each record to a random subtask of the next operator.
    #[must_use]
    pub fn shuffle(self) -> Self {
        self.partitioned(Partitioning::Shuffle)
    }

    /// Sends each record to every subtask of the next operator.
    #[must_use]
    pub fn broadcast(self) -> Self {
        self.partitioned(Partitioning::Broadcast)
    }

    /// Sends every record to the first subtask of the next operator.
    #[must_use]
    pub fn global(self) -> Self {
        self.partitioned(Partitioning::Global)
    }

    /// Keeps records in their subtask: the next operator must have the same parallelism.
    #[must_use]
    pub fn forward(self) -> Self {
        self.partitioned(Partitioning::Forward)
    }

    /// Sends each record to the subtask that `partitioner` chooses for its key: it gets the key and
    /// the number of subtasks, and returns an index below that number.
    #[must_use]
    pub fn partition_custom<K>(
        self,
        partitioner: impl Fn(&K, u32) -> u32 + Send + Sync + 'static,
        key: impl Fn(&T) -> K + Send + Sync + 'static,
    ) -> Self {
        let choose = Arc::new(move |record: &T, count| Ok(partitioner(&key(record), count)));
        self.with_edges(Partitioning::Custom, move |side| {
            side.apply(EdgeCode::custom::<T>(choose.clone()))
        })
    }

    /// Partitions the stream by key: records with equal keys meet in one subtask, where state and
    /// timers belong to the key.
    pub fn key_by<K: Key, R, M>(
        self,
        key: impl Fn(&T) -> R + Clone + Send + Sync + 'static,
    ) -> KeyedStream<K, T>
    where
        R: Outcome<K, M>,
    {
        let adapt = move |value: T| {
            let key = key(&value).into_result()?;
            let hash = stable_hash(&key).map_err(|e| {
                Error::with_source(ErrorKind::User, "the key has no stable hash", e)
            })?;
            Ok(Keyed { hash, key, value })
        };
        let hash: fn(&Keyed<K, T>) -> u64 = |record| record.hash;
        let code = EdgeCode::hash::<T, Keyed<K, T>>(adapt, hash);
        let stream = self.with_edges(Partitioning::Hash, move |side| side.apply(code.clone()));
        KeyedStream::new(stream.env, stream.endpoints)
    }

    fn partitioned(self, partitioning: Partitioning) -> Self {
        self.with_edges(partitioning, |side| side.apply(EdgeCode::default()))
    }

    fn with_edges(
        mut self,
        partitioning: Partitioning,
        code: impl Fn(Side<T>) -> EdgeCode,
    ) -> Self {
        for endpoint in &mut self.endpoints {
            endpoint.partitioning = Some(partitioning);
            endpoint.code =
                code(Side { is_side: endpoint.side_output.is_some(), record: PhantomData });
        }
        self
    }

    // Other streams.

    /// This stream and others of the same type, as one.
    #[must_use]
    pub fn union(mut self, others: impl IntoIterator<Item = Self>) -> Self {
        for other in others {
            self.endpoints.extend(other.endpoints);
        }
        self
    }

    /// The side output `tag` of the operator that made this stream.
    pub fn side_output<S: Data>(&self, tag: &OutputTag<S>) -> DataStream<S> {
        let endpoints = self.endpoints.iter().map(|endpoint| Endpoint {
            node: endpoint.node,
            partitioning: None,
            code: EdgeCode::default().side_output::<S>(),
            side_output: Some(tag.name().to_owned()),
        });
        DataStream { env: self.env.clone(), endpoints: endpoints.collect(), record: PhantomData }
    }

    // Operators.

    /// Adds an operator. The verbs of this crate are made of this; so can your own be.
    pub fn transform<U: Data, O: Operator<T, U> + 'static>(
        self,
        name: &str,
        make: impl Fn(&OperatorInstance) -> O + Send + Sync + 'static,
    ) -> DataStream<U> {
        let node = StreamNode::new(name, NodeKind::Operator);
        add_operator(&self.env, &self.endpoints, node, NodeCode::operator::<T, U, O>(make))
    }

    /// Adds an operator that has state.
    pub fn transform_stateful<U: Data, O: Operator<T, U> + 'static>(
        self,
        name: &str,
        make: impl Fn(&OperatorInstance) -> O + Send + Sync + 'static,
    ) -> DataStream<U> {
        self.transform(name, make).with_node(|node| node.stateful = true)
    }

    /// Adds a sink. One with state (pending transactions) is `stateful`.
    pub fn add_sink<O: Operator<T, ()> + 'static>(
        self,
        name: &str,
        stateful: bool,
        make: impl Fn(&OperatorInstance) -> O + Send + Sync + 'static,
    ) -> DataStreamSink {
        let mut node = StreamNode::new(name, NodeKind::Sink);
        node.stateful = stateful;
        let code = NodeCode::operator::<T, (), O>(make);
        DataStreamSink { stream: add_operator(&self.env, &self.endpoints, node, code) }
    }
}

/// Whether an edge carries a side output: its code must know the type then.
struct Side<T> {
    is_side: bool,
    record: PhantomData<fn() -> T>,
}

impl<T: Data> Side<T> {
    fn apply(&self, code: EdgeCode) -> EdgeCode {
        if self.is_side { code.side_output::<T>() } else { code }
    }
}

pub(crate) fn add_operator<U: Data>(
    env: &StreamExecutionEnvironment,
    inputs: &[Endpoint],
    node: StreamNode,
    code: NodeCode,
) -> DataStream<U> {
    DataStream::new(env.clone(), env.add_node(node, code, inputs))
}

/// The end of a stream.
pub struct DataStreamSink {
    stream: DataStream<()>,
}

impl DataStreamSink {
    /// Names the sink.
    pub fn name(self, name: &str) -> Self {
        Self { stream: self.stream.name(name) }
    }

    /// See [`DataStream::uid`].
    pub fn uid(self, uid: &str) -> Self {
        Self { stream: self.stream.uid(uid) }
    }

    /// See [`DataStream::set_parallelism`].
    pub fn set_parallelism(self, parallelism: u32) -> Self {
        Self { stream: self.stream.set_parallelism(parallelism) }
    }

    /// See [`DataStream::disable_chaining`].
    pub fn disable_chaining(self) -> Self {
        Self { stream: self.stream.disable_chaining() }
    }

    /// See [`DataStream::slot_sharing_group`].
    pub fn slot_sharing_group(self, group: &str) -> Self {
        Self { stream: self.stream.slot_sharing_group(group) }
    }
}
