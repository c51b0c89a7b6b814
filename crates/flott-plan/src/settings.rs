//! What every node runs with, after the defaults have been filled in.

use flott_core::config::{Configuration, options};
use flott_core::{Error, MaxParallelism, Result};

use crate::stream_graph::{NodeId, StreamGraph, StreamNode};

/// The slot sharing group of nodes that name none.
const DEFAULT_SLOT_SHARING_GROUP: &str = "default";

/// What a node runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) parallelism: u32,
    pub(crate) max_parallelism: MaxParallelism,
    /// Set by the node or by `pipeline.max-parallelism`, not derived from the parallelism.
    pub(crate) max_parallelism_explicit: bool,
    pub(crate) slot_sharing_group: String,
}

/// The settings of every node, indexed by node. The graph's edges have been checked.
pub(crate) fn resolve(graph: &StreamGraph, config: &Configuration) -> Result<Vec<Settings>> {
    let parallelism_default = config.get(&options::PARALLELISM)?.0;
    let max_parallelism_default = match config.get(&options::MAX_PARALLELISM)? {
        None => None,
        Some(value) => Some(MaxParallelism::new(value.0).map_err(|error| {
            Error::invalid(format!("option pipeline.max-parallelism: {error}"))
        })?),
    };

    let mut settings: Vec<Settings> = Vec::with_capacity(graph.nodes().len());
    for (id, node) in graph.nodes() {
        let parallelism = parallelism_of(node, parallelism_default)?;
        let explicit =
            match node.max_parallelism {
                Some(value) => Some(MaxParallelism::new(value).map_err(|error| {
                    Error::invalid(format!("operator \"{}\": {error}", node.name))
                })?),
                None => max_parallelism_default,
            };
        let max_parallelism = explicit.unwrap_or_else(|| MaxParallelism::default_for(parallelism));
        if parallelism > max_parallelism.get() {
            return Err(Error::invalid(format!(
                "operator \"{}\" has parallelism {parallelism}, above its max parallelism \
                 {max_parallelism}: lower the parallelism, or raise the max parallelism \
                 (pipeline.max-parallelism or the operator's own; at most {})",
                node.name,
                MaxParallelism::UPPER_BOUND
            )));
        }
        let slot_sharing_group = slot_sharing_group_of(graph, id, &settings);
        settings.push(Settings {
            parallelism,
            max_parallelism,
            max_parallelism_explicit: explicit.is_some(),
            slot_sharing_group,
        });
    }
    Ok(settings)
}

fn parallelism_of(node: &StreamNode, default: u32) -> Result<u32> {
    let limit = node.parallelism_limit.unwrap_or(u32::MAX);
    match node.parallelism {
        Some(0) => Err(Error::invalid(format!(
            "operator \"{}\" has parallelism 0: set it to at least 1",
            node.name
        ))),
        Some(wanted) if wanted > limit => Err(Error::invalid(format!(
            "operator \"{}\" cannot run with parallelism {wanted}, its limit is {limit}: set a \
             parallelism of at most {limit}, or none",
            node.name
        ))),
        Some(wanted) => Ok(wanted),
        None => Ok(default.min(limit)),
    }
}

/// The group that the node names, else that of its inputs if they agree: as in Flink, naming it
/// once moves everything downstream with it.
fn slot_sharing_group_of(graph: &StreamGraph, id: NodeId, earlier: &[Settings]) -> String {
    if let Some(group) = &graph.node(id).slot_sharing_group {
        return group.clone();
    }
    let mut groups =
        graph.inputs_of(id).map(|edge| earlier[edge.source.index()].slot_sharing_group.as_str());
    let first = groups.next().unwrap_or(DEFAULT_SLOT_SHARING_GROUP);
    let agreed = groups.all(|group| group == first);
    if agreed { first.to_owned() } else { DEFAULT_SLOT_SHARING_GROUP.to_owned() }
}

#[cfg(test)]
mod tests {
    use flott_core::config::options::Positive;

    use super::*;
    use crate::stream_graph::{NodeKind, StreamEdge};

    fn single(change: impl FnOnce(&mut StreamNode)) -> StreamGraph {
        let mut node = StreamNode::new("socket", NodeKind::Source);
        change(&mut node);
        let mut graph = StreamGraph::new();
        graph.add_node(node);
        graph
    }

    fn config(parallelism: u32, max_parallelism: Option<u32>) -> Configuration {
        let mut config = Configuration::new();
        config.set(&options::PARALLELISM, Positive(parallelism)).unwrap();
        config.set(&options::MAX_PARALLELISM, max_parallelism.map(Positive)).unwrap();
        config
    }

    fn complaint(graph: &StreamGraph, config: &Configuration) -> String {
        resolve(graph, config).unwrap_err().to_string()
    }

    #[test]
    fn a_limit_bends_the_default_but_not_what_the_user_set() {
        let limited = |parallelism| {
            single(|node| {
                node.parallelism_limit = Some(1);
                node.parallelism = parallelism;
            })
        };
        assert_eq!(resolve(&limited(None), &config(4, None)).unwrap()[0].parallelism, 1);
        assert_eq!(
            complaint(&limited(Some(2)), &config(4, None)),
            "operator \"socket\" cannot run with parallelism 2, its limit is 1: set a parallelism \
             of at most 1, or none"
        );
    }

    #[test]
    fn parallelism_zero_names_the_operator() {
        let graph = single(|node| node.parallelism = Some(0));
        assert_eq!(
            complaint(&graph, &config(1, None)),
            "operator \"socket\" has parallelism 0: set it to at least 1"
        );
    }

    #[test]
    fn max_parallelism_is_the_nodes_then_the_options_then_derived() {
        let max = |node_max, option_max| {
            let graph = single(|node| node.max_parallelism = node_max);
            let settings = resolve(&graph, &config(100, option_max)).unwrap();
            (settings[0].max_parallelism.get(), settings[0].max_parallelism_explicit)
        };
        assert_eq!(max(Some(300), Some(200)), (300, true));
        assert_eq!(max(None, Some(200)), (200, true));
        assert_eq!(max(None, None), (256, false));
    }

    #[test]
    fn parallelism_above_max_parallelism_names_operator_and_both_numbers() {
        let graph = single(|node| node.max_parallelism = Some(3));
        let text = complaint(&graph, &config(4, None));
        assert!(
            text.contains("\"socket\" has parallelism 4, above its max parallelism 3"),
            "{text}"
        );
        let text = complaint(&single(|_| ()), &config(40_000, None));
        assert!(text.contains("parallelism 40000, above its max parallelism 32768"), "{text}");
    }

    #[test]
    fn max_parallelism_out_of_range_names_who_set_it() {
        let text = complaint(&single(|node| node.max_parallelism = Some(0)), &config(1, None));
        assert!(
            text.starts_with("operator \"socket\": max parallelism 0 is out of range"),
            "{text}"
        );
        let text = complaint(&single(|_| ()), &config(1, Some(40_000)));
        assert!(
            text.starts_with("option pipeline.max-parallelism: max parallelism 40000 is out"),
            "{text}"
        );
    }

    #[test]
    fn a_slot_sharing_group_flows_downstream_until_inputs_disagree() {
        let mut graph = single(|node| node.slot_sharing_group = Some("heavy".into()));
        let mut add = |kind, inputs: &[u32]| {
            let id = graph.add_node(StreamNode::new("node", kind));
            for input in inputs {
                graph.add_edge(StreamEdge::new(NodeId(*input), id));
            }
        };
        add(NodeKind::Operator, &[0]);
        add(NodeKind::Source, &[]);
        add(NodeKind::Operator, &[1, 2]);
        add(NodeKind::Sink, &[0, 1]);
        let settings = resolve(&graph, &config(1, None)).unwrap();
        let groups: Vec<&str> =
            settings.iter().map(|settings| settings.slot_sharing_group.as_str()).collect();
        assert_eq!(groups, ["heavy", "heavy", "default", "default", "heavy"]);
    }
}
