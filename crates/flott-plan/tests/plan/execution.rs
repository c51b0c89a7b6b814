//! Tasks of whole job graphs.

use flott_plan::tasks;

use crate::program::Program;

#[test]
fn tasks_are_listed_vertex_by_vertex() {
    let mut program = Program::with_parallelism(2);
    let socket = program.source("socket");
    program.set(socket, |node| node.parallelism_limit = Some(1));
    program.sink("print", socket);

    let plan = program.plan();
    let listed: Vec<_> = tasks(&plan).into_iter().map(|task| (task.vertex, task.subtask)).collect();
    let (source, sink) = (plan.vertices[0].id, plan.vertices[1].id);
    assert_eq!(listed, [(source, 0), (sink, 0), (sink, 1)]);
}
