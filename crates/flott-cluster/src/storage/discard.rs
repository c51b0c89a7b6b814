//! Deleting savepoints and checkpoints that are no running job's.

use std::collections::BTreeSet;

use flott_checkpoint::metadata;
use flott_checkpoint::storage::{METADATA_FILE, StoreError, checkpoint_folder, checkpoint_of};
use flott_core::{Error, Result};

use super::folder::BEGUN_FILE;
use super::place::Place;
use super::{find, is_checkpoint_folder};

/// Deletes a savepoint, and nothing else: what lies in its folder and is not of it stays, with the folder.
///
/// # Errors
/// If there is no savepoint of Flott, or something of it cannot be deleted.
pub(crate) fn dispose_savepoint(place: &Place) -> Result<()> {
    let folder = if place.name() == METADATA_FILE { place.parent() } else { place.clone() };
    let file = folder.join(METADATA_FILE);
    let bytes = file.read(None).map_err(StoreError::into_error)?;
    let record = metadata::decode(&bytes, &file.to_string())?;
    if is_checkpoint_folder(&folder) {
        return Err(Error::invalid(format!(
            "\"{place}\" is a checkpoint of job {}, not a savepoint: its job looks after it",
            record.job
        )));
    }
    // The record goes first: whoever finds one must find its files, too.
    file.delete().map_err(StoreError::into_error)?;
    folder.join(&checkpoint_folder(record.checkpoint)).delete().map_err(StoreError::into_error)?;
    folder.delete_if_empty().map_err(StoreError::into_error)
}

/// Deletes the checkpoint or savepoint in `folder`, which has become this job's. What other checkpoints of
/// the job that took it refer to stays, and so do their folders.
///
/// # Errors
/// If there is none, or something of it cannot be deleted.
pub(crate) fn discard_claimed(folder: &Place) -> Result<()> {
    if !is_checkpoint_folder(folder) {
        return dispose_savepoint(folder);
    }
    let base = folder.parent();
    let own = find::read(folder)?;
    let (mut needed, mut others) = (BTreeSet::new(), BTreeSet::new());
    for (_, other) in find::checkpoints(&base)?.iter().filter(|(_, other)| other != folder) {
        needed.extend(find::read(other)?.files().into_iter().map(str::to_owned));
        others.insert(other.name().to_owned());
    }
    // The record goes first: whoever finds one must find its files, too.
    folder.join(METADATA_FILE).delete().map_err(StoreError::into_error)?;
    // Some of its files may be in folders of checkpoints that are gone: it was the last one to need them.
    let mut folders = BTreeSet::from([folder.name().to_owned()]);
    for file in own.files().into_iter().filter(|file| !needed.contains(*file)) {
        if let Some(checkpoint) = checkpoint_of(file) {
            base.join(file).delete().map_err(StoreError::into_error)?;
            folders.insert(checkpoint_folder(checkpoint));
        }
    }
    for name in folders.difference(&others) {
        let folder = base.join(name);
        folder.join(BEGUN_FILE).delete().map_err(StoreError::into_error)?;
        folder.delete_if_empty().map_err(StoreError::into_error)?;
    }
    Ok(())
}
