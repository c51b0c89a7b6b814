//! When a checkpoint is triggered, and when not.

use super::*;

#[test]
fn the_first_trigger_comes_one_interval_after_all_tasks_run() {
    let mut f = Fixture::running(&[]);
    assert_eq!(f.timeout(), Some((1_000, "periodic checkpoint")));
    assert_eq!(f.tick(999), [""; 0]);
    assert_eq!(f.tick(1_000), ["prepare 1"]);
    assert_eq!(f.feed(prepared(1)), ["trigger 1 @0 [s0 s1]"]);
    assert_eq!(f.pending(), [1]);
}

#[test]
fn without_an_interval_nothing_is_triggered() {
    let mut f = Fixture::new(&[("interval", "")]);
    f.feed(tasks_running(0));
    assert_eq!(f.timeout(), None);
    assert_eq!(f.tick(1_000_000), [""; 0]);
}

#[test]
fn the_period_does_not_drift_when_a_trigger_is_late() {
    let mut f = Fixture::running(&[]);
    assert_eq!(f.tick(1_700), ["prepare 1"]);
    f.complete(1);
    assert_eq!(f.timeout(), Some((2_000, "periodic checkpoint")));
    assert_eq!(f.tick(2_000), ["prepare 2"]);
}

#[test]
fn targets_missed_during_a_long_checkpoint_are_made_up_for_once() {
    let mut f = Fixture::triggered(&[]);
    assert_eq!(f.tick(2_000), [""; 0]);
    assert_eq!(f.tick(3_000), [""; 0]);
    f.tick(3_400);
    for task in ["s0", "s1", "k0"] {
        f.feed(ack(1, task));
    }
    assert_eq!(f.feed(persisted(1)).last().unwrap(), "prepare 2");
    f.complete(2);
    assert_eq!(f.timeout(), Some((4_000, "periodic checkpoint")));
    assert!(f.pending().is_empty());
}

#[test]
fn a_trigger_waits_for_the_pause_after_a_completion() {
    let mut f = Fixture::running(&[("min-pause", "800 ms")]);
    f.tick(1_000);
    f.millis = 1_500;
    f.complete(1);
    assert_eq!(f.tick(2_000), [""; 0]);
    assert_eq!(f.timeout(), Some((2_300, "periodic checkpoint")));
    assert_eq!(f.tick(2_300), ["prepare 2"]);
    assert_eq!(f.timeout().unwrap().0, 3_300, "the period goes on from there");
}

#[test]
fn no_more_than_max_concurrent_are_under_way() {
    let mut f = Fixture::triggered(&[("max-concurrent-checkpoints", "2")]);
    assert_eq!(f.tick(2_000), ["prepare 2"]);
    assert_eq!(f.feed(prepared(2)), ["trigger 2 @0 [s0 s1]"]);
    assert_eq!(f.tick(3_000), [""; 0]);
    assert_eq!(f.pending(), [1, 2]);
}

#[test]
fn one_checkpoint_at_a_time_is_in_its_triggering_phase() {
    let mut f = Fixture::running(&[("max-concurrent-checkpoints", "2")]);
    assert_eq!(f.tick(1_000), ["prepare 1"]);
    assert_eq!(f.tick(2_000), [""; 0]);
    assert_eq!(f.feed(prepared(1)), ["trigger 1 @0 [s0 s1]", "prepare 2"]);
}

#[test]
fn a_folder_that_cannot_be_created_fails_the_checkpoint() {
    let mut f = Fixture::running(&[]);
    f.tick(1_000);
    let failed = Input::LocationFailed { checkpoint: CheckpointId(1), message: "denied".into() };
    assert_eq!(f.feed(failed), ["failed 1 IoException", "discard chk-1"]);
    assert!(f.pending().is_empty());
}

#[test]
fn a_folder_created_after_the_abort_is_discarded() {
    let mut f = Fixture::running(&[]);
    f.tick(1_000);
    f.feed(Input::Stop);
    assert_eq!(f.feed(prepared(1)), ["discard chk-1"]);
}

#[test]
fn a_second_report_of_a_folder_changes_nothing() {
    let mut f = Fixture::completed(&[]);
    assert_eq!(f.feed(prepared(1)), [""; 0]);
    assert_eq!(f.feed(prepared(9)), [""; 0]);
}
