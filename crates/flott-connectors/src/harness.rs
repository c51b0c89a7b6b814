//! Steps a source by hand: the tasks are the engine's own, the clock and the threads are the test's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use flott_checkpoint::assign::assign;
use flott_checkpoint::snapshot::{CheckpointTimes, OperatorInfo};
use flott_checkpoint::storage::CheckpointStorage;
use flott_checkpoint::{CompletedCheckpoint, MemoryStorage, OperatorRecord};
use flott_core::codec::Data;
use flott_core::config::Configuration;
use flott_core::config::options::CheckpointingMode;
use flott_core::element::{Barrier, CheckpointKind};
use flott_core::{
    AttemptNumber, CheckpointId, Error, JobId, MaxParallelism, MonoTime, Now, OperatorId, Result,
    TaskId, Timestamp,
};
use flott_datastream::{
    Batch, Collector, DataStream, Executor, JobExecutionResult, Operator, OperatorInstance,
    StreamExecutionEnvironment,
};
use flott_plan::JobGraph;
use flott_runtime::KeptStates;
use flott_runtime::build::{Deployment, build_tasks};
use flott_runtime::restore::{Reads, Source, load_tasks, program_operators};
use flott_runtime::{
    Clock, Command, Program, Progress, StateBackend, StateFile, Task, TaskEvent, TaskSettings, Wake,
};

/// How long a test waits for another thread before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// The records that a task takes through its chain at once.
pub(crate) const BATCH: usize = 4;

pub(crate) fn at(millis: u64) -> Now {
    Now { mono: MonoTime(millis * 1_000_000), wall: Timestamp(millis as i64) }
}

pub(crate) fn instance(subtask: u32, parallelism: u32) -> OperatorInstance {
    OperatorInstance {
        job: JobId::from_u128(7),
        id: OperatorId::from_u128(8),
        name: "test".into(),
        subtask,
        parallelism,
        max_parallelism: MaxParallelism::default_for(parallelism),
        attempt: AttemptNumber(0),
        accumulators: Default::default(),
    }
}

/// A job of a source and a sink that keeps what comes.
pub(crate) struct Harness<T> {
    graph: JobGraph,
    tasks: Vec<Task>,
    /// What each task said when it was stepped last.
    progress: Vec<Progress>,
    records: Arc<Mutex<Vec<(u32, T)>>>,
    clock: Arc<TestClock>,
    bell: Arc<Bell>,
    checkpoints: u64,
    failure: Option<String>,
}

impl<T: Data + Ord> Harness<T> {
    pub(crate) fn new(
        parallelism: u32,
        build: impl Fn(&StreamExecutionEnvironment) -> DataStream<T>,
    ) -> Self {
        Self::start(parallelism, build, None)
    }

    pub(crate) fn restored(
        parallelism: u32,
        build: impl Fn(&StreamExecutionEnvironment) -> DataStream<T>,
        checkpoint: &CompletedCheckpoint,
    ) -> Self {
        Self::start(parallelism, build, Some(checkpoint))
    }

    fn start(
        parallelism: u32,
        build: impl Fn(&StreamExecutionEnvironment) -> DataStream<T>,
        checkpoint: Option<&CompletedCheckpoint>,
    ) -> Self {
        let captured = Arc::new(Captured::default());
        let env = StreamExecutionEnvironment::new(Configuration::new(), captured.clone());
        env.set_parallelism(parallelism);
        let records = Arc::new(Mutex::new(Vec::new()));
        let kept = records.clone();
        build(&env).add_sink("keep", false, move |instance| Keep {
            subtask: instance.subtask,
            records: kept.clone(),
        });
        env.execute("test").unwrap_err();
        let (program, config) = captured.0.lock().unwrap().take().unwrap();
        let graph = JobGraph::build(&program.graph, &config).unwrap();
        let restored = checkpoint.map_or_else(BTreeMap::new, |checkpoint| {
            let assigned = assign(checkpoint, &program_operators(&graph), false).unwrap();
            let storage: Arc<dyn CheckpointStorage> = Arc::new(MemoryStorage::new());
            let source = Source {
                storage: &storage,
                kept: &KeptStates::default(),
                backend: &StateBackend::Heap,
                reads: Reads::AtOnce,
            };
            load_tasks(&graph, &assigned, &source, |_| true).unwrap()
        });
        let clock = Arc::new(TestClock(Mutex::new(at(0))));
        let bell = Arc::new(Bell::default());
        let settings = TaskSettings {
            batch: false,
            checkpointing: true,
            mode: CheckpointingMode::ExactlyOnce,
            await_final_checkpoint: false,
            allow_non_restored_state: false,
            state_backend: StateBackend::Heap,
            channel_bytes: 1 << 20,
            batch_records: BATCH,
            records_at_once: BATCH,
            unaligned_after: None,
            buffer_timeout: Duration::ZERO,
        };
        let waker = bell.clone();
        let deployment = Deployment {
            job: JobId::from_u128(7),
            attempt: AttemptNumber(0),
            graph: &graph,
            program: &program,
            settings: &settings,
            clock: clock.clone(),
            wakers: &move |_| waker.clone(),
            begins: &|_| true,
            elsewhere: None,
        };
        let tasks = build_tasks(&deployment, restored).unwrap();
        let progress = vec![Progress::More; tasks.len()];
        let mut job =
            Self { graph, tasks, progress, records, clock, bell, checkpoints: 0, failure: None };
        // The first step opens.
        job.step();
        job
    }

    pub(crate) fn set_time(&self, millis: u64) {
        *self.clock.0.lock().unwrap() = at(millis);
    }

    /// Steps every task once.
    pub(crate) fn step(&mut self) {
        let _ = self.step_with_events();
    }

    fn step_with_events(&mut self) -> Vec<(TaskId, TaskEvent)> {
        let mut said = Vec::new();
        for (task, progress) in self.tasks.iter_mut().zip(&mut self.progress) {
            *progress = task.step();
            for event in task.take_events() {
                if let TaskEvent::Failed { error, .. } = &event {
                    self.failure.get_or_insert(error.report());
                }
                said.push((task.id(), event));
            }
        }
        said
    }

    /// What the task of a subtask said when it was stepped last.
    pub(crate) fn progress(&self, subtask: usize) -> Progress {
        self.progress[subtask]
    }

    /// Steps until there are `count` records, waiting for other threads.
    pub(crate) fn run_until(&mut self, count: usize) {
        self.run(|job| job.records.lock().unwrap().len() >= count);
    }

    /// Steps until all tasks have ended.
    pub(crate) fn run_to_end(&mut self) {
        self.run(|job| job.progress.iter().all(|progress| *progress == Progress::Done));
        assert_eq!(self.failure, None);
    }

    /// Steps until all tasks have ended, one of them badly; returns what it said.
    pub(crate) fn run_to_failure(&mut self) -> String {
        self.run(|job| job.failure.is_some());
        self.failure.clone().unwrap()
    }

    fn run(&mut self, is_over: impl Fn(&Self) -> bool) {
        while !is_over(self) {
            let rung = self.bell.count();
            self.step();
            if !self.progress.contains(&Progress::More) && !is_over(self) {
                assert!(self.failure.is_none(), "{:?}", self.failure);
                self.bell.wait_for_more_than(rung);
            }
        }
    }

    /// Takes a checkpoint. More records may be emitted after its barrier.
    pub(crate) fn checkpoint(&mut self) -> CompletedCheckpoint {
        self.checkpoints += 1;
        let checkpoint = CheckpointId(self.checkpoints);
        let barrier = Barrier {
            kind: CheckpointKind::Checkpoint,
            checkpoint,
            triggered_at: Timestamp(0),
            base: None,
            unaligned: false,
        };
        for task in &self.tasks {
            task.mailbox().send(Command::TriggerCheckpoint(barrier));
        }
        let vertices = self.graph.vertices.iter().flat_map(|vertex| {
            vertex.operators.iter().map(move |operator| OperatorRecord {
                info: OperatorInfo {
                    id: operator.id,
                    uid: operator.uid.clone(),
                    name: operator.name.clone(),
                    parallelism: vertex.parallelism,
                    max_parallelism: vertex.max_parallelism,
                },
                subtasks: BTreeMap::new(),
                end_of_data: BTreeSet::new(),
            })
        });
        let mut operators: Vec<OperatorRecord> = vertices.collect();
        let storage: Arc<dyn CheckpointStorage> = Arc::new(MemoryStorage::new());
        for (task, event) in self.step_with_events() {
            let TaskEvent::Snapshot(snapshot) = event else { continue };
            let mut none = StateFile::default();
            let (snapshot, _) = snapshot.write(&mut none, &storage, usize::MAX, None).unwrap();
            for state in snapshot.operators {
                let record = operators.iter_mut().find(|record| record.info.id == state.operator);
                record.unwrap().subtasks.insert(task.subtask, state);
            }
        }
        CompletedCheckpoint {
            checkpoint,
            job: JobId::from_u128(7),
            job_name: "test".into(),
            times: CheckpointTimes { triggered_at: Timestamp(0), completed_at: Timestamp(0) },
            operators,
        }
    }

    /// All records so far, sorted.
    pub(crate) fn collected(&self) -> Vec<T> {
        let records = self.records.lock().unwrap();
        let mut records: Vec<T> = records.iter().map(|(_, record)| record.clone()).collect();
        records.sort();
        records
    }

    /// The records of one subtask so far, in order.
    pub(crate) fn collected_by(&self, subtask: u32) -> Vec<T> {
        let records = self.records.lock().unwrap();
        let records = records.iter().filter(|(by, _)| *by == subtask);
        records.map(|(_, record)| record.clone()).collect()
    }
}

impl<T> Drop for Harness<T> {
    fn drop(&mut self) {
        for task in &mut self.tasks {
            task.mailbox().send(Command::Cancel);
            task.step();
        }
    }
}

/// Does not run a program, but keeps it.
#[derive(Default)]
struct Captured(Mutex<Option<(Arc<Program>, Configuration)>>);

impl Executor for Captured {
    fn execute(&self, program: Arc<Program>, config: &Configuration) -> Result<JobExecutionResult> {
        let mut captured = self.0.lock().map_err(|_| Error::internal("poisoned"))?;
        *captured = Some((program, config.clone()));
        Err(Error::internal("the program is kept, not run"))
    }
}

struct Keep<T> {
    subtask: u32,
    records: Arc<Mutex<Vec<(u32, T)>>>,
}

impl<T: Send> Operator<T, ()> for Keep<T> {
    fn process(&mut self, batch: &mut Batch<T>, _: &mut Collector<()>, _: Now) -> Result<()> {
        let keep = |record, _| {
            self.records
                .lock()
                .map_err(|_| Error::internal("poisoned"))?
                .push((self.subtask, record));
            Ok(())
        };
        batch.try_drain(keep)
    }
}

struct TestClock(Mutex<Now>);

impl Clock for TestClock {
    fn now(&self) -> Now {
        *self.0.lock().unwrap()
    }
}

/// Counts wake-ups.
#[derive(Default)]
struct Bell {
    count: Mutex<u64>,
    rung: Condvar,
}

impl Bell {
    fn count(&self) -> u64 {
        *self.count.lock().unwrap()
    }

    fn wait_for_more_than(&self, rung: u64) {
        let count = self.count.lock().unwrap();
        let waited = self.rung.wait_timeout_while(count, PATIENCE, |count| *count <= rung);
        assert!(!waited.unwrap().1.timed_out(), "nobody wakes the task");
    }
}

impl Wake for Bell {
    fn wake(&self) {
        *self.count.lock().unwrap() += 1;
        self.rung.notify_all();
    }
}
