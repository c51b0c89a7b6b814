//! The job as it is deployed: vertices of chained operators, and the channels' edges between them.

use std::fmt;

use flott_core::config::Configuration;
use flott_core::config::options::{self, RuntimeExecutionMode};
use flott_core::{Error, MaxParallelism, OperatorId, Result, VertexId};
use serde::{Deserialize, Serialize};

use crate::chaining::{Chains, chain, chain_name};
use crate::partitioning::{self, Partitioning};
use crate::settings::{self, Settings};
use crate::stream_graph::{NodeId, NodeKind, StreamGraph};
use crate::uid;

/// An edge of a [`JobGraph`]: its position in [`JobGraph::edges`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EdgeId(pub u32);

/// An operator with everything decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// The node that it was made from; by it a worker finds the operator's code.
    pub node: NodeId,
    /// The hash of its uid, by which its state is found.
    pub id: OperatorId,
    /// Its uid, given or derived; no other operator of the job has it.
    pub uid: String,
    /// Its name in plans and metrics, with the prefix of sources and sinks.
    pub name: String,
    /// Whether it has state in checkpoints.
    pub stateful: bool,
    /// Whether its state and timers are kept by key.
    pub keyed: bool,
    /// Whether the user gave the uid; otherwise it follows the operator's name.
    pub explicit_uid: bool,
    /// Whether the user gave the max parallelism, by the operator or by the option; otherwise
    /// a restored snapshot's may take its place.
    pub max_parallelism_explicit: bool,
}

/// A hand-over within a chain: a call instead of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainedEdge {
    /// The edge of the [`StreamGraph`] that it comes from: its position in the graph's edges.
    pub stream_edge: usize,
    /// The operator that sends.
    pub source: NodeId,
    /// The operator that receives; this is its only input.
    pub target: NodeId,
    /// The side output that is handed over; `None` is the main output.
    pub side_output: Option<String>,
}

/// A chain of operators that runs as one task per subtask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobVertex {
    /// The hash of the first operator's uid.
    pub id: VertexId,
    /// The names of its operators, e.g. `Source: numbers -> (map -> Sink: print, Sink: discard)`.
    pub name: String,
    /// Its operators in topological order: the first receives the vertex's inputs or is the source.
    pub operators: Vec<Operator>,
    /// The hand-overs between its operators, a tree; the consumers of one operator are in the
    /// order in which the program added them.
    pub chained_edges: Vec<ChainedEdge>,
    /// How many subtasks it has.
    pub parallelism: u32,
    /// How many key groups its operators have.
    pub max_parallelism: MaxParallelism,
    /// Its tasks may share a slot with tasks of vertices of the same group.
    pub slot_sharing_group: String,
    /// Whether it begins with a source, and so has no inputs.
    pub is_source: bool,
}

/// A stream between two vertices, carried by the channels that [`crate::channels`] lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEdge {
    /// Its position in [`JobGraph::edges`].
    pub id: EdgeId,
    /// The edge of the [`StreamGraph`] that it comes from: its position in the graph's edges.
    pub stream_edge: usize,
    /// The vertex that sends.
    pub source_vertex: VertexId,
    /// Which of the vertex's operators sends.
    pub source_node: NodeId,
    /// The vertex that receives.
    pub target_vertex: VertexId,
    /// Its first operator.
    pub target_node: NodeId,
    /// How records choose a subtask.
    pub partitioning: Partitioning,
    /// The side output that feeds it; `None` is the main output.
    pub side_output: Option<String>,
}

/// Whether a job answers as records come, or when all have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobType {
    /// As they come, with checkpoints.
    Streaming,
    /// When all have come, without checkpoints.
    Batch,
}

impl fmt::Display for JobType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Streaming => "STREAMING",
            Self::Batch => "BATCH",
        })
    }
}

/// The job as it is deployed.
///
/// It is serializable because it travels from the job's executable to the JobManager and on to the
/// workers; the messages that carry it are versioned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobGraph {
    /// How it runs.
    pub job_type: JobType,
    /// In topological order.
    pub vertices: Vec<JobVertex>,
    /// In the order in which the program added the streams. Two edges may join the same nodes: a
    /// stream in union with itself.
    pub edges: Vec<JobEdge>,
}

impl JobGraph {
    /// Plans a program: the same program and options give the same graph in every process.
    ///
    /// # Errors
    /// If the program has no sink; an operator's parallelism is 0, above its limit or above its max
    /// parallelism; a max parallelism is out of range; forward partitioning joins different
    /// parallelisms; a uid is missing, ambiguous or given twice; an unbounded source is to run in
    /// batch mode. The error names the operators.
    pub fn build(graph: &StreamGraph, config: &Configuration) -> Result<Self> {
        graph.check()?;
        let job_type = job_type(graph, config.get(&options::RUNTIME_MODE)?)?;
        let uids = uid::resolve(graph, config.get(&options::AUTO_GENERATE_UIDS)?)?;
        let settings = settings::resolve(graph, config)?;
        let partitionings = graph
            .edges()
            .iter()
            .map(|edge| partitioning::resolve(graph, edge, &settings))
            .collect::<Result<Vec<_>>>()?;
        let chaining_enabled = config.get(&options::OPERATOR_CHAINING)?;
        let chains = chain(graph, &partitionings, &settings, chaining_enabled);

        let vertex_id =
            |node: NodeId| VertexId::from_name(&uids[chains.heads[node.index()].index()]);
        let crossing = graph.edges().iter().zip(partitionings).zip(&chains.chained);
        let edges = crossing
            .enumerate()
            .filter(|(_, (_, chained))| !**chained)
            .zip(0..)
            .map(|((stream_edge, ((edge, partitioning), _)), id)| JobEdge {
                id: EdgeId(id),
                stream_edge,
                source_vertex: vertex_id(edge.source),
                source_node: edge.source,
                target_vertex: vertex_id(edge.target),
                target_node: edge.target,
                partitioning,
                side_output: edge.side_output.clone(),
            })
            .collect();
        Ok(Self { job_type, vertices: vertices(graph, &chains, &settings, &uids), edges })
    }

    /// The vertex with this id.
    pub fn vertex(&self, id: VertexId) -> Option<&JobVertex> {
        self.vertices.iter().find(|vertex| vertex.id == id)
    }

    /// The edges into a vertex, in the order of their ids.
    pub fn inputs_of(&self, id: VertexId) -> impl Iterator<Item = &JobEdge> {
        self.edges.iter().filter(move |edge| edge.target_vertex == id)
    }

    /// The edges out of a vertex, in the order of their ids.
    pub fn outputs_of(&self, id: VertexId) -> impl Iterator<Item = &JobEdge> {
        self.edges.iter().filter(move |edge| edge.source_vertex == id)
    }

    /// The operator with this id, and the vertex that it runs in.
    pub fn operator(&self, id: OperatorId) -> Option<(&JobVertex, &Operator)> {
        self.vertices.iter().find_map(|vertex| {
            let operator = vertex.operators.iter().find(|operator| operator.id == id)?;
            Some((vertex, operator))
        })
    }
}

fn job_type(graph: &StreamGraph, mode: RuntimeExecutionMode) -> Result<JobType> {
    let mut sources = graph.nodes().filter(|(_, node)| node.kind == NodeKind::Source);
    let unbounded = sources.find(|(_, node)| !node.bounded);
    match (mode, unbounded) {
        (RuntimeExecutionMode::Streaming, _) | (RuntimeExecutionMode::Automatic, Some(_)) => {
            Ok(JobType::Streaming)
        }
        (RuntimeExecutionMode::Batch | RuntimeExecutionMode::Automatic, None) => Ok(JobType::Batch),
        (RuntimeExecutionMode::Batch, Some((_, source))) => Err(Error::invalid(format!(
            "source \"{}\" has no end, and execution.runtime-mode is BATCH: use STREAMING or \
             AUTOMATIC, or a source that comes to an end",
            source.name
        ))),
    }
}

/// A vertex per chain, in the order of their heads. That order is topological: an edge between
/// vertices leads to a head, and its source is not before the head of its own chain.
fn vertices(
    graph: &StreamGraph,
    chains: &Chains,
    settings: &[Settings],
    uids: &[String],
) -> Vec<JobVertex> {
    let names: Vec<String> = graph.nodes().map(|(_, node)| node.display_name()).collect();
    let mut consumers: Vec<Vec<NodeId>> = vec![Vec::new(); names.len()];
    let mut chained_edges: Vec<Vec<ChainedEdge>> = vec![Vec::new(); names.len()];
    for (stream_edge, (edge, chained)) in graph.edges().iter().zip(&chains.chained).enumerate() {
        if *chained {
            consumers[edge.source.index()].push(edge.target);
            chained_edges[chains.heads[edge.source.index()].index()].push(ChainedEdge {
                stream_edge,
                source: edge.source,
                target: edge.target,
                side_output: edge.side_output.clone(),
            });
        }
    }
    let mut operators: Vec<Vec<Operator>> = vec![Vec::new(); names.len()];
    for (id, node) in graph.nodes() {
        let uid = &uids[id.index()];
        operators[chains.heads[id.index()].index()].push(Operator {
            node: id,
            id: OperatorId::from_name(uid),
            uid: uid.clone(),
            name: names[id.index()].clone(),
            stateful: node.stateful,
            keyed: node.keyed,
            explicit_uid: node.uid.is_some(),
            max_parallelism_explicit: settings[id.index()].max_parallelism_explicit,
        });
    }

    let chain_parts = operators.into_iter().zip(chained_edges);
    graph
        .nodes()
        .zip(chain_parts)
        .filter(|((id, _), _)| chains.heads[id.index()] == *id)
        .map(|((head, node), (operators, chained_edges))| JobVertex {
            id: VertexId::from_name(&uids[head.index()]),
            name: chain_name(head, &names, &consumers),
            operators,
            chained_edges,
            parallelism: settings[head.index()].parallelism,
            max_parallelism: settings[head.index()].max_parallelism,
            slot_sharing_group: settings[head.index()].slot_sharing_group.clone(),
            is_source: node.kind == NodeKind::Source,
        })
        .collect()
}
