//! The completed record: a checkpoint as the list of what belongs to it.

use std::collections::{BTreeMap, BTreeSet};

use flott_core::{CheckpointId, JobId, OperatorId};
use serde::{Deserialize, Serialize};

use crate::snapshot::{
    CheckpointTimes, DataRef, KeyedStateHandle, OperatorInfo, OperatorSnapshot, OperatorStateHandle,
};
use crate::storage::checkpoint_folder;

/// A completed checkpoint. It exists once its record has been created in the storage; it is never
/// changed afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletedCheckpoint {
    /// Its number.
    pub checkpoint: CheckpointId,
    /// The job that took it.
    pub job: JobId,
    /// That job's name.
    pub job_name: String,
    /// When it was triggered and completed.
    pub times: CheckpointTimes,
    /// Every operator of the job, also those without state.
    pub operators: Vec<OperatorRecord>,
}

/// One operator in a completed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorRecord {
    /// Which operator, and how it ran.
    pub info: OperatorInfo,
    /// What its subtasks remember; subtasks without state are absent.
    pub subtasks: BTreeMap<u32, OperatorSnapshot>,
    /// The subtasks that had seen the end of their data: restored, they do not run `finish` again.
    pub end_of_data: BTreeSet<u32>,
}

impl CompletedCheckpoint {
    /// The record of an operator.
    pub fn operator(&self, id: OperatorId) -> Option<&OperatorRecord> {
        self.operators.iter().find(|operator| operator.info.id == id)
    }

    /// Every file that it refers to, as the record names them.
    pub fn files(&self) -> BTreeSet<&str> {
        let operators = self.operators.iter();
        operators.flat_map(|operator| operator.subtasks.values()).flat_map(files_of).collect()
    }

    /// How many bytes of state it refers to.
    pub fn bytes(&self) -> u64 {
        let snapshots = self.operators.iter().flat_map(|operator| operator.subtasks.values());
        snapshots.flat_map(data_of).map(DataRef::len).sum()
    }

    /// The same record, with files named by absolute path: `base` is the folder, as a path or a
    /// URL, that the paths are relative to.
    ///
    /// A job that starts from another job's checkpoint needs this: its own records may carry on
    /// some of these files (those of subtasks that have finished), and there a relative path would
    /// name a file of its own folder. The coordinator never discards an absolute path.
    #[must_use]
    pub fn rebased(self, base: &str) -> Self {
        let base = base.trim_end_matches('/');
        self.with_paths(|path| is_relative(path).then(|| format!("{base}/{path}")))
    }

    /// The same record, with the files of its own folder named by absolute path, in the folder `base`.
    #[must_use]
    pub fn rebased_own(self, base: &str) -> Self {
        let own = format!("{}/", checkpoint_folder(self.checkpoint));
        self.with_paths(|path| path.starts_with(&own).then(|| format!("{base}/{path}")))
    }

    /// The same record, with the files in the folder `base` named from there.
    #[must_use]
    pub fn relative_to(self, base: &str) -> Self {
        let base = format!("{}/", base.trim_end_matches('/'));
        self.with_paths(|path| path.strip_prefix(&base).map(str::to_owned))
    }

    /// The same record, with files named as `rename` says; `None` keeps a name.
    #[must_use]
    pub fn with_paths(mut self, rename: impl Fn(&str) -> Option<String>) -> Self {
        let operators = self.operators.iter_mut();
        for snapshot in operators.flat_map(|operator| operator.subtasks.values_mut()) {
            let keyed = snapshot.keyed.iter_mut().flat_map(|state| &mut state.pieces);
            let lists = snapshot.operator_states.iter_mut().map(|state| &mut state.data);
            for data in keyed.chain(lists) {
                match data {
                    DataRef::File { path, .. } => {
                        if let Some(new) = rename(path) {
                            *path = new;
                        }
                    }
                    DataRef::Inline(_) => {}
                }
            }
        }
        self
    }
}

impl OperatorRecord {
    /// A number that is equal for equal state, at any parallelism: the wrapping sum of the digests of
    /// its subtasks.
    pub fn digest(&self) -> u64 {
        self.subtasks.values().map(|snapshot| snapshot.digest).fold(0, u64::wrapping_add)
    }

    /// Whether any subtask remembers anything.
    pub fn has_state(&self) -> bool {
        self.subtasks.values().any(|snapshot| {
            snapshot.keyed.iter().any(|state| !state.groups.is_empty())
                || snapshot.operator_states.iter().any(|state| !state.ends.is_empty())
        })
    }
}

/// Whether a path names a file of the job's own folder.
pub(crate) fn is_relative(path: &str) -> bool {
    !path.starts_with('/') && !path.contains("://")
}

/// The files that a snapshot refers to.
pub(crate) fn files_of(snapshot: &OperatorSnapshot) -> impl Iterator<Item = &str> {
    data_of(snapshot).filter_map(|data| match data {
        DataRef::Inline(_) => None,
        DataRef::File { path, .. } => Some(path.as_str()),
    })
}

fn data_of(snapshot: &OperatorSnapshot) -> impl Iterator<Item = &DataRef> {
    let keyed = snapshot.keyed.iter().flat_map(|KeyedStateHandle { pieces, .. }| pieces);
    keyed.chain(snapshot.operator_states.iter().map(|OperatorStateHandle { data, .. }| data))
}
