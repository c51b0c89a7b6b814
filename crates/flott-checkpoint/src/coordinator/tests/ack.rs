//! Acknowledgements: complete, duplicate, late, stale.

use super::*;

#[test]
fn the_last_acknowledgement_leads_to_the_record() {
    let mut f = Fixture::triggered(&[]);
    assert_eq!(f.feed(ack(1, "s0")), [""; 0]);
    assert_eq!(f.feed(ack(1, "k0")), [""; 0]);
    f.coordinator.handle(f.now(), ack(1, "s1"));
    let Some(Effect::PersistMetadata { record, .. }) = f.coordinator.poll_effect() else {
        panic!("no record");
    };
    assert_eq!(
        record.files().into_iter().collect::<Vec<_>>(),
        ["chk-1/k0", "chk-1/s0", "chk-1/s1"]
    );
    assert_eq!(record.operators.len(), 2);
    assert_eq!(record.operators[0].subtasks.len(), 2);
    assert_eq!(record.operators[1].subtasks[&0], snapshot("k0", "chk-1/k0"));
    assert!(record.operators.iter().all(|operator| operator.end_of_data.is_empty()));
    assert!(!f.coordinator.is_settled());
}

#[test]
fn an_operator_without_state_is_in_the_record_too() {
    let mut f = Fixture::triggered(&[]);
    for name in ["s0", "s1", "k0"] {
        let mut input = ack(1, name);
        if let Input::Ack { snapshot, .. } = &mut input {
            snapshot.operators.clear();
        }
        f.feed(input);
    }
    f.feed(persisted(1));
    let record = f.coordinator.latest().unwrap();
    assert_eq!(record.operators.len(), 2);
    assert!(record.operators.iter().all(|operator| operator.subtasks.is_empty()));
}

#[test]
fn a_repeated_acknowledgement_is_ignored_and_its_files_stay() {
    let mut f = Fixture::triggered(&[]);
    f.feed(ack(1, "s0"));
    assert_eq!(f.feed(ack(1, "s0")), [""; 0]);
}

#[test]
fn files_of_an_acknowledgement_that_is_not_needed_go_when_the_checkpoint_is_complete() {
    let mut f = Fixture::triggered(&[]);
    f.feed(ack(1, "s0"));
    assert_eq!(f.feed(ack_of(0, 1, "s0", "chk-1/again", false)), [""; 0]);
    assert_eq!(f.feed(ack(1, "s7")), [""; 0], "of a task that the job does not have");
    f.feed(ack(1, "s1"));
    f.feed(ack(1, "k0"));
    let expected = ["complete 1 @0 [k0 s0 s1]", "completed 1", "discard chk-1/again chk-1/s7"];
    assert_eq!(f.feed(persisted(1)), expected);
}

#[test]
fn files_of_an_acknowledgement_that_is_not_needed_go_with_an_aborted_checkpoint() {
    let mut f = Fixture::triggered(&[]);
    f.feed(ack(1, "s7"));
    let effects = f.feed(decline(1, "s1", DeclineReason::Declined));
    assert_eq!(effects.last().map(String::as_str), Some("discard chk-1"));
}

#[test]
fn a_file_that_others_have_written_into_stays() {
    let mut f = Fixture::triggered(&[]);
    assert_eq!(f.feed(ack_of(0, 1, "s7", "chk-1/shared", false)), [""; 0]);
    assert_eq!(f.feed(ack_of(0, 1, "s0", "chk-1/shared", false)), [""; 0]);
    f.feed(ack(1, "s1"));
    f.feed(ack(1, "k0"));
    assert_eq!(f.feed(persisted(1)), ["complete 1 @0 [k0 s0 s1]", "completed 1"]);
    assert_eq!(f.feed(ack_of(0, 1, "s7", "chk-1/shared", false)), [""; 0]);
}

#[test]
fn an_acknowledgement_after_the_abort_loses_its_files() {
    let mut f = Fixture::triggered(&[]);
    f.feed(decline(1, "s1", DeclineReason::Declined));
    assert_eq!(f.feed(ack(1, "s0")), ["discard chk-1/s0"]);
}

#[test]
fn an_acknowledgement_repeated_after_completion_deletes_nothing() {
    let mut f = Fixture::completed(&[]);
    assert_eq!(f.feed(ack(1, "s0")), [""; 0]);
}

#[test]
fn another_attempts_acknowledgement_is_refused_counted_and_cleaned_up() {
    let mut f = Fixture::triggered(&[]);
    assert_eq!(f.feed(ack_of(3, 1, "s0", "chk-1/zombie", false)), ["discard chk-1/zombie"]);
    assert_eq!(f.coordinator.stale_messages(), 1);
    assert_eq!(f.feed(ack(1, "s0")), [""; 0], "the real one is still waited for");
}

#[test]
fn a_late_message_of_the_last_attempt_deletes_no_file_of_a_completed_checkpoint() {
    let mut f = Fixture::completed(&[]);
    f.feed(Input::Stop);
    f.feed(tasks_running(1));
    assert_eq!(f.feed(ack(1, "s0")), [""; 0]);
    assert_eq!(f.coordinator.stale_messages(), 1);
}

#[test]
fn state_of_an_operator_that_the_task_does_not_have_fails_the_checkpoint() {
    let mut f = Fixture::triggered(&[]);
    let mut input = ack(1, "s0");
    if let Input::Ack { snapshot: task, .. } = &mut input {
        task.operators = vec![snapshot("k0", "chk-1/wrong")];
    }
    assert_eq!(
        f.feed(input),
        [
            "discard chk-1/wrong",
            "aborted 1 @0 [k0 s0 s1]",
            "failed 1 CheckpointDeclined by s0",
            "discard chk-1",
        ]
    );
}
