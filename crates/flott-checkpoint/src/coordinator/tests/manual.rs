//! Checkpoints that somebody asks for.

use super::*;

#[test]
fn a_request_is_answered_when_its_checkpoint_completes() {
    let mut f = Fixture::new(&[("interval", "")]);
    f.feed(tasks_running(0));
    assert_eq!(f.feed(requested(7)), ["prepare 1"]);
    assert_eq!(f.feed(prepared(1)), ["trigger 1 @0 [s0 s1]"]);
    for name in ["s0", "s1", "k0"] {
        f.feed(ack(1, name));
    }
    assert_eq!(f.feed(persisted(1)), ["complete 1 @0 [k0 s0 s1]", "completed 1", "answer #7: 1"]);
}

#[test]
fn a_request_does_not_wait_for_the_pause() {
    let mut f = Fixture::completed(&[("min-pause", "1 h")]);
    assert_eq!(f.feed(requested(7)), ["prepare 2"]);
}

#[test]
fn requests_wait_for_their_turn_and_none_is_lost() {
    let mut f = Fixture::triggered(&[]);
    assert_eq!(f.feed(requested(7)), [""; 0]);
    assert_eq!(f.feed(requested(8)), [""; 0]);
    f.tick(2_000);
    assert_eq!(f.pending(), [1]);
    for name in ["s0", "s1", "k0"] {
        f.feed(ack(1, name));
    }
    assert_eq!(f.feed(persisted(1)).last().unwrap(), "prepare 2", "requests come first");
    f.complete(2);
    assert_eq!(f.coordinator.stats().history[0].trigger, Trigger::Manual);
    f.complete(3);
    assert_eq!(f.coordinator.stats().history[0].trigger, Trigger::Periodic);
}

#[test]
fn a_request_is_refused_while_tasks_are_not_running() {
    let mut f = Fixture::new(&[]);
    let refusal = "answer #7: Not all required tasks are currently running.";
    assert_eq!(f.feed(requested(7)), [refusal]);
}

#[test]
fn a_request_hears_why_its_checkpoint_failed() {
    let mut f = Fixture::running(&[]);
    f.feed(requested(7));
    f.feed(prepared(1));
    let effects = f.feed(decline(1, "s0", DeclineReason::AsyncException));
    let expected = "answer #7: Asynchronous task checkpoint failed. task \
                    00000000000000000000000000000073[0] declined it: no space";
    assert_eq!(effects[2], expected);
}

#[test]
fn too_many_requests_are_refused() {
    let mut f = Fixture::triggered(&[]);
    for request in 0..1_000 {
        assert_eq!(f.feed(requested(request)), [""; 0]);
    }
    assert_eq!(
        f.feed(requested(1_000)),
        ["answer #1000: The maximum number of queued checkpoint requests exceeded"]
    );
}
