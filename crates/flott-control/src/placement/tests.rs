//! From a wish to deploy to workers that are told so, and back.

mod returned;

use flott_core::config::Configuration;
use flott_plan::{NodeKind, Partitioning, StreamEdge, StreamGraph, StreamNode};

use super::*;

const A: TaskManagerId = TaskManagerId(1);
const B: TaskManagerId = TaskManagerId(2);

/// A source with two subtasks, and behind a shuffle an operator with `parallelism`.
fn graph(parallelism: u32, group: Option<&str>) -> JobGraph {
    let mut graph = StreamGraph::new();
    let mut source = StreamNode::new("source", NodeKind::Source);
    source.parallelism = Some(2);
    let mut sink = StreamNode::new("sink", NodeKind::Sink);
    sink.parallelism = Some(parallelism);
    sink.slot_sharing_group = group.map(str::to_owned);
    let (source, target) = (graph.add_node(source), graph.add_node(sink));
    let partitioning = Some(Partitioning::Rebalance);
    graph.add_edge(StreamEdge { partitioning, ..StreamEdge::new(source, target) });
    JobGraph::build(&graph, &Configuration::new()).unwrap()
}

fn effects(placement: &mut Placement) -> Vec<String> {
    let text = |effect| match effect {
        PlacementEffect::RequestSlots { count } => format!("request {count}"),
        PlacementEffect::StartWorker { task_manager, worker } => {
            format!("start {} on {}", worker.0, task_manager.0)
        }
        PlacementEffect::StopWorker { task_manager, worker } => {
            let task_manager = task_manager.map(|id| id.0.to_string());
            format!("stop {} on {}", worker.0, task_manager.as_deref().unwrap_or("any"))
        }
        PlacementEffect::Deploy { attempt, tasks, .. } => {
            let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
            let begin = tasks.values().filter(|owner| owner.attempt == attempt);
            begin.for_each(|owner| *counts.entry(owner.worker.0).or_default() += 1);
            format!("deploy {attempt} {counts:?}")
        }
        PlacementEffect::CancelTasks { attempt, tasks } => {
            format!("cancel {} {attempt}", tasks.len())
        }
        PlacementEffect::Job(JobInput::TaskFailed { attempt, failure, .. }) => {
            format!("failed {attempt} {}", failure.message)
        }
        PlacementEffect::Job(JobInput::TaskCanceled { attempt, .. }) => {
            format!("canceled {attempt}")
        }
        PlacementEffect::Job(JobInput::DeploymentFailed { failure, .. }) => failure.message,
        PlacementEffect::Job(JobInput::Deploying { attempt }) => format!("deploying {attempt}"),
        PlacementEffect::Job(other) => format!("{other:?}"),
        PlacementEffect::ReturnSlots { task_manager, count } => {
            format!("return {count} on {}", task_manager.0)
        }
        PlacementEffect::ReleaseSlots => "release".into(),
    };
    std::iter::from_fn(|| placement.poll_effect()).map(text).collect()
}

fn deploy_all(placement: &mut Placement, attempt: AttemptNumber) {
    let tasks = placement.tasks.keys().copied().collect();
    placement.deploy(attempt, tasks, None);
}

fn cancel_all(placement: &mut Placement, attempt: AttemptNumber) {
    let tasks = placement.tasks.keys().copied().collect();
    placement.cancel(attempt, tasks);
}

fn ready(placement: &mut Placement, worker: u32) {
    placement.handle(PlacementInput::WorkerReady { worker: WorkerId(worker) });
}

/// Deployed with one slot on each of two TaskManagers.
fn deployed() -> Placement {
    let mut placement = Placement::new(&graph(2, None), WorkerId(0));
    deploy_all(&mut placement, AttemptNumber(0));
    placement.handle(PlacementInput::SlotsGranted { slots: vec![A, B] });
    ready(&mut placement, 0);
    ready(&mut placement, 1);
    effects(&mut placement);
    placement
}

#[test]
fn a_job_needs_the_slots_of_its_widest_vertex_in_each_group() {
    assert_eq!(Placement::new(&graph(3, None), WorkerId(0)).slots_needed(), 3);
    assert_eq!(Placement::new(&graph(3, Some("other")), WorkerId(0)).slots_needed(), 5);
}

#[test]
fn slots_then_workers_then_tasks() {
    let mut placement = Placement::new(&graph(3, None), WorkerId(0));
    deploy_all(&mut placement, AttemptNumber(0));
    assert_eq!(effects(&mut placement), ["request 3"]);
    placement.handle(PlacementInput::SlotsGranted { slots: vec![A, A, B] });
    assert_eq!(effects(&mut placement), ["start 0 on 1", "start 1 on 2"]);
    ready(&mut placement, 1);
    assert!(effects(&mut placement).is_empty());
    ready(&mut placement, 0);
    // Two subtasks of both vertices on A; the third of the sink on B.
    assert_eq!(effects(&mut placement), ["deploying 0", "deploy 0 {0: 4, 1: 1}"]);
}

#[test]
fn what_is_left_is_told_the_next_attempt() {
    let mut placement = deployed();
    let failure = Failure::new("killed");
    placement.handle(PlacementInput::WorkerLost { worker: WorkerId(1), failure });
    assert_eq!(effects(&mut placement), ["stop 1 on 2", "failed 0 killed", "failed 0 killed"]);
    cancel_all(&mut placement, AttemptNumber(0));
    assert_eq!(effects(&mut placement), ["cancel 4 0"]);
    deploy_all(&mut placement, AttemptNumber(1));
    assert_eq!(effects(&mut placement), ["start 2 on 2"]);
    ready(&mut placement, 2);
    assert_eq!(effects(&mut placement), ["deploying 1", "deploy 1 {0: 2, 2: 2}"]);
}

#[test]
fn what_is_not_of_the_failed_region_stays_where_it_is() {
    let mut placement = deployed();
    let region: BTreeSet<TaskId> =
        placement.tasks.keys().copied().filter(|task| task.subtask == 1).collect();
    let others = placement.tasks.len() - region.len();
    let failure = Failure::new("killed");
    placement.handle(PlacementInput::WorkerLost { worker: WorkerId(1), failure });
    effects(&mut placement);
    placement.deploy(AttemptNumber(1), region.clone(), None);
    ready(&mut placement, 2);
    let told = std::iter::from_fn(|| placement.poll_effect()).last();
    let Some(PlacementEffect::Deploy { tasks, .. }) = told else { panic!("{told:?}") };
    let of = |attempt, worker| {
        let owner = Assignment { worker: WorkerId(worker), attempt: AttemptNumber(attempt) };
        tasks.values().filter(|assigned| **assigned == owner).count()
    };
    assert_eq!((of(0, 0), of(1, 2)), (others, region.len()));
    // A worker that is lost then names each task's own attempt.
    let failure = Failure::new("killed");
    placement.handle(PlacementInput::WorkerLost { worker: WorkerId(0), failure });
    assert_eq!(effects(&mut placement)[1..], ["failed 0 killed", "failed 0 killed"]);
    // What could not be told is not there; the others still are.
    placement.deploy(AttemptNumber(2), region.clone(), None);
    ready(&mut placement, 3);
    let (attempt, failure) = (AttemptNumber(2), Failure::new("no room for the record"));
    placement.handle(PlacementInput::NotDeployed { attempt, failure });
    effects(&mut placement);
    cancel_all(&mut placement, attempt);
    let all = effects(&mut placement);
    assert_eq!(all, ["canceled 2", "canceled 2", "cancel 2 2"]);
}

#[test]
fn a_lost_task_manager_is_replaced() {
    let mut placement = deployed();
    let why = "closed".to_owned();
    placement.handle(PlacementInput::TaskManagerLost { task_manager: A, why });
    assert_eq!(effects(&mut placement), ["failed 0 the TaskManager is lost: closed"; 2]);
    deploy_all(&mut placement, AttemptNumber(1));
    assert_eq!(effects(&mut placement), ["request 1"]);
    placement.handle(PlacementInput::SlotsGranted { slots: vec![B] });
    assert_eq!(effects(&mut placement), ["deploying 1", "deploy 1 {1: 4}"]);
}

#[test]
fn a_worker_that_does_not_come_up_is_a_failure_of_the_job() {
    let mut placement = Placement::new(&graph(2, None), WorkerId(0));
    deploy_all(&mut placement, AttemptNumber(0));
    placement.handle(PlacementInput::SlotsGranted { slots: vec![A, A] });
    let failure = Failure::new("no such library");
    placement.handle(PlacementInput::WorkerLost { worker: WorkerId(0), failure });
    let all = effects(&mut placement);
    assert_eq!(all[2..], ["stop 0 on 1", "no such library"]);
    // The master then cancels what was never deployed.
    cancel_all(&mut placement, AttemptNumber(0));
    assert_eq!(effects(&mut placement), ["canceled 0"; 4]);
    deploy_all(&mut placement, AttemptNumber(1));
    assert_eq!(effects(&mut placement), ["start 1 on 1"]);
}

#[test]
fn a_job_that_gets_no_slots_is_told_so() {
    let mut placement = Placement::new(&graph(2, None), WorkerId(0));
    deploy_all(&mut placement, AttemptNumber(0));
    placement.handle(PlacementInput::SlotsRefused { message: "2 are missing".into() });
    assert_eq!(effects(&mut placement), ["request 2", "2 are missing"]);
    cancel_all(&mut placement, AttemptNumber(0));
    deploy_all(&mut placement, AttemptNumber(1));
    assert_eq!(effects(&mut placement).last().unwrap(), "request 2");
    placement.handle(PlacementInput::End);
    assert_eq!(effects(&mut placement), ["release"]);
}
