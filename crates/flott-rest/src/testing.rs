//! A view to be shown in tests: what a job master says after some hard minutes. Its names would be
//! markup, were they not text.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flott_checkpoint::snapshot::{OperatorInfo, SubtaskCheckpointMetrics, TaskSnapshot};
use flott_checkpoint::{CheckpointConfig, DeclineReason, Effect, TaskInfo};
use flott_control::view::{ClusterView, JobDescription, JobView};
use flott_control::{Failure, JobEffect, JobInput, JobMaster, JobSpec};
use flott_control::{RestartStrategyConfig, TaskSpec};
use flott_core::config::options::FailoverStrategy;
use flott_core::config::{Configuration, Origin};
use flott_core::metrics::TaskMetrics;
use flott_core::{AttemptNumber, CheckpointId, JobId, MonoTime, Now, TaskId, Timestamp};
use flott_plan::{JobGraph, NodeKind, Partitioning, StreamEdge, StreamGraph, StreamNode};

/// The one job.
pub(crate) const JOB: &str = "000000000000000000000000000000ab";

const MARKUP: &str = "<img src=x onerror=alert(1)>";

/// One job, running after a restart: checkpoint 1 completed, 2 failed, 3 was lost with a task, 4 is
/// under way and has one of its four acknowledgements.
pub(crate) fn view() -> ClusterView {
    let mut run = Run::new();
    run.feed(JobInput::Start);
    run.all_running();
    run.checkpoint(1, |run, tasks| {
        tasks.iter().for_each(|task| run.ack(1, *task));
        run.feed(JobInput::MetadataPersisted { checkpoint: CheckpointId(1) });
    });
    run.checkpoint(2, |run, tasks| {
        run.feed(JobInput::Decline {
            attempt: run.attempt,
            checkpoint: CheckpointId(2),
            task: tasks[0],
            reason: DeclineReason::AsyncException,
            message: format!("the disk is full {MARKUP}"),
        });
    });
    run.checkpoint(3, |run, tasks| run.restart(tasks));
    run.all_running();
    run.checkpoint(4, |run, tasks| run.ack(4, tasks[0]));
    run.view()
}

struct Run {
    master: JobMaster,
    description: Arc<JobDescription>,
    attempt: AttemptNumber,
    millis: u64,
}

impl Run {
    fn new() -> Self {
        let mut config = Configuration::new();
        for (key, value) in [
            ("parallelism.default", "2"),
            ("execution.checkpointing.interval", "1 s"),
            ("execution.checkpointing.tolerable-failed-checkpoints", "9"),
        ] {
            config.set_text(key, value, Origin::File).unwrap();
        }
        config.set_text("execution.checkpointing.timeout", "5 min", Origin::CommandLine).unwrap();
        let graph = JobGraph::build(&program(), &config).unwrap();
        let description = JobDescription {
            job: JOB.parse::<JobId>().unwrap(),
            name: format!("job {MARKUP}"),
            graph,
            checkpointing: CheckpointConfig::from_configuration(&config).unwrap(),
            restart: RestartStrategyConfig::FixedDelay {
                attempts: 5,
                delay: Duration::from_secs(2),
            },
            options: config,
            restored_from: None,
        };
        let master = JobMaster::new(now(0), spec(&description), 1);
        let description = Arc::new(description);
        Self { master, description, attempt: AttemptNumber(0), millis: 0 }
    }

    fn feed(&mut self, input: JobInput) {
        self.master.handle(now(self.millis), input);
        self.perform();
    }

    fn tick(&mut self, millis: u64) {
        self.millis += millis;
        self.master.handle_timeout(now(self.millis));
        self.perform();
    }

    fn perform(&mut self) {
        while let Some(effect) = self.master.poll_effect() {
            // Everything else is done by the test itself.
            if let JobEffect::Checkpoint(Effect::PrepareLocation { checkpoint }) = effect {
                self.feed(JobInput::LocationPrepared { checkpoint });
            } else if let JobEffect::Deploy { attempt, .. } = effect {
                self.attempt = attempt;
            }
        }
    }

    fn tasks(&self) -> Vec<TaskId> {
        self.master.tasks().map(|task| task.id).collect()
    }

    fn all_running(&mut self) {
        for task in self.tasks() {
            self.feed(JobInput::TaskRunning { attempt: self.attempt, task });
        }
    }

    /// Triggers a checkpoint, and lets something happen to it.
    fn checkpoint(&mut self, id: u64, then: impl FnOnce(&mut Self, &[TaskId])) {
        self.tick(1000);
        let history = &self.master.coordinator().stats().history;
        assert_eq!(history.front().map(|stats| stats.checkpoint), Some(CheckpointId(id)));
        self.millis += 7;
        let tasks = self.tasks();
        then(self, &tasks);
    }

    fn ack(&mut self, checkpoint: u64, task: TaskId) {
        let metrics = SubtaskCheckpointMetrics { sync_nanos: 12_000, bytes: 100, ..<_>::default() };
        self.feed(JobInput::Ack {
            attempt: self.attempt,
            checkpoint: CheckpointId(checkpoint),
            task,
            snapshot: TaskSnapshot::default(),
            metrics,
        });
    }

    /// One task fails with what could be markup, another one beside it; the rest is cancelled.
    fn restart(&mut self, tasks: &[TaskId]) {
        let attempt = self.attempt;
        for task in &tasks[..2] {
            let failure = Failure {
                endpoint: Some("localhost:41407".into()),
                ..Failure::new(format!("{MARKUP}\nCaused by: bad luck"))
            };
            self.feed(JobInput::TaskFailed { attempt, task: *task, failure });
        }
        for task in &tasks[2..] {
            self.feed(JobInput::TaskCanceled { attempt, task: *task });
        }
        self.tick(2000);
    }

    fn view(&self) -> ClusterView {
        let counted = |task: TaskId| {
            let metrics = TaskMetrics::default();
            metrics.records_in.add(30);
            metrics.records_out.add(if self.is_source(task) { 40 } else { 0 });
            (task, metrics)
        };
        let metrics: BTreeMap<TaskId, TaskMetrics> =
            self.tasks().into_iter().map(counted).collect();
        let location = |id| format!("file:/checkpoints/{JOB}/chk-{id}");
        let place = |task: TaskId| (task.subtask == 0).then(|| "localhost:34413-03de8b".to_owned());
        let job = JobView::new(&self.master, self.description.clone(), &metrics, place, location);
        ClusterView { now: now(self.millis + 5), jobs: vec![Arc::new(job)], task_managers: None }
    }

    fn is_source(&self, task: TaskId) -> bool {
        self.description.graph.vertex(task.vertex).is_some_and(|vertex| vertex.is_source)
    }
}

/// `numbers -> <markup> =hash=> counter -> (discard, discard 2)`, a chain at each end.
fn program() -> StreamGraph {
    let mut graph = StreamGraph::new();
    let numbers = graph.add_node(StreamNode::new("numbers", NodeKind::Source));
    let map = graph.add_node(StreamNode::new(MARKUP, NodeKind::Operator));
    let counter = graph.add_node(StreamNode::new("counter", NodeKind::Operator));
    let discard = graph.add_node(StreamNode::new("discard", NodeKind::Sink));
    let second = graph.add_node(StreamNode::new("discard 2", NodeKind::Sink));
    graph.add_edge(StreamEdge::new(numbers, map));
    graph.add_edge(StreamEdge {
        partitioning: Some(Partitioning::Hash),
        ..StreamEdge::new(map, counter)
    });
    graph.add_edge(StreamEdge::new(counter, discard));
    graph.add_edge(StreamEdge::new(counter, second));
    graph
}

fn spec(description: &JobDescription) -> JobSpec {
    let vertices = || description.graph.vertices.iter();
    let tasks = vertices().flat_map(|vertex| {
        (0..vertex.parallelism).map(move |subtask| TaskSpec {
            info: TaskInfo {
                id: TaskId { vertex: vertex.id, subtask },
                is_source: vertex.is_source,
                operators: vertex.operators.iter().map(|operator| operator.id).collect(),
                inputs: Vec::new(),
            },
            name: format!("{} ({}/{})", vertex.name, subtask + 1, vertex.parallelism),
        })
    });
    let operators = vertices().flat_map(|vertex| {
        vertex.operators.iter().map(|operator| OperatorInfo {
            id: operator.id,
            uid: operator.uid.clone(),
            name: operator.name.clone(),
            parallelism: vertex.parallelism,
            max_parallelism: vertex.max_parallelism,
        })
    });
    JobSpec {
        job: description.job,
        name: description.name.clone(),
        tasks: tasks.collect(),
        operators: operators.collect(),
        checkpointing: description.checkpointing.clone(),
        restart: description.restart.clone(),
        restored: None,
        failover: FailoverStrategy::Full,
        first_attempt: AttemptNumber(0),
        first_checkpoint: CheckpointId(1),
        reattach: None,
        exception_history_size: 16,
    }
}

fn now(millis: u64) -> Now {
    let wall = Timestamp(1_795_179_250_033 + i64::try_from(millis).unwrap());
    Now { mono: MonoTime(millis * 1_000_000), wall }
}
