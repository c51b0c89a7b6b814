//! Checkpoints and savepoints, to be looked at, and changed, without the program that wrote them.

mod writer;

use std::collections::{BTreeMap, BTreeSet};

use flott_checkpoint::snapshot::{
    KeyedStateHandle, OperatorSnapshot, OperatorStateHandle, Redistribution, StateKind,
};
use flott_checkpoint::{CompletedCheckpoint, OperatorRecord, metadata};
use flott_core::codec::{Key, decode};
use flott_core::config::Configuration;
use flott_core::{Error, KeyGroupRange, Result};
use flott_runtime::Clock;
use flott_runtime::restore::{read, read_pieces};
use flott_state::inspect::{
    KeyedReader, KeyedShapes, check_elements, element_schema, show_elements,
};
use flott_state::{KeyedBackend, KeyedData, RestoredKeyedState};
use serde::Serialize;

pub use flott_state::{Schema, Shown};

pub use self::writer::SavepointWriter;

use crate::clock::SystemClock;
use crate::storage::{CheckpointFolder, Place, Search, Stores, check_files, open_checkpoint};

/// A checkpoint or savepoint.
pub struct Snapshot {
    record: CompletedCheckpoint,
    file: Place,
    folder: Place,
    stores: Stores,
}

/// What a snapshot is.
#[derive(Clone, Debug, Serialize)]
pub struct SnapshotInfo {
    /// Its record.
    pub location: String,
    /// Its number.
    pub checkpoint: u64,
    /// The job that took it.
    pub job: String,
    /// That job's name.
    pub job_name: String,
    /// When it was triggered, in milliseconds since the Unix epoch.
    pub triggered_at: i64,
    /// How many bytes of state it refers to.
    pub bytes: u64,
    /// How many files these are in.
    pub files: usize,
    /// What it has, state by state.
    pub states: Vec<StateInfo>,
}

/// A state of an operator, over all of its subtasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StateInfo {
    /// The operator's uid.
    pub uid: String,
    /// Its id, the hash of the uid.
    pub operator: String,
    /// Its name, for people.
    pub operator_name: String,
    /// How many subtasks it had.
    pub parallelism: u32,
    /// How many key groups it has.
    pub max_parallelism: u32,
    /// The state's name.
    pub state: String,
    /// What kind of state it is.
    pub kind: &'static str,
    /// Whether it has TTL.
    pub ttl: bool,
    /// How many entries, or elements.
    pub entries: u64,
    /// How many bytes it refers to, those of values that have changed since included.
    pub bytes: u64,
    /// How many key groups have entries.
    pub key_groups: usize,
    /// The key group with the most entries has so many.
    pub largest_group: u64,
    /// The shape of the keys; nothing for operator state.
    pub key_schema: Option<String>,
    /// The shape of the values, or elements.
    pub value_schema: String,
}

/// An entry of a state: a key, if it is keyed, and its value.
pub struct Entry {
    /// The key; nothing in operator state.
    pub key: Option<Shown>,
    /// The value, or an element.
    pub value: Shown,
}

impl Snapshot {
    /// Opens what `-s PATH` would: the folder of a checkpoint or savepoint, its record, or a directory of
    /// checkpoints, of which the newest is meant. `config` says how stores are reached.
    ///
    /// # Errors
    /// If it does not exist, is of a newer format, or damaged.
    pub fn open(config: &Configuration, path: &str) -> Result<Self> {
        let stores = Stores::new(config);
        let found = open_checkpoint(&stores, path, &Search { dir: None, job_name: "" })?;
        let record = metadata::decode(&found.metadata, &found.file.to_string())?;
        Ok(Self { record, file: found.file, folder: found.folder, stores })
    }

    /// What it is, and what it has.
    pub fn info(&self) -> SnapshotInfo {
        let record = &self.record;
        SnapshotInfo {
            location: self.file.to_string(),
            checkpoint: record.checkpoint.0,
            job: record.job.to_string(),
            job_name: record.job_name.clone(),
            triggered_at: record.times.triggered_at.0,
            bytes: record.bytes(),
            files: record.files().len(),
            states: record.operators.iter().flat_map(states).collect(),
        }
    }

    /// The shapes of what [`entries`](Self::entries) shows: of a state's keys, if it is keyed, and of its values.
    ///
    /// # Errors
    /// If they are not known ([`flott_core::ErrorKind::InvalidInput`]).
    pub fn schemas(&self, state: &StateInfo) -> Result<(Option<Schema>, Schema)> {
        let shapes = self.subtasks(&state.operator).find_map(|snapshot| {
            if state.key_schema.is_some() {
                let handle = snapshot.keyed.iter().find(|handle| handle.name == state.state)?;
                let shapes = KeyedShapes::of(handle).map(KeyedShapes::into_schemas);
                return Some(shapes.map(|(key, value)| (Some(key), value)));
            }
            let mut lists = snapshot.operator_states.iter();
            let handle = lists.find(|handle| handle.name == state.state)?;
            Some(element_schema(handle).map(|element| (None, element)))
        });
        shapes
            .unwrap_or_else(|| Err(Error::invalid("this snapshot does not have it")))
            .map_err(|error| error.context(state.called("cannot be shown")))
    }

    /// Shows the entries of a state to `each`, until it has seen enough. The state is checked meanwhile.
    ///
    /// # Errors
    /// If something cannot be read or is damaged; if the shape of a type is not known
    /// ([`flott_core::ErrorKind::InvalidInput`]); that of `each`.
    pub fn entries(
        &self,
        state: &StateInfo,
        each: impl FnMut(Entry) -> Result<bool>,
    ) -> Result<()> {
        self.show(state, each).map_err(|error| error.context(state.called("cannot be shown")))
    }

    fn show(&self, state: &StateInfo, mut each: impl FnMut(Entry) -> Result<bool>) -> Result<()> {
        let storage = CheckpointFolder::new(self.folder.clone(), self.stores.clone());
        for snapshot in self.subtasks(&state.operator) {
            let keyed = snapshot.keyed.iter().filter(|_| state.key_schema.is_some());
            for handle in keyed.filter(|handle| handle.name == state.state) {
                let (pieces, shapes) = (read_pieces(handle, &storage)?, KeyedShapes::of(handle)?);
                for group in KeyedReader::new(handle, &pieces).groups() {
                    for (key, value) in group?.1 {
                        let key = Some(shapes.key(key)?);
                        if !each(Entry { key, value: shapes.value(value)? })? {
                            return Ok(());
                        }
                    }
                }
            }
            let lists = snapshot.operator_states.iter().filter(|_| state.key_schema.is_none());
            for handle in lists.filter(|handle| handle.name == state.state) {
                for value in show_elements(handle, &read(&handle.data, &storage)?)? {
                    if !each(Entry { key: None, value })? {
                        return Ok(());
                    }
                }
                if handle.redistribution == Redistribution::Broadcast {
                    // All subtasks have the same.
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Reads keyed state as the job's own types: of the operator with this uid, whose keys are of type `K`. `register`
    /// registers states with the descriptors of the job's function; `each` is called once for every key that one of
    /// them has, which is then the current one. One subtask's state at a time is in memory.
    ///
    /// # Errors
    /// If there is no such operator, what is stored is of other types or damaged, or cannot be read; those of
    /// `register` and `each`.
    pub fn read_keyed_state<K: Key, H>(
        &self,
        uid: &str,
        register: impl Fn(&mut KeyedBackend<K>) -> Result<H>,
        mut each: impl FnMut(&mut KeyedBackend<K>, &H) -> Result<()>,
    ) -> Result<()> {
        let found = self.record.operators.iter().find(|own| own.info.uid == uid);
        let OperatorRecord { info, subtasks, .. } = found.ok_or_else(|| {
            Error::invalid(format!("\"{}\" has no operator with the uid \"{uid}\"", self.file))
        })?;
        let storage = CheckpointFolder::new(self.folder.clone(), self.stores.clone());
        for snapshot in subtasks.values() {
            let range = KeyGroupRange { start: 0, end: info.max_parallelism.get() };
            let mut backend = KeyedBackend::<K>::new(&*info.name, range, info.max_parallelism);
            backend.set_now(SystemClock.now().wall);
            let handles = snapshot.keyed.iter().filter(|own| own.kind != StateKind::Timers);
            let mut keys: BTreeMap<&str, BTreeSet<Vec<u8>>> = BTreeMap::new();
            let mut restored = Vec::new();
            for handle in handles {
                let pieces = read_pieces(handle, &storage)?;
                for group in KeyedReader::new(handle, &pieces).groups() {
                    let own = group?.1.into_keys().map(<[u8]>::to_vec);
                    keys.entry(&handle.name).or_default().extend(own);
                }
                let data = KeyedData::Bytes(pieces);
                restored.push(RestoredKeyedState { handle: handle.clone(), range, data });
            }
            backend.restore(restored);
            let registered = register(&mut backend)?;
            let others = backend.unclaimed();
            keys.retain(|name, _| !others.iter().any(|other| other == name));
            for key in keys.into_values().flatten().collect::<BTreeSet<_>>() {
                backend.use_key(decode(&key)?)?;
                each(&mut backend, &registered)?;
            }
        }
        Ok(())
    }

    /// Checks every file and every entry.
    ///
    /// # Errors
    /// What is damaged.
    pub fn verify(&self) -> Result<()> {
        check_files(&self.stores, &self.record, &self.folder)?;
        self.info().states.iter().try_for_each(|state| {
            self.check(state).map_err(|error| error.context(state.called("is damaged")))
        })
    }

    fn check(&self, state: &StateInfo) -> Result<()> {
        let storage = CheckpointFolder::new(self.folder.clone(), self.stores.clone());
        for snapshot in self.subtasks(&state.operator) {
            for handle in snapshot.keyed.iter().filter(|handle| handle.name == state.state) {
                let pieces = read_pieces(handle, &storage)?;
                KeyedReader::new(handle, &pieces).groups().try_for_each(|group| group.map(drop))?;
            }
            let lists = snapshot.operator_states.iter();
            for handle in lists.filter(|handle| handle.name == state.state) {
                check_elements(handle, &read(&handle.data, &storage)?)?;
            }
        }
        Ok(())
    }

    /// What the subtasks of an operator remember.
    fn subtasks(&self, operator: &str) -> impl Iterator<Item = &OperatorSnapshot> {
        let of = self.record.operators.iter().find(|own| own.info.id.to_string() == operator);
        of.into_iter().flat_map(|operator| operator.subtasks.values())
    }

    /// The state with this name of the operator with this uid, id or name. Either may be left out, if there is
    /// only one.
    ///
    /// # Errors
    /// If there is none, or more than one; they are named.
    pub fn find(&self, operator: Option<&str>, state: Option<&str>) -> Result<StateInfo> {
        let mut states = self.info().states;
        let listed = |states: &[StateInfo]| {
            let names = states.iter().map(|own| format!("\"{}\" of \"{}\"", own.state, own.uid));
            names.collect::<Vec<_>>().join(", ")
        };
        let all = listed(&states);
        states.retain(|own| {
            operator.is_none_or(|wanted| {
                [&own.uid, &own.operator, &own.operator_name].into_iter().any(|it| it == wanted)
            }) && state.is_none_or(|wanted| own.state == wanted)
        });
        match states.len() {
            1 => Ok(states.remove(0)),
            0 => {
                Err(Error::invalid(format!("there is no such state: \"{}\" has {all}", self.file)))
            }
            _ => Err(Error::invalid(format!(
                "several states are meant: {}; name the operator and the state",
                listed(&states)
            ))),
        }
    }
}

impl StateInfo {
    /// That something is so with it.
    fn called(&self, what: &str) -> String {
        let Self { state, operator_name, uid, .. } = self;
        format!("state \"{state}\" of operator \"{operator_name}\" ({uid}) {what}")
    }
}

/// The kind of a broadcast state.
const BROADCAST: &str = "broadcast";

/// The states of an operator, by name, those of all subtasks together.
fn states(operator: &OperatorRecord) -> Vec<StateInfo> {
    let info = &operator.info;
    let mut states: Vec<StateInfo> = Vec::new();
    let is_same =
        |own: &StateInfo, new: &StateInfo| (&own.state, own.kind) == (&new.state, new.kind);
    let mut add = |new: StateInfo| match states.iter_mut().find(|own| is_same(own, &new)) {
        // Every subtask has the same copy.
        Some(own) if new.kind == BROADCAST => own.entries = own.entries.max(new.entries),
        Some(own) => {
            own.entries = own.entries.saturating_add(new.entries);
            own.bytes += new.bytes;
            own.key_groups += new.key_groups;
            own.largest_group = own.largest_group.max(new.largest_group);
        }
        None => states.push(new),
    };
    let blank = || StateInfo {
        uid: info.uid.clone(),
        operator: info.id.to_string(),
        operator_name: info.name.clone(),
        parallelism: info.parallelism,
        max_parallelism: info.max_parallelism.get(),
        state: String::new(),
        kind: "",
        ttl: false,
        entries: 0,
        bytes: 0,
        key_groups: 0,
        largest_group: 0,
        key_schema: None,
        value_schema: String::new(),
    };
    for snapshot in operator.subtasks.values() {
        snapshot.keyed.iter().for_each(|handle| add(keyed(blank(), handle)));
        snapshot.operator_states.iter().for_each(|handle| add(list(blank(), handle)));
    }
    states
}

fn keyed(blank: StateInfo, handle: &KeyedStateHandle) -> StateInfo {
    let newest = handle.layers().filter_map(|layers| layers.last());
    StateInfo {
        state: handle.name.clone(),
        kind: match handle.kind {
            StateKind::Value => "value",
            StateKind::List => "list",
            StateKind::Map => "map",
            StateKind::Reducing => "reducing",
            StateKind::Aggregating => "aggregating",
            StateKind::Timers => "timers",
        },
        ttl: handle.ttl,
        entries: handle.entries(),
        bytes: handle.bytes(),
        key_groups: handle.layers().count(),
        largest_group: newest.map(|range| range.live).max().unwrap_or(0),
        key_schema: Some(handle.key_schema.0.clone()),
        value_schema: handle.value_schema.0.clone(),
        ..blank
    }
}

fn list(blank: StateInfo, handle: &OperatorStateHandle) -> StateInfo {
    StateInfo {
        state: handle.name.clone(),
        kind: match handle.redistribution {
            Redistribution::Split => "split list",
            Redistribution::Union => "union list",
            Redistribution::Broadcast => BROADCAST,
            Redistribution::InFlight { .. } => "in flight",
        },
        entries: handle.ends.len() as u64,
        bytes: handle.data.len(),
        value_schema: handle.schema.0.clone(),
        ..blank
    }
}
