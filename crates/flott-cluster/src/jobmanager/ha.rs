//! High availability: what a JobManager writes down, so that the next one can go on.
//!
//! `high-availability.type: filesystem` keeps a folder for the cluster: a lock that the JobManager that
//! leads holds as long as it lives, and its address; the job binaries, and a record of each job that is not
//! over (`docs/formats/job-record.md`). Completed checkpoints need no record: those of a job are in the
//! job's own folder, and the newest is where it goes on.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use flott_control::WorkerId;
use flott_core::config::options::HighAvailability;
use flott_core::config::{Configuration, options};
use flott_core::{AttemptNumber, Error, ErrorKind, JobId, Result, TaskId};
use flott_plan::StreamGraph;
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::rpc::messages::Settings;
use crate::storage;

/// Changes when an older reader would not understand a [`JobRecord`].
const VERSION: u32 = 1;

/// So many numbers each JobManager has for the workers of a job.
const WORKERS_EACH: u32 = 1 << 16;

/// A job that is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JobRecord {
    version: u32,
    pub(super) job: JobId,
    /// The SHA-256 of its binary.
    pub(super) binary: String,
    /// The command line of the binary, without its name.
    pub(super) arguments: Vec<String>,
    /// What the job function has built.
    pub(super) program: StreamGraph,
    /// The effective configuration.
    pub(super) settings: Settings,
    /// The newest attempt that was, or was to be, deployed.
    pub(super) attempt: Option<AttemptNumber>,
    /// What the job's workers know, and nobody else.
    #[serde(default)]
    pub(super) ticket: u128,
    /// How many JobManagers have taken the job over.
    #[serde(default)]
    pub(super) leads: u32,
    /// Which worker runs which task of that attempt.
    #[serde(default)]
    workers: Vec<(TaskId, WorkerId)>,
}

impl JobRecord {
    pub(super) fn new(
        job: JobId,
        ticket: u128,
        binary: String,
        arguments: Vec<String>,
        program: StreamGraph,
        settings: Settings,
    ) -> Self {
        let (version, attempt, leads, workers) = (VERSION, None, 0, Vec::new());
        Self { version, job, binary, arguments, program, settings, attempt, ticket, leads, workers }
    }

    /// An attempt is about to be deployed.
    pub(super) fn deployed(
        &mut self,
        attempt: AttemptNumber,
        workers: &BTreeMap<TaskId, WorkerId>,
    ) {
        self.attempt = Some(attempt);
        self.workers = workers.iter().map(|(task, worker)| (*task, *worker)).collect();
    }

    /// Which worker runs which task of the newest attempt.
    pub(super) fn owners(&self) -> BTreeMap<TaskId, WorkerId> {
        self.workers.iter().copied().collect()
    }

    /// The first number for a worker that no JobManager before has used.
    pub(super) fn first_worker(&self) -> WorkerId {
        WorkerId(self.leads.saturating_mul(WORKERS_EACH))
    }
}

/// The folder of a cluster, and the lead in it.
pub(super) struct HaStore {
    folder: PathBuf,
    /// Held as long as this process leads; the system lets go of it when the process dies.
    _lead: File,
}

impl HaStore {
    /// Waits until this process leads; nothing without high availability.
    ///
    /// # Errors
    /// If an option is missing, or the folder cannot be written.
    pub(super) fn lead(config: &Configuration) -> Result<Option<Self>> {
        let Some(folder) = folder(config)? else { return Ok(None) };
        let failed = |e| {
            let what = format!("\"{}\" (high-availability.storageDir)", folder.display());
            Error::with_source(ErrorKind::Io, what, e)
        };
        fs::create_dir_all(folder.join("jobs")).map_err(failed)?;
        let lead = File::create(folder.join("lead")).map_err(failed)?;
        match lead.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                info!("Another JobManager leads: this one waits.");
                lead.lock().map_err(failed)?;
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        info!("This JobManager leads.");
        Ok(Some(Self { folder, _lead: lead }))
    }

    /// Says where TaskManagers and workers reach this JobManager.
    ///
    /// # Errors
    /// If that cannot be written.
    pub(super) fn announce(&self, address: SocketAddr) -> Result<()> {
        let path = self.folder.join(LEADER);
        write(&path, format!("{address}\n").as_bytes()).map_err(|e| {
            let what = format!("cannot write \"{}\"", path.display());
            Error::with_source(ErrorKind::Io, what, e)
        })
    }

    /// Where job binaries are kept.
    pub(super) fn binaries(&self) -> PathBuf {
        self.folder.join("binaries")
    }

    /// Writes a job down; returns when it is safe.
    ///
    /// # Errors
    /// If that fails: then the record is the one before, or none.
    pub(super) fn put(&self, record: &JobRecord) -> Result<()> {
        let path = self.path(record.job);
        let text = serde_json::to_vec(record)?;
        write(&path, &text).map_err(|e| {
            let what = format!("cannot write the job's record \"{}\"", path.display());
            Error::with_source(ErrorKind::Io, what, e)
        })
    }

    /// Forgets a job: it is over.
    ///
    /// # Errors
    /// If its record stays.
    pub(super) fn remove(&self, job: JobId) -> Result<()> {
        let path = self.path(job);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                let what = format!("the record of a job that is over stays: {}", path.display());
                Err(Error::with_source(ErrorKind::Io, what, e))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The jobs that are not over. What cannot be read is an error in its place.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(super) fn jobs(&self) -> Result<Vec<Result<JobRecord>>> {
        let folder = self.folder.join("jobs");
        let failed = |e| {
            let what = format!("cannot read \"{}\"", folder.display());
            Error::with_source(ErrorKind::Io, what, e)
        };
        let mut records = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                records.push(read(&path));
            }
        }
        Ok(records)
    }

    fn path(&self, job: JobId) -> PathBuf {
        self.folder.join("jobs").join(format!("{job}.json"))
    }
}

/// The file with the address of the JobManager that leads.
const LEADER: &str = "leader";

/// The folder of the cluster; nothing without high availability.
fn folder(config: &Configuration) -> Result<Option<PathBuf>> {
    if config.get(&options::HIGH_AVAILABILITY)? == HighAvailability::None {
        return Ok(None);
    }
    let directory = config.get(&options::HA_STORAGE_DIR)?.ok_or_else(|| {
        Error::invalid(
            "high-availability.type is filesystem, but high-availability.storageDir is not set",
        )
    })?;
    let directory = directory.strip_prefix("file://").unwrap_or(&directory);
    Ok(Some(Path::new(directory).join(config.get(&options::HA_CLUSTER_ID)?)))
}

/// Where the JobManager that leads writes its address; nothing without high availability.
///
/// # Errors
/// If an option is missing or wrong.
pub(crate) fn leader_file(config: &Configuration) -> Result<Option<PathBuf>> {
    Ok(folder(config)?.map(|folder| folder.join(LEADER)))
}

/// Writes a file whole or not at all.
fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    storage::sync_folder(folder)
}

fn read(path: &Path) -> Result<JobRecord> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let place = path.display();
    let text = fs::read(path)
        .map_err(|e| Error::with_source(ErrorKind::Io, format!("cannot read \"{place}\""), e))?;
    let damaged = |e| {
        Error::with_source(
            ErrorKind::Corrupt,
            format!("the job's record \"{place}\" is damaged"),
            e,
        )
    };
    let Version { version } = serde_json::from_slice(&text).map_err(damaged)?;
    if version != VERSION {
        return Err(Error::invalid(format!(
            "the job's record \"{place}\" is of version {version}, this Flott reads {VERSION}: use \
             the Flott that wrote it, or start the job anew from its newest checkpoint"
        )));
    }
    serde_json::from_slice(&text).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use flott_core::VertexId;
    use flott_core::config::Origin;
    use flott_plan::{NodeKind, StreamEdge, StreamNode};

    use super::*;

    /// Written once by this version; never changed.
    const GOLDEN: &str = include_str!("../../tests/golden/job-record-1-workers.json");

    fn record() -> JobRecord {
        let mut program = StreamGraph::new();
        let source = program.add_node(StreamNode::new("numbers", NodeKind::Source));
        let sink = program.add_node(StreamNode::new("print", NodeKind::Sink));
        program.add_edge(StreamEdge::new(source, sink));
        let settings = vec![("pipeline.name".to_owned(), "golden".to_owned(), Origin::CommandLine)];
        let arguments = vec!["count".to_owned(), "--to".to_owned(), "3".to_owned()];
        let (job, ticket) = (JobId::from_u128(7), u128::MAX);
        let mut record = JobRecord::new(job, ticket, "ab12".into(), arguments, program, settings);
        let task = TaskId { vertex: VertexId::from_u128(9), subtask: 1 };
        record.deployed(AttemptNumber(4), &BTreeMap::from([(task, WorkerId(65_537))]));
        record.leads = 2;
        record
    }

    fn store(folder: &Path) -> HaStore {
        let mut config = Configuration::new();
        for (key, value) in [
            ("high-availability.type", "filesystem"),
            ("high-availability.storageDir", folder.to_str().unwrap()),
        ] {
            config.set_text(key, value, Origin::File).unwrap();
        }
        HaStore::lead(&config).unwrap().unwrap()
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
    fn a_record_from_before_workers_came_back_is_read() {
        let old = include_str!("../../tests/golden/job-record-1.json");
        let read: JobRecord = serde_json::from_str(old).unwrap();
        assert_eq!((read.attempt, read.owners()), (Some(AttemptNumber(4)), BTreeMap::new()));
    }

    #[test]
    fn jobs_are_found_again_until_they_are_over() {
        let folder = tempfile::tempdir().unwrap();
        let (first, own) = (store(folder.path()), record());
        first.put(&own).unwrap();
        drop(first);
        let second = store(folder.path());
        let found: Vec<_> = second.jobs().unwrap().into_iter().map(Result::unwrap).collect();
        assert_eq!(found, std::slice::from_ref(&own));
        second.remove(own.job).unwrap();
        second.remove(own.job).unwrap();
        assert!(second.jobs().unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let jobs = folder.path().join("default/jobs");
        fs::write(jobs.join("a.json"), "{\"version\": 1").unwrap();
        fs::write(jobs.join("b.json"), "{\"version\": 9, \"job\": []}").unwrap();
        let mut errors: Vec<_> =
            store.jobs().unwrap().into_iter().map(|read| read.unwrap_err().report()).collect();
        errors.sort();
        assert!(errors[0].contains("a.json\" is damaged"), "{errors:?}");
        assert!(errors[1].contains("b.json\" is of version 9"), "{errors:?}");
    }

    #[test]
    fn one_leads_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = store(folder.path());
        let path = folder.path().join("default/lead");
        let other = File::create(path).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        drop(first);
        other.try_lock().unwrap();
    }
}
