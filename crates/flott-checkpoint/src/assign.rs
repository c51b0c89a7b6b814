//! Redistribution: who gets which part of a checkpoint, also when the parallelism has changed.
//!
//! Pure: from the completed record and the program's operators to what each subtask reads. Keyed
//! state goes by key group. Operator state goes by its mode: its own list back if the parallelism
//! is the same, else the elements are dealt round-robin (split); everything to everyone (union);
//! one old copy to each (broadcast).

mod operator_state;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use flott_core::mutant::Mutant;
use flott_core::{Error, KeyGroupRange, MaxParallelism, OperatorId, Result};

use crate::record::{CompletedCheckpoint, OperatorRecord};
use crate::snapshot::{DataRef, KeyedStateHandle, OperatorInfo, Redistribution, SchemaText};

/// An operator of the program that is about to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramOperator {
    /// Its id, the hash of its uid.
    pub id: OperatorId,
    /// Its uid, given or derived.
    pub uid: String,
    /// Its name, for people.
    pub name: String,
    /// How many subtasks it is to have.
    pub parallelism: u32,
    /// How many key groups it has.
    pub max_parallelism: MaxParallelism,
    /// Whether the user chose that number; otherwise a stored one replaces it.
    pub max_parallelism_explicit: bool,
}

/// What every subtask starts with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// By operator and subtask. Operators that are new in the program are absent.
    pub restores: BTreeMap<(OperatorId, u32), OperatorRestore>,
    /// The number of key groups that each operator of the program must use: the stored one where
    /// there is one.
    pub max_parallelism: BTreeMap<OperatorId, MaxParallelism>,
    /// Operators of the checkpoint whose state nobody wants (`allow_non_restored`).
    pub skipped: Vec<OperatorInfo>,
}

/// What one subtask of an operator starts with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorRestore {
    /// Its keyed state: for each name, the parts that overlap its key groups.
    pub keyed: Vec<KeyedRestore>,
    /// Its operator state, one entry for each name.
    pub operator_states: Vec<OperatorStateRestore>,
    /// It had seen the end of its data: do not run `finish` again.
    pub end_of_data: bool,
}

/// A part of a keyed state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedRestore {
    /// The state; its groups are those that lie in the range, no others.
    pub handle: KeyedStateHandle,
    /// The key groups that the writer and the reader have in common.
    pub range: KeyGroupRange,
}

/// An operator state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorStateRestore {
    /// Its name.
    pub name: String,
    /// How it was dealt out.
    pub redistribution: Redistribution,
    /// The shape of its elements.
    pub schema: SchemaText,
    /// Where the elements are, in order.
    pub chunks: Vec<StateChunk>,
}

/// Elements of an operator state that were written by one subtask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChunk {
    /// The bytes that the subtask wrote, all of them.
    pub data: DataRef,
    /// The CRC-32C of all of those bytes.
    pub checksum: u32,
    /// Where the elements to read lie in them.
    pub elements: Vec<Range<u64>>,
}

/// Deals a checkpoint out to the subtasks of a program.
///
/// # Errors
/// If state would be lost (an operator that the program does not have, unless
/// `allow_non_restored`), or cannot be dealt out: more subtasks than key groups, another explicit
/// max parallelism than the stored one, or another parallelism of an operator of which only some
/// subtasks had finished. The max parallelism matters for keyed state only; operators without are
/// not held to it.
pub fn assign(
    record: &CompletedCheckpoint,
    program: &[ProgramOperator],
    allow_non_restored: bool,
) -> Result<Assignment> {
    let wanted: BTreeSet<OperatorId> = program.iter().map(|operator| operator.id).collect();
    let unclaimed = record.operators.iter().filter(|old| !wanted.contains(&old.info.id));
    let skipped: Vec<OperatorInfo> =
        unclaimed.filter(|old| old.has_state()).map(|old| old.info.clone()).collect();
    if !skipped.is_empty() && !allow_non_restored {
        return Err(unclaimed_state(&skipped));
    }
    let mut assignment = Assignment { skipped, ..Assignment::default() };
    for new in program {
        let old = record.operator(new.id);
        let max = old.map_or(Ok(new.max_parallelism), |old| max_parallelism(old, new))?;
        assignment.max_parallelism.insert(new.id, max);
        let Some(old) = old else { continue };
        let end_of_data = end_of_data(old, new)?;
        for subtask in 0..new.parallelism {
            let restore = OperatorRestore {
                keyed: keyed(old, max, subtask, new.parallelism),
                operator_states: operator_state::deal(old, max, subtask, new.parallelism),
                end_of_data: end_of_data.holds(subtask),
            };
            let mut reader = subtask;
            if Mutant::RestoreWrongSubtask.is_on() {
                reader = (subtask + 1) % new.parallelism;
            }
            assignment.restores.insert((new.id, reader), restore);
        }
    }
    Ok(assignment)
}

fn unclaimed_state(operators: &[OperatorInfo]) -> Error {
    let lines: Vec<String> = operators
        .iter()
        .map(|OperatorInfo { id, uid, name, .. }| {
            format!(
                "Cannot map checkpoint/savepoint state for operator {id} (uid \"{uid}\", name \
                 \"{name}\") to the new program, because the operator is not available in the new \
                 program."
            )
        })
        .collect();
    Error::invalid(format!(
        "{} Give the operator its old uid again; or, if you want to allow to skip this state, use \
         -n (--allowNonRestoredState)",
        lines.join(" ")
    ))
}

/// The number of key groups that the operator must use.
fn max_parallelism(old: &OperatorRecord, new: &ProgramOperator) -> Result<MaxParallelism> {
    let stored = old.info.max_parallelism;
    let is_keyed = old.subtasks.values().any(|s| s.keyed.iter().any(|k| !k.groups.is_empty()));
    if !is_keyed {
        // Nothing is stored by key group: keep to the stored number only where it fits.
        let fits = !new.max_parallelism_explicit && new.parallelism <= stored.get();
        return Ok(if fits { stored } else { new.max_parallelism });
    }
    if new.parallelism > stored.get() {
        return Err(Error::invalid(format!(
            "operator \"{}\" (uid \"{}\") cannot be restored with parallelism {}: its state was \
             written with max parallelism {stored}, which is the most subtasks that it can have: \
             choose a parallelism of at most {stored}",
            new.name, new.uid, new.parallelism
        )));
    }
    if new.max_parallelism_explicit && new.max_parallelism != stored {
        return Err(Error::invalid(format!(
            "operator \"{}\" (uid \"{}\") cannot be restored with max parallelism {}: its state \
             was written with max parallelism {stored}, which is fixed for the life of the state: \
             set it to {stored}, or leave it out",
            new.name, new.uid, new.max_parallelism
        )));
    }
    Ok(stored)
}

/// Which new subtasks start at the end of their data.
enum EndOfData<'a> {
    /// Those that had it before.
    AsBefore(&'a BTreeSet<u32>),
    /// All, or none: the parallelism has changed.
    Everyone(bool),
}

impl EndOfData<'_> {
    fn holds(&self, subtask: u32) -> bool {
        match self {
            Self::AsBefore(subtasks) => subtasks.contains(&subtask),
            Self::Everyone(all) => *all,
        }
    }
}

/// A finished subtask's share cannot be told from an unfinished one's once they are dealt out anew:
/// some of the data would be read twice or never.
fn end_of_data<'a>(old: &'a OperatorRecord, new: &ProgramOperator) -> Result<EndOfData<'a>> {
    let before = old.info.parallelism;
    if new.parallelism == before {
        return Ok(EndOfData::AsBefore(&old.end_of_data));
    }
    let finished = old.end_of_data.len();
    if finished == 0 || finished == before as usize {
        return Ok(EndOfData::Everyone(finished != 0));
    }
    Err(Error::invalid(format!(
        "operator \"{}\" (uid \"{}\") cannot be restored with parallelism {}: {finished} of its \
         {before} subtasks had finished: restore it with parallelism {before} first, and change \
         the parallelism when all of them or none have finished",
        new.name, new.uid, new.parallelism
    )))
}

/// The parts of the keyed state that overlap the key groups of a subtask.
fn keyed(
    old: &OperatorRecord,
    max: MaxParallelism,
    subtask: u32,
    parallelism: u32,
) -> Vec<KeyedRestore> {
    let mine = max.range_of(subtask, parallelism);
    let mut parts = Vec::new();
    for (writer, snapshot) in &old.subtasks {
        let theirs = max.range_of(*writer, old.info.parallelism);
        let range =
            KeyGroupRange { start: mine.start.max(theirs.start), end: mine.end.min(theirs.end) };
        if range.is_empty() {
            continue;
        }
        for state in &snapshot.keyed {
            if state.groups.iter().any(|group| range.contains(group.group)) {
                let mut handle = state.clone();
                handle.groups.retain(|group| range.contains(group.group));
                parts.push(KeyedRestore { handle, range });
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests;
