//! The record of a job that is not over (`docs/formats/job-record.md`).

use std::collections::BTreeMap;

use flott_checkpoint::VoidIds;
use flott_control::{Assignment, WorkerId};
use flott_core::{AttemptNumber, Error, ErrorKind, JobId, Result, TaskId};
use flott_plan::StreamGraph;
use serde::{Deserialize, Serialize};

use crate::rpc::messages::Settings;
use crate::storage::Place;

/// Changes when an older reader would not understand a [`JobRecord`].
const VERSION: u32 = 1;

/// So many numbers each JobManager has for the workers of a job.
const WORKERS_EACH: u32 = 1 << 16;

/// A job that is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct JobRecord {
    version: u32,
    pub(in super::super) job: JobId,
    /// The SHA-256 of its binary.
    pub(in super::super) binary: String,
    /// The command line of the binary, without its name.
    pub(in super::super) arguments: Vec<String>,
    /// What the job function has built.
    pub(in super::super) program: StreamGraph,
    /// The effective configuration.
    pub(in super::super) settings: Settings,
    /// The newest attempt that was, or was to be, deployed.
    pub(in super::super) attempt: Option<AttemptNumber>,
    /// What the job's workers know, and nobody else.
    #[serde(default)]
    pub(in super::super) ticket: u128,
    /// How many JobManagers have taken the job over.
    #[serde(default)]
    pub(in super::super) leads: u32,
    /// Which worker runs which task.
    #[serde(default)]
    workers: Vec<(TaskId, WorkerId)>,
    /// The attempt that a task began with, if it is an older one.
    #[serde(default)]
    older: Vec<(TaskId, AttemptNumber)>,
    /// Checkpoints of the job that do not count, whatever is found of them.
    #[serde(default)]
    pub(in super::super) void: Option<VoidIds>,
}

impl JobRecord {
    pub(in super::super) fn new(
        job: JobId,
        ticket: u128,
        binary: String,
        arguments: Vec<String>,
        program: StreamGraph,
        settings: Settings,
    ) -> Self {
        let (version, attempt, leads, workers, older) = (VERSION, None, 0, vec![], vec![]);
        Self {
            version,
            job,
            binary,
            arguments,
            program,
            settings,
            attempt,
            ticket,
            leads,
            workers,
            older,
            void: None,
        }
    }

    /// An attempt is about to be deployed.
    pub(in super::super) fn deployed(
        &mut self,
        attempt: AttemptNumber,
        tasks: &BTreeMap<TaskId, Assignment>,
    ) {
        self.attempt = Some(attempt);
        self.workers = tasks.iter().map(|(task, owner)| (*task, owner.worker)).collect();
        let older = tasks.iter().filter(|(_, owner)| owner.attempt != attempt);
        self.older = older.map(|(task, owner)| (*task, owner.attempt)).collect();
    }

    /// Which worker runs which task, and since which attempt.
    pub(in super::super) fn tasks(&self) -> BTreeMap<TaskId, Assignment> {
        let older: BTreeMap<TaskId, AttemptNumber> = self.older.iter().copied().collect();
        let newest = self.attempt.unwrap_or_default();
        let tasks = self.workers.iter().map(|(task, worker)| {
            let attempt = older.get(task).copied().unwrap_or(newest);
            (*task, Assignment { worker: *worker, attempt })
        });
        tasks.collect()
    }

    /// Reads a record; `place` is its file's name, for the error.
    ///
    /// # Errors
    /// If it is damaged, or of another version.
    pub(in super::super) fn decode(text: &[u8], place: &Place) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let damaged = |e| {
            let message = format!("the job's record {place:?} is damaged");
            Error::with_source(ErrorKind::Corrupt, message, e)
        };
        let Version { version } = serde_json::from_slice(text).map_err(damaged)?;
        if version != VERSION {
            return Err(Error::invalid(format!(
                "the job's record {place:?} is of version {version}, this Flott reads {VERSION}: use \
                 the Flott that wrote it, or start the job anew from its newest checkpoint"
            )));
        }
        serde_json::from_slice(text).map_err(damaged)
    }

    /// The first number for a worker that no JobManager before has used.
    pub(in super::super) fn first_worker(&self) -> WorkerId {
        WorkerId(self.leads.saturating_mul(WORKERS_EACH))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use flott_core::config::Origin;
    use flott_core::{CheckpointId, VertexId};
    use flott_plan::{NodeKind, StreamEdge, StreamNode};

    use super::*;

    /// Written once by this version; never changed.
    const GOLDEN: &str = include_str!("../../../tests/golden/job-record-1-older.json");

    pub(in super::super) fn record() -> JobRecord {
        let mut program = StreamGraph::new();
        let source = program.add_node(StreamNode::new("numbers", NodeKind::Source));
        let sink = program.add_node(StreamNode::new("print", NodeKind::Sink));
        program.add_edge(StreamEdge::new(source, sink));
        let settings = vec![("pipeline.name".to_owned(), "golden".to_owned(), Origin::CommandLine)];
        let arguments = vec!["count".to_owned(), "--to".to_owned(), "3".to_owned()];
        let (job, ticket) = (JobId::from_u128(7), u128::MAX);
        let mut record = JobRecord::new(job, ticket, "ab12".into(), arguments, program, settings);
        let task = |subtask| TaskId { vertex: VertexId::from_u128(9), subtask };
        let assigned = |attempt, worker| Assignment {
            worker: WorkerId(worker),
            attempt: AttemptNumber(attempt),
        };
        let tasks = [(task(1), assigned(4, 65_537)), (task(2), assigned(3, 65_536))];
        record.deployed(AttemptNumber(4), &BTreeMap::from(tasks));
        record.leads = 2;
        record.void = Some(VoidIds::after_takeover(Some(CheckpointId(6)), CheckpointId(7)));
        record
    }

    #[test]
    fn a_golden_record_is_read_as_it_was_written() {
        let read: JobRecord = serde_json::from_str(GOLDEN).unwrap();
        assert_eq!(read, record());
        let written = serde_json::to_string(&record()).unwrap();
        assert_eq!(written, GOLDEN.trim_end());
        assert_eq!(read.first_worker(), WorkerId(2 << 16));
    }

    #[test]
    fn records_of_earlier_versions_are_read() {
        let old = include_str!("../../../tests/golden/job-record-1.json");
        let read: JobRecord = serde_json::from_str(old).unwrap();
        assert_eq!((read.attempt, read.tasks()), (Some(AttemptNumber(4)), BTreeMap::new()));
        let mut expected = record().tasks();
        expected.retain(|_, owner| owner.attempt == AttemptNumber(4));
        let newer = include_str!("../../../tests/golden/job-record-1-workers.json");
        let read: JobRecord = serde_json::from_str(newer).unwrap();
        assert_eq!((read.void, read.tasks()), (None, expected.clone()));
        let newer = include_str!("../../../tests/golden/job-record-1-void.json");
        let read: JobRecord = serde_json::from_str(newer).unwrap();
        assert_eq!((read.void, read.tasks()), (record().void, expected));
    }
}
