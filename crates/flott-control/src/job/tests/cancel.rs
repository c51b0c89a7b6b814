//! Cancelling a job, wherever it is.

use super::*;

#[test]
fn a_running_job_is_canceled_when_its_tasks_are_out() {
    let mut f = Fixture::completed(&[]);
    assert_eq!(f.feed(JobInput::Cancel), ["RUNNING > CANCELLING", "cancel tasks @0"]);
    assert_eq!(f.feed(JobInput::Cancel), [""; 0]);
    assert_eq!(f.feed(canceled(0, "s0")), [""; 0]);
    assert_eq!(
        f.feed(canceled(0, "k0")),
        ["over", "CANCELLING > CANCELED", "ended Canceled"],
        "the checkpoint is kept"
    );
    assert_eq!(f.job.coordinator().latest().unwrap().checkpoint, CheckpointId(1));
    assert_eq!(f.feed(JobInput::Cancel), [""; 0]);
}

#[test]
fn what_a_completed_record_names_is_committed_before_the_tasks_are_cancelled() {
    let mut f = Fixture::writing(&[]);
    assert_eq!(f.feed(JobInput::Cancel), ["RUNNING > CANCELLING"]);
    assert_eq!(f.feed(unknown(1)), [""; 0]);
    assert_eq!(f.tick(1_100), ["persist 1"]);
    assert_eq!(f.feed(persisted(1)), ["complete 1 @0", "completed 1", "cancel tasks @0"]);
}

#[test]
fn a_record_that_was_not_written_does_not_hold_up_the_cancel() {
    let mut f = Fixture::writing(&[]);
    f.feed(JobInput::Cancel);
    let not_written =
        JobInput::MetadataFailed { checkpoint: CheckpointId(1), message: "disk full".into() };
    assert_eq!(
        f.feed(not_written),
        ["aborted 1 @0", "failed 1 FinalizeCheckpointFailure", "discard chk-1", "cancel tasks @0"]
    );
}

#[test]
fn a_job_that_was_never_started_is_canceled_at_once() {
    let mut f = Fixture::new(&[]);
    assert_eq!(
        f.feed(JobInput::Cancel),
        ["INITIALIZING > CANCELLING", "over", "CANCELLING > CANCELED", "ended Canceled"]
    );
    assert_eq!(f.feed(JobInput::Start), [""; 0]);
}

#[test]
fn a_restarting_job_is_canceled_without_another_deployment() {
    let mut f = Fixture::running(&[]);
    f.feed(failed(0, "s0"));
    assert_eq!(f.feed(JobInput::Cancel), ["RESTARTING > CANCELLING"]);
    assert_eq!(f.tick(60_000), [""; 0]);
    assert_eq!(f.feed(canceled(0, "k0")), ["over", "CANCELLING > CANCELED", "ended Canceled"]);
}

#[test]
fn a_failing_job_can_be_canceled() {
    let mut f = Fixture::running(&[]);
    let failure = Failure { suppresses_restarts: true, ..Failure::new("broken") };
    f.feed(JobInput::DeploymentFailed { attempt: AttemptNumber(0), failure });
    assert_eq!(f.feed(JobInput::Cancel), ["FAILING > CANCELLING"]);
    f.feed(canceled(0, "s0"));
    assert_eq!(f.feed(canceled(0, "k0")), ["over", "CANCELLING > CANCELED", "ended Canceled"]);
}

#[test]
fn a_task_that_fails_while_it_is_cancelled_is_out_like_any_other() {
    let mut f = Fixture::running(&[]);
    f.feed(JobInput::Cancel);
    f.feed(failed(0, "s0"));
    assert_eq!(f.feed(finished(0, "k0")), ["over", "CANCELLING > CANCELED", "ended Canceled"]);
    assert_eq!(f.job.exceptions().entries().len(), 0);
}

#[test]
fn a_finished_job_stays_finished() {
    let mut f = Fixture::running(&[("interval", "")]);
    f.feed(finished(0, "s0"));
    f.feed(finished(0, "k0"));
    assert_eq!(f.feed(JobInput::Cancel), [""; 0]);
    assert_eq!(f.status(), "FINISHED");
}
