//! Savepoints: the user's, in a folder of their own.

use super::*;

fn wanted(request: u64) -> Input {
    Input::SavepointRequested { request }
}

/// Its state is in files of its own folder.
fn acknowledge(f: &mut Fixture, savepoint: u64) {
    for name in ["s0", "s1", "k0"] {
        f.feed(ack(savepoint, name));
    }
}

#[test]
fn a_savepoint_completes_and_nobody_but_who_asked_is_told() {
    let mut f = Fixture::completed(&[]);
    assert_eq!(f.feed(wanted(7)), ["prepare savepoint 2 #7"]);
    assert_eq!(f.feed(prepared(2)), ["trigger 2 @0 [s0 s1]"]);
    acknowledge(&mut f, 2);
    assert_eq!(f.feed(persisted(2)), ["completed 2", "answer #7: 2"]);
    assert_eq!(f.coordinator.latest().unwrap().checkpoint, CheckpointId(1), "restarts go there");
    assert_eq!(f.retained(), [1]);
    let stats = f.coordinator.stats();
    let latest = |stats: &Option<CheckpointStats>| stats.as_ref().map(|stats| stats.checkpoint.0);
    assert_eq!(latest(&stats.latest_completed), Some(1));
    assert_eq!(latest(&stats.latest_savepoint), Some(2));
}

#[test]
fn a_savepoint_and_a_checkpoint_are_not_under_way_together() {
    let mut f = Fixture::triggered(&[("max-concurrent-checkpoints", "3")]);
    assert_eq!(f.feed(requested(6)), ["prepare 2"]);
    assert_eq!(f.feed(requested(8)), [""; 0], "one folder at a time");
    assert_eq!(f.feed(wanted(7)), [""; 0], "it waits for what is under way");
    f.feed(prepared(2));
    assert_eq!(f.pending(), [1, 2], "and nothing new begins");
    f.complete(1);
    f.feed(ack(2, "s0"));
    f.feed(ack(2, "s1"));
    f.feed(ack(2, "k0"));
    assert_eq!(f.feed(persisted(2)).last().unwrap(), "prepare savepoint 3 #7", "it goes first");
    f.feed(prepared(3));
    f.tick(2_000);
    assert_eq!(f.pending(), [3]);
    acknowledge(&mut f, 3);
    assert_eq!(f.feed(persisted(3)), ["completed 3", "answer #7: 3", "prepare 4"]);
}

#[test]
fn a_savepoint_that_fails_leaves_the_job_and_its_checkpoints_alone() {
    let mut f = Fixture::completed(&[("tolerable-failed-checkpoints", "0")]);
    f.feed(wanted(7));
    f.feed(prepared(2));
    f.feed(ack(2, "s0"));
    let effects = f.feed(decline(2, "s1", DeclineReason::AsyncException));
    let [aborted, failed, answer, discard] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(aborted, "aborted 2 @0 [k0 s0 s1]");
    assert_eq!(failed, "failed 2 CheckpointAsyncException by s1");
    assert!(answer.starts_with("answer #7: Asynchronous task checkpoint failed."), "{answer}");
    assert_eq!(discard, "discard savepoint 2");
    assert_eq!(f.retained(), [1]);
}

#[test]
fn a_savepoint_is_not_the_final_checkpoint() {
    let mut f = Fixture::completed(&[]);
    f.feed(wanted(7));
    f.feed(prepared(2));
    for name in ["s0", "s1", "k0"] {
        f.feed(end_of_data(name));
    }
    for name in ["s0", "s1", "k0"] {
        f.feed(final_ack(2, name));
    }
    assert_eq!(f.feed(persisted(2)), ["completed 2", "answer #7: 2", "prepare 3"]);
    f.feed(prepared(3));
    for name in ["s0", "s1", "k0"] {
        f.feed(final_ack(3, name));
    }
    assert_eq!(f.feed(persisted(3))[0], "complete 3 @0 [k0 s0 s1]", "tasks may end now");
}

#[test]
fn a_savepoint_is_refused_while_tasks_are_not_running() {
    let mut f = Fixture::new(&[]);
    let refusal = "answer #7: Not all required tasks are currently running.";
    assert_eq!(f.feed(wanted(7)), [refusal]);
}

fn stop(request: u64, drain: bool) -> Input {
    Input::StopRequested { request, drain, folder: "/sp".into() }
}

#[test]
fn a_job_that_stops_commits_its_savepoint_and_takes_no_other() {
    let mut f = Fixture::completed(&[]);
    assert_eq!(f.feed(stop(7, false)), ["prepare savepoint 2 #7"]);
    assert_eq!(f.feed(prepared(2)), ["trigger 2 @0 [s0 s1]"]);
    acknowledge(&mut f, 2);
    let persisted = f.feed(persisted(2));
    let expected = ["complete 2 @0 [k0 s0 s1]", "completed 2", "stopping 2 #7", "discard chk-1"];
    assert_eq!(persisted, expected);
    // A restart, should there be one, begins there: where the user's folder is.
    let latest = f.coordinator.latest().unwrap();
    assert_eq!(latest.checkpoint, CheckpointId(2));
    assert!(latest.files().iter().all(|path| path.starts_with("/sp/chk-2/")), "{latest:?}");
    assert!(f.tick(60_000).is_empty());
    let refused = "answer #8: Not all required tasks are currently running.";
    assert_eq!(f.feed(requested(8)), [refused]);
}

#[test]
fn a_job_that_cannot_stop_goes_on() {
    let mut f = Fixture::completed(&[]);
    f.feed(stop(7, false));
    f.feed(prepared(2));
    let effects = f.feed(decline(2, "s1", DeclineReason::AsyncException));
    let [aborted, _, answer, discard, folder] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(aborted, "aborted 2 @0 [k0 s0 s1]", "tasks that wait go on");
    assert!(answer.starts_with("answer #7: "), "{answer}");
    assert_eq!([discard, folder], ["discard savepoint 2", "discard chk-2"]);
    assert_eq!(f.tick(2_000), ["prepare 3"]);
}

#[test]
fn a_job_that_cannot_be_drained_is_restarted() {
    let mut f = Fixture::completed(&[]);
    f.feed(stop(7, true));
    f.feed(prepared(2));
    let effects = f.feed(decline(2, "s1", DeclineReason::AsyncException));
    let last = effects.last().unwrap();
    assert!(last.starts_with("fail job: the job could not be drained"), "{effects:?}");
}
