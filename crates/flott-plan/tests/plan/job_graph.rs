//! From programs to job graphs, beside chaining.

use flott_core::{ErrorKind, OperatorId, VertexId};
use flott_plan::{JobGraph, JobType, NodeId, NodeKind, Partitioning, StreamNode};

use crate::program::Program;

/// `numbers -> map -> (key by) sum -> print`.
fn word_count() -> Program {
    let mut program = Program::with_parallelism(2);
    let numbers = program.source("numbers");
    let map = program.operator("map", &[numbers]);
    let sum = program.keyed("sum", map);
    program.sink("print", sum);
    program
}

#[test]
fn a_job_is_a_batch_job_if_that_is_wanted_and_all_sources_end() {
    let program = |mode: Option<&str>, bounded: [bool; 2]| {
        let mut program = Program::default();
        if let Some(mode) = mode {
            program.option("execution.runtime-mode", mode);
        }
        for (name, bounded) in ["left", "right"].into_iter().zip(bounded) {
            let source = program.source(name);
            program.set(source, |node| node.bounded = bounded);
            program.sink(&format!("{name} out"), source);
        }
        program
    };
    let job_type = |mode, bounded| program(mode, bounded).plan().job_type;
    assert_eq!(job_type(None, [true, true]), JobType::Streaming);
    assert_eq!(job_type(Some("BATCH"), [true, true]), JobType::Batch);
    assert_eq!(job_type(Some("AUTOMATIC"), [true, true]), JobType::Batch);
    assert_eq!(job_type(Some("AUTOMATIC"), [true, false]), JobType::Streaming);
    let complaint = program(Some("BATCH"), [true, false]).complaint();
    assert!(complaint.contains("source \"right\" has no end"), "{complaint}");
    let plan = flott_plan::explain(&program(Some("BATCH"), [true, true]).plan());
    assert!(plan.starts_with("job type BATCH\n"), "{plan}");
}

#[test]
fn an_operator_is_found_by_the_hash_of_its_uid() {
    let mut program = word_count();
    let sum = NodeId(2);
    program.set(sum, |node| node.uid = Some("total".into()));
    let plan = program.plan();

    let (vertex, operator) = plan.operator(OperatorId::from_name("total")).unwrap();
    assert_eq!(vertex.name, "sum -> Sink: print");
    assert_eq!(vertex.id, VertexId::from_name("total"));
    assert_eq!((operator.node, operator.name.as_str()), (sum, "sum"));
    assert!(operator.stateful && operator.keyed && operator.explicit_uid);
    assert!(!operator.max_parallelism_explicit);
    assert_eq!(plan.operator(OperatorId::from_name("sum")), None);
}

#[test]
fn vertices_have_inputs_and_outputs() {
    let plan = word_count().plan();
    let [source, sum] = plan.vertices.as_slice() else { panic!("two vertices: {plan:?}") };
    assert!(source.is_source && !sum.is_source);
    assert_eq!(plan.vertex(sum.id), Some(sum));
    assert_eq!(plan.vertex(VertexId::from_name("nobody")), None);
    assert_eq!(plan.inputs_of(source.id).count(), 0);
    let edge = plan.outputs_of(source.id).next().unwrap();
    assert_eq!(plan.inputs_of(sum.id).collect::<Vec<_>>(), [edge]);
    assert_eq!(edge.partitioning, Partitioning::Hash);
    assert_eq!((edge.source_node.0, edge.target_node.0), (1, 2));
    assert_eq!((edge.source_vertex, edge.target_vertex), (source.id, sum.id));
}

#[test]
fn a_stream_between_different_parallelisms_is_rebalanced() {
    let mut program = Program::with_parallelism(2);
    let socket = program.source("socket");
    program.set(socket, |node| node.parallelism_limit = Some(1));
    program.sink("print", socket);
    let plan = program.plan();
    assert_eq!((plan.vertices[0].parallelism, plan.vertices[1].parallelism), (1, 2));
    assert_eq!(plan.edges[0].partitioning, Partitioning::Rebalance);
}

#[test]
fn forward_between_different_parallelisms_names_both_operators() {
    let mut program = Program::with_parallelism(2);
    let numbers = program.source("numbers");
    let print = program.graph.add_node(StreamNode::new("print", NodeKind::Sink));
    program.edge(numbers, print, Some(Partitioning::Forward), None);
    program.set(print, |node| node.parallelism = Some(3));
    assert_eq!(
        program.complaint(),
        "forward partitioning from operator \"numbers\" (parallelism 2) to operator \"print\" \
         (parallelism 3) does not allow a change of parallelism: give both the same parallelism, \
         or use another partitioning such as rebalance, rescale, broadcast, shuffle or global"
    );
}

#[test]
fn max_parallelism_from_the_option_counts_as_set() {
    let mut program = word_count();
    program.option("pipeline.max-parallelism", "512");
    let plan = program.plan();
    assert!(plan.vertices.iter().all(|vertex| vertex.max_parallelism.get() == 512));
    assert!(plan.vertices[1].operators[0].max_parallelism_explicit);
}

#[test]
fn a_missing_uid_is_refused_when_uids_are_not_generated() {
    let mut program = word_count();
    program.option("pipeline.auto-generate-uids", "false");
    assert!(program.complaint().contains("\"numbers\", \"map\", \"sum\", \"print\""));
}

#[test]
fn ambiguous_state_is_refused_when_the_job_is_built() {
    let mut program = word_count();
    program.keyed("sum", NodeId(1));
    assert!(program.complaint().contains("stateful operators #2 and #4 are both named \"sum\""));
}

#[test]
fn an_empty_program_has_no_operators() {
    let program = Program::default();
    let error = JobGraph::build(&program.graph, &program.config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().starts_with("no operators defined in the job"));
}

#[test]
fn a_stream_that_ends_nowhere_is_allowed_beside_a_sink() {
    let mut program = word_count();
    program.operator("probe", &[NodeId(2)]);
    let names = program.vertex_names();
    assert_eq!(names, ["Source: numbers -> map", "sum -> (Sink: print, probe)"]);
}

#[test]
fn vertices_are_in_topological_order() {
    let mut program = Program::with_parallelism(2);
    let a = program.source("a");
    let b = program.source("b");
    let sum = program.keyed("sum", b);
    let map = program.operator("map", &[a]);
    let join = program.operator("join", &[map, sum]);
    program.sink("print", join);

    let plan = program.plan();
    let position = |id| plan.vertices.iter().position(|vertex| vertex.id == id);
    assert_eq!(plan.edges.len(), 3);
    for edge in &plan.edges {
        assert!(position(edge.source_vertex) < position(edge.target_vertex), "{edge:?}");
        let target = plan.vertex(edge.target_vertex).unwrap();
        assert_eq!(edge.target_node, target.operators[0].node);
    }
}
