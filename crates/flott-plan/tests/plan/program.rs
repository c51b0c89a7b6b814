//! Programs in a few words.

use flott_core::config::options::{self, Positive};
use flott_core::config::{Configuration, Origin};
use flott_plan::{JobGraph, NodeId, NodeKind, Partitioning, StreamEdge, StreamGraph, StreamNode};

/// A program and its options.
#[derive(Default)]
pub(crate) struct Program {
    pub(crate) graph: StreamGraph,
    pub(crate) config: Configuration,
}

impl Program {
    pub(crate) fn with_parallelism(parallelism: u32) -> Self {
        let mut program = Self::default();
        program.config.set(&options::PARALLELISM, Positive(parallelism)).unwrap();
        program
    }

    pub(crate) fn option(&mut self, key: &str, value: &str) {
        self.config.set_text(key, value, Origin::CommandLine).unwrap();
    }

    pub(crate) fn source(&mut self, name: &str) -> NodeId {
        self.graph.add_node(StreamNode::new(name, NodeKind::Source))
    }

    /// An operator, joined to its inputs as the planner sees fit.
    pub(crate) fn operator(&mut self, name: &str, inputs: &[NodeId]) -> NodeId {
        self.fed(StreamNode::new(name, NodeKind::Operator), inputs)
    }

    pub(crate) fn sink(&mut self, name: &str, input: NodeId) -> NodeId {
        self.fed(StreamNode::new(name, NodeKind::Sink), &[input])
    }

    /// A stateful operator behind a key by.
    pub(crate) fn keyed(&mut self, name: &str, input: NodeId) -> NodeId {
        let mut node = StreamNode::new(name, NodeKind::Operator);
        (node.stateful, node.keyed) = (true, true);
        let id = self.graph.add_node(node);
        self.edge(input, id, Some(Partitioning::Hash), None);
        id
    }

    pub(crate) fn edge(
        &mut self,
        source: NodeId,
        target: NodeId,
        partitioning: Option<Partitioning>,
        side_output: Option<&str>,
    ) {
        let side_output = side_output.map(str::to_owned);
        self.graph.add_edge(StreamEdge { source, target, partitioning, side_output });
    }

    pub(crate) fn set(&mut self, id: NodeId, change: impl FnOnce(&mut StreamNode)) {
        change(self.graph.node_mut(id));
    }

    pub(crate) fn plan(&self) -> JobGraph {
        JobGraph::build(&self.graph, &self.config).unwrap()
    }

    pub(crate) fn complaint(&self) -> String {
        JobGraph::build(&self.graph, &self.config).unwrap_err().to_string()
    }

    pub(crate) fn vertex_names(&self) -> Vec<String> {
        self.plan().vertices.into_iter().map(|vertex| vertex.name).collect()
    }

    fn fed(&mut self, node: StreamNode, inputs: &[NodeId]) -> NodeId {
        let id = self.graph.add_node(node);
        for input in inputs {
            self.edge(*input, id, None, None);
        }
        id
    }
}
