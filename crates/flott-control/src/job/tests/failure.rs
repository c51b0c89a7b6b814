//! Failures, restarts, and giving up.

use flott_checkpoint::DeclineReason;

use super::*;

#[test]
fn a_failed_task_restarts_the_job_from_the_latest_checkpoint() {
    let mut f = Fixture::completed(&[]);
    assert_eq!(f.feed(failed(0, "s0")), ["RUNNING > RESTARTING", "cancel tasks @0"]);
    assert_eq!(f.states(), ["k0 (1/1) CANCELING", "s0 (1/1) FAILED"]);
    assert_eq!(f.feed(canceled(0, "k0")), [""; 0]);
    assert_eq!(f.job.poll_timeout().unwrap(), (MonoTime(3_000_000_000), "restart delay"));
    assert_eq!(f.tick(3_000), ["RESTARTING > RUNNING", "deploy @1 from 1"]);
    assert_eq!(f.job.num_restarts(), 1);
    assert_eq!(f.job.attempt(), AttemptNumber(1));
    f.feed(running(1, "s0"));
    f.feed(running(1, "k0"));
    assert_eq!(f.tick(4_000), ["prepare 2"]);
}

#[test]
fn the_restart_waits_until_every_task_is_out() {
    let mut f = Fixture::running(&[]);
    f.feed(failed(0, "s0"));
    assert_eq!(f.tick(60_000), [""; 0]);
    assert_eq!(f.job.poll_timeout(), None, "nothing to wait for but the task");
    assert_eq!(f.feed(canceled(0, "k0")), ["RESTARTING > RUNNING", "deploy @1 from nothing"]);
}

#[test]
fn the_restart_waits_until_it_is_known_whether_a_checkpoint_exists() {
    let mut f = Fixture::writing(&[]);
    f.feed(failed(0, "s0"));
    f.feed(unknown(1));
    f.feed(canceled(0, "k0"));
    assert_eq!(f.tick(60_000), ["persist 1"]);
    assert_eq!(
        f.feed(persisted(1)),
        ["complete 1 @0", "completed 1", "RESTARTING > RUNNING", "deploy @1 from 1"]
    );
}

#[test]
fn an_open_checkpoint_dies_with_the_attempt() {
    let mut f = Fixture::running(&[]);
    f.tick(1_000);
    f.feed(prepared(1));
    assert_eq!(
        f.feed(failed(0, "s0")),
        [
            "RUNNING > RESTARTING",
            "cancel tasks @0",
            "aborted 1 @0",
            "failed 1 CheckpointCoordinatorSuspend",
            "discard chk-1",
        ]
    );
}

#[test]
fn other_failures_of_the_same_restart_are_attached_and_cost_no_attempt() {
    let mut f = Fixture::running(&[]);
    f.feed(failed(0, "s0"));
    assert_eq!(f.feed(failed(0, "k0")), [""; 0]);
    assert_eq!(f.feed(failed(0, "k0")), [""; 0], "it is out already");
    assert_eq!(f.job.num_restarts(), 1);
    let entries: Vec<_> = f.job.exceptions().entries().collect();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].task_name.as_deref(), Some("s0 (1/1) - execution #0"));
    assert_eq!(entries[0].failure.message, "s0 broke\nCaused by: bad luck");
    assert_eq!(entries[0].concurrent.len(), 1);
    assert_eq!(entries[0].concurrent[0].task, Some(task("k0")));
}

#[test]
fn the_history_is_bounded_and_newest_first() {
    let mut f = Fixture::running(&[]);
    for attempt in 0..3 {
        f.feed(failed(attempt, "s0"));
        f.feed(canceled(attempt, "k0"));
        f.tick(f.millis + 2_000);
    }
    let attempts: Vec<_> = f.job.exceptions().entries().map(|entry| entry.attempt.0).collect();
    assert_eq!(attempts, [2, 1]);
    assert!(f.job.exceptions().is_truncated());
}

#[test]
fn when_the_strategy_gives_up_the_job_fails_with_the_cause() {
    let mut f = Fixture::running(&[]);
    for attempt in 0..2 {
        f.feed(failed(attempt, "s0"));
        f.feed(canceled(attempt, "k0"));
        f.tick(f.millis + 2_000);
    }
    assert_eq!(f.feed(failed(2, "s0")), ["RUNNING > FAILING", "cancel tasks @2"]);
    assert_eq!(f.status(), "FAILING");
    assert_eq!(
        f.feed(canceled(2, "k0")),
        [
            "over",
            "FAILING > FAILED",
            "ended Failed: Recovery is suppressed by Restart with fixed delay (PT2S). #2 restart \
             attempts.\nCaused by: s0 broke\nCaused by: bad luck",
        ]
    );
    assert_eq!(f.status(), "FAILED");
    assert_eq!(f.job.num_restarts(), 2);
}

#[test]
fn a_failure_that_no_restart_can_cure_fails_the_job_at_once() {
    let mut f = Fixture::started(&[]);
    let failure = Failure { suppresses_restarts: true, ..Failure::new("the state does not fit") };
    assert_eq!(
        f.feed(JobInput::DeploymentFailed { attempt: AttemptNumber(0), failure }),
        ["RUNNING > FAILING", "cancel tasks @0"]
    );
    f.feed(canceled(0, "s0"));
    assert_eq!(
        f.feed(canceled(0, "k0"))[2],
        "ended Failed: The failure is not recoverable\nCaused by: the state does not fit"
    );
}

#[test]
fn too_many_failed_checkpoints_restart_the_job() {
    let mut f = Fixture::running(&[("tolerable-failed-checkpoints", "0")]);
    f.tick(1_000);
    f.feed(prepared(1));
    let decline = JobInput::Decline {
        attempt: AttemptNumber(0),
        checkpoint: CheckpointId(1),
        task: task("s0"),
        reason: DeclineReason::AsyncException,
        message: "no space".into(),
    };
    assert_eq!(
        f.feed(decline),
        [
            "aborted 1 @0",
            "failed 1 CheckpointAsyncException",
            "discard chk-1",
            "RUNNING > RESTARTING",
            "cancel tasks @0",
        ]
    );
    let entry = f.job.exceptions().entries().next().unwrap();
    assert_eq!(entry.task, None);
    assert!(entry.failure.message.contains("tolerable failure threshold"), "{entry:?}");
}

#[test]
fn a_task_that_is_canceled_unasked_is_a_failure() {
    let mut f = Fixture::running(&[]);
    assert_eq!(f.feed(canceled(0, "s0")), ["RUNNING > RESTARTING", "cancel tasks @0"]);
    let entry = f.job.exceptions().entries().next().unwrap();
    assert_eq!(entry.failure.message, "task s0 (1/1) was canceled unexpectedly");
}

#[test]
fn a_task_that_fails_while_others_are_deployed_restarts_the_job() {
    let mut f = Fixture::started(&[]);
    f.feed(running(0, "s0"));
    assert_eq!(f.feed(failed(0, "k0")), ["RUNNING > RESTARTING", "cancel tasks @0"]);
    assert_eq!(f.feed(running(0, "s0")), [""; 0]);
    assert_eq!(f.states()[1], "s0 (1/1) CANCELING", "a late report does not revive it");
    f.feed(finished(0, "s0"));
    assert_eq!(f.tick(2_000), ["RESTARTING > RUNNING", "deploy @1 from nothing"]);
}
