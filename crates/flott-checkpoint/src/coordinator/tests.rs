//! One file per transition; each asserts the exact effects, written as one line each.
//!
//! The job under test: two sources `s0` and `s1`, and `k0` that reads from both.

mod ack;
mod decline;
mod expiry;
mod finished_tasks;
mod manual;
mod metadata;
mod random;
mod restore;
mod savepoint;
mod shutdown;
mod stats;
mod stop;
mod subsume;
mod trigger;

use std::sync::Arc;

use flott_core::config::{Configuration, Origin};
use flott_core::{
    AttemptNumber, CheckpointId, JobId, MaxParallelism, MonoTime, Now, OperatorId, TaskId,
    Timestamp, VertexId,
};

use super::*;
use crate::reason::DeclineReason;
use crate::snapshot::{DataRef, OperatorSnapshot, OperatorStateHandle, Redistribution, SchemaText};
use crate::snapshot::{SubtaskCheckpointMetrics, TaskSnapshot};

/// A coordinator, its clock, and the job under test.
struct Fixture {
    coordinator: Coordinator,
    millis: u64,
}

impl Fixture {
    /// With an interval of 1 s and the given options (keys below `execution.checkpointing`).
    fn new(options: &[(&str, &str)]) -> Self {
        Self::restored(options, None)
    }

    fn restored(options: &[(&str, &str)], restored: Option<CompletedCheckpoint>) -> Self {
        Self::configured(config(options), restored)
    }

    fn configured(config: CheckpointConfig, restored: Option<CompletedCheckpoint>) -> Self {
        let restored = restored.map(Arc::new);
        let coordinator = Coordinator::new(job(), "job", operators(), config, restored);
        Self { coordinator, millis: 0 }
    }

    /// All tasks of attempt 0 run.
    fn running(options: &[(&str, &str)]) -> Self {
        let mut fixture = Self::new(options);
        assert_eq!(fixture.feed(tasks_running(0)), [""; 0]);
        fixture
    }

    /// Checkpoint 1 waits for its acknowledgements; the time is 1 s.
    fn triggered(options: &[(&str, &str)]) -> Self {
        let mut fixture = Self::running(options);
        assert_eq!(fixture.tick(1_000), ["prepare 1"]);
        assert_eq!(fixture.feed(prepared(1)), ["trigger 1 @0 [s0 s1]"]);
        fixture
    }

    /// The record of checkpoint 1 is being written; the time is 1 s.
    fn writing(options: &[(&str, &str)]) -> Self {
        let mut fixture = Self::triggered(options);
        assert_eq!(fixture.feed(ack(1, "s0")), [""; 0]);
        assert_eq!(fixture.feed(ack(1, "s1")), [""; 0]);
        assert_eq!(fixture.feed(ack(1, "k0")), ["persist 1"]);
        fixture
    }

    /// Checkpoint 1 is completed; the time is 1 s.
    fn completed(options: &[(&str, &str)]) -> Self {
        let mut fixture = Self::writing(options);
        assert_eq!(fixture.feed(persisted(1)), ["complete 1 @0 [k0 s0 s1]", "completed 1"]);
        fixture
    }

    /// Takes a checkpoint that has been prepared to its end.
    fn complete(&mut self, checkpoint: u64) {
        self.feed(prepared(checkpoint));
        for task in ["s0", "s1", "k0"] {
            self.feed(ack(checkpoint, task));
        }
        self.feed(persisted(checkpoint));
    }

    fn feed(&mut self, input: Input) -> Vec<String> {
        self.coordinator.handle(self.now(), input);
        self.drain()
    }

    fn tick(&mut self, millis: u64) -> Vec<String> {
        self.millis = millis;
        self.coordinator.handle_timeout(self.now());
        self.drain()
    }

    fn drain(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.coordinator.poll_effect()).map(|effect| show(&effect)).collect()
    }

    fn now(&self) -> Now {
        let wall = Timestamp(i64::try_from(self.millis).unwrap());
        Now { mono: MonoTime(self.millis * 1_000_000), wall }
    }

    /// The next timeout, in milliseconds, and why.
    fn timeout(&self) -> Option<(u64, &'static str)> {
        self.coordinator.poll_timeout().map(|(at, why)| (at.0 / 1_000_000, why))
    }

    fn pending(&self) -> Vec<u64> {
        self.coordinator.pending().map(|id| id.0).collect()
    }

    fn retained(&self) -> Vec<u64> {
        self.coordinator.retained().map(|record| record.checkpoint.0).collect()
    }
}

fn config(options: &[(&str, &str)]) -> CheckpointConfig {
    let mut config = Configuration::new();
    for (key, value) in [("interval", "1 s")].iter().chain(options) {
        config.set_text(&format!("execution.checkpointing.{key}"), value, Origin::File).unwrap();
    }
    CheckpointConfig::from_configuration(&config).unwrap()
}

fn job() -> JobId {
    JobId::from_name("job")
}

/// `s1` is subtask 1 of vertex `s`, whose only operator has the same name.
fn task(name: &str) -> TaskId {
    let (vertex, subtask) = name.split_at(1);
    // Ids that sort as their names do.
    let vertex = VertexId::from_u128(u128::from(vertex.as_bytes()[0]));
    TaskId { vertex, subtask: subtask.parse().unwrap() }
}

fn name_of(task: TaskId) -> String {
    let letter = char::from(u8::try_from(task.vertex.as_u128()).unwrap());
    format!("{letter}{}", task.subtask)
}

fn operator_of(name: &str) -> OperatorId {
    OperatorId::from_name(&name[..1])
}

fn operators() -> Vec<OperatorInfo> {
    let operator = |name: &str, parallelism| OperatorInfo {
        id: operator_of(name),
        uid: name.into(),
        name: name.into(),
        parallelism,
        max_parallelism: MaxParallelism::new(128).unwrap(),
    };
    vec![operator("s", 2), operator("k", 1)]
}

fn task_infos() -> Vec<TaskInfo> {
    let source = |name: &str| TaskInfo {
        id: task(name),
        is_source: true,
        operators: vec![operator_of(name)],
        inputs: vec![],
    };
    let counter = TaskInfo {
        id: task("k0"),
        is_source: false,
        operators: vec![operator_of("k0")],
        inputs: vec![task("s0"), task("s1")],
    };
    vec![source("s0"), source("s1"), counter]
}

fn tasks_running(attempt: u32) -> Input {
    Input::TasksRunning { attempt: AttemptNumber(attempt), tasks: task_infos() }
}

fn prepared(checkpoint: u64) -> Input {
    Input::LocationPrepared { checkpoint: CheckpointId(checkpoint) }
}

fn persisted(checkpoint: u64) -> Input {
    Input::MetadataPersisted { checkpoint: CheckpointId(checkpoint) }
}

fn unknown(checkpoint: u64) -> Input {
    Input::MetadataUnknown { checkpoint: CheckpointId(checkpoint), message: "timed out".into() }
}

fn write_failed(checkpoint: u64) -> Input {
    Input::MetadataFailed { checkpoint: CheckpointId(checkpoint), message: "disk full".into() }
}

fn requested(request: u64) -> Input {
    Input::CheckpointRequested { request }
}

/// An acknowledgement with one file, `chk-1/s0`.
fn ack(checkpoint: u64, name: &str) -> Input {
    ack_of(0, checkpoint, name, &format!("chk-{checkpoint}/{name}"), false)
}

fn final_ack(checkpoint: u64, name: &str) -> Input {
    ack_of(0, checkpoint, name, &format!("chk-{checkpoint}/{name}"), true)
}

fn ack_of(attempt: u32, checkpoint: u64, name: &str, path: &str, end_of_data: bool) -> Input {
    Input::Ack {
        attempt: AttemptNumber(attempt),
        checkpoint: CheckpointId(checkpoint),
        task: task(name),
        snapshot: TaskSnapshot { operators: vec![snapshot(name, path)], end_of_data },
        metrics: SubtaskCheckpointMetrics { bytes: 10, ..Default::default() },
    }
}

/// A list of one element in a file.
fn snapshot(name: &str, path: &str) -> OperatorSnapshot {
    OperatorSnapshot {
        operator: operator_of(name),
        keyed: vec![],
        operator_states: vec![OperatorStateHandle {
            name: "list".into(),
            redistribution: Redistribution::Split,
            schema: SchemaText(String::new()),
            data: DataRef::File { path: path.into(), offset: 0, length: 10 },
            ends: vec![10],
            checksum: 0,
        }],
        digest: 0,
    }
}

fn decline(checkpoint: u64, name: &str, reason: DeclineReason) -> Input {
    Input::Decline {
        attempt: AttemptNumber(0),
        checkpoint: CheckpointId(checkpoint),
        task: task(name),
        reason,
        message: "no space".into(),
    }
}

fn end_of_data(name: &str) -> Input {
    Input::EndOfData { attempt: AttemptNumber(0), task: task(name) }
}

fn finished(name: &str) -> Input {
    Input::TaskFinished { attempt: AttemptNumber(0), task: task(name) }
}

fn show(effect: &Effect) -> String {
    let list = |tasks: &[TaskId]| {
        let names: Vec<_> = tasks.iter().map(|task| name_of(*task)).collect();
        format!("[{}]", names.join(" "))
    };
    match effect {
        Effect::PrepareLocation { checkpoint } => format!("prepare {checkpoint}"),
        Effect::PrepareSavepoint { checkpoint, request } => {
            format!("prepare savepoint {checkpoint} #{request}")
        }
        Effect::DiscardSavepoint { checkpoint } => format!("discard savepoint {checkpoint}"),
        Effect::Stopping { request, checkpoint } => format!("stopping {checkpoint} #{request}"),
        Effect::TriggerSources { attempt, barrier, tasks } => {
            format!("trigger {} @{attempt} {}", barrier.checkpoint, list(tasks))
        }
        Effect::PersistMetadata { checkpoint, record, .. } => {
            assert_eq!(*checkpoint, record.checkpoint);
            format!("persist {checkpoint}")
        }
        Effect::NotifyComplete { attempt, checkpoint, tasks } => {
            format!("complete {checkpoint} @{attempt} {}", list(tasks))
        }
        Effect::NotifyAborted { attempt, checkpoint, tasks } => {
            format!("aborted {checkpoint} @{attempt} {}", list(tasks))
        }
        Effect::Discard { paths } => format!("discard {}", paths.join(" ")),
        Effect::DiscardClaimed { record } => {
            format!("discard claimed {} of {}", record.checkpoint, record.job_name)
        }
        Effect::FailJob { message } => format!("fail job: {message}"),
        Effect::Answer { request, result: Ok(id) } => format!("answer #{request}: {id}"),
        Effect::Answer { request, result: Err(why) } => format!("answer #{request}: {why}"),
        Effect::Completed { checkpoint, stats } => {
            assert_eq!(*checkpoint, stats.checkpoint);
            format!("completed {checkpoint}")
        }
        Effect::Failed { checkpoint, reason, message: _, culprit } => match culprit {
            Some(task) => format!("failed {checkpoint} {reason:?} by {}", name_of(*task)),
            None => format!("failed {checkpoint} {reason:?}"),
        },
    }
}
