//! What is below a vertex has Flink's shape.

use flott_control::view::ClusterView;
use flott_plan::JobVertex;

use super::*;
use crate::dto::accumulators::VertexAccumulatorsInfo;
use crate::dto::checkpoint_details::VertexCheckpointDetails;
use crate::dto::metrics::VertexBackPressure;
use crate::dto::subtasks::{
    AttemptAccumulatorsInfo, Subtask, SubtasksAccumulatorsInfo, SubtasksTimesInfo,
    VertexDetailsInfo, VertexTaskManagersInfo,
};
use crate::rates::Rate;

macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!("recorded/", $name, ".json"))
    };
}

fn source(view: &ClusterView) -> &JobVertex {
    &view.jobs[0].description.graph.vertices[0]
}

#[test]
fn a_vertex_has_its_subtasks_and_what_they_are_together() {
    let view = testing::view();
    let (now, job, vertex) = (view.now, &view.jobs[0], source(&view));
    let details = assert_shape(VertexDetailsInfo::of(now, job, vertex), recorded!("vertex"));
    assert_eq!(details["subtasks"].as_array().unwrap().len(), 2);
    assert_eq!(details["aggregated"]["metrics"]["write-records"]["sum"], 80);
    assert_eq!(details["aggregated"]["metrics"]["write-records"]["median"], 40);
    let first = &details["subtasks"][0];
    assert_eq!(first["endpoint"], "localhost:34413");
    assert_eq!(first["taskmanager-id"], "localhost:34413-03de8b");
    assert_eq!(details["subtasks"][1]["taskmanager-id"], "(unassigned)");
    assert_eq!(
        (&first["attempt"], &first["status-duration"]["CREATED"]),
        (&1.into(), &(-1).into())
    );
    assert!(first["status-duration"]["RUNNING"].as_i64().unwrap() > 1000, "{first}");
}

#[test]
fn subtasks_have_flinks_shape() {
    let view = testing::view();
    let (now, job, vertex) = (view.now, &view.jobs[0], source(&view));
    assert_shape(Subtask::find(now, job, vertex, 1).unwrap(), recorded!("subtask"));
    assert!(Subtask::find(now, job, vertex, 2).is_none());
    let times = assert_shape(SubtasksTimesInfo::of(now, job, vertex), recorded!("subtasktimes"));
    assert_eq!(times["subtasks"][0]["timestamps"]["FINISHED"], 0);
    let places = VertexTaskManagersInfo::of(now, job, vertex);
    let places = assert_shape(places, recorded!("vertex_taskmanagers"));
    assert_eq!(places["taskmanagers"].as_array().unwrap().len(), 2);
    assert_eq!(places["taskmanagers"][1]["status-counts"]["RUNNING"], 1);
}

#[test]
fn backpressure_and_accumulators_have_flinks_shape() {
    let view = testing::view();
    let (now, job, vertex) = (view.now, &view.jobs[0], source(&view));
    let rate = Rate { backpressured: 600.0, busy: 100.0, ..Rate::default() };
    let pressure = VertexBackPressure::of(now, &[rate, Rate::default()]);
    let pressure = assert_shape(pressure, recorded!("backpressure"));
    assert_eq!(
        (&pressure["backpressure-level"], &pressure["subtasks"][1]["ratio"]),
        (&"high".into(), &0.0.into())
    );
    assert_eq!(pressure["subtasks"][0]["idleRatio"], 0.3);
    for task in job.tasks.values() {
        task.metrics.accumulators.long_counter("seen").unwrap().add(2);
    }
    let all = VertexAccumulatorsInfo::of(now, job, vertex);
    let all = assert_shape(all, recorded!("vertex_accumulators"));
    assert_eq!(all["user-accumulators"][0]["value"], "4");
    let each = SubtasksAccumulatorsInfo::of(now, job, vertex);
    assert_shape(each, recorded!("subtasks_accumulators"));
    let one = AttemptAccumulatorsInfo::find(job, vertex, 0).unwrap();
    assert_shape(one, recorded!("attempt_accumulators"));
}

#[test]
fn a_checkpoints_subtasks_have_flinks_shape() {
    let view = testing::view();
    let (job, vertex) = (&view.jobs[0], source(&view).id);
    let details = VertexCheckpointDetails::find(job, 1, vertex).unwrap();
    let details = assert_shape(details, recorded!("checkpoint_subtasks"));
    assert_eq!(details["subtasks"].as_array().unwrap().len(), 2);
    assert_eq!(details["summary"]["checkpointed_size"]["max"], 100);
    let parts = job.description.graph.vertices.iter();
    let pending = parts.map(|vertex| {
        let details = VertexCheckpointDetails::find(job, 4, vertex.id);
        let details = serde_json::to_value(details).unwrap();
        details["subtasks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|task| task["className"] == "pending")
            .count()
    });
    assert_eq!(pending.sum::<usize>(), 3);
    assert!(VertexCheckpointDetails::find(job, 99, vertex).is_none());
}
