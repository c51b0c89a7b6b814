//! Where a program begins: sources are added here, and here it is executed.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use flott_core::accumulator::AccumulatorValue;
use flott_core::codec::Data;
use flott_core::config::options::{
    self, CheckpointRetention, CheckpointingMode, Interval, Positive, RuntimeExecutionMode,
};
use flott_core::config::{ConfigOption, Configuration, OptionValue, Origin};
use flott_core::{CheckpointId, Error, Result};
use flott_plan::{JobGraph, NodeId, NodeKind, StreamEdge, StreamNode, explain};
use flott_runtime::{NodeCode, OperatorInstance, Program, Source};

use crate::restart::RestartStrategy;
use crate::stream::{DataStream, Endpoint};

/// Runs programs. The embedded cluster is one; a cluster of machines is another.
pub trait Executor {
    /// Runs the program to its end.
    ///
    /// # Errors
    /// If the program or its configuration is wrong, or the job fails.
    fn execute(&self, program: Arc<Program>, config: &Configuration) -> Result<JobExecutionResult>;
}

/// How a job ended well.
#[derive(Clone, Debug)]
pub struct JobExecutionResult {
    /// The job's id.
    pub job: flott_core::JobId,
    /// How long it ran.
    pub net_runtime: Duration,
    /// Whether it was cancelled before its end.
    pub cancelled: bool,
    /// The newest completed checkpoints, newest first; not all of them if there were many.
    pub checkpoints: Vec<CheckpointSummary>,
    /// What its functions have added up ([`AccumulatorContext`](crate::AccumulatorContext)), by name.
    pub accumulators: BTreeMap<String, AccumulatorValue>,
}

/// How a completed checkpoint went.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointSummary {
    /// Its number.
    pub checkpoint: CheckpointId,
    /// From the trigger to the last acknowledgement.
    pub duration: Duration,
    /// How many bytes of state it has.
    pub state_bytes: u64,
    /// How many bytes were written for it, without those of earlier ones that it refers to.
    pub written_bytes: u64,
    /// The longest time for which it made a task stand still.
    pub longest_pause: Duration,
}

/// The context of a program. Clones share it.
#[derive(Clone)]
pub struct StreamExecutionEnvironment {
    inner: Rc<RefCell<Inner>>,
}

struct Inner {
    program: Program,
    config: Configuration,
    executor: Arc<dyn Executor>,
    /// What was wrong with calls that return a stream; reported when the program is planned.
    problems: Vec<Error>,
}

impl StreamExecutionEnvironment {
    /// An empty program with this configuration, to be run by `executor`.
    pub fn new(config: Configuration, executor: Arc<dyn Executor>) -> Self {
        let program = Program::default();
        let inner = Inner { program, config, executor, problems: Vec::new() };
        Self { inner: Rc::new(RefCell::new(inner)) }
    }

    /// Adds a source that runs in any number of subtasks. `make` is called once per subtask. If it
    /// comes to an end, say so with [`DataStream::bounded`].
    pub fn add_source<T: Data, S: Source<T> + 'static>(
        &self,
        name: &str,
        make: impl Fn(&OperatorInstance) -> S + Send + Sync + 'static,
    ) -> DataStream<T> {
        let mut node = StreamNode::new(name, NodeKind::Source);
        node.stateful = true;
        let code = NodeCode::source::<T, S>(make);
        DataStream::new(self.clone(), self.add_node(node, code, &[]))
    }

    /// Adds a source that runs in one subtask only.
    pub fn add_single_source<T: Data, S: Source<T> + 'static>(
        &self,
        name: &str,
        make: impl Fn(&OperatorInstance) -> S + Send + Sync + 'static,
    ) -> DataStream<T> {
        let stream = self.add_source(name, make);
        stream.with_node(|node| node.parallelism_limit = Some(1))
    }

    /// Sets the default parallelism: 1 or more.
    pub fn set_parallelism(&self, parallelism: u32) -> &Self {
        self.set(&options::PARALLELISM, Positive(parallelism))
    }

    /// Sets the default number of key groups: 1 to 32768.
    pub fn set_max_parallelism(&self, max_parallelism: u32) -> &Self {
        self.set(&options::MAX_PARALLELISM, Some(Positive(max_parallelism)))
    }

    /// Whether results come as records do, or when all records have come.
    pub fn set_runtime_mode(&self, mode: RuntimeExecutionMode) -> &Self {
        self.set(&options::RUNTIME_MODE, mode)
    }

    /// Takes a checkpoint every `interval`: 10 ms or more.
    pub fn enable_checkpointing(&self, interval: Duration) -> &Self {
        self.set(&options::CHECKPOINT_INTERVAL, Some(Interval(interval)))
    }

    /// How checkpoints are taken.
    pub fn checkpoint_config(&self) -> CheckpointConfig<'_> {
        CheckpointConfig { env: self }
    }

    /// What happens when a task fails.
    pub fn set_restart_strategy(&self, strategy: RestartStrategy) -> &Self {
        let result = strategy.configure(&mut self.borrow().config);
        self.note(result)
    }

    /// How long records may wait in a sender before they are sent.
    pub fn set_buffer_timeout(&self, timeout: Duration) -> &Self {
        self.set(&options::BUFFER_TIMEOUT, timeout)
    }

    /// Runs every operator in a task of its own.
    pub fn disable_operator_chaining(&self) -> &Self {
        self.set(&options::OPERATOR_CHAINING, false)
    }

    /// Sets any option. What the command line says about it stays.
    pub fn set<T: OptionValue>(&self, option: &ConfigOption<T>, value: T) -> &Self {
        let result = self.borrow().config.set(option, value);
        self.note(result)
    }

    /// Sets the option unless something has set it already.
    pub fn set_default<T: OptionValue>(&self, option: &ConfigOption<T>, value: T) -> &Self {
        let is_default = self.borrow().config.origin(option) == Origin::Default;
        if is_default { self.set(option, value) } else { self }
    }

    /// The effective configuration.
    pub fn configuration(&self) -> Configuration {
        self.borrow().config.clone()
    }

    /// The plan as text.
    ///
    /// # Errors
    /// If the program is wrong: see [`JobGraph::build`].
    pub fn explain(&self) -> Result<String> {
        let inner = self.borrow();
        inner.check()?;
        Ok(explain(&JobGraph::build(&inner.program.graph, &inner.config)?))
    }

    /// Runs what was built since the last call, to its end.
    ///
    /// # Errors
    /// If the program or its configuration is wrong, or the job fails.
    pub fn execute(&self, name: &str) -> Result<JobExecutionResult> {
        self.set(&options::JOB_NAME, Some(name.to_owned()));
        let (program, config, executor) = {
            let mut inner = self.borrow();
            inner.check()?;
            let program = std::mem::take(&mut inner.program);
            (Arc::new(program), inner.config.clone(), inner.executor.clone())
        };
        executor.execute(program, &config)
    }

    /// Whether something was built that has not been executed.
    pub fn has_program(&self) -> bool {
        self.borrow().program.graph.nodes().len() > 0
    }

    fn borrow(&self) -> RefMut<'_, Inner> {
        self.inner.borrow_mut()
    }

    pub(crate) fn change_node(&self, node: NodeId, change: impl FnOnce(&mut StreamNode)) {
        change(self.borrow().program.graph.node_mut(node));
    }

    pub(crate) fn add_node(&self, node: StreamNode, code: NodeCode, inputs: &[Endpoint]) -> NodeId {
        let mut inner = self.borrow();
        let id = inner.program.graph.add_node(node);
        inner.program.nodes.push(code);
        for input in inputs {
            inner.program.graph.add_edge(StreamEdge {
                source: input.node,
                target: id,
                partitioning: input.partitioning,
                side_output: input.side_output.clone(),
            });
            inner.program.edges.push(input.code.clone());
        }
        id
    }

    /// Remembers what was wrong, to be reported when the program is planned.
    pub(crate) fn note(&self, result: Result<()>) -> &Self {
        if let Err(error) = result {
            self.borrow().problems.push(error);
        }
        self
    }
}

impl Inner {
    fn check(&self) -> Result<()> {
        match self.problems.first() {
            Some(problem) => Err(Error::new(problem.kind(), format!("{problem:#}"))),
            None => Ok(()),
        }
    }
}

/// How checkpoints are taken; Flink's `CheckpointConfig`.
pub struct CheckpointConfig<'a> {
    env: &'a StreamExecutionEnvironment,
}

impl CheckpointConfig<'_> {
    /// Exactly once (the default) or at least once.
    pub fn set_checkpointing_mode(&self, mode: CheckpointingMode) -> &Self {
        self.set(&options::CHECKPOINTING_MODE, mode)
    }

    /// How long a checkpoint may take.
    pub fn set_checkpoint_timeout(&self, timeout: Duration) -> &Self {
        self.set(&options::CHECKPOINT_TIMEOUT, timeout)
    }

    /// The least time between the end of a checkpoint and the start of the next.
    pub fn set_min_pause_between_checkpoints(&self, pause: Duration) -> &Self {
        self.set(&options::MIN_PAUSE, pause)
    }

    /// How many checkpoints may be under way at once: 1 or more.
    pub fn set_max_concurrent_checkpoints(&self, count: u32) -> &Self {
        self.set(&options::MAX_CONCURRENT, Positive(count))
    }

    /// Barriers overtake records, which are then part of the checkpoint: it completes in short time whatever
    /// waits in the channels. Needs exactly once, and one checkpoint at a time.
    pub fn enable_unaligned_checkpoints(&self) -> &Self {
        self.set(&options::UNALIGNED, Some(true))
    }

    /// How long barriers keep their place among the records before they overtake them.
    pub fn set_aligned_checkpoint_timeout(&self, timeout: Duration) -> &Self {
        self.set(&options::ALIGNED_CHECKPOINT_TIMEOUT, Some(timeout))
    }

    /// How many checkpoints in a row may fail before the job restarts.
    pub fn set_tolerable_checkpoint_failure_number(&self, count: u32) -> &Self {
        self.set(&options::TOLERABLE_FAILED, count)
    }

    /// Flink 1.x: `true` tolerates no failed checkpoint, `false` tolerates any number. Of this and
    /// [`CheckpointConfig::set_tolerable_checkpoint_failure_number`] the last call wins.
    pub fn set_fail_on_checkpointing_errors(&self, fail: bool) -> &Self {
        self.set(&options::TOLERABLE_FAILED, if fail { 0 } else { u32::MAX })
    }

    /// What happens to completed checkpoints when the job ends.
    pub fn set_externalized_checkpoint_retention(&self, retention: CheckpointRetention) -> &Self {
        self.set(&options::CHECKPOINT_RETENTION, retention)
    }

    /// Flink 1.x: accepted; both values mean the same here (see the option).
    pub fn set_prefer_checkpoint_for_recovery(&self, prefer: bool) -> &Self {
        self.set(&options::PREFER_CHECKPOINT_FOR_RECOVERY, prefer)
    }

    /// How many completed checkpoints are kept.
    pub fn set_num_retained(&self, count: u32) -> &Self {
        self.set(&options::NUM_RETAINED, count)
    }

    /// The directory of the checkpoints: a path or a `file://` URL.
    pub fn set_checkpoint_storage(&self, directory: &str) -> &Self {
        self.set(&options::CHECKPOINT_DIR, Some(directory.to_owned()))
    }

    fn set<T: OptionValue>(&self, option: &ConfigOption<T>, value: T) -> &Self {
        self.env.set(option, value);
        self
    }
}
