//! Checkpoints that take too long.

use super::*;

#[test]
fn a_checkpoint_that_takes_too_long_is_aborted_and_names_who_is_missing() {
    let mut f = Fixture::triggered(&[("timeout", "500 ms")]);
    f.feed(ack(1, "s0"));
    assert_eq!(f.timeout(), Some((1_500, "checkpoint time-out")));
    assert_eq!(
        f.tick(1_500),
        ["aborted 1 @0 [k0 s0 s1]", "failed 1 CheckpointExpired by k0", "discard chk-1"]
    );
    let failed = f.coordinator.stats().latest_failed.as_ref().unwrap();
    let CheckpointStatus::Failed { message, .. } = &failed.status else { panic!("{failed:?}") };
    assert!(message.starts_with("2 of 3 tasks did not acknowledge it in time: "), "{message}");
    assert_eq!(f.tick(2_000), ["prepare 2"]);
}

#[test]
fn a_folder_that_takes_too_long_expires_too_and_no_task_hears_of_it() {
    let mut f = Fixture::running(&[("timeout", "500 ms")]);
    f.tick(1_000);
    assert_eq!(f.tick(1_500), ["failed 1 CheckpointExpired", "discard chk-1"]);
}

#[test]
fn nothing_expires_once_the_record_is_being_written() {
    let mut f = Fixture::writing(&[("timeout", "500 ms")]);
    assert_eq!(f.timeout(), Some((2_000, "periodic checkpoint")));
    assert_eq!(f.tick(1_900), [""; 0]);
    assert_eq!(f.feed(persisted(1)), ["complete 1 @0 [k0 s0 s1]", "completed 1"]);
}

#[test]
fn a_jump_of_the_wall_clock_expires_nothing() {
    let mut f = Fixture::triggered(&[("timeout", "500 ms")]);
    let now = Now { mono: f.now().mono, wall: Timestamp(i64::MAX) };
    f.coordinator.handle_timeout(now);
    assert_eq!(f.drain(), [""; 0]);
}
