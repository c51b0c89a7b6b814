//! What is kept when a job ends.

use super::*;

#[test]
fn the_retention_matrix_is_flinks() {
    use TerminalStatus::{Canceled, Failed, Finished};
    for (retention, status, is_kept) in [
        ("RETAIN_ON_CANCELLATION", Finished, false),
        ("RETAIN_ON_CANCELLATION", Canceled, true),
        ("RETAIN_ON_CANCELLATION", Failed, true),
        ("DELETE_ON_CANCELLATION", Finished, false),
        ("DELETE_ON_CANCELLATION", Canceled, false),
        ("DELETE_ON_CANCELLATION", Failed, true),
        ("NO_EXTERNALIZED_CHECKPOINTS", Finished, false),
        ("NO_EXTERNALIZED_CHECKPOINTS", Canceled, false),
        ("NO_EXTERNALIZED_CHECKPOINTS", Failed, false),
    ] {
        let mut f = Fixture::completed(&[("externalized-checkpoint-retention", retention)]);
        let effects = f.feed(Input::Shutdown { status });
        let expected: &[&str] = if is_kept { &[] } else { &["discard chk-1"] };
        assert_eq!(effects, expected, "{retention} {status:?}");
        assert_eq!(f.retained().is_empty(), !is_kept);
        assert_eq!(f.feed(Input::Shutdown { status: Finished }), [""; 0], "only the first counts");
    }
}

#[test]
fn what_is_open_is_aborted_and_nothing_starts_again() {
    let mut f = Fixture::triggered(&[]);
    assert_eq!(
        f.feed(Input::Shutdown { status: TerminalStatus::Failed }),
        ["aborted 1 @0 [k0 s0 s1]", "failed 1 CheckpointCoordinatorShutdown", "discard chk-1"]
    );
    assert_eq!(f.feed(requested(1)), ["answer #1: CheckpointCoordinator shutdown."]);
    f.feed(tasks_running(1));
    assert_eq!(f.timeout(), None);
}

#[test]
fn retention_waits_for_a_record_that_is_being_written() {
    let mut f = Fixture::writing(&[("externalized-checkpoint-retention", "NONE")]);
    assert_eq!(f.feed(Input::Shutdown { status: TerminalStatus::Canceled }), [""; 0]);
    assert_eq!(f.feed(persisted(1)), ["complete 1 @0 [k0 s0 s1]", "completed 1", "discard chk-1"]);
}
