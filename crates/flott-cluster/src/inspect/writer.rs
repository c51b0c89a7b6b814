//! Savepoints that are written without a job: new ones, and others' with something changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flott_checkpoint::snapshot::{
    CheckpointTimes, KeyedStateHandle, OperatorInfo, OperatorSnapshot,
};
use flott_checkpoint::storage::{CheckpointStorage, checkpoint_folder};
use flott_checkpoint::{CompletedCheckpoint, MemoryStorage, OperatorRecord};
use flott_core::codec::Key;
use flott_core::config::Configuration;
use flott_core::{CheckpointId, Error, KeyGroupRange, MaxParallelism, OperatorId, Result};
use flott_runtime::Clock;
use flott_runtime::restore::read_pieces;
use flott_state::inspect::{entries_by_group, regrouped};
use flott_state::snapshot::EntriesByGroup;
use flott_state::{KeyedBackend, KeyedData, RestoredKeyedState, SnapshotWriter};

use super::Snapshot;
use crate::clock::SystemClock;
use crate::prepare::new_job_id;
use crate::storage::savepoint::{Savepoints, complete};
use crate::storage::{CheckpointFolder, Place, Stores};

/// The number of a savepoint that no job has taken.
const FIRST: CheckpointId = CheckpointId(1);

/// Makes a savepoint: from nothing, or from another one, which stays as it is. Jobs start from it as from any.
///
/// The keyed state of an operator is in memory while it is changed. Each change takes the writer, and gives it back if
/// it succeeds.
pub struct SavepointWriter {
    record: CompletedCheckpoint,
    /// Where the files of the record are.
    files: Place,
    stores: Stores,
    /// The keyed state of operators in which it is not what it was.
    changed: BTreeMap<OperatorId, Vec<KeyedState>>,
    /// Of operators that are new.
    max_parallelism: MaxParallelism,
}

/// A keyed state of an operator, of all subtasks together.
struct KeyedState {
    /// Its name, kind and shapes.
    like: KeyedStateHandle,
    entries: EntriesByGroup,
}

impl SavepointWriter {
    /// A savepoint without state, whose operators will have so many key groups. `config` says how stores are reached.
    ///
    /// # Errors
    /// If an option is wrong.
    pub fn new_savepoint(
        config: &Configuration,
        job_name: &str,
        max_parallelism: MaxParallelism,
    ) -> Result<Self> {
        let stores = Stores::new(config);
        let now = SystemClock.now().wall;
        let record = CompletedCheckpoint {
            checkpoint: FIRST,
            job: new_job_id(&SystemClock),
            job_name: job_name.to_owned(),
            times: CheckpointTimes { triggered_at: now, completed_at: now },
            operators: Vec::new(),
        };
        let files = stores.place("/")?;
        Ok(Self { record, files, stores, changed: BTreeMap::new(), max_parallelism })
    }

    /// What a checkpoint or savepoint has, opened as by [`Snapshot::open`].
    ///
    /// # Errors
    /// As [`Snapshot::open`].
    pub fn from_existing_savepoint(config: &Configuration, path: &str) -> Result<Self> {
        let Snapshot { record, folder, stores, .. } = Snapshot::open(config, path)?;
        let folder = folder.absolute()?;
        let known = record.operators.first().map(|operator| operator.info.max_parallelism);
        Ok(Self {
            max_parallelism: known.unwrap_or(MaxParallelism::default_for(1)),
            record: record.rebased(&folder.to_string()),
            files: folder,
            stores,
            changed: BTreeMap::new(),
        })
    }

    /// Leaves out all state of an operator.
    ///
    /// # Errors
    /// If there is no such operator; those that there are, are named.
    pub fn remove_operator(mut self, uid: &str) -> Result<Self> {
        let id = self.find(uid)?.info.id;
        self.record.operators.retain(|operator| operator.info.id != id);
        self.changed.remove(&id);
        Ok(self)
    }

    /// Makes the state of the operator with one uid that of another one.
    ///
    /// # Errors
    /// If there is no such operator, or there is one with the other uid.
    pub fn change_operator_identifier(mut self, from: &str, to: &str) -> Result<Self> {
        let new = OperatorId::from_name(to);
        if self.record.operator(new).is_some() {
            return Err(Error::invalid(format!(
                "there is an operator with the uid \"{to}\" already: remove that one first"
            )));
        }
        let operator = self.find_mut(from)?;
        let old = std::mem::replace(&mut operator.info.id, new);
        operator.info.uid = to.to_owned();
        for snapshot in operator.subtasks.values_mut() {
            snapshot.operator = new;
        }
        if let Some(changed) = self.changed.remove(&old) {
            self.changed.insert(new, changed);
        }
        Ok(self)
    }

    /// Gives every operator so many key groups: the most subtasks that it can have from now on.
    ///
    /// # Errors
    /// If an operator has more subtasks, records in flight, or keys of a type whose shape is not known; if its state
    /// cannot be read.
    pub fn set_max_parallelism(mut self, max: MaxParallelism) -> Result<Self> {
        for id in self.operators() {
            let Some(operator) = self.record.operator(id) else { continue };
            let info = operator.info.clone();
            if operator.subtasks.values().any(OperatorSnapshot::has_in_flight) {
                return Err(Error::invalid(format!(
                    "records are in flight to the operator \"{}\" ({}): change a savepoint, which has none",
                    info.name, info.uid
                )));
            }
            if info.parallelism > max.get() {
                return Err(Error::invalid(format!(
                    "the operator \"{}\" ({}) has {} subtasks: it must have as many key groups at least",
                    info.name, info.uid, info.parallelism
                )));
            }
            let states = self.take_keyed(id)?.into_iter().map(|KeyedState { like, entries }| {
                let entries = regrouped(entries, &like.key_schema, max).map_err(|error| {
                    error.context(format!(
                        "state \"{}\" of the operator \"{}\"",
                        like.name, info.uid
                    ))
                })?;
                Ok(KeyedState { like, entries })
            });
            let states = states.collect::<Result<_>>()?;
            self.changed.insert(id, states);
            self.find_mut(&info.uid)?.info.max_parallelism = max;
        }
        self.max_parallelism = max;
        Ok(self)
    }

    /// Changes the keyed state of the operator with this uid, which is new if there is none, and whose keys are of
    /// type `K`: `change` registers states with the descriptors of the job's function, and uses them key by key. States
    /// that it does not register stay as they are.
    ///
    /// # Errors
    /// If what is stored is of other types, or cannot be read; those of `change`.
    pub fn with_keyed_state<K: Key>(
        mut self,
        uid: &str,
        change: impl FnOnce(&mut KeyedBackend<K>) -> Result<()>,
    ) -> Result<Self> {
        let id = OperatorId::from_name(uid);
        if self.record.operator(id).is_none() {
            self.record.operators.push(OperatorRecord {
                info: OperatorInfo {
                    id,
                    uid: uid.to_owned(),
                    name: uid.to_owned(),
                    parallelism: 1,
                    max_parallelism: self.max_parallelism,
                },
                subtasks: BTreeMap::new(),
                end_of_data: BTreeSet::new(),
            });
        }
        let max = self.find(uid)?.info.max_parallelism;
        let range = KeyGroupRange { start: 0, end: max.get() };
        let mut states = self.take_keyed(id)?;
        let mut backend = KeyedBackend::<K>::new(uid, range, max);
        backend.set_now(SystemClock.now().wall);
        // Through the format: what is restored is checked, and decoded, as a job does it.
        let storage: Arc<dyn CheckpointStorage> = Arc::new(MemoryStorage::new());
        let restored = states.iter().map(|state| {
            let handle = state.written(id, &storage)?;
            let data = KeyedData::Bytes(read_pieces(&handle, &*storage)?);
            Ok(RestoredKeyedState { handle, range, data })
        });
        backend.restore(restored.collect::<Result<_>>()?);
        change(&mut backend)?;
        let unchanged = backend.unclaimed();
        states.retain(|state| unchanged.contains(&state.like.name));
        let mut writer = SnapshotWriter::new(storage.clone(), "changed", usize::MAX);
        backend.snapshot()?.write(id, &mut writer)?;
        for handle in writer.finish()?.into_iter().flat_map(|snapshot| snapshot.keyed) {
            let (entries, _) = entries_by_group(&handle, &read_pieces(&handle, &*storage)?)?;
            states.push(KeyedState::new(handle, entries));
        }
        self.changed.insert(id, states);
        Ok(self)
    }

    /// Writes the savepoint into a folder of its own in `directory`, a path or a URL; returns what `-s` takes. Nothing
    /// that it needs is elsewhere.
    ///
    /// # Errors
    /// If something cannot be read or written.
    pub fn write(mut self, directory: &str) -> Result<String> {
        let savepoints = Savepoints::new(self.stores.clone());
        let folder = savepoints.new_folder(directory, self.record.job)?;
        let storage: Arc<dyn CheckpointStorage> =
            Arc::new(CheckpointFolder::for_savepoint(folder.clone(), self.stores.clone()));
        let checkpoint = self.record.checkpoint;
        storage.prepare_checkpoint(checkpoint).map_err(|error| error.into_error())?;
        for (id, states) in std::mem::take(&mut self.changed) {
            if let Some(operator) = self.record.operators.iter_mut().find(|own| own.info.id == id) {
                write_keyed(operator, &states, checkpoint, &storage)?;
            }
        }
        let elsewhere = CheckpointFolder::new(self.files, self.stores);
        complete(&self.record, &elsewhere, &*storage).map_err(|error| error.into_error())?;
        Ok(folder.url())
    }

    fn operators(&self) -> Vec<OperatorId> {
        self.record.operators.iter().map(|operator| operator.info.id).collect()
    }

    /// Takes the keyed state of an operator out of the record.
    fn take_keyed(&mut self, id: OperatorId) -> Result<Vec<KeyedState>> {
        if let Some(changed) = self.changed.remove(&id) {
            return Ok(changed);
        }
        let storage = CheckpointFolder::new(self.files.clone(), self.stores.clone());
        let operators = self.record.operators.iter_mut();
        let own = operators.filter(|operator| operator.info.id == id);
        let mut states: Vec<KeyedState> = Vec::new();
        for snapshot in own.flat_map(|operator| operator.subtasks.values_mut()) {
            for handle in std::mem::take(&mut snapshot.keyed) {
                let pieces = read_pieces(&handle, &storage)?;
                let (entries, digest) = entries_by_group(&handle, &pieces)?;
                snapshot.digest = snapshot.digest.wrapping_sub(digest);
                match states.iter_mut().find(|state| state.like.name == handle.name) {
                    Some(state) => state.entries.extend(entries),
                    None => states.push(KeyedState::new(handle, entries)),
                }
            }
        }
        Ok(states)
    }

    fn find(&self, uid: &str) -> Result<&OperatorRecord> {
        let found = self.record.operators.iter().find(|operator| operator.info.uid == uid);
        found.ok_or_else(|| {
            let uids = self.record.operators.iter().map(|own| format!("\"{}\"", own.info.uid));
            let uids = uids.collect::<Vec<_>>().join(", ");
            Error::invalid(format!("there is no operator with the uid \"{uid}\"; there are {uids}"))
        })
    }

    fn find_mut(&mut self, uid: &str) -> Result<&mut OperatorRecord> {
        let id = self.find(uid)?.info.id;
        let found = self.record.operators.iter_mut().find(|operator| operator.info.id == id);
        found.ok_or_else(|| Error::internal("an operator is gone that was just there"))
    }
}

impl KeyedState {
    fn new(handle: KeyedStateHandle, entries: EntriesByGroup) -> Self {
        Self {
            like: KeyedStateHandle { pieces: Vec::new(), groups: Vec::new(), ..handle },
            entries,
        }
    }

    /// All of it in one handle.
    fn written(
        &self,
        operator: OperatorId,
        storage: &Arc<dyn CheckpointStorage>,
    ) -> Result<KeyedStateHandle> {
        let mut writer = SnapshotWriter::new(storage.clone(), "stored", usize::MAX);
        writer.write_entries(operator, &self.like, &self.entries)?;
        let mut snapshots = writer.finish()?.into_iter().flat_map(|snapshot| snapshot.keyed);
        Ok(snapshots.next().unwrap_or_else(|| self.like.clone()))
    }
}

/// Deals keyed state out to the subtasks of an operator, which have none.
fn write_keyed(
    operator: &mut OperatorRecord,
    states: &[KeyedState],
    checkpoint: CheckpointId,
    storage: &Arc<dyn CheckpointStorage>,
) -> Result<()> {
    let OperatorInfo { id, parallelism, max_parallelism, .. } = operator.info.clone();
    for subtask in 0..parallelism {
        let range = max_parallelism.range_of(subtask, parallelism);
        let path = format!("{}/{id}-{subtask}.state", checkpoint_folder(checkpoint));
        let mut writer = SnapshotWriter::new(storage.clone(), path, 0);
        for KeyedState { like, entries } in states {
            let own = entries.iter().filter(|(group, _)| range.contains(**group));
            let own: EntriesByGroup =
                own.map(|(group, entries)| (*group, entries.clone())).collect();
            writer.write_entries(id, like, &own)?;
        }
        let written = writer.finish()?.into_iter().next();
        let snapshot = operator.subtasks.entry(subtask).or_insert_with(|| OperatorSnapshot {
            operator: id,
            keyed: Vec::new(),
            operator_states: Vec::new(),
            digest: 0,
        });
        if let Some(OperatorSnapshot { keyed, digest, .. }) = written {
            snapshot.keyed = keyed;
            snapshot.digest = snapshot.digest.wrapping_add(digest);
        }
    }
    Ok(())
}
