//! What the processes of a cluster say to each other.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use flott_control::processes::{Answer, Question};
use flott_control::{Assignment, JobInput, StandingSummary, WorkerId};
use flott_core::accumulator::AccumulatorValue;
use flott_core::config::Origin;
use flott_core::metrics::{TaskMetrics, TimeSpent};
use flott_core::{AttemptNumber, CheckpointId, ErrorKind, JobId, MonoTime, OperatorId, TaskId};
use flott_plan::{JobGraph, StreamGraph};
use flott_runtime::Command;
use flott_state::{StateAnswer, StateQuestion};
use serde::{Deserialize, Serialize};

/// A configuration's values: key, value, and where it came from.
pub type Settings = Vec<(String, String, Origin)>;

/// What a TaskManager says. The first is [`FromTaskManager::Register`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromTaskManager {
    Register {
        info: TaskManagerInfo,
        /// The workers that it has: another JobManager has had them started.
        workers: Vec<(JobId, WorkerId)>,
    },
    Heartbeat,
    /// What it was asked, by the number of the question.
    Answer {
        number: u64,
        answer: Result<Answer, String>,
    },
    /// A worker has ended; nothing of it is left.
    WorkerEnded {
        job: JobId,
        worker: WorkerId,
        /// How.
        status: String,
    },
}

/// What a TaskManager says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskManagerInfo {
    /// What people call it: `host:port-random`.
    pub(crate) name: String,
    /// How many slots it offers.
    pub(crate) slots: u32,
    /// Its processors.
    pub(crate) cpus: u32,
    /// The memory of its machine, in bytes.
    pub(crate) memory: u64,
}

/// What a TaskManager is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToTaskManager {
    Heartbeat,
    StartWorker(WorkerStart),
    Ask {
        number: u64,
        question: Question,
    },
    /// End a worker, by force if it does not end by itself.
    StopWorker {
        job: JobId,
        worker: WorkerId,
    },
}

/// How a worker is started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WorkerStart {
    pub(crate) job: JobId,
    pub(crate) worker: WorkerId,
    /// What the workers of the job know, and nobody else.
    pub(crate) ticket: u128,
    /// The SHA-256 of the job binary.
    pub(crate) binary: String,
    /// The command line of the binary.
    pub(crate) arguments: Vec<String>,
    /// The cluster's configuration.
    pub(crate) settings: Settings,
}

/// What a worker says. The first is [`FromWorker::Register`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromWorker {
    Register {
        job: JobId,
        worker: WorkerId,
        ticket: u128,
        /// Where other workers reach it.
        address: SocketAddr,
        /// What it runs, if it has worked for another JobManager. What its tasks have said follows.
        standing: Option<StandingSummary>,
    },
    Heartbeat,
    /// It has built the job's program, and can be told its tasks.
    Ready,
    /// It cannot work for the job.
    Refused {
        message: String,
        /// Starting it again would not help.
        is_final: bool,
    },
    /// What a task says.
    Task(JobInput),
    /// What a task has found, by the number of the question; or why it has not.
    Found {
        number: u64,
        found: Result<StateAnswer, (ErrorKind, String)>,
    },
    /// What the tasks of an attempt have counted since it began.
    Counted {
        attempt: AttemptNumber,
        counts: Vec<(TaskId, TaskCounts)>,
    },
}

/// The counters of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TaskCounts {
    pub(crate) records_in: u64,
    pub(crate) records_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) times: TimeSpent,
    pub(crate) input_watermark: i64,
    pub(crate) accumulators: BTreeMap<String, AccumulatorValue>,
}

impl TaskCounts {
    /// What it has counted until now, by the clock of this process.
    pub(crate) fn of(metrics: &TaskMetrics, now: MonoTime) -> Self {
        Self {
            records_in: metrics.records_in.get(),
            records_out: metrics.records_out.get(),
            bytes_in: metrics.bytes_in.get(),
            bytes_out: metrics.bytes_out.get(),
            times: metrics.times.spent(now),
            input_watermark: metrics.input_watermark.get(),
            accumulators: metrics.accumulators.values(),
        }
    }

    /// Makes these the counts of a task here.
    pub(crate) fn put_into(self, metrics: &TaskMetrics) {
        metrics.records_in.raise(self.records_in);
        metrics.records_out.raise(self.records_out);
        metrics.bytes_in.raise(self.bytes_in);
        metrics.bytes_out.raise(self.bytes_out);
        metrics.times.set(self.times);
        metrics.input_watermark.set(self.input_watermark);
        for (name, value) in self.accumulators {
            metrics.accumulators.set(&name, value);
        }
    }
}

/// What a worker is told. The first is [`ToWorker::Start`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    Start(Box<WorkerJob>),
    Heartbeat,
    Deploy(Box<DeployTasks>),
    Cancel {
        attempt: AttemptNumber,
        tasks: Vec<TaskId>,
    },
    Tell {
        attempt: AttemptNumber,
        tasks: Vec<TaskId>,
        command: Command,
    },
    /// Have a task look into its state.
    LookUp {
        number: u64,
        task: TaskId,
        operator: OperatorId,
        question: StateQuestion,
    },
    /// A checkpoint is a savepoint, in this folder, a path or a URL.
    Savepoint {
        checkpoint: CheckpointId,
        folder: String,
    },
    /// The job is over.
    End,
}

/// The job of a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WorkerJob {
    /// The program that the job function must build here, too.
    pub(crate) program: StreamGraph,
    /// The plan.
    pub(crate) graph: JobGraph,
    /// The effective configuration.
    pub(crate) settings: Settings,
}

/// A deployment, as its workers are told of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DeployTasks {
    pub(crate) attempt: AttemptNumber,
    /// The encoded record of the checkpoint that those start from that begin with it.
    pub(crate) restore: Option<Vec<u8>>,
    /// Who runs what; tasks of earlier attempts go on.
    pub(crate) tasks: BTreeMap<TaskId, Assignment>,
    /// Where they are.
    pub(crate) addresses: BTreeMap<WorkerId, SocketAddr>,
}
