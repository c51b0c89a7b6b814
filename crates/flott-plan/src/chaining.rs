//! Which operators run in one task, handing records on by a call instead of a channel.

use crate::partitioning::Partitioning;
use crate::settings::Settings;
use crate::stream_graph::{ChainingStrategy, NodeId, StreamEdge, StreamGraph};

/// The chains of a graph. Each is a tree: a node has at most one chained input, and any number of
/// chained consumers.
pub(crate) struct Chains {
    /// The first node of each node's chain, indexed by node.
    pub(crate) heads: Vec<NodeId>,
    /// Whether an edge lies within a chain, indexed by edge.
    pub(crate) chained: Vec<bool>,
}

/// Chains as much as the rules allow. `partitionings` is indexed by edge, `settings` by node.
pub(crate) fn chain(
    graph: &StreamGraph,
    partitionings: &[Partitioning],
    settings: &[Settings],
    enabled: bool,
) -> Chains {
    let chained: Vec<bool> = graph
        .edges()
        .iter()
        .zip(partitionings)
        .map(|(edge, partitioning)| enabled && is_chainable(graph, edge, *partitioning, settings))
        .collect();

    let mut heads: Vec<NodeId> = graph.nodes().map(|(id, _)| id).collect();
    let mut inputs: Vec<&StreamEdge> = graph
        .edges()
        .iter()
        .zip(&chained)
        .filter(|(_, chained)| **chained)
        .map(|(e, _)| e)
        .collect();
    // Edges lead to later nodes: in the order of targets, a node's head is known before its
    // consumers ask for it.
    inputs.sort_by_key(|edge| edge.target);
    for edge in inputs {
        heads[edge.target.index()] = heads[edge.source.index()];
    }
    Chains { heads, chained }
}

/// Flink's rules. Max parallelism must agree because a task has one range of key groups.
fn is_chainable(
    graph: &StreamGraph,
    edge: &StreamEdge,
    partitioning: Partitioning,
    settings: &[Settings],
) -> bool {
    let (up, down) = (&settings[edge.source.index()], &settings[edge.target.index()]);
    let upstream_allows = match graph.node(edge.source).chaining {
        ChainingStrategy::Always | ChainingStrategy::Head => true,
        ChainingStrategy::Never => false,
    };
    let downstream_allows = match graph.node(edge.target).chaining {
        ChainingStrategy::Always => true,
        ChainingStrategy::Head | ChainingStrategy::Never => false,
    };
    upstream_allows
        && downstream_allows
        && partitioning == Partitioning::Forward
        && up.parallelism == down.parallelism
        && up.max_parallelism == down.max_parallelism
        && up.slot_sharing_group == down.slot_sharing_group
        // With two inputs (even from one node) barriers must be aligned, which only channels do.
        && graph.inputs_of(edge.target).count() == 1
}

/// The name of a chain, as in Flink: `a -> b`, and `a -> (b -> c, d)` where it forks.
///
/// `names` and `consumers` are indexed by node; `consumers` are the chained ones.
pub(crate) fn chain_name(head: NodeId, names: &[String], consumers: &[Vec<NodeId>]) -> String {
    enum Part {
        From(NodeId),
        Text(&'static str),
    }
    let mut name = String::new();
    // A stack instead of recursion: a chain may be longer than the thread's stack is deep.
    let mut rest = vec![Part::From(head)];
    while let Some(part) = rest.pop() {
        match part {
            Part::Text(text) => name.push_str(text),
            Part::From(node) => {
                name.push_str(&names[node.index()]);
                match consumers[node.index()].as_slice() {
                    [] => {}
                    [only] => rest.extend([Part::From(*only), Part::Text(" -> ")]),
                    [first, others @ ..] => {
                        rest.push(Part::Text(")"));
                        for other in others.iter().rev() {
                            rest.extend([Part::From(*other), Part::Text(", ")]);
                        }
                        rest.extend([Part::From(*first), Part::Text(" -> (")]);
                    }
                }
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name of the chain from node 0, where `consumers` lists each node's.
    fn name(consumers: &[&[u32]]) -> String {
        let names: Vec<String> = (0..consumers.len()).map(|index| format!("n{index}")).collect();
        let consumers: Vec<Vec<NodeId>> =
            consumers.iter().map(|ids| ids.iter().copied().map(NodeId).collect()).collect();
        chain_name(NodeId(0), &names, &consumers)
    }

    #[test]
    fn a_chain_is_named_after_its_operators() {
        assert_eq!(name(&[&[]]), "n0");
        assert_eq!(name(&[&[1], &[2], &[]]), "n0 -> n1 -> n2");
    }

    #[test]
    fn a_fork_is_named_in_parentheses() {
        assert_eq!(name(&[&[1, 2], &[], &[]]), "n0 -> (n1, n2)");
        assert_eq!(
            name(&[&[1, 3], &[2], &[], &[4, 5, 6], &[], &[], &[]]),
            "n0 -> (n1 -> n2, n3 -> (n4, n5, n6))"
        );
    }

    #[test]
    fn a_long_chain_does_not_overflow_the_stack() {
        let consumers: Vec<Vec<NodeId>> = (1..=100_000)
            .map(|next| if next < 100_000 { vec![NodeId(next)] } else { vec![] })
            .collect();
        let names = vec!["n".to_owned(); consumers.len()];
        assert_eq!(chain_name(NodeId(0), &names, &consumers).len(), 5 * 100_000 - 4);
    }
}
