//! Which checkpoint is meant where none is named: the newest in a directory.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};

use flott_checkpoint::storage::METADATA_FILE;
use flott_checkpoint::{CompletedCheckpoint, metadata};
use flott_core::{Error, ErrorKind, Result};
use tracing::info;

/// The folder of the newest checkpoint in `directory`: that of a job (`chk-N` folders), or one with
/// the folders of jobs. Only those of jobs called `job_name` count, if a name is given.
///
/// The newest is taken or nothing: if its record is damaged, sinks may have committed what an older
/// one does not have.
///
/// # Errors
/// If there is none, or the record that may be the newest cannot be read.
pub(super) fn newest(directory: &Path, job_name: Option<&str>) -> Result<PathBuf> {
    let newest_of_each = std::iter::once(directory.to_path_buf())
        .chain(folders(directory)?)
        .filter_map(|folder| checkpoints(&folder).ok()?.into_iter().next());
    let mut records = newest_of_each
        .map(|(_, folder)| Ok((read(&folder)?, folder)))
        .collect::<Result<Vec<(CompletedCheckpoint, PathBuf)>>>()?;
    records.retain(|(record, _)| job_name.is_none_or(|name| record.job_name == name));
    let newest = records.into_iter().max_by_key(|(record, _)| record.times.completed_at);
    let Some((record, folder)) = newest else {
        let of = job_name.map(|name| format!(" of a job \"{name}\"")).unwrap_or_default();
        let directory = directory.display();
        return Err(Error::invalid(format!("there is no checkpoint{of} in \"{directory}\"")));
    };
    info!("Starting from the newest checkpoint, {} of job {}", folder.display(), record.job);
    Ok(folder)
}

/// The completed checkpoints in the folder of a job, newest first.
pub(super) fn checkpoints(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let numbered = folders(folder)?.into_iter().filter_map(|path| {
        let number: u64 = path.file_name()?.to_str()?.strip_prefix("chk-")?.parse().ok()?;
        path.join(METADATA_FILE).exists().then_some((number, path))
    });
    let mut found: Vec<(u64, PathBuf)> = numbered.collect();
    found.sort_by_key(|(number, _)| Reverse(*number));
    Ok(found)
}

fn folders(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).map_err(|e| {
        let message = format!("cannot look for checkpoints in \"{}\"", directory.display());
        Error::with_source(ErrorKind::InvalidInput, message, e)
    })?;
    Ok(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
}

pub(super) fn read(folder: &Path) -> Result<CompletedCheckpoint> {
    let file = folder.join(METADATA_FILE);
    let bytes = fs::read(&file).map_err(|e| {
        let message = format!("cannot read \"{}\"", file.display());
        Error::with_source(ErrorKind::Io, message, e)
    })?;
    metadata::decode(&bytes, &file.display().to_string()).map_err(|error| {
        error.context(format!(
            "the newest checkpoint cannot be chosen, it may be \"{}\"; name the one to start from",
            folder.display()
        ))
    })
}
