//! Jobs that begin.

use std::sync::Arc;

use super::*;

#[test]
fn a_started_job_is_deployed_and_running_at_once() {
    let mut f = Fixture::started(&[]);
    assert_eq!(f.status(), "RUNNING");
    assert_eq!(f.states(), ["k0 (1/1) SCHEDULED", "s0 (1/1) SCHEDULED"]);
    f.feed(running(0, "k0"));
    f.feed(JobInput::Deploying { attempt: AttemptNumber(0) });
    assert_eq!(f.states(), ["k0 (1/1) RUNNING", "s0 (1/1) DEPLOYING"]);
    assert_eq!(f.feed(JobInput::Start), [""; 0], "starting twice changes nothing");
    let statuses: Vec<_> = f.job.timestamps().keys().map(ToString::to_string).collect();
    assert_eq!(statuses, ["INITIALIZING", "CREATED", "RUNNING"]);
}

#[test]
fn a_restored_job_starts_from_its_checkpoint() {
    let completed = Fixture::completed(&[]);
    let mut spec = spec(&[]);
    spec.restored = completed.job.coordinator().latest().map(Arc::clone);
    let mut f = Fixture::new(&[]);
    f.job = JobMaster::new(f.now(), spec, 1);
    assert_eq!(f.feed(JobInput::Start)[2], "deploy @0 from 1");
}

#[test]
fn checkpoints_begin_when_all_tasks_run() {
    let mut f = Fixture::started(&[]);
    f.feed(running(0, "s0"));
    assert_eq!(f.job.poll_timeout(), None);
    f.millis = 300;
    f.feed(running(0, "k0"));
    assert_eq!(f.job.poll_timeout().unwrap().0, MonoTime(1_300_000_000));
    assert_eq!(f.states(), ["k0 (1/1) RUNNING", "s0 (1/1) RUNNING"]);
}

#[test]
fn what_tasks_report_before_all_run_is_not_forgotten() {
    let mut f = Fixture::started(&[]);
    f.feed(running(0, "s0"));
    f.feed(end_of_data(0, "s0"));
    f.feed(running(0, "k0"));
    assert_eq!(f.feed(end_of_data(0, "k0")), ["prepare 1"], "the final checkpoint");

    let mut f = Fixture::started(&[]);
    f.feed(running(0, "s0"));
    f.feed(finished(0, "s0"));
    f.feed(running(0, "k0"));
    f.tick(1_000);
    f.job.handle(f.now(), prepared(1));
    let Some(JobEffect::Checkpoint(Effect::TriggerSources { tasks, .. })) = f.job.poll_effect()
    else {
        panic!("not triggered")
    };
    assert_eq!(tasks, [task("k0")]);
}

#[test]
fn messages_of_other_attempts_and_strangers_are_refused_and_counted() {
    let mut f = Fixture::running(&[]);
    assert_eq!(f.feed(failed(7, "s0")), [""; 0]);
    assert_eq!(f.feed(finished(7, "s0")), [""; 0]);
    assert_eq!(f.feed(end_of_data(7, "s0")), [""; 0]);
    assert_eq!(f.feed(failed(0, "x0")), [""; 0]);
    assert_eq!(f.feed(ack(7, 1, "s0")), [""; 0]);
    assert_eq!(f.job.stale_messages(), 5);
    assert_eq!(f.status(), "RUNNING");
}
