//! Declines, and which of them count.

use super::*;
use crate::reason::FailureReason;

#[test]
fn one_decline_aborts_the_whole_checkpoint() {
    let mut f = Fixture::triggered(&[]);
    f.feed(ack(1, "s0"));
    assert_eq!(
        f.feed(decline(1, "s1", DeclineReason::AsyncException)),
        ["aborted 1 @0 [k0 s0 s1]", "failed 1 CheckpointAsyncException by s1", "discard chk-1",]
    );
    assert!(f.pending().is_empty());
    assert_eq!(f.feed(decline(1, "s0", DeclineReason::AsyncException)), [""; 0]);
    assert_eq!(f.coordinator.stats().counts.failed, 1);
}

#[test]
fn files_outside_the_folder_go_with_the_checkpoint() {
    let mut f = Fixture::triggered(&[]);
    f.feed(ack_of(0, 1, "s0", "shared/a", false));
    let effects = f.feed(decline(1, "s1", DeclineReason::Declined));
    assert_eq!(effects.last().unwrap(), "discard chk-1 shared/a");
}

#[test]
fn a_decline_of_another_attempt_or_of_a_stranger_is_ignored() {
    let mut f = Fixture::triggered(&[]);
    assert_eq!(f.feed(decline(1, "s9", DeclineReason::Declined)), [""; 0]);
    let mut stale = decline(1, "s0", DeclineReason::Declined);
    if let Input::Decline { attempt, .. } = &mut stale {
        *attempt = AttemptNumber(8);
    }
    assert_eq!(f.feed(stale), [""; 0]);
    assert_eq!(f.coordinator.stale_messages(), 1);
    assert_eq!(f.pending(), [1]);
}

#[test]
fn a_decline_cannot_undo_a_record_that_is_being_written() {
    let mut f = Fixture::writing(&[]);
    assert_eq!(f.feed(decline(1, "s0", DeclineReason::Declined)), [""; 0]);
    assert_eq!(f.feed(persisted(1)), ["complete 1 @0 [k0 s0 s1]", "completed 1"]);
}

#[test]
fn more_counted_failures_in_a_row_than_tolerable_fail_the_job() {
    let mut f = Fixture::triggered(&[("tolerable-failed-checkpoints", "1")]);
    f.feed(decline(1, "s0", DeclineReason::AsyncException));
    f.tick(2_000);
    f.feed(prepared(2));
    let effects = f.feed(decline(2, "s0", DeclineReason::AsyncException));
    let expected = "fail job: Exceeded checkpoint tolerable failure threshold. The latest \
                    checkpoint failed due to Asynchronous task checkpoint failed., view the \
                    Checkpoint History tab or the Job Manager log to find out why continuous \
                    checkpoints failed.\nCaused by: task 00000000000000000000000000000073[0] \
                    declined it: no space";
    assert_eq!(effects.last().unwrap(), expected);
}

#[test]
fn a_success_begins_the_count_anew() {
    let mut f = Fixture::triggered(&[("tolerable-failed-checkpoints", "1")]);
    f.feed(decline(1, "s0", DeclineReason::Declined));
    f.tick(2_000);
    f.complete(2);
    f.tick(3_000);
    f.feed(prepared(3));
    let effects = f.feed(decline(3, "s0", DeclineReason::Declined));
    assert!(!effects.iter().any(|effect| effect.starts_with("fail job")), "{effects:?}");
}

#[test]
fn a_busy_task_does_not_count() {
    let mut f = Fixture::triggered(&[("tolerable-failed-checkpoints", "0")]);
    for reason in [
        DeclineReason::TaskNotReady,
        DeclineReason::TaskClosing,
        DeclineReason::Subsumed,
        DeclineReason::OnCancellationBarrier,
        DeclineReason::InputEndOfStream,
    ] {
        let checkpoint = f.pending()[0];
        let effects = f.feed(decline(checkpoint, "s0", reason));
        assert!(!effects.iter().any(|effect| effect.starts_with("fail job")), "{effects:?}");
        f.tick(f.millis + 1_000);
        f.feed(prepared(checkpoint + 1));
    }
}

#[test]
fn a_failure_older_than_the_last_success_does_not_count() {
    let options = [("tolerable-failed-checkpoints", "0"), ("max-concurrent-checkpoints", "2")];
    let mut counter = failures::FailureCounter::new(config(&options).tolerable_failed);
    counter.succeeded(CheckpointId(5));
    assert!(!counter.failed(CheckpointId(4), FailureReason::CheckpointExpired));
    assert!(counter.failed(CheckpointId(6), FailureReason::CheckpointExpired));
}
