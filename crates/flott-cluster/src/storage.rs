//! Checkpoint storage: which one a job uses.

mod file;
mod find;
mod memory;
pub(crate) mod savepoint;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flott_checkpoint::storage::{CheckpointStorage, METADATA_FILE, checkpoint_folder};
use flott_checkpoint::{CompletedCheckpoint, StorageConfig, metadata};
use flott_core::{Error, ErrorKind, JobId, Result};

pub use file::FileStorage;
pub(crate) use file::sync_folder;
use memory::JobManagerStorage;
pub use savepoint::complete as complete_savepoint;

/// The storage of a new job.
///
/// # Errors
/// If the directory is no local one.
pub(crate) fn for_job(config: &StorageConfig, job: JobId) -> Result<Arc<dyn CheckpointStorage>> {
    Ok(match config {
        StorageConfig::JobManager => Arc::new(JobManagerStorage::default()),
        StorageConfig::FileSystem { dir, create_subdir } => {
            let mut folder = local_path(dir)?;
            if *create_subdir {
                folder.push(job.to_string());
            }
            Arc::new(FileStorage::new(folder))
        }
    })
}

/// Checks that a job without a folder of its own does not meet checkpoints that its own would
/// replace: those with numbers after that of `restored`.
///
/// # Errors
/// If there are such.
pub(crate) fn check_unused(
    config: &StorageConfig,
    restored: Option<&CompletedCheckpoint>,
) -> Result<()> {
    let StorageConfig::FileSystem { dir, create_subdir: false } = config else { return Ok(()) };
    // A directory that cannot be read, or is not there yet, is the business of whoever writes.
    let found = find::checkpoints(&local_path(dir)?).unwrap_or_default();
    match found.first() {
        Some((number, folder)) if restored.is_none_or(|own| own.checkpoint.0 < *number) => {
            Err(Error::invalid(format!(
                "\"{}\" is the checkpoint of another run, and this job would write over it \
                 (execution.checkpointing.create-subdir is false): start from it with -s, or set \
                 another execution.checkpointing.dir",
                folder.display()
            )))
        }
        _ => Ok(()),
    }
}

/// The record of the newest checkpoint of a job's own, if it has one: where it goes on after the process
/// was lost that had it.
///
/// # Errors
/// If the newest is damaged: an older one is never taken silently.
pub(crate) fn newest_of_job(
    config: &StorageConfig,
    job: JobId,
) -> Result<Option<CompletedCheckpoint>> {
    let StorageConfig::FileSystem { dir, create_subdir } = config else { return Ok(None) };
    let mut folder = local_path(dir)?;
    if *create_subdir {
        folder.push(job.to_string());
    }
    if !folder.exists() {
        return Ok(None);
    }
    let found = find::checkpoints(&folder)?;
    let Some((_, newest)) = found.first() else { return Ok(None) };
    let record = find::read(newest)?;
    if record.job != job {
        return Ok(None);
    }
    check_files(&record, &folder)?;
    Ok(Some(record))
}

/// The local path that a path or a `file://` URL means.
pub(crate) fn local_path(place: &str) -> Result<PathBuf> {
    let path = match place.split_once("://") {
        None => place.strip_prefix("file:").unwrap_or(place),
        Some(("file", path)) => path,
        Some((scheme, _)) => {
            return Err(Error::invalid(format!(
                "cannot use \"{place}\": the scheme {scheme}:// is not supported yet; use a path \
                 or a file:// URL"
            )));
        }
    };
    Ok(Path::new(path).to_path_buf())
}

/// What `-s PATH` names.
pub(crate) struct CheckpointFile {
    /// The bytes of its record.
    pub(crate) metadata: Vec<u8>,
    /// The record's file.
    pub(crate) file: PathBuf,
    /// The folder that its files are named from: of the job that wrote it, or of the savepoint.
    pub(crate) folder: PathBuf,
}

/// Where `-s` looks when it is not given a checkpoint.
pub(crate) struct Search<'a> {
    /// The directory of the checkpoints that this job will write, for [`LATEST`].
    pub(crate) dir: Option<&'a str>,
    /// The job's name: those of other jobs are not meant by [`LATEST`].
    pub(crate) job_name: &'a str,
}

/// What is given for the newest checkpoint of the job's own directory and name.
const LATEST: &str = "latest";

/// Reads the record of the checkpoint in `place`: a `chk-N` folder or that of a savepoint, or its
/// `_metadata` file, or a
/// directory with checkpoints, of which the newest is meant, or `latest`.
///
/// # Errors
/// If it does not exist or cannot be read; the newest other intact checkpoint beside it is offered.
pub(crate) fn open_checkpoint(place: &str, search: &Search<'_>) -> Result<CheckpointFile> {
    let given = match place {
        LATEST => {
            let dir = search.dir.ok_or_else(|| {
                Error::invalid(
                    "\"-s latest\" looks in execution.checkpointing.dir, which is not set: set it \
                     with -D, or give a path",
                )
            })?;
            find::newest(&local_path(dir)?, Some(search.job_name))?
        }
        place => local_path(place)?,
    };
    let is_record = given.file_name().is_some_and(|name| name == METADATA_FILE);
    let mut file = if is_record { given.clone() } else { given.join(METADATA_FILE) };
    if given.is_dir() && !file.exists() && !is_checkpoint_folder(&given) {
        file = find::newest(&given, None)?.join(METADATA_FILE);
    }
    let metadata = std::fs::read(&file).map_err(|e| {
        let mut message = if given.exists() {
            format!("\"{place}\" is not a checkpoint: it has no readable file _metadata")
        } else {
            format!("the checkpoint \"{place}\" does not exist")
        };
        if let Some(other) = offer(&file) {
            let other = other.display();
            message.push_str(&format!("; the newest intact checkpoint beside it is \"{other}\""));
        }
        Error::with_source(ErrorKind::InvalidInput, message, e)
    })?;
    // A checkpoint names its files from the folder of its job, a savepoint from its own.
    let own = file.parent().unwrap_or(Path::new("."));
    let folder = if is_checkpoint_folder(own) { own.parent().unwrap_or(own) } else { own };
    let folder = folder.to_path_buf();
    Ok(CheckpointFile { metadata, file, folder })
}

/// Whether a folder is called as that of a checkpoint is.
fn is_checkpoint_folder(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("chk-"))
}

/// Deletes the savepoint in `place`, a path or a `file://` URL, and nothing else: what lies in its
/// folder and is not of it stays, with the folder.
///
/// # Errors
/// If there is no savepoint of Flott, or something of it cannot be deleted.
pub fn dispose_savepoint(place: &str) -> Result<()> {
    let folder = local_path(place)?;
    let folder = if folder.ends_with(METADATA_FILE) { folder.join("..") } else { folder };
    let file = folder.join(METADATA_FILE);
    let io = |what: &str, path: &Path, e| {
        Error::with_source(ErrorKind::Io, format!("cannot {what} \"{}\"", path.display()), e)
    };
    let bytes = std::fs::read(&file).map_err(|e| io("read", &file, e))?;
    let record = metadata::decode(&bytes, &file.display().to_string())?;
    if is_checkpoint_folder(&folder) {
        return Err(Error::invalid(format!(
            "\"{place}\" is a checkpoint of job {}, not a savepoint: its job looks after it",
            record.job
        )));
    }
    // The record goes first: whoever finds one must find its files, too.
    std::fs::remove_file(&file).map_err(|e| io("delete", &file, e))?;
    let state = folder.join(checkpoint_folder(record.checkpoint));
    std::fs::remove_dir_all(&state).map_err(|e| io("delete", &state, e))?;
    match std::fs::remove_dir(&folder) {
        Err(e) if e.kind() != std::io::ErrorKind::DirectoryNotEmpty => {
            Err(io("delete", &folder, e))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Deletes the checkpoint or savepoint in `folder`, which has become this job's. What other checkpoints of
/// the job that took it refer to stays, and so do their folders.
///
/// # Errors
/// If there is none, or something of it cannot be deleted.
pub(crate) fn discard_claimed(folder: &Path) -> Result<()> {
    if !is_checkpoint_folder(folder) {
        return dispose_savepoint(&folder.display().to_string());
    }
    let base = folder.parent().unwrap_or(Path::new("."));
    let own = find::read(folder)?;
    let mut needed = BTreeSet::new();
    for (_, other) in find::checkpoints(base)?.iter().filter(|(_, other)| other != folder) {
        needed.extend(find::read(other)?.files().into_iter().map(str::to_owned));
    }
    let failed = |path: &Path| {
        let what = format!("cannot delete \"{}\"", path.display());
        move |e| Error::with_source(ErrorKind::Io, what, e)
    };
    // The record goes first: whoever finds one must find its files, too.
    let record = folder.join(METADATA_FILE);
    std::fs::remove_file(&record).map_err(failed(&record))?;
    for file in own.files().into_iter().filter(|file| !needed.contains(*file)) {
        let path = base.join(file);
        if path.starts_with(folder) {
            std::fs::remove_file(&path).map_err(failed(&path))?;
        }
    }
    match std::fs::remove_dir(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::DirectoryNotEmpty => Err(failed(folder)(e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Checks that every file of a record is there and whole. `folder` is that of the job that wrote it.
///
/// Reads all of the state, which is read again when the tasks start: a damaged file is found while
/// another checkpoint can still be chosen, before sources have taken anything in.
///
/// # Errors
/// If one is not: the error names it.
pub(crate) fn check_files(record: &CompletedCheckpoint, folder: &Path) -> Result<()> {
    for file in record.files() {
        let file = folder.join(file);
        let read = std::fs::read(&file)
            .map_err(|e| Error::with_source(ErrorKind::Io, "it cannot be read", e));
        read.and_then(|bytes| flott_state::check_file(&bytes)).map_err(|error| {
            error.context(format!(
                "the state file \"{}\" of checkpoint {} is damaged: use an older checkpoint, or \
                 copy it again if it was copied",
                file.display(),
                record.checkpoint
            ))
        })?;
    }
    Ok(())
}

/// The newest other checkpoint beside this one that is intact. It is offered, never taken
/// silently: sinks may have committed what came after it.
pub(crate) fn offer(metadata_file: &Path) -> Option<PathBuf> {
    let folder = metadata_file.parent()?;
    let beside = find::checkpoints(folder.parent()?).ok()?.into_iter().map(|(_, path)| path);
    beside.filter(|path| path != folder).find(|path| intact(path))
}

/// Whether a checkpoint's record and all its files are whole.
fn intact(folder: &Path) -> bool {
    let Ok(bytes) = std::fs::read(folder.join(METADATA_FILE)) else { return false };
    let Ok(record) = metadata::decode(&bytes, METADATA_FILE) else { return false };
    check_files(&record, folder.parent().unwrap_or(Path::new("."))).is_ok()
}
