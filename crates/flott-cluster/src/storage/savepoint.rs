//! Savepoints that are under way or done: where each of them is.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use flott_checkpoint::storage::{CheckpointStorage, StoreError, checkpoint_folder};
use flott_checkpoint::{CompletedCheckpoint, metadata};
use flott_core::{CheckpointId, JobId, Result};

use super::CheckpointFolder;
use super::place::{Place, Stores};

/// The savepoints of one job. Clones share them.
#[derive(Clone)]
pub(crate) struct Savepoints {
    stores: Stores,
    shared: Arc<(Mutex<Places>, Condvar)>,
}

/// Where a savepoint is, or why this process can put nothing there.
pub(crate) type Where = Result<Arc<CheckpointFolder>, String>;

#[derive(Default)]
struct Places {
    /// Folders of savepoints that were asked for, by request.
    wanted: BTreeMap<u64, Place>,
    places: BTreeMap<CheckpointId, Where>,
    /// Those that never get a place, or need it no more.
    abandoned: BTreeSet<CheckpointId>,
    /// How often all were abandoned.
    epoch: u64,
}

impl Savepoints {
    /// None yet. Files of others are read from these stores.
    pub(crate) fn new(stores: Stores) -> Self {
        Self { stores, shared: Arc::default() }
    }

    /// Where files of others are read from.
    pub(crate) fn stores(&self) -> &Stores {
        &self.stores
    }

    /// A folder for a new savepoint in `directory`, by Flink's rule: of the job's id, and at random.
    ///
    /// # Errors
    /// If nothing can be kept there.
    pub(crate) fn new_folder(&self, directory: &str, job: JobId) -> Result<Place> {
        let random = RandomState::new().build_hasher().finish() & 0xffff_ffff_ffff;
        let name = format!("savepoint-{}-{random:012x}", &job.to_string()[..6]);
        Ok(self.stores.place(directory)?.absolute()?.join(&name))
    }

    /// Remembers where the savepoint of a request is to be; returns what people call the place.
    pub(crate) fn want(&self, request: u64, folder: Place) -> String {
        let location = folder.url();
        self.lock().wanted.insert(request, folder);
        location
    }

    /// The request gets its checkpoint.
    pub(crate) fn begin(
        &self,
        request: u64,
        checkpoint: CheckpointId,
    ) -> Option<Arc<CheckpointFolder>> {
        let folder = self.lock().wanted.remove(&request)?;
        let storage = self.storage(folder);
        self.put(checkpoint, Ok(storage.clone()));
        Some(storage)
    }

    /// A checkpoint is a savepoint, in this folder, a path or a URL.
    pub(crate) fn place(&self, checkpoint: CheckpointId, folder: &str) {
        let place = self.stores.place(folder).map_err(|error| error.report());
        self.put(checkpoint, place.map(|place| self.storage(place)));
    }

    fn storage(&self, folder: Place) -> Arc<CheckpointFolder> {
        Arc::new(CheckpointFolder::for_savepoint(folder, self.stores.clone()))
    }

    fn put(&self, checkpoint: CheckpointId, place: Where) {
        self.lock().places.insert(checkpoint, place);
        self.shared.1.notify_all();
    }

    /// Where a savepoint is. A worker's task may see the barrier before the worker is told the place:
    /// this waits for that. Nothing if it is abandoned meanwhile.
    pub(crate) fn wait(&self, checkpoint: CheckpointId) -> Option<Where> {
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
    pub(crate) fn of(&self, checkpoint: CheckpointId) -> Option<Arc<CheckpointFolder>> {
        self.lock().places.get(&checkpoint)?.clone().ok()
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

#[cfg(test)]
mod tests {
    use flott_core::config::Configuration;

    use super::*;

    #[test]
    fn nobody_waits_for_the_place_of_a_savepoint_that_is_given_up() {
        let savepoints = Savepoints::new(Stores::new(&Configuration::new()));
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
        savepoints.place(CheckpointId(3), "/sp");
        assert!(savepoints.wait(CheckpointId(3)).is_some());
        savepoints.abandon_all();
        assert!(savepoints.of(CheckpointId(3)).is_none(), "another one may have its number");
    }
}
