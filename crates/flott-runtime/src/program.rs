//! A program: the graph that the user drew, and for each of its boxes and arrows the code behind
//! it, with types erased at the borders.
//!
//! A link of a chain is a `Box<dyn Stage<T>>`. Where `T` is not known it travels as a `Part`;
//! `StreamType` has everything that must be done with the type in hand.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use flott_core::codec::Data;
use flott_core::{Error, MaxParallelism, Result};
use flott_plan::{JobVertex, Partitioning, StreamGraph};

use crate::batch::Batch;
use crate::chain::{Chained, SourceHead, SourceStage};
use crate::channel::{Receiver, Sender, channel};
use crate::collector::SideOutputs;
use crate::exchange::{FrameReceiver, FrameSender};
use crate::gate::{Gate, InputGate};
use crate::in_flight::IsOwned;
use crate::operator::{Operator, OperatorInstance, Source, Wake};
use crate::partition::{Adapted, Output, PartitionFn, Partitioner};
use crate::stage::{Downstream, Stage};
use crate::task::TaskSettings;

/// The graph and the code. `edges` are in the order of `graph.edges()`, `nodes` in that of ids.
#[derive(Default)]
pub struct Program {
    /// What the user drew.
    pub graph: StreamGraph,
    /// The code of each node.
    pub nodes: Vec<NodeCode>,
    /// The code of each edge.
    pub edges: Vec<EdgeCode>,
}

/// The code of a node: makes the operator of each subtask.
pub struct NodeCode {
    pub(crate) input: Option<Arc<dyn StreamType>>,
    pub(crate) output: Arc<dyn StreamType>,
    pub(crate) build: Box<dyn Fn(OperatorInstance, Consumers) -> Result<Built> + Send + Sync>,
}

impl NodeCode {
    /// The code of an operator: `make` is called once per subtask.
    pub fn operator<In, Out, O>(
        make: impl Fn(&OperatorInstance) -> O + Send + Sync + 'static,
    ) -> Self
    where
        In: Data,
        Out: Data,
        O: Operator<In, Out> + 'static,
    {
        let build = move |instance: OperatorInstance, consumers| {
            let operator = make(&instance);
            let (downstream, sides) = connect::<Out>(consumers)?;
            let stage: Box<dyn Stage<In>> =
                Box::new(Chained::new(operator, instance, downstream, sides));
            Ok(Built::Stage(Box::new(stage)))
        };
        Self {
            input: Some(stream_type::<In>()),
            output: stream_type::<Out>(),
            build: Box::new(build),
        }
    }

    /// The code of a source: `make` is called once per subtask.
    pub fn source<Out, S>(make: impl Fn(&OperatorInstance) -> S + Send + Sync + 'static) -> Self
    where
        Out: Data,
        S: Source<Out> + 'static,
    {
        let build = move |instance: OperatorInstance, consumers| {
            let source = make(&instance);
            let (downstream, sides) = connect::<Out>(consumers)?;
            Ok(Built::Source(Box::new(SourceStage::new(source, instance, downstream, sides))))
        };
        Self { input: None, output: stream_type::<Out>(), build: Box::new(build) }
    }
}

/// The code of an edge.
#[derive(Clone, Default)]
pub struct EdgeCode {
    /// A `PartitionCode<T>`, if the channel depends on the record.
    partition: Option<Arc<dyn Any + Send + Sync>>,
    /// The type of the records, if they are a side output.
    pub(crate) side: Option<Arc<dyn StreamType>>,
    /// What turns records into what the channels carry, if that is something else.
    pub(crate) adapter: Option<Adapter>,
}

/// Turns the records of an edge into others on their way into the channels.
#[derive(Clone)]
pub(crate) struct Adapter {
    /// The type that the channels carry.
    pub(crate) carried: Arc<dyn StreamType>,
    /// From a `Box<dyn Stage<Carried>>` to a `Box<dyn Stage<T>>`.
    pub(crate) wrap: Arc<Wrap>,
}

type Wrap = dyn Fn(Part, &OutputPlan) -> Result<Part> + Send + Sync;

enum PartitionCode<T> {
    Hash(fn(&T) -> u64),
    Custom(PartitionFn<T>),
}

impl EdgeCode {
    /// Records travel with what `adapt` makes of them, to the channel of its `hash`.
    pub fn hash<T: Data, Carried: Data>(
        adapt: impl Fn(T) -> Result<Carried> + Send + Sync + Clone + 'static,
        hash: fn(&Carried) -> u64,
    ) -> Self {
        let wrap = move |stage: Part, plan: &OutputPlan| {
            let stage = typed::<Box<dyn Stage<Carried>>>(stage)?;
            let adapted: Box<dyn Stage<T>> =
                Box::new(Adapted::new(adapt.clone(), stage, plan.producer.clone()));
            Ok(Box::new(adapted) as Part)
        };
        Self {
            partition: Some(Arc::new(PartitionCode::Hash(hash))),
            side: None,
            adapter: Some(Adapter { carried: stream_type::<Carried>(), wrap: Arc::new(wrap) }),
        }
    }

    /// The channel is chosen by the user's function.
    pub fn custom<T: 'static>(choose: PartitionFn<T>) -> Self {
        let partition = Some(Arc::new(PartitionCode::Custom(choose)) as _);
        Self { partition, side: None, adapter: None }
    }

    /// The same edge, for a side output with records of type `T`.
    #[must_use]
    pub fn side_output<T: Data>(mut self) -> Self {
        self.side = Some(stream_type::<T>());
        self
    }

    fn partitioner<T: 'static>(&self, plan: &OutputPlan) -> Result<Partitioner<T>> {
        let code = self.partition.as_deref().and_then(|code| code.downcast_ref());
        Ok(match (plan.partitioning, code) {
            (Partitioning::Forward, _) => Partitioner::Forward,
            (Partitioning::Rebalance | Partitioning::Rescale, _) => Partitioner::RoundRobin,
            (Partitioning::Shuffle, _) => Partitioner::Shuffle,
            (Partitioning::Broadcast, _) => Partitioner::Broadcast,
            (Partitioning::Global, _) => Partitioner::Global,
            (Partitioning::Hash, Some(PartitionCode::Hash(hash))) => {
                Partitioner::Hash(*hash, plan.max_parallelism)
            }
            (Partitioning::Custom, Some(PartitionCode::Custom(choose))) => {
                Partitioner::Custom(choose.clone())
            }
            (Partitioning::Hash | Partitioning::Custom, _) => {
                return Err(Error::internal("an edge has no code for its partitioning"));
            }
        })
    }
}

/// A typed part of a chain whose type is not known here.
pub(crate) type Part = Box<dyn Any + Send>;

/// A built node.
pub(crate) enum Built {
    Source(Box<dyn SourceHead>),
    /// A `Box<dyn Stage<In>>`.
    Stage(Part),
}

/// What reads the output of a node: `Box<dyn Stage<Out>>`s, and those of its side outputs.
#[derive(Default)]
pub(crate) struct Consumers {
    pub(crate) main: Vec<Part>,
    pub(crate) sides: Vec<(String, Arc<dyn StreamType>, Vec<Part>)>,
}

/// What is known of an edge when its output is built.
pub(crate) struct OutputPlan {
    pub(crate) partitioning: Partitioning,
    /// That of the consumer.
    pub(crate) max_parallelism: MaxParallelism,
    /// That of the producer.
    pub(crate) subtask: u32,
    /// What the producer is called in errors.
    pub(crate) producer: String,
}

/// What must be done with the type of a stream in hand.
pub(crate) trait StreamType: Send + Sync {
    /// A `Sender<T>` and a `Receiver<T>`.
    fn channel(
        &self,
        bytes: usize,
        producer: Arc<dyn Wake>,
        consumer: Arc<dyn Wake>,
    ) -> (Part, Part);

    /// A `Sender<T>` to another process.
    fn remote_sender(&self, sender: FrameSender) -> Part;

    /// A `Receiver<T>` from another process.
    fn remote_receiver(&self, receiver: FrameReceiver) -> Part;

    /// The `Box<dyn Stage<T>>` that sends to the `Sender<T>`s.
    fn output(
        &self,
        code: &EdgeCode,
        plan: &OutputPlan,
        senders: Vec<Part>,
        settings: &TaskSettings,
    ) -> Result<Part>;

    /// The gate of the `Receiver<T>`s before a `Box<dyn Stage<T>>`, and whether records come to it by key.
    fn gate(&self, receivers: Vec<Part>, stage: Part, by_key: bool) -> Result<Box<dyn Gate>>;

    /// For an edge that partitions by key: an `IsOwned<T>` of a subtask.
    fn owner_test(&self, code: &EdgeCode, vertex: &JobVertex, subtask: u32) -> Result<Part>;

    /// Adds the `Box<dyn Stage<T>>`s that read a side output.
    fn add_side_output(
        &self,
        sides: &mut SideOutputs,
        name: String,
        stages: Vec<Part>,
    ) -> Result<()>;
}

struct TypeOf<T>(PhantomData<fn() -> T>);

fn stream_type<T: Data>() -> Arc<dyn StreamType> {
    Arc::new(TypeOf::<T>(PhantomData))
}

impl<T: Data> StreamType for TypeOf<T> {
    fn channel(
        &self,
        bytes: usize,
        producer: Arc<dyn Wake>,
        consumer: Arc<dyn Wake>,
    ) -> (Part, Part) {
        let (sender, receiver) = channel::<T>(bytes, producer, consumer);
        (Box::new(sender), Box::new(receiver))
    }

    fn remote_sender(&self, sender: FrameSender) -> Part {
        Box::new(Sender::<T>::Remote(sender))
    }

    fn remote_receiver(&self, receiver: FrameReceiver) -> Part {
        Box::new(Receiver::<T>::Remote(receiver, Batch::default()))
    }

    fn output(
        &self,
        code: &EdgeCode,
        plan: &OutputPlan,
        senders: Vec<Part>,
        settings: &TaskSettings,
    ) -> Result<Part> {
        let partitioner = code.partitioner::<T>(plan)?;
        let senders = typed_all::<Sender<T>>(senders)?;
        let output = Output::new(partitioner, senders, plan, settings.buffer_timeout);
        let stage: Box<dyn Stage<T>> = Box::new(output);
        Ok(Box::new(stage))
    }

    fn gate(&self, receivers: Vec<Part>, stage: Part, by_key: bool) -> Result<Box<dyn Gate>> {
        let receivers = typed_all::<Receiver<T>>(receivers)?;
        Ok(Box::new(InputGate::new(receivers, typed::<Box<dyn Stage<T>>>(stage)?, by_key)))
    }

    fn owner_test(&self, code: &EdgeCode, vertex: &JobVertex, subtask: u32) -> Result<Part> {
        let code = code.partition.as_deref().and_then(|code| code.downcast_ref());
        let Some(PartitionCode::<T>::Hash(hash)) = code else {
            return Err(Error::internal("an edge has no code for its partitioning"));
        };
        let (hash, max_parallelism) = (*hash, vertex.max_parallelism);
        let parallelism = vertex.parallelism;
        let is_owned: IsOwned<T> = Box::new(move |record| {
            let group = max_parallelism.key_group(hash(record));
            max_parallelism.owner(group, parallelism) == subtask
        });
        Ok(Box::new(is_owned))
    }

    fn add_side_output(
        &self,
        sides: &mut SideOutputs,
        name: String,
        stages: Vec<Part>,
    ) -> Result<()> {
        sides.add::<T>(name, Downstream::new(typed_all(stages)?));
        Ok(())
    }
}

fn connect<Out: Data>(consumers: Consumers) -> Result<(Downstream<Out>, SideOutputs)> {
    let mut sides = SideOutputs::default();
    for (name, stream_type, stages) in consumers.sides {
        stream_type.add_side_output(&mut sides, name, stages)?;
    }
    Ok((Downstream::new(typed_all(consumers.main)?), sides))
}

fn typed_all<T: 'static>(parts: Vec<Part>) -> Result<Vec<T>> {
    parts.into_iter().map(typed).collect()
}

fn typed<T: 'static>(part: Part) -> Result<T> {
    match part.downcast::<T>() {
        Ok(part) => Ok(*part),
        Err(_) => Err(Error::internal(format!(
            "an edge joins operators of different types: expected a {}",
            std::any::type_name::<T>()
        ))),
    }
}
