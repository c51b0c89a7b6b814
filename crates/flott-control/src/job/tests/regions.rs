//! Two pipelines side by side: `s0` to `k0`, and `t0` to `l0`.

use flott_checkpoint::snapshot::{
    DataRef, OperatorSnapshot, OperatorStateHandle, Redistribution, SchemaText,
};

use super::*;

impl Fixture {
    fn side_by_side(options: &[(&str, &str)]) -> Self {
        let mut spec = spec(options);
        for (name, original) in [("t0", 0), ("l0", 1)] {
            let TaskSpec { info, .. } = &spec.tasks[original];
            let inputs = info.inputs.iter().map(|_| task("t0")).collect();
            let operators = vec![OperatorId::from_name(name)];
            let info = TaskInfo { id: task(name), operators, inputs, ..info.clone() };
            spec.tasks.push(TaskSpec { info, name: format!("{name} (1/1)") });
            let id = OperatorId::from_name(name);
            spec.operators.push(OperatorInfo { id, ..spec.operators[original].clone() });
        }
        let mut f = Self::new(&[]);
        f.names_tasks = true;
        f.job = JobMaster::new(f.now(), spec, 1);
        f.feed(JobInput::Start);
        ["s0", "k0", "t0", "l0"].iter().for_each(|name| drop(f.feed(running(0, name))));
        f
    }

    /// Checkpoint 1 is completed; the time is 1 s.
    fn checkpointed(mut self) -> Self {
        self.tick(1_000);
        self.feed(prepared(1));
        ["s0", "k0", "t0", "l0"].iter().for_each(|name| drop(self.feed(ack(0, 1, name))));
        self.feed(persisted(1));
        self
    }
}

#[test]
fn only_the_failed_region_begins_again() {
    let mut f = Fixture::side_by_side(&[]).checkpointed();
    assert_eq!(f.feed(failed(0, "k0")), ["RUNNING > RESTARTING", "cancel tasks s@0"]);
    assert_eq!(f.feed(canceled(0, "s0")), [""; 0]);
    assert_eq!(f.tick(3_000), ["RESTARTING > RUNNING", "deploy ks@1 from 1"]);
    // The others have gone on, and say so in the attempt that they began with.
    f.feed(end_of_data(0, "l0"));
    assert_eq!(f.job.stale_messages(), 0);
    f.feed(running(1, "s0"));
    assert_eq!(f.feed(running(1, "k0")), ["all running @1"]);
    assert_eq!(f.tick(4_000), ["prepare 2"]);
    f.feed(prepared(2));
    let acks = [ack(1, 2, "s0"), ack(1, 2, "k0"), ack(0, 2, "t0")];
    acks.into_iter().for_each(|ack| assert_eq!(f.feed(ack), [""; 0]));
    assert_eq!(f.feed(ack(1, 2, "l0")), [""; 0], "it is not of that attempt");
    assert_eq!(f.feed(ack(0, 2, "l0")), ["persist 2"]);
    f.feed(failed(0, "k0"));
    assert_eq!(f.status(), "RUNNING", "that was another one");
    assert_eq!(f.job.stale_messages(), 2, "it is counted");
    assert_eq!(f.job.exceptions().entries().next().unwrap().attempt, AttemptNumber(0));
}

#[test]
fn a_second_region_that_fails_begins_with_the_first() {
    let mut f = Fixture::side_by_side(&[]);
    f.feed(failed(0, "k0"));
    assert_eq!(f.feed(failed(0, "t0")), ["cancel tasks l@0"]);
    f.feed(canceled(0, "l0"));
    assert_eq!(f.tick(3_000), [""; 0], "a task of the first is not out");
    let all = f.feed(canceled(0, "s0"));
    assert_eq!(all, ["RESTARTING > RUNNING", "deploy klst@1 from nothing"]);
    assert_eq!(f.job.num_restarts(), 1);
}

#[test]
fn what_is_on_its_way_begins_again_with_what_fails_then() {
    let mut f = Fixture::side_by_side(&[]);
    f.feed(failed(0, "k0"));
    f.feed(canceled(0, "s0"));
    f.tick(3_000);
    assert_eq!(f.feed(failed(0, "t0")), ["RUNNING > RESTARTING", "cancel tasks kls@1"]);
}

#[test]
fn a_job_that_stops_fails_as_a_whole() {
    let mut f = Fixture::side_by_side(&[]).checkpointed();
    let folder = "/savepoints/1".to_owned();
    f.feed(JobInput::StopRequested { request: 7, drain: false, folder });
    f.feed(prepared(2));
    let all = f.feed(failed(0, "k0"));
    assert_eq!(all[1..3], ["cancel tasks lst@0", "aborted 2 @0"], "{all:?}");
}

#[test]
fn a_user_can_cancel_while_a_region_restarts() {
    let mut f = Fixture::side_by_side(&[]);
    f.feed(failed(0, "k0"));
    let all = f.feed(JobInput::Cancel);
    assert_eq!(all, ["RESTARTING > CANCELLING", "cancel tasks lt@0"]);
    ["s0", "t0", "l0"].iter().for_each(|name| drop(f.feed(canceled(0, name))));
    assert_eq!(f.status(), "CANCELED");
}

#[test]
fn the_whole_job_fails_if_it_may_not_restart_or_shall_restart_whole() {
    let mut f = Fixture::side_by_side(&[]);
    f.job.spec.failover = FailoverStrategy::Full;
    assert_eq!(f.feed(failed(0, "k0"))[1..], ["cancel tasks lst@0"]);
    let mut f = Fixture::side_by_side(&[]);
    f.job.strategy = RestartStrategy::new(&RestartStrategyConfig::None, 1);
    assert_eq!(f.feed(failed(0, "k0")), ["RUNNING > FAILING", "cancel tasks lst@0"]);
}

#[test]
fn a_job_that_was_to_stop_under_another_job_manager_fails_as_a_whole() {
    let mut f = Fixture::side_by_side(&[]).checkpointed();
    // Nobody has told this one of a stop; but these tasks would not end by themselves.
    f.feed(finished(0, "t0"));
    f.feed(finished(0, "l0"));
    let all = f.feed(failed(0, "k0"));
    assert_eq!(all, ["RUNNING > RESTARTING", "cancel tasks s@0"]);
    f.feed(canceled(0, "s0"));
    assert_eq!(f.tick(3_000), ["RESTARTING > RUNNING", "deploy klst@1 from 1"]);
}

#[test]
fn what_a_task_has_written_that_is_gone_is_deleted() {
    let mut f = Fixture::side_by_side(&[]).checkpointed();
    f.tick(2_000);
    f.feed(prepared(2));
    f.feed(failed(0, "k0"));
    f.feed(canceled(0, "s0"));
    f.tick(4_000);
    let JobInput::Ack { attempt, checkpoint, task, metrics, .. } = ack(0, 2, "s0") else {
        panic!("it is one")
    };
    let data = DataRef::File { path: "chk-2/s0".into(), offset: 0, length: 1 };
    let list = OperatorStateHandle {
        name: "list".into(),
        redistribution: Redistribution::Split,
        schema: SchemaText("u8".into()),
        data,
        ends: vec![1],
        checksum: 0,
    };
    let operator = OperatorSnapshot {
        operator: OperatorId::from_name("s0"),
        keyed: Vec::new(),
        operator_states: vec![list],
        digest: 0,
    };
    let snapshot = TaskSnapshot { operators: vec![operator], end_of_data: false };
    let late = JobInput::Ack { attempt, checkpoint, task, snapshot, metrics };
    assert_eq!(f.feed(late), ["discard chk-2/s0"]);
}
