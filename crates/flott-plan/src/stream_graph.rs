//! The program as the user wrote it: a node per operator, an edge per stream between two.

use std::fmt;

use flott_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::partitioning::Partitioning;

/// A node of a [`StreamGraph`]: its position in the order in which the program made the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId(pub u32);

impl NodeId {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// What a node does with the outside world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeKind {
    /// Brings records in; has no inputs.
    Source,
    /// Turns records into records.
    Operator,
    /// Takes records out.
    Sink,
}

/// Whether an operator runs in the task of its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChainingStrategy {
    /// Chained to its input where that is possible.
    #[default]
    Always,
    /// Never chained, neither to its input nor to its consumers.
    Never,
    /// Starts a chain: its consumers may be chained to it, it is not chained to its input.
    Head,
}

/// An operator before planning. What is `None` is decided by [`crate::JobGraph::build`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamNode {
    /// The name that people see, without the prefix of its kind.
    pub name: String,
    /// Source, operator or sink.
    pub kind: NodeKind,
    /// The name by which its state is found on restore.
    pub uid: Option<String>,
    /// How many subtasks; else `parallelism.default`, but never more than the limit.
    pub parallelism: Option<u32>,
    /// How many key groups; else `pipeline.max-parallelism`, else derived from the parallelism.
    pub max_parallelism: Option<u32>,
    /// The most subtasks that it can run with: 1 for a source that cannot be divided.
    pub parallelism_limit: Option<u32>,
    /// Whether it is chained.
    pub chaining: ChainingStrategy,
    /// The tasks it may share a slot with; else the group of its inputs if they agree, else
    /// `default`.
    pub slot_sharing_group: Option<String>,
    /// Whether it has state in checkpoints: its uid must then be unambiguous.
    pub stateful: bool,
    /// Whether its state and timers are kept by key.
    pub keyed: bool,
    /// Of a source: whether it comes to an end.
    pub bounded: bool,
}

impl StreamNode {
    /// A stateless node with nothing set and [`ChainingStrategy::Always`].
    pub fn new(name: impl Into<String>, kind: NodeKind) -> Self {
        Self {
            name: name.into(),
            kind,
            uid: None,
            parallelism: None,
            max_parallelism: None,
            parallelism_limit: None,
            chaining: ChainingStrategy::Always,
            slot_sharing_group: None,
            stateful: false,
            keyed: false,
            bounded: false,
        }
    }

    /// The name in plans and metrics: sources begin with `Source: `, sinks with `Sink: `.
    pub fn display_name(&self) -> String {
        let prefix = match self.kind {
            NodeKind::Source => "Source: ",
            NodeKind::Operator => "",
            NodeKind::Sink => "Sink: ",
        };
        if self.name.starts_with(prefix) {
            self.name.clone()
        } else {
            format!("{prefix}{}", self.name)
        }
    }
}

/// A stream from one node to a later one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamEdge {
    /// The node that sends.
    pub source: NodeId,
    /// The node that receives; it was added after the source.
    pub target: NodeId,
    /// How records choose a subtask of the target. `None` means forward if both ends have equal
    /// parallelism, else rebalance.
    pub partitioning: Option<Partitioning>,
    /// The side output that feeds the stream; `None` is the main output.
    pub side_output: Option<String>,
}

impl StreamEdge {
    /// The main output of `source`, with partitioning left to the planner.
    pub const fn new(source: NodeId, target: NodeId) -> Self {
        Self { source, target, partitioning: None, side_output: None }
    }
}

/// The program as the user wrote it. Nodes and edges keep the order in which they were added; that
/// order is part of the plan, because a worker that runs the program again must get the same ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamGraph {
    nodes: Vec<StreamNode>,
    edges: Vec<StreamEdge>,
}

impl StreamGraph {
    /// A graph without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node; its id is the number of nodes before it.
    pub fn add_node(&mut self, node: StreamNode) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(node);
        id
    }

    /// Adds an edge. Two equal edges are two streams (a stream in union with itself): both are
    /// kept. Ends are checked by [`crate::JobGraph::build`].
    pub fn add_edge(&mut self, edge: StreamEdge) {
        self.edges.push(edge);
    }

    /// The node with this id.
    ///
    /// # Panics
    /// If the id is of another graph.
    pub fn node(&self, id: NodeId) -> &StreamNode {
        &self.nodes[id.index()]
    }

    /// The node with this id, to set what the user sets after having added it.
    ///
    /// # Panics
    /// If the id is of another graph.
    pub fn node_mut(&mut self, id: NodeId) -> &mut StreamNode {
        &mut self.nodes[id.index()]
    }

    /// Every node with its id, in the order in which they were added.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (NodeId, &StreamNode)> {
        self.nodes.iter().enumerate().map(|(index, node)| (NodeId(index as u32), node))
    }

    /// Every edge, in the order in which they were added.
    pub fn edges(&self) -> &[StreamEdge] {
        &self.edges
    }

    /// The edges into a node, in the order in which they were added.
    pub fn inputs_of(&self, id: NodeId) -> impl Iterator<Item = &StreamEdge> {
        self.edges.iter().filter(move |edge| edge.target == id)
    }

    /// The edges out of a node, in the order in which they were added.
    pub fn outputs_of(&self, id: NodeId) -> impl Iterator<Item = &StreamEdge> {
        self.edges.iter().filter(move |edge| edge.source == id)
    }

    /// The first node that is not the same in another graph, as people call it; or what else differs.
    /// Nothing if the graphs are equal.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let pairs = self.nodes.iter().zip(&other.nodes);
        if let Some((own, other)) = pairs.clone().find(|(own, other)| own != other) {
            let (own, other) = (own.display_name(), other.display_name());
            return Some(format!("the operator \"{own}\" (there: \"{other}\")"));
        }
        let longer = if self.nodes.len() > other.nodes.len() { self } else { other };
        if let Some(node) = longer.nodes.get(pairs.count()) {
            return Some(format!("the operator \"{}\", which is not in both", node.display_name()));
        }
        let pairs = self.edges.iter().zip(&other.edges);
        let edge = pairs.clone().find(|(own, other)| own != other).map(|(own, _)| own);
        let longer = if self.edges.len() > other.edges.len() { self } else { other };
        let edge = edge.or_else(|| longer.edges.get(pairs.count()))?;
        Some(format!("the stream from node {} to node {}", edge.source, edge.target))
    }

    /// Checks the shape: there is a sink, edges go to later nodes, and exactly the sources have no
    /// input. All but the first are bugs of the verbs that built the graph.
    pub(crate) fn check(&self) -> Result<()> {
        if self.nodes.is_empty() {
            return Err(Error::invalid(
                "no operators defined in the job: add a source and end its stream with a sink, \
                 e.g. .print()",
            ));
        }
        if !self.nodes.iter().any(|node| node.kind == NodeKind::Sink) {
            return Err(Error::invalid(
                "no operators defined in the job that reach a sink: end a stream with one, \
                 e.g. .print()",
            ));
        }
        for edge in &self.edges {
            if edge.source >= edge.target || edge.target.index() >= self.nodes.len() {
                return Err(Error::internal(format!(
                    "the edge from node {} to node {} does not lead to a later node of the graph, \
                     which has {} nodes: streams cannot form a cycle",
                    edge.source,
                    edge.target,
                    self.nodes.len()
                )));
            }
        }
        for (id, node) in self.nodes() {
            let fed = self.inputs_of(id).next().is_some();
            let (expected, kind) = match node.kind {
                NodeKind::Source => (false, "a source has no input"),
                NodeKind::Operator => (true, "an operator has an input"),
                NodeKind::Sink => (true, "a sink has an input"),
            };
            if fed != expected {
                return Err(Error::internal(format!(
                    "node {id} (\"{}\") is wired wrongly: {kind}",
                    node.name
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(kinds: &[NodeKind], edges: &[(u32, u32)]) -> StreamGraph {
        let mut graph = StreamGraph::new();
        for (index, kind) in kinds.iter().enumerate() {
            graph.add_node(StreamNode::new(format!("n{index}"), *kind));
        }
        for (source, target) in edges {
            graph.add_edge(StreamEdge::new(NodeId(*source), NodeId(*target)));
        }
        graph
    }

    fn complaint(kinds: &[NodeKind], edges: &[(u32, u32)]) -> String {
        graph(kinds, edges).check().unwrap_err().to_string()
    }

    #[test]
    fn a_job_without_a_sink_has_no_operators() {
        assert!(complaint(&[], &[]).starts_with("no operators defined in the job"));
        assert!(complaint(&[NodeKind::Source], &[]).starts_with("no operators defined in the job"));
    }

    #[test]
    fn an_edge_that_does_not_lead_forward_is_refused() {
        let kinds = [NodeKind::Source, NodeKind::Operator, NodeKind::Sink];
        for bad in [(2, 1), (1, 1), (0, 7)] {
            let text = complaint(&kinds, &[(0, 1), (1, 2), bad]);
            assert!(text.contains(&format!("from node #{} to node #{}", bad.0, bad.1)), "{text}");
        }
    }

    #[test]
    fn exactly_the_sources_have_no_input() {
        let text = complaint(&[NodeKind::Source, NodeKind::Sink], &[]);
        assert_eq!(text, "node #1 (\"n1\") is wired wrongly: a sink has an input");
        let text =
            complaint(&[NodeKind::Source, NodeKind::Source, NodeKind::Sink], &[(0, 1), (1, 2)]);
        assert_eq!(text, "node #1 (\"n1\") is wired wrongly: a source has no input");
    }

    #[test]
    fn graphs_that_differ_say_where() {
        let kinds = [NodeKind::Source, NodeKind::Operator, NodeKind::Sink];
        let own = graph(&kinds, &[(0, 1), (1, 2)]);
        assert_eq!(own.difference(&own.clone()), None);
        let differs = |other: &StreamGraph| own.difference(other).unwrap();
        let mut renamed = own.clone();
        renamed.node_mut(NodeId(1)).name = "other".into();
        assert_eq!(differs(&renamed), "the operator \"n1\" (there: \"other\")");
        let longer = graph(&[&kinds[..], &[NodeKind::Sink]].concat(), &[(0, 1), (1, 2), (1, 3)]);
        assert_eq!(differs(&longer), "the operator \"Sink: n3\", which is not in both");
        assert_eq!(longer.difference(&own), own.difference(&longer));
        let rewired = graph(&kinds, &[(0, 1), (0, 2)]);
        assert_eq!(differs(&rewired), "the stream from node #1 to node #2");
        let more = graph(&kinds, &[(0, 1), (1, 2), (0, 2)]);
        assert_eq!(differs(&more), "the stream from node #0 to node #2");
    }

    #[test]
    fn a_prefix_that_the_name_has_already_is_not_repeated() {
        let name = |name: &str, kind| StreamNode::new(name, kind).display_name();
        assert_eq!(name("numbers", NodeKind::Source), "Source: numbers");
        assert_eq!(name("Source: numbers", NodeKind::Source), "Source: numbers");
        assert_eq!(name("print", NodeKind::Sink), "Sink: print");
        assert_eq!(name("map", NodeKind::Operator), "map");
    }

    #[test]
    fn inputs_and_outputs_keep_their_order() {
        let kinds = [NodeKind::Source, NodeKind::Source, NodeKind::Sink];
        let graph = graph(&kinds, &[(1, 2), (0, 2), (0, 2)]);
        let sources: Vec<u32> = graph.inputs_of(NodeId(2)).map(|edge| edge.source.0).collect();
        assert_eq!(sources, [1, 0, 0]);
        assert_eq!(graph.outputs_of(NodeId(0)).count(), 2);
        assert_eq!(graph.nodes().len(), 3);
    }
}
