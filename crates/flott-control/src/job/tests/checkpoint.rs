//! Checkpoints of a job, as its master sees them.

use super::*;

#[test]
fn a_requested_checkpoint_is_answered() {
    let mut f = Fixture::running(&[]);
    assert_eq!(f.feed(JobInput::CheckpointRequested { request: 4 }), ["prepare 1"]);
    f.feed(prepared(1));
    f.feed(ack(0, 1, "s0"));
    f.feed(ack(0, 1, "k0"));
    assert_eq!(
        f.feed(persisted(1)),
        ["complete 1 @0", "completed 1", "answer #4: Ok(CheckpointId(1))"]
    );
}

#[test]
fn a_request_of_a_job_that_restarts_is_refused() {
    let mut f = Fixture::running(&[]);
    f.feed(failed(0, "s0"));
    assert_eq!(
        f.feed(JobInput::CheckpointRequested { request: 4 }),
        ["answer #4: Err(\"Not all required tasks are currently running.\")"]
    );
}

#[test]
fn an_acknowledgement_of_the_last_attempt_completes_nothing() {
    let mut f = Fixture::running(&[]);
    f.feed(failed(0, "s0"));
    f.feed(canceled(0, "k0"));
    f.tick(2_000);
    f.feed(running(1, "s0"));
    f.feed(running(1, "k0"));
    assert_eq!(f.tick(3_000), ["prepare 1"]);
    f.feed(prepared(1));
    f.feed(ack(0, 1, "s0"));
    f.feed(ack(0, 1, "k0"));
    assert_eq!(f.job.stale_messages(), 2);
    f.feed(ack(1, 1, "s0"));
    assert_eq!(f.feed(ack(1, 1, "k0")), ["persist 1"]);
}

fn stop(request: u64) -> JobInput {
    JobInput::StopRequested { request, drain: false, folder: "/sp".into() }
}

/// The savepoint is complete that the job stops with.
fn stopping() -> Fixture {
    let mut f = Fixture::running(&[]);
    assert_eq!(f.feed(stop(4)), ["prepare savepoint 1"]);
    f.feed(prepared(1));
    f.feed(ack(0, 1, "s0"));
    f.feed(ack(0, 1, "k0"));
    assert_eq!(f.feed(persisted(1)), ["complete 1 @0", "completed 1"]);
    f
}

#[test]
fn a_job_that_stops_is_finished_when_its_tasks_are() {
    let mut f = stopping();
    assert_eq!(f.feed(finished(0, "s0")), [""; 0]);
    assert_eq!(
        f.feed(finished(0, "k0")),
        [
            "over",
            "discard chk-1",
            "RUNNING > FINISHED",
            "answer #4: Ok(CheckpointId(1))",
            "ended Finished"
        ]
    );
}

#[test]
fn a_job_that_fails_while_it_stops_goes_on_from_the_savepoint() {
    let mut f = stopping();
    f.feed(finished(0, "s0"));
    let effects = f.feed(failed(0, "k0"));
    assert_eq!(effects, ["RUNNING > RESTARTING", "stop #4 failed after 1"]);
    assert_eq!(f.tick(2_000), ["RESTARTING > RUNNING", "deploy @1 from 1"]);
}
