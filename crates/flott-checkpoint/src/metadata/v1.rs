//! Format 1: a keyed state is one piece of bytes, with one range for each key group.

use std::collections::{BTreeMap, BTreeSet};

use flott_core::{CheckpointId, JobId, KeyGroup, OperatorId};
use serde::Deserialize;

use crate::record::{CompletedCheckpoint, OperatorRecord};
use crate::snapshot::{
    CheckpointTimes, DataRef, GroupRange, KeyedStateHandle, OperatorInfo, OperatorSnapshot,
    OperatorStateHandle, SchemaText, StateKind,
};

#[derive(Deserialize)]
pub(super) struct Record {
    checkpoint: CheckpointId,
    job: JobId,
    job_name: String,
    times: CheckpointTimes,
    operators: Vec<Operator>,
}

#[derive(Deserialize)]
struct Operator {
    info: OperatorInfo,
    subtasks: BTreeMap<u32, Snapshot>,
    end_of_data: BTreeSet<u32>,
}

#[derive(Deserialize)]
struct Snapshot {
    operator: OperatorId,
    keyed: Vec<Keyed>,
    operator_states: Vec<OperatorStateHandle>,
    digest: u64,
}

#[derive(Deserialize)]
struct Keyed {
    name: String,
    kind: StateKind,
    ttl: bool,
    key_schema: SchemaText,
    value_schema: SchemaText,
    data: DataRef,
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    group: KeyGroup,
    offset: u64,
    length: u64,
    entries: u64,
    checksum: u32,
}

impl Record {
    pub(super) fn into_current(self) -> CompletedCheckpoint {
        let Self { checkpoint, job, job_name, times, operators } = self;
        let operators = operators.into_iter().map(Operator::into_current).collect();
        CompletedCheckpoint { checkpoint, job, job_name, times, operators }
    }
}

impl Operator {
    fn into_current(self) -> OperatorRecord {
        let Self { info, subtasks, end_of_data } = self;
        let current = |(subtask, snapshot): (u32, Snapshot)| (subtask, snapshot.into_current());
        let subtasks = subtasks.into_iter().map(current).collect();
        OperatorRecord { info, subtasks, end_of_data }
    }
}

impl Snapshot {
    fn into_current(self) -> OperatorSnapshot {
        let Self { operator, keyed, operator_states, digest } = self;
        let keyed = keyed.into_iter().map(Keyed::into_current).collect();
        OperatorSnapshot { operator, keyed, operator_states, digest }
    }
}

impl Keyed {
    fn into_current(self) -> KeyedStateHandle {
        let Self { name, kind, ttl, key_schema, value_schema, data, groups } = self;
        let groups = groups.into_iter().map(Group::into_current).collect();
        let pieces = vec![data];
        KeyedStateHandle { name, kind, ttl, key_schema, value_schema, pieces, groups }
    }
}

impl Group {
    fn into_current(self) -> GroupRange {
        let Self { group, offset, length, entries, checksum } = self;
        let (piece, removed, live, digest) = (0, 0, entries, 0);
        GroupRange { group, piece, offset, length, entries, removed, live, digest, checksum }
    }
}
