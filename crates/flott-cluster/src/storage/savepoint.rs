//! Savepoints that are under way or done: where each of them is.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use flott_checkpoint::storage::{CheckpointStorage, StoreError, checkpoint_folder};
use flott_checkpoint::{CompletedCheckpoint, metadata};
use flott_core::{CheckpointId, Error, JobId, Result};

use super::{FileStorage, local_path};

/// The savepoints of one job. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Savepoints {
    shared: Arc<(Mutex<Places>, Condvar)>,
}

#[derive(Default)]
struct Places {
    /// Folders of savepoints that were asked for, by request.
    wanted: BTreeMap<u64, PathBuf>,
    places: BTreeMap<CheckpointId, Arc<FileStorage>>,
    /// Those that never get a place, or need it no more.
    abandoned: BTreeSet<CheckpointId>,
    /// How often all were abandoned.
    epoch: u64,
}

impl Savepoints {
    /// Remembers where the savepoint of a request is to be; returns what people call the place.
    pub(crate) fn want(&self, request: u64, folder: PathBuf) -> String {
        let location = format!("file:{}", folder.display());
        self.lock().wanted.insert(request, folder);
        location
    }

    /// The request gets its checkpoint.
    pub(crate) fn begin(&self, request: u64, checkpoint: CheckpointId) -> Option<Arc<FileStorage>> {
        let folder = self.lock().wanted.remove(&request)?;
        Some(self.place(checkpoint, folder))
    }

    /// A checkpoint is a savepoint, in this folder.
    pub(crate) fn place(&self, checkpoint: CheckpointId, folder: PathBuf) -> Arc<FileStorage> {
        let storage = Arc::new(FileStorage::for_savepoint(folder));
        self.lock().places.insert(checkpoint, storage.clone());
        self.shared.1.notify_all();
        storage
    }

    /// Where a savepoint is. A worker's task may see the barrier before the worker is told the place:
    /// this waits for that. Nothing if it is abandoned meanwhile.
    pub(crate) fn wait(&self, checkpoint: CheckpointId) -> Option<Arc<FileStorage>> {
        let mut places = self.lock();
        let epoch = places.epoch;
        loop {
            if let Some(place) = places.places.get(&checkpoint) {
                return Some(place.clone());
            }
            if places.epoch != epoch || places.abandoned.contains(&checkpoint) {
                return None;
            }
            places = self.shared.1.wait(places).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A savepoint will never be complete: who waits for its place need not.
    pub(crate) fn abandon(&self, checkpoint: CheckpointId) {
        self.lock().abandoned.insert(checkpoint);
        self.shared.1.notify_all();
    }

    /// A new attempt begins: no savepoint is under way.
    pub(crate) fn abandon_all(&self) {
        let mut places = self.lock();
        places.places.clear();
        places.abandoned.clear();
        places.epoch += 1;
        self.shared.1.notify_all();
    }

    /// The request has its answer; if it was refused, it never got a checkpoint.
    pub(crate) fn forget(&self, request: u64) {
        self.lock().wanted.remove(&request);
    }

    /// Where a checkpoint is, if it is a savepoint.
    pub(crate) fn of(&self, checkpoint: CheckpointId) -> Option<Arc<FileStorage>> {
        self.lock().places.get(&checkpoint).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A folder for a new savepoint in `directory`, by Flink's rule: of the job's id, and at random.
///
/// # Errors
/// If the directory is no local one.
pub(crate) fn new_folder(directory: &str, job: JobId) -> Result<PathBuf> {
    let random = RandomState::new().build_hasher().finish() & 0xffff_ffff_ffff;
    let name = format!("savepoint-{}-{random:012x}", &job.to_string()[..6]);
    let directory = local_path(directory)?;
    let directory = std::path::absolute(&directory)
        .map_err(|e| Error::invalid(format!("\"{}\" is no directory: {e}", directory.display())))?;
    Ok(directory.join(name))
}

/// Completes a savepoint: what its record names elsewhere (state of tasks that have finished) is
/// copied, so that nothing but its own folder is needed, and the record is created.
///
/// # Errors
/// [`StoreError::Unknown`] if the record may or may not exist now.
pub fn complete(
    record: &CompletedCheckpoint,
    elsewhere: &dyn CheckpointStorage,
    place: &dyn CheckpointStorage,
) -> Result<(), StoreError> {
    let mut copies = BTreeMap::new();
    let own = format!("{}/", checkpoint_folder(record.checkpoint));
    let foreign = record.files().into_iter().filter(|path| !path.starts_with(&own));
    for (number, path) in foreign.enumerate() {
        let copy = format!("{own}copy-{number}.state");
        let bytes = elsewhere.read(path, None)?;
        // An earlier try may have got as far.
        if place.read(&copy, None).is_err() {
            place.write(&copy, &bytes)?;
        }
        copies.insert(path.to_owned(), copy);
    }
    let record = record.clone().with_paths(|path| copies.get(path).cloned());
    let bytes = metadata::encode(&record).map_err(StoreError::Failed)?;
    place.create_metadata(record.checkpoint, &bytes)
}

/// Deletes what a failed savepoint has left.
pub(crate) fn discard(place: &FileStorage) -> std::io::Result<()> {
    match std::fs::remove_dir_all(place.folder()) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_the_place_of_a_savepoint_that_is_given_up() {
        let savepoints = Savepoints::default();
        savepoints.abandon(CheckpointId(1));
        assert!(savepoints.wait(CheckpointId(1)).is_none());
        let waiting = savepoints.clone();
        let waits = std::thread::scope(|scope| {
            let waits = scope.spawn(move || waiting.wait(CheckpointId(2)).is_none());
            while !waits.is_finished() {
                savepoints.abandon_all();
                std::thread::yield_now();
            }
            waits.join().unwrap()
        });
        assert!(waits);
        savepoints.place(CheckpointId(3), "/sp".into());
        assert!(savepoints.wait(CheckpointId(3)).is_some());
        savepoints.abandon_all();
        assert!(savepoints.of(CheckpointId(3)).is_none(), "another one may have its number");
    }
}
