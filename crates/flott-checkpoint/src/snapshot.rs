//! What a snapshot is made of: references to immutable bytes, and what is in them.
//!
//! A task writes the state of its subtask as byte ranges and sends these references to the
//! coordinator in its acknowledgement; a checkpoint is the collection of them.

use std::ops::Range;

use flott_core::{KeyGroup, MaxParallelism, OperatorId, WallTime};
use serde::{Deserialize, Serialize};

/// Where bytes of a snapshot are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataRef {
    /// In the metadata itself: small state, and all state with `jobmanager` storage.
    Inline(Vec<u8>),
    /// A range of a file of the checkpoint.
    File {
        /// The file, relative to the job's checkpoint folder: `chk-7/3f2a….state`.
        path: String,
        /// Where the range begins, in bytes.
        offset: u64,
        /// How long it is, in bytes.
        length: u64,
    },
}

impl DataRef {
    /// How many bytes it refers to.
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }

    /// Whether the bytes are in a file.
    pub fn is_file(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    /// Whether it refers to no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What kind of keyed state a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StateKind {
    /// One value per key.
    Value,
    /// A list per key.
    List,
    /// A map per key.
    Map,
    /// One value per key that is reduced as values are added.
    Reducing,
    /// One accumulator per key.
    Aggregating,
    /// The timers of an operator.
    Timers,
}

/// The shape of stored values, written beside them so that a reader of another type is refused by
/// name instead of reading nonsense. What it holds is decided by `flott-state`: here it is text,
/// equal for equal shapes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaText(pub String);

/// Entries of one key group of a keyed state: all of them, or those that have changed since the range
/// before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRange {
    /// The group.
    pub group: KeyGroup,
    /// In which of the state's pieces it is.
    pub piece: u32,
    /// Where it begins in that piece.
    pub offset: u64,
    /// How long it is, in bytes.
    pub length: u64,
    /// How many entries are in it.
    pub entries: u64,
    /// How many keys follow them that are in ranges before, and have been removed.
    pub removed: u64,
    /// How many entries the group has with this range and those before it.
    pub live: u64,
    /// The digest of those entries; 0 if a format 1 has not said.
    pub digest: u64,
    /// The CRC-32C of the bytes of the range.
    pub checksum: u32,
}

/// A keyed state of one subtask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyedStateHandle {
    /// The state's name, unique in its operator.
    pub name: String,
    /// What kind of state it is.
    pub kind: StateKind,
    /// Whether entries carry the time of their last use.
    pub ttl: bool,
    /// The shape of the keys.
    pub key_schema: SchemaText,
    /// The shape of the values.
    pub value_schema: SchemaText,
    /// The bytes, of this checkpoint and of earlier ones; the offsets of a range count from the start of its
    /// piece.
    pub pieces: Vec<DataRef>,
    /// The key groups that have entries, in order. The first range of a group has all of its entries, those
    /// that follow what has changed since.
    pub groups: Vec<GroupRange>,
}

impl KeyedStateHandle {
    /// How many bytes it refers to.
    pub fn bytes(&self) -> u64 {
        self.pieces.iter().map(DataRef::len).sum()
    }

    /// How many bytes of it are in use: those of its ranges.
    pub fn used_bytes(&self) -> u64 {
        self.groups.iter().fold(0, |sum, range| sum.saturating_add(range.length))
    }

    /// How many entries it has.
    pub fn entries(&self) -> u64 {
        let newest = self.layers().filter_map(<[GroupRange]>::last);
        newest.fold(0, |sum, newest| sum.saturating_add(newest.live))
    }

    /// The ranges of each key group.
    pub fn layers(&self) -> impl Iterator<Item = &[GroupRange]> {
        self.groups.chunk_by(|a, b| a.group == b.group)
    }

    /// What must be read of each piece for its ranges; nothing of those that have none.
    pub fn spans(&self) -> Vec<Option<Range<u64>>> {
        let mut spans: Vec<Option<Range<u64>>> = vec![None; self.pieces.len()];
        for GroupRange { piece, offset, length, .. } in &self.groups {
            if let Some(span) = spans.get_mut(*piece as usize) {
                let (start, end) = (*offset, offset.saturating_add(*length));
                *span = Some(match span {
                    Some(span) => span.start.min(start)..span.end.max(end),
                    None => start..end,
                });
            }
        }
        spans
    }
}

/// How an operator's list state is dealt out on restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Redistribution {
    /// All elements are concatenated and dealt round-robin; each subtask gets its own list back if
    /// the parallelism did not change.
    Split,
    /// Everyone gets everything.
    Union,
    /// Every subtask has the same copy; new ones read an old one's.
    Broadcast,
    /// Batches of records that a barrier has overtaken on their way to the operator, and no state of its own.
    /// Each subtask gets its own back if the parallelism did not change.
    InFlight {
        /// Whether they belong to the owner of their key, who else must look for them among those of others.
        by_key: bool,
    },
}

/// An operator state of one subtask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorStateHandle {
    /// The state's name, unique in its operator.
    pub name: String,
    /// How it is dealt out on restore.
    pub redistribution: Redistribution,
    /// The shape of the elements.
    pub schema: SchemaText,
    /// The bytes.
    pub data: DataRef,
    /// The end offset of each element in the bytes, in order.
    pub ends: Vec<u64>,
    /// The CRC-32C of the bytes.
    pub checksum: u32,
}

impl OperatorStateHandle {
    /// Whether it is records in flight, and no state of the operator.
    pub fn is_in_flight(&self) -> bool {
        matches!(self.redistribution, Redistribution::InFlight { .. })
    }
}

/// Everything that one subtask of an operator remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorSnapshot {
    /// The operator.
    pub operator: OperatorId,
    /// Its keyed states.
    pub keyed: Vec<KeyedStateHandle>,
    /// Its operator states.
    pub operator_states: Vec<OperatorStateHandle>,
    /// The sum of its entries' hashes: equal state has an equal digest, whatever its parallelism.
    pub digest: u64,
}

impl OperatorSnapshot {
    /// Whether records are in flight to it.
    pub fn has_in_flight(&self) -> bool {
        self.operator_states.iter().any(OperatorStateHandle::is_in_flight)
    }

    /// The same after what was in flight has been processed: the subtask has finished.
    #[must_use]
    pub fn without_in_flight(mut self) -> Self {
        self.operator_states.retain(|state| !state.is_in_flight());
        self
    }
}

/// Everything that a task sends with its acknowledgement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSnapshot {
    /// One entry for each operator of the chain that has state.
    pub operators: Vec<OperatorSnapshot>,
    /// Whether the task had seen the end of its data: restored, it does not run `finish` again.
    pub end_of_data: bool,
}

impl TaskSnapshot {
    /// How many bytes of state it refers to.
    pub fn bytes(&self) -> u64 {
        let operators = self.operators.iter();
        operators
            .map(|operator| {
                operator.keyed.iter().map(KeyedStateHandle::bytes).sum::<u64>()
                    + operator.operator_states.iter().map(|state| state.data.len()).sum::<u64>()
            })
            .sum()
    }
}

/// How a task's checkpoint went, in the terms of Flink's checkpoint statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtaskCheckpointMetrics {
    /// From the trigger to the first barrier at the task, in nanoseconds.
    pub start_delay_nanos: u64,
    /// From the first barrier to the last, in nanoseconds.
    pub alignment_nanos: u64,
    /// The synchronous part, in nanoseconds: how long the task paused.
    pub sync_nanos: u64,
    /// The asynchronous part, in nanoseconds.
    pub async_nanos: u64,
    /// How many bytes were written.
    pub bytes: u64,
    /// How many bytes of records the barrier has overtaken: they are among those that were written.
    pub overtaken_bytes: u64,
    /// Whether the barrier has overtaken what was before it, or would have.
    pub unaligned: bool,
}

/// An operator as a checkpoint describes it: what a restored program is matched against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorInfo {
    /// Its id, the hash of its uid.
    pub id: OperatorId,
    /// Its uid, given or derived.
    pub uid: String,
    /// Its name, for people.
    pub name: String,
    /// How many subtasks it had.
    pub parallelism: u32,
    /// How many key groups it has.
    pub max_parallelism: MaxParallelism,
}

/// When a checkpoint was triggered and completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointTimes {
    /// The trigger.
    pub triggered_at: WallTime,
    /// The last acknowledgement.
    pub completed_at: WallTime,
}
