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
fn a_repeated_acknowledgement_with_other_files_loses_them() {
    let mut f = Fixture::triggered(&[]);
    f.feed(ack(1, "s0"));
    assert_eq!(f.feed(ack_of(0, 1, "s0", "chk-1/again", false)), ["discard chk-1/again"]);
}

#[test]
fn an_acknowledgement_of_a_task_that_the_job_does_not_have_is_ignored() {
    let mut f = Fixture::triggered(&[]);
    assert_eq!(f.feed(ack(1, "s7")), ["discard chk-1/s7"]);
    assert_eq!(f.pending(), [1]);
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
