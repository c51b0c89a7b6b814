//! Older checkpoints give way to newer ones.

use super::*;

#[test]
fn a_completion_aborts_older_checkpoints_without_counting_them() {
    let options = [("max-concurrent-checkpoints", "2"), ("tolerable-failed-checkpoints", "0")];
    let mut f = Fixture::triggered(&options);
    f.tick(2_000);
    f.feed(prepared(2));
    for name in ["s0", "s1", "k0"] {
        f.feed(ack(2, name));
    }
    assert_eq!(
        f.feed(persisted(2)),
        [
            "complete 2 @0 [k0 s0 s1]",
            "completed 2",
            "aborted 1 @0 [k0 s0 s1]",
            "failed 1 CheckpointSubsumed",
            "discard chk-1",
        ]
    );
    assert_eq!(f.retained(), [2]);
}

#[test]
fn completed_checkpoints_beyond_the_number_to_keep_are_discarded_oldest_first() {
    let mut f = Fixture::completed(&[("num-retained", "2")]);
    f.tick(2_000);
    f.complete(2);
    assert_eq!(f.retained(), [1, 2]);
    f.tick(3_000);
    f.feed(prepared(3));
    for name in ["s0", "s1", "k0"] {
        f.feed(ack(3, name));
    }
    assert_eq!(f.feed(persisted(3)), ["complete 3 @0 [k0 s0 s1]", "completed 3", "discard chk-1"]);
    assert_eq!(f.retained(), [2, 3]);
    let history = &f.coordinator.stats().history;
    assert_eq!(
        history.iter().map(|entry| entry.discarded).collect::<Vec<_>>(),
        [false, false, true]
    );
}

/// Two checkpoints, of which the second needs a file of the first; and what its completion has led to.
fn shared() -> (Fixture, Vec<String>) {
    let mut f = Fixture::completed(&[]);
    f.tick(2_000);
    f.feed(prepared(2));
    f.feed(ack_of(0, 2, "s0", "chk-1/s0", false));
    f.feed(ack(2, "s1"));
    f.feed(ack(2, "k0"));
    let effects = f.feed(persisted(2));
    (f, effects)
}

/// One that was killed in between left a record without its files.
#[test]
fn the_newest_go_first_when_a_job_ends() {
    let (mut f, _) = shared();
    let ended = Input::Shutdown { status: TerminalStatus::Finished };
    assert_eq!(f.feed(ended), ["discard chk-2 chk-1"]);
}

#[test]
fn files_that_a_newer_checkpoint_shares_outlive_their_folder() {
    let (mut f, effects) = shared();
    assert_eq!(effects.last().unwrap(), "discard chk-1/_metadata chk-1/k0 chk-1/s1");
    f.tick(3_000);
    f.feed(prepared(3));
    for name in ["s0", "s1", "k0"] {
        f.feed(ack(3, name));
    }
    assert_eq!(f.feed(persisted(3)).last().unwrap(), "discard chk-2 chk-1");
}

/// What a checkpoint that is under way builds upon, as its barrier says.
fn base(f: &Fixture, checkpoint: u64) -> Option<CheckpointId> {
    let pending = &f.coordinator.pending[&CheckpointId(checkpoint)];
    pending.barrier(&f.coordinator.config).base
}

#[test]
fn what_a_checkpoint_under_way_builds_upon_stays_until_it_is_over() {
    let mut f = Fixture::completed(&[("max-concurrent-checkpoints", "2")]);
    f.tick(2_000);
    assert_eq!(f.feed(prepared(2)), ["trigger 2 @0 [s0 s1]"]);
    f.tick(3_000);
    f.feed(prepared(3));
    assert_eq!([base(&f, 2), base(&f, 3)], [Some(CheckpointId(1)); 2], "the newest complete one");
    for name in ["s0", "s1", "k0"] {
        f.feed(ack(2, name));
    }
    // Its folder goes, what checkpoint 3 may refer to does not, though 2 is complete.
    assert_eq!(f.feed(persisted(2)).last().unwrap(), "discard chk-1/_metadata");
    f.feed(ack_of(0, 3, "s0", "chk-1/s0", false));
    f.feed(ack(3, "s1"));
    f.feed(ack(3, "k0"));
    let all = f.feed(persisted(3));
    assert_eq!(all.last().unwrap(), "discard chk-2 chk-1/k0 chk-1/s1");
    f.tick(4_000);
    f.feed(prepared(4));
    assert_eq!(base(&f, 4), Some(CheckpointId(3)));
}

#[test]
fn nothing_builds_upon_a_savepoint_and_a_savepoint_upon_nothing() {
    let mut f = Fixture::completed(&[]);
    f.feed(Input::SavepointRequested { request: 1 });
    f.feed(prepared(2));
    assert_eq!(base(&f, 2), None);
    let taken_by_another = JobId::from_name("another");
    let mut f = Fixture::restored(&[], Some(restore::taken_by(taken_by_another, 41)));
    f.feed(tasks_running(0));
    f.tick(1_000);
    f.feed(prepared(42));
    assert_eq!(base(&f, 42), None);
}
