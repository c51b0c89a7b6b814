//! Plans as text, compared with `tests/golden`. `UPDATE_GOLDEN=1 cargo test` rewrites the files.

use std::path::Path;

use flott_plan::{NodeId, NodeKind, Partitioning, StreamNode, explain, fingerprint};

use crate::program::Program;

fn word_totals() -> Program {
    let mut program = Program::with_parallelism(2);
    let socket = program.source("socket");
    program.set(socket, |node| {
        node.parallelism_limit = Some(1);
        node.stateful = true;
    });
    let map = program.operator("map", &[socket]);
    let sum = program.keyed("sum", map);
    program.sink("print", sum);
    program
}

fn everything() -> Program {
    let mut program = Program::with_parallelism(3);
    program.option("pipeline.max-parallelism", "720");
    let orders = program.source("orders");
    let rules = program.source("rules");
    program.set(rules, |node| {
        node.parallelism = Some(1);
        node.uid = Some("rules-v2".into());
    });
    let parse = program.operator("map", &[orders]);
    let apply = program.graph.add_node(StreamNode::new("apply \"rules\"", NodeKind::Operator));
    program.set(apply, |node| {
        node.stateful = true;
        node.slot_sharing_group = Some("heavy".into());
    });
    program.edge(parse, apply, Some(Partitioning::Rescale), None);
    program.edge(rules, apply, Some(Partitioning::Broadcast), None);
    let late = program.graph.add_node(StreamNode::new("late", NodeKind::Sink));
    program.edge(apply, late, None, Some("late"));
    let twice = program.operator("map", &[apply, apply]);
    let sum = program.keyed("sum", twice);
    program.set(sum, |node| node.parallelism = Some(6));
    program.sink("print", sum);
    program.sink("print", apply);
    program.sink("audit", orders);
    program
}

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{} differs; UPDATE_GOLDEN=1 rewrites it", path.display());
}

#[test]
fn word_totals_reads_as_its_golden_file() {
    check("word_totals.txt", &explain(&word_totals().plan()));
}

#[test]
fn a_plan_with_everything_reads_as_its_golden_file() {
    check("everything.txt", &explain(&everything().plan()));
}

#[test]
fn the_same_program_has_the_same_fingerprint() {
    assert_eq!(fingerprint(&everything().plan()), fingerprint(&everything().plan()));
}

#[test]
fn any_change_of_the_plan_changes_the_fingerprint() {
    let original = fingerprint(&word_totals().plan());
    let map = NodeId(1);
    let changes: [fn(&mut StreamNode); 6] = [
        |node| node.name = "flat map".into(),
        |node| node.uid = Some("map".into()),
        |node| node.max_parallelism = Some(128),
        |node| node.parallelism = Some(1),
        |node| node.keyed = true,
        |node| node.slot_sharing_group = Some("heavy".into()),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut program = word_totals();
        program.set(map, change);
        assert_ne!(fingerprint(&program.plan()), original, "change {index}");
    }
}

#[test]
fn a_line_break_in_a_name_stays_in_its_line() {
    let mut program = word_totals();
    program.set(NodeId(1), |node| node.name = "map\nvertex".into());
    assert_eq!(
        explain(&program.plan()).lines().count(),
        explain(&word_totals().plan()).lines().count()
    );
}
