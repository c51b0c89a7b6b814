//! Jobs that another JobManager has had.

use super::*;

/// Attempt 4 may run; its workers have 10 s to come back, to a JobManager that knows checkpoint 1.
fn reconciling() -> Fixture {
    let completed = Fixture::completed(&[]);
    let mut spec = spec(&[]);
    spec.restored = completed.job.coordinator().latest().cloned();
    spec.first_attempt = AttemptNumber(4);
    let attempts = spec.tasks.iter().map(|task| (task.info.id, AttemptNumber(4))).collect();
    spec.reattach = Some(Reattach { wait: Duration::from_secs(10), attempts });
    let mut f = Fixture::new(&[]);
    f.job = JobMaster::new(f.now(), spec, 1);
    assert_eq!(f.feed(JobInput::Start), ["INITIALIZING > RECONCILING", "reattach @4"]);
    assert_eq!(f.states(), ["k0 (1/1) DEPLOYING", "s0 (1/1) DEPLOYING"]);
    f
}

fn reattached(newest: u64) -> JobInput {
    let (attempt, newest) = (AttemptNumber(4), CheckpointId(newest));
    JobInput::Reattached { attempt, newest }
}

#[test]
fn a_job_whose_workers_are_back_goes_on_without_a_restart() {
    let mut f = reconciling();
    f.feed(running(4, "s0"));
    assert_eq!(f.feed(reattached(3)), [""; 0]);
    assert_eq!(
        f.feed(running(4, "k0")),
        [
            "RECONCILING > RUNNING",
            "all running @4",
            "complete 1 @4",
            "aborted 2 @4",
            "aborted 3 @4"
        ]
    );
    assert_eq!((f.job.num_restarts(), f.job.attempt()), (0, AttemptNumber(4)));
    assert_eq!(f.tick(1_000), ["prepare 4"], "no id comes twice");
    // From here on it is a job like any other.
    f.feed(failed(4, "k0"));
    f.feed(canceled(4, "s0"));
    assert_eq!(f.tick(4_000).last().unwrap(), "deploy @5 from 1");
}

#[test]
fn what_tasks_say_first_does_not_count_before_all_workers_are_back() {
    let mut f = reconciling();
    f.feed(running(4, "s0"));
    assert_eq!(f.feed(running(4, "k0")), [""; 0]);
    assert_eq!(f.status(), "RECONCILING");
    assert_eq!(f.feed(reattached(1))[0], "RECONCILING > RUNNING");
}

#[test]
fn workers_that_do_not_come_back_in_time_are_no_failure() {
    let mut f = reconciling();
    f.feed(running(4, "s0"));
    assert_eq!(f.job.poll_timeout().unwrap().0, MonoTime(10_000_000_000));
    assert_eq!(f.tick(10_000), ["RECONCILING > RESTARTING", "cancel tasks @4"]);
    f.feed(canceled(4, "k0"));
    assert_eq!(f.feed(canceled(4, "s0")), ["RESTARTING > RUNNING", "deploy @5 from 1"]);
    assert_eq!(f.job.num_restarts(), 0);
    assert!(f.job.exceptions().entries().next().is_none());
    assert_eq!(f.feed(reattached(9)), [""; 0], "too late");
    // The one before may have had checkpoints under way that nobody tells of.
    f.feed(running(5, "k0"));
    f.feed(running(5, "s0"));
    assert_eq!(f.tick(12_000), ["prepare 102"]);
}

#[test]
fn an_attempt_that_cannot_be_gone_on_with_is_replaced_at_once() {
    let mut f = reconciling();
    let attempt = AttemptNumber(4);
    let all = f.feed(JobInput::NotReattached { attempt });
    assert_eq!(all, ["RECONCILING > RESTARTING", "cancel tasks @4"]);
    assert_eq!(f.feed(JobInput::NotReattached { attempt }), [""; 0]);
}

#[test]
fn a_task_that_failed_meanwhile_is_a_failure_like_any_other() {
    let mut f = reconciling();
    assert_eq!(f.feed(failed(4, "s0")), ["RECONCILING > RESTARTING", "cancel tasks @4"]);
    assert_eq!(f.job.num_restarts(), 1);
    f.feed(canceled(4, "k0"));
    assert_eq!(f.tick(2_000), ["RESTARTING > RUNNING", "deploy @5 from 1"]);
}

#[test]
fn a_job_that_finished_meanwhile_needs_nobody_to_come_back() {
    let mut f = reconciling();
    f.feed(finished(4, "s0"));
    assert_eq!(f.feed(finished(4, "k0")).last().unwrap(), "ended Finished");
}

#[test]
fn tasks_that_finished_meanwhile_have_finished() {
    let mut f = reconciling();
    f.feed(reattached(1));
    f.feed(running(4, "s0"));
    f.feed(end_of_data(4, "s0"));
    f.feed(finished(4, "s0"));
    let all = f.feed(finished(4, "k0"));
    assert_eq!(all[0], "RECONCILING > RUNNING");
    assert_eq!(all.last().unwrap(), "ended Finished");
}

#[test]
fn a_cancelled_job_waits_for_nobody() {
    let mut f = reconciling();
    let all = f.feed(JobInput::Cancel);
    assert_eq!(all, ["RECONCILING > CANCELLING", "cancel tasks @4"]);
    f.feed(canceled(4, "s0"));
    let all = f.feed(canceled(4, "k0"));
    assert_eq!(all, ["over", "CANCELLING > CANCELED", "ended Canceled"]);
}
