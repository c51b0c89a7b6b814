//! Workers of a JobManager that is lost.

use super::*;

/// The placement of the next JobManager: workers 0 and 1 of `deployed` are to come back.
fn reattaching() -> Placement {
    let before = deployed();
    let mut placement = Placement::new(&graph(2, None), WorkerId(100));
    placement.reattach(AttemptNumber(0), before.deployed.tasks.clone());
    assert!(effects(&mut placement).is_empty());
    placement
}

fn returned(placement: &mut Placement, worker: u32, attempt: u32, newest: u64) {
    let (attempt, newest) = (AttemptNumber(attempt), CheckpointId(newest));
    let standing = StandingSummary { attempt, newest, is_drained: false };
    placement.handle(PlacementInput::WorkerReturned { worker: WorkerId(worker), standing });
}

fn kept(placement: &mut Placement, worker: u32, task_manager: TaskManagerId) {
    let worker = WorkerId(worker);
    placement.handle(PlacementInput::WorkerKept { worker, task_manager });
}

#[test]
fn a_job_goes_on_when_all_workers_and_their_task_managers_are_back() {
    let mut placement = reattaching();
    returned(&mut placement, 0, 0, 7);
    kept(&mut placement, 1, B);
    kept(&mut placement, 0, A);
    assert!(effects(&mut placement).is_empty());
    returned(&mut placement, 1, 0, 5);
    let all = effects(&mut placement);
    assert_eq!(
        all,
        ["Reattached { attempt: AttemptNumber(0), newest: CheckpointId(7) }"],
        "the newest of all"
    );
    // From here on they are workers like any other.
    cancel_all(&mut placement, AttemptNumber(0));
    assert_eq!(effects(&mut placement), ["cancel 4 0"]);
    deploy_all(&mut placement, AttemptNumber(1));
    assert_eq!(effects(&mut placement), ["deploying 1", "deploy 1 {0: 2, 1: 2}"]);
}

#[test]
fn a_worker_of_another_attempt_is_of_no_use() {
    let mut placement = reattaching();
    returned(&mut placement, 0, 3, 7);
    kept(&mut placement, 0, A);
    assert_eq!(effects(&mut placement), ["NotReattached { attempt: AttemptNumber(0) }"]);
    cancel_all(&mut placement, AttemptNumber(0));
    let all = effects(&mut placement);
    assert_eq!(all[0], "stop 0 on 1");
    assert_eq!(all.iter().filter(|effect| *effect == "canceled 0").count(), 4);
    deploy_all(&mut placement, AttemptNumber(1));
    assert_eq!(effects(&mut placement), ["request 1"], "it has a slot on A");
}

#[test]
fn a_worker_that_comes_too_late_is_sent_away_and_its_slots_are_given_back() {
    let mut placement = reattaching();
    cancel_all(&mut placement, AttemptNumber(0));
    deploy_all(&mut placement, AttemptNumber(1));
    effects(&mut placement);
    returned(&mut placement, 1, 0, 7);
    assert_eq!(effects(&mut placement), ["stop 1 on any"]);
    kept(&mut placement, 1, B);
    assert_eq!(effects(&mut placement), ["stop 1 on 2", "return 1 on 2"]);
    placement.handle(PlacementInput::SlotsGranted { slots: vec![A, A] });
    assert_eq!(effects(&mut placement), ["start 100 on 1"], "no number comes twice");
}

#[test]
fn a_new_attempt_waits_for_nobody() {
    let mut placement = reattaching();
    kept(&mut placement, 0, A);
    deploy_all(&mut placement, AttemptNumber(1));
    assert_eq!(effects(&mut placement), ["stop 0 on 1", "stop 1 on any", "request 1"]);
}

#[test]
fn a_worker_or_task_manager_that_is_lost_while_it_is_waited_for_is_a_failure() {
    let mut placement = reattaching();
    kept(&mut placement, 0, A);
    let why = "closed".to_owned();
    placement.handle(PlacementInput::TaskManagerLost { task_manager: A, why });
    assert_eq!(effects(&mut placement), ["failed 0 the TaskManager is lost: closed"; 2]);
    let failure = Failure::new("killed");
    placement.handle(PlacementInput::WorkerLost { worker: WorkerId(1), failure });
    let all = effects(&mut placement);
    assert_eq!(all[..3], ["stop 1 on any", "failed 0 killed", "failed 0 killed"]);
    assert!(all[3].starts_with("Reattached"), "nobody is waited for any more");
}

#[test]
fn what_could_not_be_said_was_not_deployed() {
    let mut placement = deployed();
    let failure = Failure::new("no room for the record");
    let attempt = AttemptNumber(0);
    placement.handle(PlacementInput::NotDeployed { attempt, failure });
    assert_eq!(effects(&mut placement), ["no room for the record"]);
    cancel_all(&mut placement, attempt);
    assert_eq!(effects(&mut placement), ["canceled 0"; 4], "nobody else would say so");
}
