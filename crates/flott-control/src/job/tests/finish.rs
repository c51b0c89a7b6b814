//! Jobs that come to their end.

use super::*;

#[test]
fn a_job_is_finished_when_all_tasks_are() {
    let mut f = Fixture::running(&[("interval", "")]);
    assert_eq!(f.feed(finished(0, "s0")), [""; 0]);
    assert_eq!(f.feed(finished(0, "k0")), ["over", "RUNNING > FINISHED", "ended Finished"]);
    assert_eq!(f.states(), ["k0 (1/1) FINISHED", "s0 (1/1) FINISHED"]);
}

#[test]
fn the_final_checkpoint_lets_the_tasks_finish_and_is_deleted_with_the_job() {
    let mut f = Fixture::running(&[]);
    f.feed(end_of_data(0, "s0"));
    assert_eq!(f.feed(end_of_data(0, "k0")), ["prepare 1"]);
    f.feed(prepared(1));
    f.feed(ack(0, 1, "s0"));
    f.feed(ack(0, 1, "k0"));
    assert_eq!(f.feed(persisted(1)), ["complete 1 @0", "completed 1"]);
    f.feed(finished(0, "s0"));
    assert_eq!(
        f.feed(finished(0, "k0")),
        ["over", "discard chk-1", "RUNNING > FINISHED", "ended Finished"]
    );
}

#[test]
fn a_job_finishes_only_when_it_is_known_what_became_of_a_checkpoint() {
    let mut f = Fixture::writing(&[]);
    f.feed(unknown(1));
    f.feed(finished(0, "s0"));
    assert_eq!(f.feed(finished(0, "k0")), [""; 0]);
    assert_eq!(f.status(), "RUNNING");
    let late = JobInput::DeploymentFailed {
        attempt: AttemptNumber(0),
        failure: Failure::new("too late to matter"),
    };
    assert_eq!(f.feed(late), [""; 0]);
    assert_eq!(
        f.feed(persisted(1)),
        [
            "complete 1 @0",
            "completed 1",
            "over",
            "discard chk-1",
            "RUNNING > FINISHED",
            "ended Finished"
        ]
    );
}

#[test]
fn tasks_may_finish_before_others_run() {
    let mut f = Fixture::started(&[("interval", "")]);
    f.feed(finished(0, "s0"));
    assert_eq!(f.feed(finished(0, "k0")), ["over", "RUNNING > FINISHED", "ended Finished"]);
}
