//! Checkpoints after some tasks have finished, and the final one.

use super::*;

/// Checkpoint 2, the final one, is completed and `s0` has finished.
fn s0_finished() -> Fixture {
    let mut f = Fixture::completed(&[]);
    f.feed(requested(0));
    f.feed(prepared(2));
    f.feed(final_ack(2, "s0"));
    f.feed(ack(2, "s1"));
    f.feed(ack(2, "k0"));
    f.feed(persisted(2));
    assert_eq!(f.feed(finished("s0")), [""; 0]);
    f
}

#[test]
fn the_final_checkpoint_comes_at_once_when_no_task_has_data_left() {
    let mut f = Fixture::completed(&[("min-pause", "1 h")]);
    assert_eq!(f.feed(end_of_data("s0")), [""; 0]);
    assert_eq!(f.feed(end_of_data("s1")), [""; 0]);
    assert_eq!(f.feed(end_of_data("k0")), ["prepare 2"]);
    f.feed(prepared(2));
    for name in ["s0", "s1", "k0"] {
        f.feed(final_ack(2, name));
    }
    f.feed(persisted(2));
    let record = f.coordinator.latest().unwrap();
    assert_eq!(record.operators[0].end_of_data.iter().copied().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(f.timeout(), None, "further periodic checkpoints would tell nothing new");
    assert_eq!(f.coordinator.stats().history[0].trigger, Trigger::Final);
}

#[test]
fn the_final_checkpoint_waits_for_one_that_is_under_way() {
    let mut f = Fixture::triggered(&[]);
    for name in ["s0", "s1", "k0"] {
        f.feed(end_of_data(name));
    }
    assert_eq!(f.pending(), [1]);
    for name in ["s0", "s1", "k0"] {
        f.feed(ack(1, name));
    }
    assert_eq!(f.feed(persisted(1)).last().unwrap(), "prepare 2");
}

#[test]
fn a_checkpoint_that_turns_out_to_be_final_needs_no_other() {
    let mut f = Fixture::triggered(&[]);
    for name in ["s0", "s1", "k0"] {
        f.feed(end_of_data(name));
        f.feed(final_ack(1, name));
    }
    assert_eq!(f.feed(persisted(1)), ["complete 1 @0 [k0 s0 s1]", "completed 1"]);
    assert_eq!(f.timeout(), None);
}

#[test]
fn a_final_checkpoint_in_which_a_task_had_data_left_is_taken_again() {
    let mut f = Fixture::running(&[("interval", "1 h")]);
    for name in ["s0", "s1", "k0"] {
        f.feed(end_of_data(name));
    }
    f.feed(prepared(1));
    f.feed(final_ack(1, "s0"));
    f.feed(final_ack(1, "s1"));
    f.feed(ack(1, "k0"));
    f.feed(persisted(1));
    assert_eq!(f.timeout(), Some((1_000, "final checkpoint again")));
}

#[test]
fn a_failed_final_checkpoint_is_tried_again_after_a_second() {
    let mut f = Fixture::running(&[("interval", "1 h"), ("tolerable-failed-checkpoints", "1")]);
    for name in ["s0", "s1", "k0"] {
        f.feed(end_of_data(name));
    }
    f.feed(prepared(1));
    f.feed(decline(1, "s0", DeclineReason::AsyncException));
    assert_eq!(f.timeout(), Some((1_000, "final checkpoint again")));
    assert_eq!(f.tick(1_000), ["prepare 2"]);
    f.feed(prepared(2));
    let effects = f.feed(decline(2, "s0", DeclineReason::AsyncException));
    assert!(effects.last().unwrap().starts_with("fail job"), "{effects:?}");
}

#[test]
fn without_an_interval_there_is_no_final_checkpoint() {
    let mut f = Fixture::new(&[("interval", "")]);
    f.feed(tasks_running(0));
    for name in ["s0", "s1", "k0"] {
        assert_eq!(f.feed(end_of_data(name)), [""; 0]);
    }
}

#[test]
fn running_sources_are_triggered_and_finished_tasks_are_not_waited_for() {
    let mut f = s0_finished();
    assert_eq!(f.tick(2_000), ["prepare 3"]);
    assert_eq!(f.feed(prepared(3)), ["trigger 3 @0 [s1]"]);
    f.feed(ack(3, "s1"));
    assert_eq!(f.feed(ack(3, "k0")), ["persist 3"]);
}

#[test]
fn what_a_finished_task_remembered_is_carried_on_and_its_files_stay() {
    let mut f = s0_finished();
    f.tick(2_000);
    f.feed(prepared(3));
    f.feed(ack(3, "s1"));
    f.feed(ack(3, "k0"));
    assert_eq!(
        f.feed(persisted(3)),
        ["complete 3 @0 [k0 s1]", "completed 3", "discard chk-2/_metadata chk-2/k0 chk-2/s1"]
    );
    let sources = &f.coordinator.latest().unwrap().operators[0];
    assert_eq!(sources.subtasks[&0], snapshot("s0", "chk-2/s0"));
    assert!(sources.end_of_data.contains(&0) && !sources.end_of_data.contains(&1));
    assert_eq!(f.feed(final_ack(2, "s0")), [""; 0], "a late repetition deletes nothing");
}

#[test]
fn a_task_whose_inputs_have_all_finished_is_triggered_itself() {
    let mut f = s0_finished();
    f.feed(finished("s1"));
    f.tick(2_000);
    assert_eq!(f.feed(prepared(3)), ["trigger 3 @0 [k0]"]);
}

#[test]
fn a_task_that_finishes_instead_of_acknowledging_is_no_longer_waited_for() {
    let mut f = s0_finished();
    f.tick(2_000);
    assert_eq!(f.feed(prepared(3)), ["trigger 3 @0 [s1]"]);
    assert_eq!(f.feed(finished("s1")), ["trigger 3 @0 [k0]"], "nobody else sends k0 the barrier");
    assert_eq!(f.feed(ack(3, "k0")), ["persist 3"]);
    f.feed(persisted(3));
    let sources = &f.coordinator.latest().unwrap().operators[0];
    assert_eq!(sources.subtasks[&1], snapshot("s1", "chk-2/s1"));
}

#[test]
fn when_every_task_has_finished_open_checkpoints_end() {
    let mut f = s0_finished();
    f.tick(2_000);
    f.feed(prepared(3));
    f.feed(finished("s1"));
    assert_eq!(
        f.feed(finished("k0")),
        ["aborted 3 @0 []", "failed 3 CheckpointCoordinatorSuspend", "discard chk-3"]
    );
    assert_eq!(f.timeout(), None);
    let refusal = "answer #9: Not all required tasks are currently running.";
    assert_eq!(f.feed(requested(9)), [refusal]);
}

#[test]
fn with_checkpoints_after_the_end_of_tasks_off_none_is_triggered() {
    let mut f = Fixture::triggered(&[("checkpoints-after-tasks-finish", "false")]);
    f.feed(ack(1, "s1"));
    assert_eq!(
        f.feed(finished("s0")),
        [
            "aborted 1 @0 [k0 s1]",
            "failed 1 CheckpointDeclinedInputEndOfStream by s0",
            "discard chk-1",
        ]
    );
    assert_eq!(f.timeout(), None);
    assert_eq!(f.tick(10_000), [""; 0]);
}

#[test]
fn state_restored_from_another_parallelism_cannot_be_carried_on_and_is_not_lost_silently() {
    let mut completed = Fixture::completed(&[]);
    let mut restored = (**completed.coordinator.latest().unwrap()).clone();
    completed.drain();
    restored.operators[0].info.parallelism = 4;
    let mut f = Fixture::restored(&[], Some(restored));
    f.feed(tasks_running(0));
    f.feed(finished("s0"));
    f.tick(1_000);
    f.feed(prepared(2));
    f.feed(ack(2, "s1"));
    let effects = f.feed(ack(2, "k0"));
    assert_eq!(effects[1], "failed 2 FinalizeCheckpointFailure");
}
