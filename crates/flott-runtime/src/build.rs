//! From a plan and a program to tasks: channels are created, chains are put together from their
//! tails to their heads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flott_core::metrics::TaskMetrics;
use flott_core::{AttemptNumber, Error, JobId, OperatorId, Result, TaskId, VertexId};
use flott_plan::{JobEdge, JobGraph, JobVertex, NodeId, Partitioning, execution_graph};
use flott_state::{Redistribution, RestoredOperatorState, StateBackend, UnreadStates};

use crate::chain::{failed, guarded};
use crate::exchange::{ChannelId, Exchange, Link};
use crate::in_flight::EventTime;
use crate::operator::{OperatorInstance, RestoredOperator, Wake};
use crate::program::{Built, Consumers, EdgeCode, NodeCode, OutputPlan, Part, Program, StreamType};
use crate::task::{Clock, Head, Task, TaskParts, TaskSettings};

/// The state that one task starts from.
#[derive(Default)]
pub struct RestoredTask {
    /// The state of each operator of its chain.
    pub operators: BTreeMap<OperatorId, RestoredOperator>,
    /// Whether the task had seen the end of its data.
    pub end_of_data: bool,
    /// What is read of its keyed state after the task has begun.
    pub unread: UnreadStates,
    /// Where its operators keep keyed state.
    pub(crate) state_backend: StateBackend,
    /// Restored states that no operator asked for, as they are found.
    pub(crate) unclaimed: Vec<String>,
    /// The first operator of the chain with its [`IsOwned`](crate::in_flight::IsOwned), if its input is
    /// partitioned by key.
    pub(crate) is_owned: Option<(OperatorId, Part)>,
    /// Whether records are in flight to any operator, as they find out.
    pub(crate) has_in_flight: bool,
    /// How far event time is for the operators that they are in flight to.
    pub(crate) event_times: BTreeMap<OperatorId, EventTime>,
}

impl RestoredTask {
    pub(crate) fn take(&mut self, operator: OperatorId) -> RestoredOperator {
        self.operators.remove(&operator).unwrap_or_default()
    }

    /// Records in flight to an operator.
    pub(crate) fn take_in_flight(&mut self, operator: OperatorId) -> Vec<RestoredOperatorState> {
        let states = self.operators.get_mut(&operator).map(|own| &mut own.operator_states);
        let is_in_flight = |state: &mut RestoredOperatorState| {
            matches!(state.redistribution, Redistribution::InFlight { .. })
        };
        states.map(|states| states.extract_if(.., is_in_flight).collect()).unwrap_or_default()
    }
}

/// What is to be deployed.
pub struct Deployment<'a> {
    /// The job.
    pub job: JobId,
    /// Which deployment of it.
    pub attempt: AttemptNumber,
    /// Boxes and arrows.
    pub graph: &'a JobGraph,
    /// The code behind them.
    pub program: &'a Program,
    /// How to run.
    pub settings: &'a TaskSettings,
    /// What tasks measure time with.
    pub clock: Arc<dyn Clock>,
    /// What wakes each task of this process.
    pub wakers: &'a dyn Fn(TaskId) -> Arc<dyn Wake>,
    /// Whether a task begins in this process, with this deployment. Tasks that exchange records begin with
    /// the same one.
    pub begins: &'a dyn Fn(TaskId) -> bool,
    /// How to reach other processes; nothing if this one runs all tasks.
    pub elsewhere: Option<Elsewhere<'a>>,
}

/// The processes that run other tasks.
#[derive(Clone, Copy)]
pub struct Elsewhere<'a> {
    /// The link to the worker that runs a task.
    pub link: &'a dyn Fn(TaskId) -> Result<Arc<dyn Link>>,
    /// What has the ends of the channels to them; it has begun with this attempt.
    pub exchange: &'a Exchange,
}

/// Builds every task that begins in this process, each with its channels to the others.
///
/// # Errors
/// That of a link; [`flott_core::ErrorKind::Internal`] if plan and program do not fit each other;
/// [`flott_core::ErrorKind::User`] if making an operator panics.
pub fn build_tasks(
    deployment: &Deployment<'_>,
    mut restored: BTreeMap<TaskId, RestoredTask>,
) -> Result<Vec<Task>> {
    let mut channels = Channels::create(deployment)?;
    let mut tasks = Vec::new();
    for vertex in &deployment.graph.vertices {
        for subtask in 0..vertex.parallelism {
            let id = TaskId { vertex: vertex.id, subtask };
            if !(deployment.begins)(id) {
                continue;
            }
            let restored = restored.remove(&id).unwrap_or_default();
            tasks.push(build_task(deployment, vertex, id, &mut channels, restored)?);
        }
    }
    Ok(tasks)
}

/// The ends of all channels, waiting for the tasks that they belong to.
struct Channels {
    /// By edge and producing subtask, in the order of consumers.
    senders: BTreeMap<(u32, u32), Vec<Part>>,
    /// By consuming task, in the order of edges, then producers.
    receivers: BTreeMap<TaskId, Receivers>,
}

/// The receiving ends of one task.
#[derive(Default)]
struct Receivers {
    ends: Vec<Part>,
    /// Those whose records no barrier may overtake.
    aligned: BTreeSet<usize>,
}

impl Channels {
    fn create(deployment: &Deployment<'_>) -> Result<Self> {
        let mut channels = Self { senders: BTreeMap::new(), receivers: BTreeMap::new() };
        let graph = deployment.graph;
        for edge in &graph.edges {
            let producers = vertex(graph, edge.source_vertex)?.parallelism;
            let consumers = vertex(graph, edge.target_vertex)?.parallelism;
            let carried = carried(deployment, edge)?;
            // Who looks for the records of his keys must not meet records without one.
            let by_key = graph.inputs_of(edge.target_vertex).any(is_by_key);
            let overtakes = edge.partitioning.can_be_overtaken() && by_key == is_by_key(edge);
            for (producer, consumer) in execution_graph::channels(edge, producers, consumers) {
                let target = TaskId { vertex: edge.target_vertex, subtask: consumer };
                let source = TaskId { vertex: edge.source_vertex, subtask: producer };
                let id = ChannelId { edge: edge.id, producer, consumer };
                let (sender, receiver) = create_channel(deployment, carried, id, source, target)?;
                channels.senders.entry((edge.id.0, producer)).or_default().extend(sender);
                let Some(receiver) = receiver else { continue };
                let receivers = channels.receivers.entry(target).or_default();
                if !overtakes {
                    receivers.aligned.insert(receivers.ends.len());
                }
                receivers.ends.push(receiver);
            }
        }
        Ok(channels)
    }
}

/// The ends of a channel that belong to tasks of this process.
fn create_channel(
    deployment: &Deployment<'_>,
    carried: &dyn StreamType,
    id: ChannelId,
    source: TaskId,
    target: TaskId,
) -> Result<(Option<Part>, Option<Part>)> {
    let Deployment { settings, wakers, begins, elsewhere, .. } = deployment;
    let bytes = settings.channel_bytes;
    Ok(match (begins(source), begins(target), elsewhere) {
        (false, true, Some(Elsewhere { exchange, .. })) => {
            let receiver = exchange.receiver(id, bytes, wakers(target));
            (None, Some(carried.remote_receiver(receiver)))
        }
        (true, false, Some(Elsewhere { exchange, link, .. })) => {
            let sender = exchange.sender(id, link(target)?, wakers(source));
            (Some(carried.remote_sender(sender)), None)
        }
        (false, false, _) => (None, None),
        (..) => {
            let (sender, receiver) = carried.channel(bytes, wakers(source), wakers(target));
            (Some(sender), Some(receiver))
        }
    })
}

fn build_task(
    deployment: &Deployment<'_>,
    vertex: &JobVertex,
    id: TaskId,
    channels: &mut Channels,
    mut restored: RestoredTask,
) -> Result<Task> {
    // What each node's output goes to. Operators are in topological order: from the last to the
    // first, all consumers of an operator are there when it is built.
    let mut consumers: BTreeMap<NodeId, Consumers> = BTreeMap::new();
    for edge in deployment.graph.outputs_of(vertex.id) {
        let output = build_output(deployment, edge, id.subtask, channels)?;
        add_consumer(deployment, &mut consumers, edge.source_node, edge.stream_edge, output)?;
    }
    let metrics = TaskMetrics::default();
    let mut head = None;
    for operator in vertex.operators.iter().rev() {
        let instance = OperatorInstance {
            job: deployment.job,
            id: operator.id,
            name: operator.name.clone(),
            subtask: id.subtask,
            parallelism: vertex.parallelism,
            max_parallelism: vertex.max_parallelism,
            attempt: deployment.attempt,
            accumulators: metrics.accumulators.clone(),
        };
        let code = node(deployment, operator.node)?;
        let context = failed(&instance);
        let consumers_of = consumers.remove(&operator.node).unwrap_or_default();
        // User code makes the operator.
        let built = guarded(|| (code.build)(instance, consumers_of));
        let built = built.map_err(|error| error.context(context))?;
        let chained = vertex.chained_edges.iter().find(|edge| edge.target == operator.node);
        match (built, chained) {
            (Built::Stage(stage), Some(edge)) => {
                add_consumer(deployment, &mut consumers, edge.source, edge.stream_edge, stage)?;
            }
            (Built::Stage(stage), None) => {
                let Receivers { ends, aligned } =
                    channels.receivers.remove(&id).unwrap_or_default();
                let count = ends.len();
                let input = code.input.as_ref();
                let input = input.ok_or_else(|| Error::internal("an operator without input"))?;
                let is_owned = owner_test(deployment, vertex, &**input, id.subtask)?;
                let gate = input.gate(ends, stage, is_owned.is_some())?;
                restored.is_owned = is_owned.map(|is_owned| (operator.id, is_owned));
                head = Some((Head::Gate(gate), operator.id, count, aligned));
            }
            (Built::Source(source), _) => {
                head = Some((Head::Source(source), operator.id, 0, BTreeSet::new()));
            }
        }
    }
    let head = head.ok_or_else(|| Error::internal("a chain without operators"))?;
    let (head, head_operator, channels, aligned_channels) = head;
    Ok(Task::new(TaskParts {
        id,
        attempt: deployment.attempt,
        settings: deployment.settings.clone(),
        head,
        head_operator,
        channels,
        aligned_channels,
        waker: (deployment.wakers)(id),
        clock: deployment.clock.clone(),
        metrics,
        restored,
    }))
}

fn is_by_key(edge: &JobEdge) -> bool {
    edge.partitioning == Partitioning::Hash
}

/// If records come to a vertex by key: what says which belong to a subtask.
fn owner_test(
    deployment: &Deployment<'_>,
    vertex: &JobVertex,
    input: &dyn StreamType,
    subtask: u32,
) -> Result<Option<Part>> {
    let Some(edge) = deployment.graph.inputs_of(vertex.id).find(|edge| is_by_key(edge)) else {
        return Ok(None);
    };
    let code = edge_code(deployment, edge.stream_edge)?;
    input.owner_test(code, vertex, subtask).map(Some)
}

fn build_output(
    deployment: &Deployment<'_>,
    edge: &JobEdge,
    subtask: u32,
    channels: &mut Channels,
) -> Result<Part> {
    let code = edge_code(deployment, edge.stream_edge)?;
    let plan = OutputPlan {
        partitioning: edge.partitioning,
        max_parallelism: vertex(deployment.graph, edge.target_vertex)?.max_parallelism,
        subtask,
        producer: producer(deployment.graph, edge, subtask)?,
    };
    let senders = channels.senders.remove(&(edge.id.0, subtask)).unwrap_or_default();
    let output = carried(deployment, edge)?.output(code, &plan, senders, deployment.settings)?;
    match &code.adapter {
        Some(adapter) => (adapter.wrap)(output, &plan),
        None => Ok(output),
    }
}

/// The operator that an edge comes from, as errors call it.
fn producer(graph: &JobGraph, edge: &JobEdge, subtask: u32) -> Result<String> {
    let vertex = vertex(graph, edge.source_vertex)?;
    let operator = vertex.operators.iter().find(|operator| operator.node == edge.source_node);
    let operator = operator.ok_or_else(|| Error::internal("an edge from an unknown operator"))?;
    Ok(format!("operator \"{}\" ({}/{})", operator.name, subtask + 1, vertex.parallelism))
}

/// The type that the channels of an edge carry.
fn carried<'a>(deployment: &Deployment<'a>, edge: &JobEdge) -> Result<&'a dyn StreamType> {
    let code = edge_code(deployment, edge.stream_edge)?;
    let adapted = code.adapter.as_ref().map(|adapter| &adapter.carried);
    Ok(match adapted.or(code.side.as_ref()) {
        Some(stream_type) => &**stream_type,
        None => &*node(deployment, edge.source_node)?.output,
    })
}

/// Adds a reader to a node's output, or to one of its side outputs.
fn add_consumer(
    deployment: &Deployment<'_>,
    consumers: &mut BTreeMap<NodeId, Consumers>,
    source: NodeId,
    stream_edge: usize,
    stage: Part,
) -> Result<()> {
    let edge = deployment.program.graph.edges().get(stream_edge);
    let edge = edge.ok_or_else(|| Error::internal("an edge that the program does not have"))?;
    let consumers = consumers.entry(source).or_default();
    match (&edge.side_output, &edge_code(deployment, stream_edge)?.side) {
        (Some(name), Some(side)) => {
            match consumers.sides.iter_mut().find(|(known, ..)| known == name) {
                Some((_, _, stages)) => stages.push(stage),
                None => consumers.sides.push((name.clone(), side.clone(), vec![stage])),
            }
        }
        (None, _) => consumers.main.push(stage),
        (Some(_), None) => return Err(Error::internal("a side output without a type")),
    }
    Ok(())
}

fn vertex(graph: &JobGraph, id: VertexId) -> Result<&JobVertex> {
    graph.vertex(id).ok_or_else(|| Error::internal("an edge to a vertex that does not exist"))
}

fn edge_code<'a>(deployment: &Deployment<'a>, stream_edge: usize) -> Result<&'a EdgeCode> {
    let code = deployment.program.edges.get(stream_edge);
    code.ok_or_else(|| Error::internal("an edge without code"))
}

fn node<'a>(deployment: &Deployment<'a>, id: NodeId) -> Result<&'a NodeCode> {
    let node = deployment.program.nodes.get(id.0 as usize);
    node.ok_or_else(|| Error::internal("a node without code"))
}
