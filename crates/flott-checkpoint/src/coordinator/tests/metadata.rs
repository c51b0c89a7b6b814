//! The completed record: written, failed, unknown.

use super::*;

#[test]
fn tasks_are_notified_only_after_the_record_exists() {
    let mut f = Fixture::writing(&[]);
    assert!(!f.coordinator.is_settled());
    assert_eq!(f.feed(persisted(1)), ["complete 1 @0 [k0 s0 s1]", "completed 1"]);
    assert!(f.coordinator.is_settled());
    assert_eq!(f.retained(), [1]);
    assert_eq!(f.feed(persisted(1)), [""; 0], "hearing it again changes nothing");
}

#[test]
fn a_record_that_was_not_written_fails_the_checkpoint() {
    let mut f = Fixture::writing(&[]);
    assert_eq!(
        f.feed(write_failed(1)),
        ["aborted 1 @0 [k0 s0 s1]", "failed 1 FinalizeCheckpointFailure", "discard chk-1"]
    );
    assert!(f.coordinator.is_settled());
    assert!(f.retained().is_empty());
}

#[test]
fn an_unknown_outcome_is_written_again_with_a_growing_back_off() {
    let mut f = Fixture::writing(&[("timeout", "500 ms")]);
    for wait in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
        let start = f.millis;
        assert_eq!(f.feed(unknown(1)), [""; 0]);
        assert_eq!(f.tick(start + wait - 1), [""; 0]);
        let Some(pending) = f.coordinator.pending.values().next() else { panic!("gone") };
        assert_eq!(pending.timeout().unwrap().0, MonoTime((start + wait) * 1_000_000));
        assert_eq!(f.tick(start + wait), ["persist 1"]);
        assert!(!f.coordinator.is_settled());
    }
    let effects = f.feed(persisted(1));
    assert_eq!(effects, ["complete 1 @0 [k0 s0 s1]", "completed 1", "prepare 2"]);
}

#[test]
fn a_failure_after_an_unknown_outcome_proves_nothing() {
    let mut f = Fixture::writing(&[]);
    f.feed(unknown(1));
    f.tick(1_100);
    assert_eq!(f.feed(write_failed(1)), [""; 0]);
    assert_eq!(f.tick(1_300), ["persist 1"]);
    assert_eq!(f.feed(persisted(1)), ["complete 1 @0 [k0 s0 s1]", "completed 1"]);
}

#[test]
fn a_late_answer_settles_an_unknown_outcome() {
    let mut f = Fixture::writing(&[]);
    f.feed(unknown(1));
    assert_eq!(f.feed(persisted(1)), ["complete 1 @0 [k0 s0 s1]", "completed 1"]);
    assert_eq!(f.timeout(), Some((2_000, "periodic checkpoint")));
}

#[test]
fn records_are_written_one_at_a_time() {
    let mut f = Fixture::triggered(&[("max-concurrent-checkpoints", "2")]);
    f.tick(2_000);
    f.feed(prepared(2));
    for name in ["s0", "s1"] {
        f.feed(ack(1, name));
        f.feed(ack(2, name));
    }
    assert_eq!(f.feed(ack(1, "k0")), ["persist 1"]);
    assert_eq!(f.feed(ack(2, "k0")), [""; 0]);
    assert_eq!(f.feed(persisted(1)), ["complete 1 @0 [k0 s0 s1]", "completed 1", "persist 2"]);
}
