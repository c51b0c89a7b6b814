//! Tasks and regions of whole job graphs.

use flott_plan::{regions, tasks};

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

#[test]
fn pipelines_that_exchange_nothing_are_regions_of_their_own() {
    let mut program = Program::with_parallelism(2);
    let [a, b, c] = ["a", "b", "c"].map(|name| program.source(name));
    let sum = program.keyed("sum", c);
    let union = program.operator("union", &[a, sum]);
    program.sink("print", union);
    program.sink("discard", b);

    let plan = program.plan();
    let name = |id| plan.vertex(id).unwrap().name.as_str();
    let regions = regions(&plan);
    let named: Vec<Vec<&str>> =
        regions.iter().map(|region| region.iter().map(|id| name(*id)).collect()).collect();
    assert_eq!(
        named,
        [
            vec!["Source: a", "Source: c", "sum", "union -> Sink: print"],
            vec!["Source: b -> Sink: discard"],
        ]
    );
}
