//! Stopping between two attempts.

use super::*;

#[test]
fn stopping_aborts_what_is_open_without_counting_it() {
    let mut f = Fixture::triggered(&[("tolerable-failed-checkpoints", "0")]);
    f.feed(requested(7));
    assert_eq!(
        f.feed(Input::Stop),
        [
            "answer #7: Checkpoint Coordinator is suspending.",
            "aborted 1 @0 [k0 s0 s1]",
            "failed 1 CheckpointCoordinatorSuspend",
            "discard chk-1",
        ]
    );
    assert_eq!(f.timeout(), None);
    assert!(f.coordinator.is_settled());
}

#[test]
fn a_record_that_is_being_written_survives_the_stop() {
    let mut f = Fixture::writing(&[]);
    assert_eq!(f.feed(Input::Stop), [""; 0]);
    assert!(!f.coordinator.is_settled());
    f.feed(unknown(1));
    assert_eq!(f.timeout(), Some((1_100, "metadata write again")));
    assert_eq!(f.tick(1_100), ["persist 1"]);
    assert_eq!(f.feed(persisted(1)), ["complete 1 @0 [k0 s0 s1]", "completed 1"]);
    assert_eq!(f.coordinator.latest().unwrap().checkpoint, CheckpointId(1));
}

#[test]
fn a_record_that_fails_after_the_stop_does_not_fail_the_job_again() {
    let mut f = Fixture::writing(&[("tolerable-failed-checkpoints", "0")]);
    f.feed(Input::Stop);
    assert_eq!(
        f.feed(write_failed(1)),
        ["aborted 1 @0 [k0 s0 s1]", "failed 1 FinalizeCheckpointFailure", "discard chk-1"]
    );
}

#[test]
fn the_next_attempt_begins_its_own_period() {
    let mut f = Fixture::completed(&[]);
    f.feed(Input::Stop);
    f.millis = 5_500;
    f.feed(tasks_running(1));
    assert_eq!(f.timeout(), Some((6_500, "periodic checkpoint")));
    assert_eq!(f.tick(6_500), ["prepare 2"]);
    assert_eq!(f.feed(prepared(2)), ["trigger 2 @1 [s0 s1]"]);
}
