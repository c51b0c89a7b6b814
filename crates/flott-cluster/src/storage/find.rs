//! Which checkpoint is meant: one that is named, or the newest in a directory.

use std::cmp::Reverse;

use flott_checkpoint::storage::METADATA_FILE;
use flott_checkpoint::{CompletedCheckpoint, metadata};
use flott_core::{Error, Result};
use tracing::info;

use super::place::{Place, Stores};
use super::store::Found;
use super::{check_files, is_checkpoint_folder};

/// What `-s PATH` names.
pub(crate) struct CheckpointFile {
    /// The bytes of its record.
    pub(crate) metadata: Vec<u8>,
    /// The record's file.
    pub(crate) file: Place,
    /// The folder that its files are named from: of the job that wrote it, or of the savepoint.
    pub(crate) folder: Place,
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

/// Reads the record of the checkpoint in `given`: a `chk-N` folder or that of a savepoint, or its
/// `_metadata` file, or a directory with checkpoints, of which the newest is meant, or `latest`.
///
/// # Errors
/// If it does not exist or cannot be read; the newest other intact checkpoint beside it is offered.
pub(crate) fn open_checkpoint(
    stores: &Stores,
    given: &str,
    search: &Search<'_>,
) -> Result<CheckpointFile> {
    let place = match given {
        LATEST => {
            let dir = search.dir.ok_or_else(|| {
                Error::invalid(
                    "\"-s latest\" looks in execution.checkpointing.dir, which is not set: set it \
                     with -D, or give a path",
                )
            })?;
            newest(&stores.place(dir)?, Some(search.job_name))?
        }
        given => stores.place(given)?,
    };
    let is_record = place.name() == METADATA_FILE;
    let mut file = if is_record { place.clone() } else { place.join(METADATA_FILE) };
    let found = place.find()?;
    let is_folder = found == Found::Folder && !is_checkpoint_folder(&place);
    if is_folder && file.find()? == Found::Nothing {
        file = newest(&place, None)?.join(METADATA_FILE);
    }
    let metadata = file.read(None).map_err(|error| {
        let mut message = if found == Found::Nothing {
            format!("the checkpoint \"{given}\" does not exist")
        } else {
            format!("\"{given}\" is not a checkpoint: it has no readable file _metadata")
        };
        if let Some(other) = offer(stores, &file) {
            message.push_str(&format!("; the newest intact checkpoint beside it is \"{other}\""));
        }
        Error::invalid(format!("{message}: {}", error.into_error().report()))
    })?;
    // A checkpoint names its files from the folder of its job, a savepoint from its own.
    let own = file.parent();
    let folder = if is_checkpoint_folder(&own) { own.parent() } else { own };
    Ok(CheckpointFile { metadata, file, folder })
}

/// The folder of the newest checkpoint in `directory`: that of a job (`chk-N` folders), or one with
/// the folders of jobs. Only those of jobs called `job_name` count, if a name is given.
///
/// The newest is taken or nothing: if its record is damaged, sinks may have committed what an older
/// one does not have.
///
/// # Errors
/// If there is none, or the record that may be the newest cannot be read.
fn newest(directory: &Place, job_name: Option<&str>) -> Result<Place> {
    let newest_of_each = std::iter::once(directory.clone())
        .chain(folders(directory)?)
        .filter_map(|folder| checkpoints(&folder).ok()?.into_iter().next());
    let mut records = newest_of_each
        .map(|(_, folder)| Ok((read(&folder)?, folder)))
        .collect::<Result<Vec<(CompletedCheckpoint, Place)>>>()?;
    records.retain(|(record, _)| job_name.is_none_or(|name| record.job_name == name));
    let newest = records.into_iter().max_by_key(|(record, _)| record.times.completed_at);
    let Some((record, folder)) = newest else {
        let of = job_name.map(|name| format!(" of a job \"{name}\"")).unwrap_or_default();
        return Err(Error::invalid(format!("there is no checkpoint{of} in \"{directory}\"")));
    };
    info!("Starting from the newest checkpoint, {folder} of job {}", record.job);
    Ok(folder)
}

/// The completed checkpoints in the folder of a job, newest first.
pub(super) fn checkpoints(folder: &Place) -> Result<Vec<(u64, Place)>> {
    let mut found = Vec::new();
    for place in folders(folder)? {
        let number = place.name().strip_prefix("chk-").and_then(|number| number.parse().ok());
        if let Some(number) = number
            && place.join(METADATA_FILE).find()? == Found::File
        {
            found.push((number, place));
        }
    }
    found.sort_by_key(|(number, _)| Reverse(*number));
    Ok(found)
}

fn folders(directory: &Place) -> Result<Vec<Place>> {
    let entries = directory.list().map_err(|e| {
        let message = format!("cannot look for checkpoints in \"{directory}\"");
        Error::invalid(format!("{message}: {}", e.report()))
    })?;
    let folders = entries.into_iter().filter(|entry| entry.is_folder);
    Ok(folders.map(|entry| directory.join(&entry.name)).collect())
}

pub(super) fn read(folder: &Place) -> Result<CompletedCheckpoint> {
    let file = folder.join(METADATA_FILE);
    let bytes = file.read(None).map_err(|error| error.into_error())?;
    metadata::decode(&bytes, &file.to_string()).map_err(|error| {
        error.context(format!(
            "the newest checkpoint cannot be chosen, it may be \"{folder}\"; name the one to start from"
        ))
    })
}

/// The newest other checkpoint beside this one that is intact. It is offered, never taken
/// silently: sinks may have committed what came after it.
pub(crate) fn offer(stores: &Stores, metadata_file: &Place) -> Option<Place> {
    let folder = metadata_file.parent();
    let beside = checkpoints(&folder.parent()).ok()?.into_iter().map(|(_, path)| path);
    beside.filter(|path| *path != folder).find(|path| intact(stores, path))
}

/// Whether a checkpoint's record and all its files are whole.
fn intact(stores: &Stores, folder: &Place) -> bool {
    read(folder).and_then(|record| check_files(stores, &record, &folder.parent())).is_ok()
}
