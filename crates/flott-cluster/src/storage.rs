//! Checkpoint storage: which one a job uses, and what is in it.

mod copies;
mod discard;
mod find;
mod folder;
mod local;
mod memory;
mod place;
mod remote;
pub(crate) mod savepoint;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use flott_checkpoint::storage::{CheckpointStorage, StoreError};
use flott_checkpoint::{CompletedCheckpoint, StorageConfig, VoidIds};
use flott_core::{CheckpointId, Error, JobId, Result};

pub(crate) use copies::Copies;
pub(crate) use discard::{discard_claimed, dispose_savepoint};
pub(crate) use find::{Search, offer, open_checkpoint};
pub(crate) use folder::{CheckpointFolder, prove_writable};
pub(crate) use place::{Place, Stores};
pub use savepoint::complete as complete_savepoint;

use memory::JobManagerStorage;
pub(crate) use store::{Creation, FileInfo, Found};

/// The storage of a new job.
///
/// # Errors
/// If nothing can be kept in the directory.
pub(crate) fn for_job(
    stores: &Stores,
    config: &StorageConfig,
    job: JobId,
) -> Result<Arc<dyn CheckpointStorage>> {
    Ok(match job_folder(stores, config, job)? {
        None => Arc::new(JobManagerStorage::new(stores.clone())),
        Some(folder) => Arc::new(CheckpointFolder::new(folder, stores.clone())),
    })
}

/// Where the checkpoints of a job are; nothing if they are in memory.
fn job_folder(stores: &Stores, config: &StorageConfig, job: JobId) -> Result<Option<Place>> {
    let StorageConfig::FileSystem { dir, create_subdir } = config else { return Ok(None) };
    let folder = stores.place(dir)?;
    Ok(Some(if *create_subdir { folder.join(&job.to_string()) } else { folder }))
}

/// Checks that a job without a folder of its own does not meet checkpoints that its own would
/// replace: those with numbers after that of `restored`.
///
/// # Errors
/// If there are such.
pub(crate) fn check_unused(
    stores: &Stores,
    config: &StorageConfig,
    restored: Option<&CompletedCheckpoint>,
) -> Result<()> {
    let StorageConfig::FileSystem { dir, create_subdir: false } = config else { return Ok(()) };
    // A directory that cannot be read, or is not there yet, is the business of whoever writes.
    let found = find::checkpoints(&stores.place(dir)?).unwrap_or_default();
    match found.first() {
        Some((number, folder)) if restored.is_none_or(|own| own.checkpoint.0 < *number) => {
            Err(Error::invalid(format!(
                "\"{folder}\" is the checkpoint of another run, and this job would write over it \
                 (execution.checkpointing.create-subdir is false): start from it with -s, or set \
                 another execution.checkpointing.dir"
            )))
        }
        _ => Ok(()),
    }
}

/// The record of the newest checkpoint of a job's own, if it has one: where it goes on after the process
/// was lost that had it. Those in `void` do not count.
///
/// # Errors
/// If the newest is damaged: an older one is never taken silently.
pub(crate) fn newest_of_job(
    stores: &Stores,
    config: &StorageConfig,
    job: JobId,
    void: Option<VoidIds>,
) -> Result<Option<CompletedCheckpoint>> {
    let Some(folder) = job_folder(stores, config, job)? else { return Ok(None) };
    if folder.find()? == Found::Nothing {
        return Ok(None);
    }
    let is_void = |number| void.is_some_and(|void| void.contains(CheckpointId(number)));
    let found = find::checkpoints(&folder)?;
    let Some((_, newest)) = found.iter().find(|(number, _)| !is_void(*number)) else {
        return Ok(None);
    };
    let record = find::read(newest)?;
    if record.job != job {
        return Ok(None);
    }
    check_files(stores, &record, &folder)?;
    Ok(Some(record))
}

/// The greatest number that a checkpoint of a job has here, completed or not; 0 if there is none.
///
/// # Errors
/// If that cannot be read.
pub(crate) fn highest_number(
    stores: &Stores,
    config: &StorageConfig,
    job: JobId,
) -> Result<CheckpointId> {
    let Some(folder) = job_folder(stores, config, job)? else { return Ok(CheckpointId(0)) };
    if folder.find()? == Found::Nothing {
        return Ok(CheckpointId(0));
    }
    let names = folder.list()?.into_iter().map(|entry| entry.name);
    let numbers = names.filter_map(|name| name.strip_prefix("chk-")?.parse().ok());
    Ok(CheckpointId(numbers.max().unwrap_or(0)))
}

/// Whether a folder is called as that of a checkpoint is.
pub(crate) fn is_checkpoint_folder(place: &Place) -> bool {
    place.name().starts_with("chk-")
}

/// Checks that every file of a record is there and whole. `folder` is that of the job that wrote it.
///
/// Reads all of the state, which is read again when the tasks start: a damaged file is found while
/// another checkpoint can still be chosen, before sources have taken anything in.
///
/// # Errors
/// If one is not: the error names it.
pub(crate) fn check_files(
    stores: &Stores,
    record: &CompletedCheckpoint,
    folder: &Place,
) -> Result<()> {
    for file in record.files() {
        let file = stores.resolve(folder, file)?;
        let read = file.read(None).map_err(StoreError::into_error);
        read.and_then(|bytes| flott_state::check_file(&bytes)).map_err(|error| {
            error.context(format!(
                "the state file \"{file}\" of checkpoint {} is damaged: use an older checkpoint, or \
                 copy it again if it was copied",
                record.checkpoint
            ))
        })?;
    }
    Ok(())
}
