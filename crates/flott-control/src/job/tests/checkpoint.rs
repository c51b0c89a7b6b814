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
