//! The uid of every operator: the name by which its state is found on restore.
//!
//! A uid that the user gave is taken as it is. Otherwise it is derived from the operator's name,
//! never from its position, so that an operator added elsewhere does not orphan state. Where that
//! would be ambiguous for state, it is an error now, not when a savepoint is restored.

use std::collections::BTreeMap;

use flott_core::{Error, Result};

use crate::stream_graph::{NodeId, StreamGraph, StreamNode};

/// The uid of every node, indexed by node; all are different.
///
/// `auto_generate` is the option `pipeline.auto-generate-uids`.
pub(crate) fn resolve(graph: &StreamGraph, auto_generate: bool) -> Result<Vec<String>> {
    if !auto_generate {
        check_all_given(graph)?;
    }

    // Given uids first, then those that state hangs on, then the rest: a stateless operator steps
    // aside for a stateful one, wherever it stands in the program.
    let mut taken: BTreeMap<String, NodeId> = BTreeMap::new();
    for (id, node) in graph.nodes() {
        if let Some(uid) = &node.uid {
            claim(&mut taken, graph, id, uid)?;
        }
    }
    for (id, node) in graph.nodes() {
        if node.uid.is_none() && node.stateful {
            claim(&mut taken, graph, id, &node.name)?;
        }
    }
    let mut suffix_next: BTreeMap<&str, u32> = BTreeMap::new();
    for (id, node) in graph.nodes() {
        if node.uid.is_none() && !node.stateful {
            let suffix = suffix_next.entry(&node.name).or_insert(1);
            let uid = loop {
                let candidate = numbered(&node.name, *suffix);
                *suffix += 1;
                if !taken.contains_key(&candidate) {
                    break candidate;
                }
            };
            taken.insert(uid, id);
        }
    }

    let mut uids = vec![String::new(); graph.nodes().len()];
    for (uid, id) in taken {
        uids[id.index()] = uid;
    }
    Ok(uids)
}

fn check_all_given(graph: &StreamGraph) -> Result<()> {
    let missing: Vec<String> = graph
        .nodes()
        .filter(|(_, node)| node.uid.is_none())
        .map(|(_, node)| format!("\"{}\"", node.name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "pipeline.auto-generate-uids is false, and these operators have no uid: {}: set \
         .uid(\"…\") on each",
        missing.join(", ")
    )))
}

/// Takes a uid for a node that cannot step aside.
fn claim(
    taken: &mut BTreeMap<String, NodeId>,
    graph: &StreamGraph,
    id: NodeId,
    uid: &str,
) -> Result<()> {
    let node = graph.node(id);
    if uid.is_empty() {
        return Err(Error::invalid(format!(
            "operator {id} (\"{}\") has an empty uid: set .uid(\"…\") to a name of its own",
            node.name
        )));
    }
    let Some(other) = taken.insert(uid.to_owned(), id) else {
        return Ok(());
    };
    let first = graph.node(other);
    // The message tells first who is in the way, then what to change.
    Err(Error::invalid(match (&first.uid, &node.uid) {
        (Some(_), Some(_)) => format!(
            "operators {other} (\"{}\") and {id} (\"{}\") have the same uid \"{uid}\": give each \
             its own with .uid(\"…\")",
            first.name, node.name
        ),
        (Some(_), None) | (None, Some(_)) => format!(
            "{} and {} would both have the uid \"{uid}\": set .uid(\"…\") on the latter",
            described(other, first),
            described(id, node)
        ),
        (None, None) => format!(
            "stateful operators {other} and {id} are both named \"{uid}\", so their state could \
             not be told apart on restore: set .uid(\"…\") on each",
        ),
    }))
}

fn described(id: NodeId, node: &StreamNode) -> String {
    match &node.uid {
        Some(uid) => format!("operator {id} (\"{}\", .uid(\"{uid}\"))", node.name),
        None => format!("stateful operator {id} (\"{}\", without a uid)", node.name),
    }
}

/// `name`, `name#2`, `name#3`, …
fn numbered(name: &str, number: u32) -> String {
    if number == 1 { name.to_owned() } else { format!("{name}#{number}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream_graph::NodeKind;

    const STATELESS: bool = false;
    const STATEFUL: bool = true;

    fn graph(nodes: &[(&str, Option<&str>, bool)]) -> StreamGraph {
        let mut graph = StreamGraph::new();
        for (name, uid, stateful) in nodes {
            let mut node = StreamNode::new(*name, NodeKind::Operator);
            node.uid = uid.map(str::to_owned);
            node.stateful = *stateful;
            graph.add_node(node);
        }
        graph
    }

    fn uids(nodes: &[(&str, Option<&str>, bool)]) -> Vec<String> {
        resolve(&graph(nodes), true).unwrap()
    }

    fn complaint(nodes: &[(&str, Option<&str>, bool)]) -> String {
        resolve(&graph(nodes), true).unwrap_err().to_string()
    }

    #[test]
    fn stateless_operators_of_one_name_are_numbered() {
        let nodes = [("map", None, STATELESS), ("map", None, STATELESS), ("map", None, STATELESS)];
        assert_eq!(uids(&nodes), ["map", "map#2", "map#3"]);
    }

    #[test]
    fn a_stateless_operator_steps_aside_for_state_and_for_given_uids() {
        let nodes = [
            ("sum", None, STATELESS),
            ("map", None, STATELESS),
            ("map", None, STATELESS),
            ("sum", None, STATEFUL),
            ("other", Some("map#2"), STATELESS),
        ];
        assert_eq!(uids(&nodes), ["sum#2", "map", "map#3", "sum", "map#2"]);
    }

    #[test]
    fn a_derived_uid_does_not_depend_on_other_operators_positions() {
        let before = uids(&[("map", None, STATELESS), ("sum", None, STATEFUL)]);
        let after =
            uids(&[("map", None, STATELESS), ("filter", None, STATELESS), ("sum", None, STATEFUL)]);
        assert_eq!(before.last(), after.last());
    }

    #[test]
    fn two_stateful_operators_of_one_name_are_ambiguous() {
        assert_eq!(
            complaint(&[
                ("sum", None, STATEFUL),
                ("map", None, STATELESS),
                ("sum", None, STATEFUL)
            ]),
            "stateful operators #0 and #2 are both named \"sum\", so their state could not be told \
             apart on restore: set .uid(\"…\") on each"
        );
    }

    #[test]
    fn a_stateful_operators_name_may_not_be_a_given_uid() {
        assert_eq!(
            complaint(&[("sum", None, STATEFUL), ("total", Some("sum"), STATEFUL)]),
            "operator #1 (\"total\", .uid(\"sum\")) and stateful operator #0 (\"sum\", without a \
             uid) would both have the uid \"sum\": set .uid(\"…\") on the latter"
        );
    }

    #[test]
    fn a_uid_given_twice_names_both_operators() {
        assert_eq!(
            complaint(&[("a", Some("x"), STATELESS), ("b", Some("x"), STATEFUL)]),
            "operators #0 (\"a\") and #1 (\"b\") have the same uid \"x\": give each its own with \
             .uid(\"…\")"
        );
    }

    #[test]
    fn an_empty_uid_is_refused() {
        assert!(complaint(&[("a", Some(""), STATELESS)]).contains("(\"a\") has an empty uid"));
    }

    #[test]
    fn without_auto_generation_every_missing_uid_is_named() {
        let nodes = [("a", None, STATELESS), ("b", Some("x"), STATELESS), ("c", None, STATEFUL)];
        let error = resolve(&graph(&nodes), false).unwrap_err().to_string();
        assert_eq!(
            error,
            "pipeline.auto-generate-uids is false, and these operators have no uid: \"a\", \"c\": \
             set .uid(\"…\") on each"
        );
        assert!(resolve(&graph(&nodes[1..2]), false).is_ok());
    }
}
