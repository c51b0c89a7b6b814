//! Coordinators that start from a checkpoint.

use super::*;

pub(super) fn taken_by(job: JobId, checkpoint: u64) -> CompletedCheckpoint {
    let mut f = Fixture::completed(&[]);
    let mut record = (**f.coordinator.latest().unwrap()).clone();
    f.drain();
    record.job = job;
    record.checkpoint = CheckpointId(checkpoint);
    record
}

#[test]
fn ids_go_on_after_the_restored_checkpoint_of_any_job() {
    for owner in [job(), JobId::from_name("another")] {
        let mut f = Fixture::restored(&[], Some(taken_by(owner, 41)));
        f.feed(tasks_running(0));
        assert_eq!(f.tick(1_000), ["prepare 42"]);
    }
}

#[test]
fn ids_go_on_over_a_restart_even_if_no_checkpoint_completed() {
    let mut f = Fixture::triggered(&[]);
    f.feed(Input::Stop);
    f.feed(tasks_running(1));
    assert_eq!(f.tick(2_000), ["prepare 2"]);
}

/// Checkpoint 42, during which `s0` finishes: its state is carried on from checkpoint 41.
fn complete_as_one_finishes(f: &mut Fixture) {
    f.tick(1_000);
    f.feed(prepared(42));
    f.feed(finished("s0"));
    f.feed(ack(42, "s1"));
    f.feed(ack(42, "k0"));
    assert_eq!(f.feed(persisted(42)), ["complete 42 @0 [k0 s1]", "completed 42"]);
}

#[test]
fn a_checkpoint_of_another_job_is_restored_from_but_never_deleted() {
    let foreign = taken_by(JobId::from_name("another"), 41).rebased("/data/another/");
    assert!(foreign.files().contains("/data/another/chk-1/s0"));
    let mut f = Fixture::restored(&[], Some(foreign));
    assert_eq!(f.coordinator.latest().unwrap().checkpoint, CheckpointId(41));
    assert!(f.retained().is_empty());
    f.feed(tasks_running(0));
    complete_as_one_finishes(&mut f);
    let latest = f.coordinator.latest().unwrap();
    assert!(latest.files().contains("/data/another/chk-1/s0"), "carried on for the finished task");
    let ended = Input::Shutdown { status: TerminalStatus::Finished };
    assert_eq!(f.feed(ended), ["discard chk-42"]);
}

/// A job that has claimed checkpoint 41 of another one, and keeps so many.
fn claiming(num_retained: &str) -> Fixture {
    let foreign = taken_by(JobId::from_name("another"), 41).rebased("/data/another/");
    let claims_restored = true;
    let config = config(&[("num-retained", num_retained)]);
    let config = CheckpointConfig { claims_restored, ..config };
    let mut f = Fixture::configured(config, Some(foreign));
    f.feed(tasks_running(0));
    f
}

/// Checkpoint `id`, all of whose tasks acknowledge.
fn complete(f: &mut Fixture, id: u64) -> Vec<String> {
    f.tick((id - 41) * 1_000);
    f.feed(prepared(id));
    ["s0", "s1", "k0"].into_iter().for_each(|name| drop(f.feed(ack(id, name))));
    f.feed(persisted(id))
}

#[test]
fn a_claimed_checkpoint_is_deleted_when_newer_ones_have_taken_its_place() {
    let mut f = claiming("2");
    assert_eq!(complete(&mut f, 42), ["complete 42 @0 [k0 s0 s1]", "completed 42"]);
    assert_eq!(complete(&mut f, 43).last().unwrap(), "discard claimed 41 of job");
    assert_eq!(complete(&mut f, 44).last().unwrap(), "discard chk-42");
}

#[test]
fn a_claimed_checkpoint_stays_as_long_as_something_of_it_is_needed() {
    let mut f = claiming("1");
    complete_as_one_finishes(&mut f);
    let ended = Input::Shutdown { status: TerminalStatus::Finished };
    assert_eq!(f.feed(ended), ["discard chk-42", "discard claimed 41 of job"]);
}

#[test]
fn a_checkpoint_of_the_job_itself_is_subsumed_like_any_other() {
    let mut f = Fixture::restored(&[], Some(taken_by(job(), 41)));
    assert_eq!(f.retained(), [41]);
    f.feed(tasks_running(0));
    f.tick(1_000);
    f.feed(prepared(42));
    for name in ["s0", "s1", "k0"] {
        f.feed(ack(42, name));
    }
    let effects = f.feed(persisted(42));
    assert_eq!(effects.last().unwrap(), "discard chk-41 chk-1");
}

#[test]
fn an_attempt_that_is_not_newer_is_refused() {
    let mut f = Fixture::running(&[]);
    f.feed(tasks_running(1));
    f.feed(tasks_running(1));
    f.feed(tasks_running(0));
    assert_eq!(f.coordinator.stale_messages(), 2);
}

#[test]
fn tasks_that_go_on_hear_again_what_is_complete_and_what_never_will_be() {
    let mut f = Fixture::restored(&[], Some(taken_by(job(), 41)));
    let input = Input::TasksReattached {
        attempt: AttemptNumber(3),
        tasks: task_infos(),
        newest: CheckpointId(43),
    };
    assert_eq!(
        f.feed(input),
        ["complete 41 @3 [s0 s1 k0]", "aborted 42 @3 [s0 s1 k0]", "aborted 43 @3 [s0 s1 k0]"]
    );
    assert_eq!(f.tick(1_000), ["prepare 44"], "no id comes twice");
}

#[test]
fn tasks_that_go_on_from_another_jobs_checkpoint_have_nothing_to_commit() {
    let mut f = Fixture::restored(&[], Some(taken_by(JobId::from_name("another"), 41)));
    let (attempt, newest) = (AttemptNumber(0), CheckpointId(41));
    let input = Input::TasksReattached { attempt, tasks: task_infos(), newest };
    assert_eq!(f.feed(input), [""; 0]);
    assert_eq!(f.tick(1_000), ["prepare 42"]);
}
