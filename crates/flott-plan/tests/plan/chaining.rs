//! Which operators share a task.

use flott_plan::{ChainedEdge, ChainingStrategy, NodeId, NodeKind, Partitioning, StreamNode};

use crate::program::Program;

/// `numbers -> map -> print`, with a change to one of the nodes.
fn after(change: impl FnOnce(&mut Program, [NodeId; 3])) -> Vec<String> {
    let mut program = Program::with_parallelism(2);
    let numbers = program.source("numbers");
    let map = program.operator("map", &[numbers]);
    let print = program.sink("print", map);
    change(&mut program, [numbers, map, print]);
    program.vertex_names()
}

fn after_setting(index: usize, change: impl FnOnce(&mut StreamNode)) -> Vec<String> {
    after(|program, nodes| program.set(nodes[index], change))
}

const WHOLE: [&str; 1] = ["Source: numbers -> map -> Sink: print"];
const CUT_BEFORE_MAP: [&str; 2] = ["Source: numbers", "map -> Sink: print"];
const CUT_AROUND_MAP: [&str; 3] = ["Source: numbers", "map", "Sink: print"];

#[test]
fn forward_streams_are_chained() {
    assert_eq!(after(|_, _| ()), WHOLE);
}

#[test]
fn the_option_turns_chaining_off() {
    let names = after(|program, _| program.option("pipeline.operator-chaining.enabled", "false"));
    assert_eq!(names, CUT_AROUND_MAP);
}

#[test]
fn an_operator_may_refuse_to_be_chained_or_start_a_chain() {
    let strategy = |index, strategy| after_setting(index, |node| node.chaining = strategy);
    assert_eq!(strategy(1, ChainingStrategy::Never), CUT_AROUND_MAP);
    assert_eq!(strategy(1, ChainingStrategy::Head), CUT_BEFORE_MAP);
    assert_eq!(strategy(0, ChainingStrategy::Head), WHOLE);
    assert_eq!(strategy(0, ChainingStrategy::Never), CUT_BEFORE_MAP);
}

#[test]
fn a_change_of_parallelism_cuts_the_chain() {
    assert_eq!(after_setting(1, |node| node.parallelism = Some(1)), CUT_AROUND_MAP);
    assert_eq!(after_setting(1, |node| node.parallelism = Some(2)), WHOLE);
}

#[test]
fn a_change_of_max_parallelism_cuts_the_chain() {
    assert_eq!(after_setting(1, |node| node.max_parallelism = Some(64)), CUT_AROUND_MAP);
    assert_eq!(after_setting(1, |node| node.max_parallelism = Some(128)), WHOLE);
}

#[test]
fn a_change_of_slot_sharing_group_cuts_the_chain() {
    let names = after_setting(1, |node| node.slot_sharing_group = Some("heavy".into()));
    assert_eq!(names, CUT_BEFORE_MAP);
}

#[test]
fn only_forward_partitioning_is_chained() {
    for partitioning in [
        Partitioning::Rebalance,
        Partitioning::Rescale,
        Partitioning::Shuffle,
        Partitioning::Broadcast,
        Partitioning::Global,
        Partitioning::Hash,
        Partitioning::Custom,
    ] {
        // Even where a single subtask at both ends makes it the same.
        let mut program = Program::with_parallelism(1);
        let numbers = program.source("numbers");
        let print = program.graph.add_node(StreamNode::new("print", NodeKind::Sink));
        program.edge(numbers, print, Some(partitioning), None);
        assert_eq!(program.vertex_names(), ["Source: numbers", "Sink: print"], "{partitioning:?}");
    }
}

#[test]
fn a_node_with_two_inputs_starts_a_chain() {
    let mut program = Program::default();
    let a = program.source("a");
    let b = program.source("b");
    let union = program.operator("map", &[a, b]);
    program.sink("print", union);
    assert_eq!(program.vertex_names(), ["Source: a", "Source: b", "map -> Sink: print"]);
}

#[test]
fn a_chain_may_fork() {
    let mut program = Program::default();
    let numbers = program.source("numbers");
    let map = program.operator("map", &[numbers]);
    let filter = program.operator("filter", &[map]);
    program.sink("discard", map);
    program.sink("print", filter);

    let plan = program.plan();
    let [vertex] = plan.vertices.as_slice() else { panic!("one vertex expected: {plan:?}") };
    assert_eq!(vertex.name, "Source: numbers -> map -> (filter -> Sink: print, Sink: discard)");
    let operators: Vec<u32> = vertex.operators.iter().map(|operator| operator.node.0).collect();
    assert_eq!(operators, [0, 1, 2, 3, 4]);
    let hand_overs: Vec<(u32, u32)> =
        vertex.chained_edges.iter().map(|edge| (edge.source.0, edge.target.0)).collect();
    assert_eq!(hand_overs, [(0, 1), (1, 2), (1, 3), (2, 4)]);
    assert!(plan.edges.is_empty());
}

#[test]
fn chains_that_interleave_in_the_program_stay_apart() {
    let mut program = Program::default();
    let a = program.source("a");
    let b = program.source("b");
    let map_a = program.operator("map a", &[a]);
    let map_b = program.operator("map b", &[b]);
    program.sink("sink b", map_b);
    program.sink("sink a", map_a);
    assert_eq!(
        program.vertex_names(),
        ["Source: a -> map a -> Sink: sink a", "Source: b -> map b -> Sink: sink b"]
    );
}

#[test]
fn a_side_output_is_chained() {
    let mut program = Program::default();
    let numbers = program.source("numbers");
    let split = program.operator("split", &[numbers]);
    program.sink("main", split);
    let late = program.graph.add_node(StreamNode::new("late", NodeKind::Sink));
    program.edge(split, late, None, Some("late data"));

    let plan = program.plan();
    assert_eq!(plan.vertices.len(), 1);
    let expected = ChainedEdge {
        stream_edge: 2,
        source: split,
        target: late,
        side_output: Some("late data".into()),
    };
    assert_eq!(plan.vertices[0].chained_edges.last(), Some(&expected));
}

#[test]
fn a_stream_in_union_with_itself_keeps_both_edges() {
    // FLINK-25199: the two were taken for one, and watermarks no longer got through.
    let mut program = Program::default();
    let numbers = program.source("numbers");
    let union = program.operator("map", &[numbers, numbers]);
    program.sink("print", union);

    let plan = program.plan();
    assert_eq!(program.vertex_names(), ["Source: numbers", "map -> Sink: print"]);
    let edges: Vec<_> =
        plan.edges.iter().map(|edge| (edge.id.0, edge.source_node, edge.target_node)).collect();
    assert_eq!(edges, [(0, numbers, union), (1, numbers, union)]);
    assert_eq!(plan.inputs_of(plan.vertices[1].id).count(), 2);
    assert!(plan.edges.iter().all(|edge| edge.partitioning == Partitioning::Forward));
}
