//! One file per transition; each asserts the exact effects, written as one line each.
//!
//! The job under test: a source `s0` and a counter `k0` that reads from it; checkpoints every
//! second; restarts after 2 s, at most twice.

mod cancel;
mod checkpoint;
mod failure;
mod finish;
mod random;
mod reattach;
mod regions;
mod start;

use std::time::Duration;

use flott_checkpoint::snapshot::{OperatorInfo, SubtaskCheckpointMetrics, TaskSnapshot};
use flott_checkpoint::{CheckpointConfig, Effect, TaskInfo};
use flott_core::config::options::FailoverStrategy;
use flott_core::config::{Configuration, Origin};
use flott_core::{CheckpointId, JobId, MaxParallelism, MonoTime, OperatorId, Timestamp, VertexId};

use super::*;
use crate::restart::RestartStrategyConfig;

/// A job and its clock.
struct Fixture {
    job: JobMaster,
    millis: u64,
    /// Whether effects name their tasks.
    names_tasks: bool,
}

impl Fixture {
    fn new(options: &[(&str, &str)]) -> Self {
        let now = Now { mono: MonoTime(0), wall: Timestamp(0) };
        Self { job: JobMaster::new(now, spec(options), 1), millis: 0, names_tasks: false }
    }

    /// Attempt 0 is deployed.
    fn started(options: &[(&str, &str)]) -> Self {
        let mut f = Self::new(options);
        assert_eq!(
            f.feed(JobInput::Start),
            ["INITIALIZING > CREATED", "CREATED > RUNNING", "deploy @0 from nothing"]
        );
        f
    }

    /// All tasks of attempt 0 run.
    fn running(options: &[(&str, &str)]) -> Self {
        let mut f = Self::started(options);
        f.feed(running(0, "s0"));
        f.feed(running(0, "k0"));
        f
    }

    /// The record of checkpoint 1 is being written; the time is 1 s.
    fn writing(options: &[(&str, &str)]) -> Self {
        let mut f = Self::running(options);
        assert_eq!(f.tick(1_000), ["prepare 1"]);
        assert_eq!(f.feed(prepared(1)), ["trigger 1 @0"]);
        f.feed(ack(0, 1, "s0"));
        assert_eq!(f.feed(ack(0, 1, "k0")), ["persist 1"]);
        f
    }

    /// Checkpoint 1 is completed; the time is 1 s.
    fn completed(options: &[(&str, &str)]) -> Self {
        let mut f = Self::writing(options);
        assert_eq!(f.feed(persisted(1)), ["complete 1 @0", "completed 1"]);
        f
    }

    fn feed(&mut self, input: JobInput) -> Vec<String> {
        self.job.handle(self.now(), input);
        self.drain()
    }

    fn tick(&mut self, millis: u64) -> Vec<String> {
        self.millis = millis;
        self.job.handle_timeout(self.now());
        self.drain()
    }

    fn drain(&mut self) -> Vec<String> {
        let effects = std::iter::from_fn(|| self.job.poll_effect());
        effects.map(|effect| show(&effect, self.names_tasks)).collect()
    }

    fn now(&self) -> Now {
        let wall = Timestamp(i64::try_from(self.millis).unwrap());
        Now { mono: MonoTime(self.millis * 1_000_000), wall }
    }

    fn status(&self) -> String {
        self.job.status().to_string()
    }

    fn states(&self) -> Vec<String> {
        self.job.tasks().map(|task| format!("{} {}", task.name, task.state)).collect()
    }
}

/// Options below `execution.checkpointing` change the defaults.
fn spec(options: &[(&str, &str)]) -> JobSpec {
    let mut config = Configuration::new();
    for (key, value) in [("interval", "1 s")].iter().chain(options) {
        config.set_text(&format!("execution.checkpointing.{key}"), value, Origin::File).unwrap();
    }
    let task = |name: &str, inputs: &[&str]| TaskSpec {
        info: TaskInfo {
            id: task(name),
            is_source: inputs.is_empty(),
            operators: vec![OperatorId::from_name(name)],
            inputs: inputs.iter().map(|input| self::task(input)).collect(),
        },
        name: format!("{name} (1/1)"),
    };
    let operator = |name: &str| OperatorInfo {
        id: OperatorId::from_name(name),
        uid: name.into(),
        name: name.into(),
        parallelism: 1,
        max_parallelism: MaxParallelism::new(128).unwrap(),
    };
    JobSpec {
        job: JobId::from_name("job"),
        name: "job".into(),
        tasks: vec![task("s0", &[]), task("k0", &["s0"])],
        operators: vec![operator("s0"), operator("k0")],
        checkpointing: CheckpointConfig::from_configuration(&config).unwrap(),
        restart: RestartStrategyConfig::FixedDelay { attempts: 2, delay: Duration::from_secs(2) },
        failover: FailoverStrategy::Region,
        restored: None,
        first_attempt: AttemptNumber(0),
        first_checkpoint: CheckpointId(1),
        reattach: None,
        exception_history_size: 2,
    }
}

fn task(name: &str) -> TaskId {
    TaskId { vertex: VertexId::from_u128(u128::from(name.as_bytes()[0])), subtask: 0 }
}

fn running(attempt: u32, name: &str) -> JobInput {
    JobInput::TaskRunning { attempt: AttemptNumber(attempt), task: task(name) }
}

fn finished(attempt: u32, name: &str) -> JobInput {
    JobInput::TaskFinished { attempt: AttemptNumber(attempt), task: task(name) }
}

fn canceled(attempt: u32, name: &str) -> JobInput {
    JobInput::TaskCanceled { attempt: AttemptNumber(attempt), task: task(name) }
}

fn end_of_data(attempt: u32, name: &str) -> JobInput {
    JobInput::EndOfData { attempt: AttemptNumber(attempt), task: task(name) }
}

fn failed(attempt: u32, name: &str) -> JobInput {
    let failure = Failure::new(format!("{name} broke\nCaused by: bad luck"));
    JobInput::TaskFailed { attempt: AttemptNumber(attempt), task: task(name), failure }
}

fn ack(attempt: u32, checkpoint: u64, name: &str) -> JobInput {
    JobInput::Ack {
        attempt: AttemptNumber(attempt),
        checkpoint: CheckpointId(checkpoint),
        task: task(name),
        snapshot: TaskSnapshot::default(),
        metrics: SubtaskCheckpointMetrics::default(),
    }
}

fn prepared(checkpoint: u64) -> JobInput {
    JobInput::LocationPrepared { checkpoint: CheckpointId(checkpoint) }
}

fn persisted(checkpoint: u64) -> JobInput {
    JobInput::MetadataPersisted { checkpoint: CheckpointId(checkpoint) }
}

fn unknown(checkpoint: u64) -> JobInput {
    JobInput::MetadataUnknown { checkpoint: CheckpointId(checkpoint), message: String::new() }
}

fn show(effect: &JobEffect, names_tasks: bool) -> String {
    let part = |tasks: &BTreeSet<TaskId>| {
        let letters = tasks.iter().map(|task| char::from(task.vertex.as_u128() as u8));
        letters.filter(|_| names_tasks).collect::<String>()
    };
    match effect {
        JobEffect::Deploy { attempt, restore, tasks } => {
            let from = restore.as_ref().map(|record| record.checkpoint.to_string());
            let from = from.as_deref().unwrap_or("nothing");
            format!("deploy {}@{attempt} from {from}", part(tasks))
        }
        JobEffect::Reattach { attempt } => format!("reattach @{attempt}"),
        JobEffect::Over => "over".into(),
        JobEffect::CancelTasks { attempt, tasks } => {
            format!("cancel tasks {}@{attempt}", part(tasks))
        }
        JobEffect::AllRunning { attempt } => format!("all running @{attempt}"),
        JobEffect::StatusChanged { from, to } => format!("{from} > {to}"),
        JobEffect::Ended { status, failure: None } => format!("ended {status:?}"),
        JobEffect::Ended { status, failure: Some(why) } => format!("ended {status:?}: {why}"),
        JobEffect::Checkpoint(effect) => show_checkpoint(effect),
        JobEffect::StopFailed { request, checkpoint } => {
            format!("stop #{request} failed after {checkpoint}")
        }
    }
}

fn show_checkpoint(effect: &Effect) -> String {
    match effect {
        Effect::PrepareLocation { checkpoint } => format!("prepare {checkpoint}"),
        Effect::PrepareSavepoint { checkpoint, .. } => format!("prepare savepoint {checkpoint}"),
        Effect::DiscardSavepoint { checkpoint } => format!("discard savepoint {checkpoint}"),
        Effect::TriggerSources { attempt, barrier, .. } => {
            format!("trigger {} @{attempt}", barrier.checkpoint)
        }
        Effect::PersistMetadata { checkpoint, .. } => format!("persist {checkpoint}"),
        Effect::NotifyComplete { attempt, checkpoint, .. } => {
            format!("complete {checkpoint} @{attempt}")
        }
        Effect::NotifyAborted { attempt, checkpoint, .. } => {
            format!("aborted {checkpoint} @{attempt}")
        }
        Effect::DiscardClaimed { .. } => "discard claimed".into(),
        Effect::Discard { paths } => format!("discard {}", paths.join(" ")),
        Effect::FailJob { .. } | Effect::Stopping { .. } => panic!("the job acts on it itself"),
        Effect::Answer { request, result } => format!("answer #{request}: {result:?}"),
        Effect::Completed { checkpoint, .. } => format!("completed {checkpoint}"),
        Effect::Failed { checkpoint, reason, .. } => format!("failed {checkpoint} {reason:?}"),
    }
}
