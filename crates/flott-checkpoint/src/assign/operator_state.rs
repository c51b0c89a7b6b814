//! Dealing out operator state.

use std::ops::Range;

use flott_core::MaxParallelism;

use super::{OperatorStateRestore, StateChunk};
use crate::record::OperatorRecord;
use crate::snapshot::{OperatorStateHandle, Redistribution};

/// The operator states of one subtask of `parallelism`, of an operator with `max` key groups. States without
/// elements for it are absent.
pub(super) fn deal(
    old: &OperatorRecord,
    max: MaxParallelism,
    subtask: u32,
    parallelism: u32,
) -> Vec<OperatorStateRestore> {
    let is_rescaled = parallelism != old.info.parallelism;
    // Keys have other owners then, too.
    let is_dealt_anew = is_rescaled || max != old.info.max_parallelism;
    let mut states = Vec::new();
    for writers in by_state(old) {
        let Some((_, first)) = writers.first() else { continue };
        let chunks = match first.redistribution {
            Redistribution::Split | Redistribution::InFlight { by_key: false } if !is_rescaled => {
                own(&writers, subtask)
            }
            Redistribution::InFlight { by_key: true } if !is_dealt_anew => own(&writers, subtask),
            Redistribution::Split => round_robin(&writers, subtask, parallelism),
            Redistribution::Union => writers.iter().map(|(_, state)| whole(state)).collect(),
            Redistribution::Broadcast => copy(&writers, subtask % old.info.parallelism),
            // Records that one subtask was to get stay together, in their order.
            Redistribution::InFlight { by_key: false } => {
                let mine = writers.iter().filter(|(writer, _)| writer % parallelism == subtask);
                mine.map(|(_, state)| whole(state)).collect()
            }
            Redistribution::InFlight { by_key: true } => {
                let owned = max.range_of(subtask, parallelism);
                let met = writers.iter().filter(|(writer, _)| {
                    let theirs = old.info.max_parallelism.range_of(*writer, old.info.parallelism);
                    old.info.max_parallelism != max || theirs.overlaps(owned)
                });
                met.map(|(_, state)| whole(state)).collect()
            }
        };
        if chunks.iter().any(|chunk| !chunk.elements.is_empty()) {
            states.push(OperatorStateRestore {
                name: first.name.clone(),
                redistribution: first.redistribution,
                schema: first.schema.clone(),
                chunks,
            });
        }
    }
    states
}

/// What one old subtask wrote of a state.
type Written<'a> = (u32, &'a OperatorStateHandle);

/// The states in the order in which they were first written, each with its writers in order.
fn by_state(old: &OperatorRecord) -> Vec<Vec<Written<'_>>> {
    let mut states: Vec<Vec<Written<'_>>> = Vec::new();
    for (writer, snapshot) in &old.subtasks {
        for state in snapshot.operator_states.iter().filter(|state| !state.ends.is_empty()) {
            let same = |(_, other): &Written<'_>| {
                (&other.name, other.redistribution, &other.schema)
                    == (&state.name, state.redistribution, &state.schema)
            };
            match states.iter_mut().find(|writers| writers.first().is_some_and(same)) {
                Some(writers) => writers.push((*writer, state)),
                None => states.push(vec![(*writer, state)]),
            }
        }
    }
    states
}

fn own(writers: &[Written<'_>], subtask: u32) -> Vec<StateChunk> {
    let mine = writers.iter().filter(|(writer, _)| *writer == subtask);
    mine.map(|(_, state)| whole(state)).collect()
}

/// A subtask that wrote no copy is passed over: every copy is the same.
fn copy(writers: &[Written<'_>], wanted: u32) -> Vec<StateChunk> {
    let found = writers.iter().find(|(writer, _)| *writer == wanted).or(writers.first());
    found.map(|(_, state)| whole(state)).into_iter().collect()
}

fn round_robin(writers: &[Written<'_>], subtask: u32, parallelism: u32) -> Vec<StateChunk> {
    let mut index = 0u64;
    let mut chunks = Vec::new();
    for (_, state) in writers {
        let mut chunk = whole(state);
        chunk.elements.retain(|_| {
            let is_mine = index % u64::from(parallelism) == u64::from(subtask);
            index += 1;
            is_mine
        });
        if !chunk.elements.is_empty() {
            chunks.push(chunk);
        }
    }
    chunks
}

fn whole(state: &OperatorStateHandle) -> StateChunk {
    let mut start = 0;
    let elements: Vec<Range<u64>> =
        state.ends.iter().map(|end| std::mem::replace(&mut start, *end)..*end).collect();
    StateChunk { data: state.data.clone(), checksum: state.checksum, elements }
}
