//! From a program and its configuration to a job that can be started: everything that can be wrong
//! with them is found here, before anything runs. Pure: the simulator plans its jobs with it, too.

use std::sync::Arc;

use flott_checkpoint::assign::{Assignment, assign};
use flott_checkpoint::snapshot::OperatorInfo;
use flott_checkpoint::storage::CheckpointStorage;
use flott_checkpoint::{CheckpointConfig, CompletedCheckpoint, TaskInfo};
use flott_control::{JobSpec, RestartStrategyConfig, TaskSpec};
use flott_core::config::{Configuration, MemorySize, options};
use flott_core::{AttemptNumber, CheckpointId, Error, JobId, Result, TaskId};
use flott_plan::{JobGraph, JobType, JobVertex, StreamGraph, execution_graph};
use flott_runtime::TaskSettings;
use flott_runtime::batch::BATCH_RECORDS;
use flott_runtime::restore::program_operators;
use flott_state::StateBackend;

/// A job, ready to start.
pub struct PlannedJob {
    /// What the job master is told.
    pub spec: JobSpec,
    /// What running its tasks takes, beside the code.
    pub plan: Arc<TaskPlan>,
    /// What it was started with, except for secrets.
    pub options: Configuration,
    /// The folder of the checkpoint that it was told to start from.
    pub started_from: Option<String>,
}

/// What running the tasks of a job takes, beside the code: the same in every process.
#[derive(Clone)]
pub struct TaskPlan {
    /// The job.
    pub job: JobId,
    /// Boxes and arrows.
    pub graph: JobGraph,
    /// What every task is told.
    pub settings: TaskSettings,
    /// Where checkpoints go.
    pub storage: Arc<dyn CheckpointStorage>,
    /// State up to this size, in bytes, goes into the metadata.
    pub inline_threshold: usize,
    /// As long as a file of a checkpoint has fewer bytes, the state of another task may be added to it.
    pub merged_bytes: usize,
    /// Whether processes keep the tables of their tasks' newest checkpoint.
    pub keeps_states: bool,
    /// Whether a checkpoint refers to what the one before it has written.
    pub incremental: bool,
}

impl PlannedJob {
    /// Plans a job that starts from `restored` and writes its checkpoints to `storage`.
    ///
    /// # Errors
    /// If the program or an option is wrong, or the checkpoint does not fit the program.
    pub fn new(
        job: JobId,
        program: &StreamGraph,
        config: &Configuration,
        restored: Option<CompletedCheckpoint>,
        storage: Arc<dyn CheckpointStorage>,
    ) -> Result<Self> {
        let name = job_name(config)?;
        let graph = JobGraph::build(program, config)?;
        let graph = match &restored {
            Some(record) => {
                let allow_non_restored_state = config.get(&options::IGNORE_UNCLAIMED_STATE)?;
                adopt(program, graph, record, config, allow_non_restored_state)?
            }
            None => graph,
        };
        if graph.job_type == JobType::Batch && restored.is_some() {
            return Err(Error::invalid(
                "a job in batch mode does not start from a checkpoint: leave out -s, or set \
                 execution.runtime-mode to STREAMING",
            ));
        }
        let checkpointing = checkpointing(&graph, config)?;
        let periodic = checkpointing.interval.is_some();
        let spec = JobSpec {
            job,
            name,
            tasks: tasks(&graph),
            operators: operators(&graph),
            restart: RestartStrategyConfig::from_configuration(config, periodic)?,
            failover: config.get(&options::FAILOVER_STRATEGY)?,
            checkpointing,
            restored: restored.map(Arc::new),
            first_attempt: AttemptNumber::default(),
            first_checkpoint: CheckpointId(1),
            reattach: None,
            exception_history_size: config.get(&options::EXCEPTION_HISTORY_SIZE)?.0 as usize,
        };
        let plan = Arc::new(TaskPlan::new(job, graph, config, storage)?);
        Ok(Self { spec, plan, options: config.without_secrets(), started_from: None })
    }
}

impl TaskPlan {
    /// For the tasks of this graph.
    ///
    /// # Errors
    /// If an option is wrong.
    pub fn new(
        job: JobId,
        graph: JobGraph,
        config: &Configuration,
        storage: Arc<dyn CheckpointStorage>,
    ) -> Result<Self> {
        let checkpointing = checkpointing(&graph, config)?;
        let periodic = checkpointing.interval.is_some();
        let settings = TaskSettings {
            batch: graph.job_type == JobType::Batch,
            checkpointing: periodic,
            mode: checkpointing.mode,
            unaligned_after: checkpointing.unaligned_after,
            await_final_checkpoint: periodic && checkpointing.after_tasks_finish,
            allow_non_restored_state: config.get(&options::IGNORE_UNCLAIMED_STATE)?,
            state_backend: StateBackend::Heap,
            channel_bytes: size(config.get(&options::CHANNEL_BYTES)?),
            batch_records: BATCH_RECORDS,
            // A sender adds a whole batch to what it has, and sends what may be nearly two: no need to split that.
            records_at_once: 2 * BATCH_RECORDS,
            buffer_timeout: config.get(&options::BUFFER_TIMEOUT)?,
        };
        let inline_threshold = size(config.get(&options::DATA_INLINE_THRESHOLD)?);
        let merges = config.get(&options::FILE_MERGING)?;
        let merged_bytes = if merges { size(config.get(&options::MERGED_FILE_SIZE)?) } else { 0 };
        let keeps_states = config.get(&options::LOCAL_RECOVERY)?;
        // What has changed is seen by what was kept.
        let incremental = keeps_states && config.get(&options::INCREMENTAL)?;
        Ok(Self {
            job,
            graph,
            settings,
            storage,
            inline_threshold,
            merged_bytes,
            keeps_states,
            incremental,
        })
    }
}

/// How a job takes checkpoints.
fn checkpointing(graph: &JobGraph, config: &Configuration) -> Result<CheckpointConfig> {
    let mut checkpointing = CheckpointConfig::from_configuration(config)?;
    if graph.job_type == JobType::Batch {
        // All of the input is read again after a failure.
        checkpointing.interval = None;
    }
    Ok(checkpointing)
}

/// What the job is called.
pub(crate) fn job_name(config: &Configuration) -> Result<String> {
    Ok(config.get(&options::JOB_NAME)?.unwrap_or_else(|| "Flott Streaming Job".into()))
}

fn size(size: MemorySize) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}

/// The state that a record has for the tasks of a graph.
///
/// # Errors
/// If the record does not fit the graph.
pub fn assign_record(
    record: &CompletedCheckpoint,
    graph: &JobGraph,
    allow_non_restored: bool,
) -> Result<Assignment> {
    assign(record, &program_operators(graph), allow_non_restored)
}

/// Plans again with the numbers of key groups that the state has: those that nobody set follow it.
fn adopt(
    program: &StreamGraph,
    graph: JobGraph,
    record: &CompletedCheckpoint,
    config: &Configuration,
    allow_non_restored: bool,
) -> Result<JobGraph> {
    let assignment = assign_record(record, &graph, allow_non_restored)?;
    let mut stream_graph = program.clone();
    for operator in graph.vertices.iter().flat_map(|vertex| &vertex.operators) {
        if let Some(stored) = assignment.max_parallelism.get(&operator.id) {
            stream_graph.node_mut(operator.node).max_parallelism = Some(stored.get());
        }
    }
    let graph = JobGraph::build(&stream_graph, config)?;
    // What follows the state must still fit it.
    assign_record(record, &graph, allow_non_restored)?;
    Ok(graph)
}

/// Every task of a graph, as the job master wants to know it.
fn tasks(graph: &JobGraph) -> Vec<TaskSpec> {
    let task = |vertex: &JobVertex, subtask| TaskSpec {
        info: TaskInfo {
            id: TaskId { vertex: vertex.id, subtask },
            is_source: vertex.is_source,
            operators: vertex.operators.iter().map(|operator| operator.id).collect(),
            inputs: inputs(graph, vertex, subtask),
        },
        name: format!("{} ({}/{})", vertex.name, subtask + 1, vertex.parallelism),
    };
    let vertices = graph.vertices.iter();
    vertices
        .flat_map(|vertex| (0..vertex.parallelism).map(move |subtask| task(vertex, subtask)))
        .collect()
}

/// The tasks that a task reads from.
fn inputs(graph: &JobGraph, vertex: &JobVertex, subtask: u32) -> Vec<TaskId> {
    let mut inputs = Vec::new();
    for edge in graph.inputs_of(vertex.id) {
        let producers = graph.vertex(edge.source_vertex).map_or(0, |source| source.parallelism);
        let channels = execution_graph::channels(edge, producers, vertex.parallelism);
        inputs.extend(
            channels
                .into_iter()
                .filter(|(_, consumer)| *consumer == subtask)
                .map(|(producer, _)| TaskId { vertex: edge.source_vertex, subtask: producer }),
        );
    }
    inputs.sort_unstable();
    inputs.dedup();
    inputs
}

/// Every operator of a graph, as a checkpoint describes it.
fn operators(graph: &JobGraph) -> Vec<OperatorInfo> {
    let vertices = graph.vertices.iter();
    vertices
        .flat_map(|vertex| {
            vertex.operators.iter().map(|operator| OperatorInfo {
                id: operator.id,
                uid: operator.uid.clone(),
                name: operator.name.clone(),
                parallelism: vertex.parallelism,
                max_parallelism: vertex.max_parallelism,
            })
        })
        .collect()
}
