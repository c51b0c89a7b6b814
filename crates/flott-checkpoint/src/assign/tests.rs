//! Who gets which state back: each rule of redistribution, and each refusal.

use flott_core::{CheckpointId, JobId, KeyGroup, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::snapshot::{
    CheckpointTimes, GroupRange, OperatorSnapshot, OperatorStateHandle, StateKind,
};

#[test]
fn records_in_flight_stay_with_their_sender_or_go_to_the_owner_of_their_key() {
    let assigned = |by_key, old: u32, new: u32| {
        let redistribution = Redistribution::InFlight { by_key };
        let record = record(old, |subtask, snapshot| {
            snapshot.operator_states.push(list(redistribution, subtask, 1));
        });
        let assignment = assign(&record, &[operator(new)], false).unwrap();
        let writers = |subtask| {
            let dealt = elements(&assignment.restores[&(id(), subtask)]);
            dealt.into_iter().map(|(writer, _)| writer).collect::<Vec<_>>()
        };
        (0..new).map(writers).collect::<Vec<_>>()
    };
    assert_eq!(assigned(false, 3, 3), [[0], [1], [2]]);
    assert_eq!(assigned(false, 3, 2), [vec![0, 2], vec![1]]);
    assert_eq!(assigned(false, 2, 3), [vec![0], vec![1], vec![]]);
    assert_eq!(assigned(true, 3, 3), [[0], [1], [2]]);
    // Key groups 0 to 43, 43 to 86, 86 to 128 become 0 to 64, 64 to 128.
    assert_eq!(assigned(true, 3, 2), [[0, 1], [1, 2]]);
    assert_eq!(assigned(true, 1, 2), [[0], [0]]);
}

#[test]
fn with_another_number_of_key_groups_records_in_flight_are_looked_for_everywhere() {
    let record = record(2, |subtask, snapshot| {
        let redistribution = Redistribution::InFlight { by_key: true };
        snapshot.operator_states.push(list(redistribution, subtask, 1));
    });
    let fewer = MaxParallelism::new(64).unwrap();
    let program =
        ProgramOperator { max_parallelism: fewer, max_parallelism_explicit: true, ..operator(2) };
    let assignment = assign(&record, &[program], false).unwrap();
    for subtask in 0..2 {
        assert_eq!(assignment.max_parallelism[&id()], fewer);
        assert_eq!(elements(&assignment.restores[&(id(), subtask)]).len(), 2);
    }
}

#[test]
fn with_the_same_parallelism_every_subtask_gets_its_own_back() {
    let record = record(2, |subtask, snapshot| {
        snapshot.keyed.push(keyed_state(subtask, 2));
        snapshot.operator_states.push(list(Redistribution::Split, subtask, 2));
    });
    let assignment = assign(&record, &[operator(2)], false).unwrap();
    for subtask in 0..2 {
        let restore = &assignment.restores[&(id(), subtask)];
        let expected =
            KeyedRestore { handle: keyed_state(subtask, 2), range: max().range_of(subtask, 2) };
        assert_eq!(restore.keyed, [expected]);
        assert_eq!(elements(restore), [(subtask, 0..1), (subtask, 1..2)]);
    }
}

#[test]
fn a_split_list_is_dealt_round_robin_over_the_concatenation() {
    let record = record(2, |subtask, snapshot| {
        snapshot.operator_states.push(list(Redistribution::Split, subtask, 3));
    });
    let assignment = assign(&record, &[operator(4)], false).unwrap();
    let dealt = |subtask| elements(&assignment.restores[&(id(), subtask)]);
    assert_eq!(dealt(0), [(0, 0..1), (1, 1..2)]);
    assert_eq!(dealt(1), [(0, 1..2), (1, 2..3)]);
    assert_eq!(dealt(2), [(0, 2..3)]);
    assert_eq!(dealt(3), [(1, 0..1)]);
}

#[test]
fn a_union_list_goes_to_everyone() {
    let record = record(2, |subtask, snapshot| {
        snapshot.operator_states.push(list(Redistribution::Union, subtask, 1));
    });
    for parallelism in [1, 2, 3] {
        let assignment = assign(&record, &[operator(parallelism)], false).unwrap();
        for restore in assignment.restores.values() {
            assert_eq!(elements(restore), [(0, 0..1), (1, 0..1)]);
        }
    }
}

#[test]
fn new_subtasks_read_the_broadcast_copies_in_turn() {
    let record = record(2, |subtask, snapshot| {
        snapshot.operator_states.push(list(Redistribution::Broadcast, subtask, 1));
    });
    let assignment = assign(&record, &[operator(5)], false).unwrap();
    for subtask in 0..5 {
        assert_eq!(elements(&assignment.restores[&(id(), subtask)]), [(subtask % 2, 0..1)]);
    }
}

#[test]
fn a_missing_broadcast_copy_is_replaced_by_another() {
    let record = record(2, |subtask, snapshot| {
        if subtask == 1 {
            snapshot.operator_states.push(list(Redistribution::Broadcast, subtask, 1));
        }
    });
    let assignment = assign(&record, &[operator(2)], false).unwrap();
    assert_eq!(elements(&assignment.restores[&(id(), 0)]), [(1, 0..1)]);
}

#[test]
fn state_that_nobody_wants_is_refused_by_uid_and_name() {
    let record = record(1, |subtask, snapshot| snapshot.keyed.push(keyed_state(subtask, 1)));
    let error = assign(&record, &[], false).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!(
            "Cannot map checkpoint/savepoint state for operator {} (uid \"count-uid\", name \
             \"count\")",
            id()
        )),
        "{error}"
    );
    assert!(error.contains("use -n"), "{error}");
    let assignment = assign(&record, &[], true).unwrap();
    assert_eq!(assignment.skipped, [record.operators[0].info.clone()]);
}

#[test]
fn an_operator_without_state_may_go() {
    assert_eq!(assign(&record(3, |_, _| ()), &[], false).unwrap(), Assignment::default());
}

#[test]
fn a_new_operator_starts_empty() {
    let mut new = operator(2);
    new.id = OperatorId::from_name("new");
    let assignment = assign(&record(1, |_, _| ()), &[new.clone()], false).unwrap();
    assert!(assignment.restores.is_empty());
    assert_eq!(assignment.max_parallelism[&new.id], new.max_parallelism);
}

#[test]
fn the_stored_max_parallelism_wins_over_a_derived_one() {
    let record = record(1, |subtask, snapshot| snapshot.keyed.push(keyed_state(subtask, 1)));
    let mut new = operator(2);
    new.max_parallelism = MaxParallelism::new(512).unwrap();
    let assignment = assign(&record, &[new.clone()], false).unwrap();
    assert_eq!(assignment.max_parallelism[&id()], max());
    new.max_parallelism_explicit = true;
    let error = assign(&record, &[new], false).unwrap_err().to_string();
    assert!(error.contains("was written with max parallelism 128"), "{error}");
}

#[test]
fn more_subtasks_than_key_groups_are_refused() {
    let record = record(1, |subtask, snapshot| snapshot.keyed.push(keyed_state(subtask, 1)));
    let error = assign(&record, &[operator(129)], false).unwrap_err().to_string();
    assert!(error.contains("choose a parallelism of at most 128"), "{error}");
}

#[test]
fn an_operator_without_keyed_state_may_have_more_subtasks_than_before() {
    let record = record(1, |subtask, snapshot| {
        snapshot.operator_states.push(list(Redistribution::Split, subtask, 1));
    });
    let mut new = operator(200);
    new.max_parallelism = MaxParallelism::default_for(200);
    let assignment = assign(&record, &[new.clone()], false).unwrap();
    assert_eq!(assignment.max_parallelism[&id()], new.max_parallelism);
}

#[test]
fn a_partly_finished_operator_keeps_its_parallelism() {
    let mut record = record(2, |_, _| ());
    record.operators[0].end_of_data.insert(1);
    let assignment = assign(&record, &[operator(2)], false).unwrap();
    let ended = |subtask| assignment.restores[&(id(), subtask)].end_of_data;
    assert_eq!((ended(0), ended(1)), (false, true));
    let error = assign(&record, &[operator(3)], false).unwrap_err().to_string();
    assert!(error.contains("restore it with parallelism 2 first"), "{error}");
}

#[test]
fn a_wholly_finished_operator_is_finished_at_any_parallelism() {
    let mut record = record(2, |_, _| ());
    record.operators[0].end_of_data.extend([0, 1]);
    let assignment = assign(&record, &[operator(3)], false).unwrap();
    assert!(assignment.restores.values().all(|restore| restore.end_of_data));
}

proptest! {
    #[test]
    fn every_key_group_and_element_is_restored_exactly_once(
        before in 1u32..20, after in 1u32..20, length in 0u64..9,
    ) {
        let record = record(before, |subtask, snapshot| {
            snapshot.keyed.push(keyed_state(subtask, before));
            snapshot.operator_states.push(list(Redistribution::Split, subtask, length));
        });
        let assignment = assign(&record, &[operator(after)], false).unwrap();
        let mut groups = Vec::new();
        let mut all = Vec::new();
        for ((_, subtask), restore) in &assignment.restores {
            let mine = max().range_of(*subtask, after);
            for part in &restore.keyed {
                groups.extend(part.handle.groups.iter().map(|range| range.group));
                prop_assert!(part.handle.groups.iter().all(|range| mine.contains(range.group)));
            }
            all.extend(elements(restore));
        }
        groups.sort_unstable();
        prop_assert_eq!(groups, (0..128).map(KeyGroup).collect::<Vec<_>>());
        all.sort_unstable_by_key(|(writer, range)| (*writer, range.start));
        let expected: Vec<_> =
            (0..before).flat_map(|w| (0..length).map(move |e| (w, e..e + 1))).collect();
        prop_assert_eq!(all, expected);
    }
}

fn id() -> OperatorId {
    OperatorId::from_name("count-uid")
}

fn max() -> MaxParallelism {
    MaxParallelism::new(128).unwrap()
}

fn operator(parallelism: u32) -> ProgramOperator {
    ProgramOperator {
        id: id(),
        uid: "count-uid".into(),
        name: "count".into(),
        parallelism,
        max_parallelism: max(),
        max_parallelism_explicit: false,
    }
}

fn record(parallelism: u32, fill: impl Fn(u32, &mut OperatorSnapshot)) -> CompletedCheckpoint {
    let info = OperatorInfo {
        id: id(),
        uid: "count-uid".into(),
        name: "count".into(),
        parallelism,
        max_parallelism: max(),
    };
    let subtasks = (0..parallelism).map(|subtask| {
        let mut snapshot = OperatorSnapshot {
            operator: id(),
            keyed: Vec::new(),
            operator_states: Vec::new(),
            digest: 0,
        };
        fill(subtask, &mut snapshot);
        (subtask, snapshot)
    });
    CompletedCheckpoint {
        checkpoint: CheckpointId(1),
        job: JobId::from_name("job"),
        job_name: "job".into(),
        times: CheckpointTimes { triggered_at: Timestamp(0), completed_at: Timestamp(0) },
        operators: vec![OperatorRecord {
            info,
            subtasks: subtasks.collect(),
            end_of_data: BTreeSet::new(),
        }],
    }
}

/// Keyed state with one byte in each of the subtask's key groups.
fn keyed_state(subtask: u32, parallelism: u32) -> KeyedStateHandle {
    let range = max().range_of(subtask, parallelism);
    KeyedStateHandle {
        name: "sum".into(),
        kind: StateKind::Value,
        ttl: false,
        key_schema: SchemaText("string".into()),
        value_schema: SchemaText("i64".into()),
        pieces: vec![DataRef::File {
            path: format!("chk-1/{subtask}"),
            offset: 0,
            length: range.len() as u64,
        }],
        groups: range
            .iter()
            .zip(0..)
            .map(|(group, offset)| GroupRange {
                group,
                piece: 0,
                offset,
                length: 1,
                entries: 1,
                removed: 0,
                live: 1,
                digest: 0,
                checksum: 0,
            })
            .collect(),
    }
}

/// Operator state of `length` elements of one byte; the checksum says who wrote it.
fn list(redistribution: Redistribution, subtask: u32, length: u64) -> OperatorStateHandle {
    OperatorStateHandle {
        name: "splits".into(),
        redistribution,
        schema: SchemaText("u8".into()),
        data: DataRef::Inline(vec![0; usize::try_from(length).unwrap()]),
        ends: (1..=length).collect(),
        checksum: subtask,
    }
}

/// The elements that a subtask gets, each with its writer.
fn elements(restore: &OperatorRestore) -> Vec<(u32, Range<u64>)> {
    let chunks = restore.operator_states.iter().flat_map(|state| &state.chunks);
    chunks
        .flat_map(|chunk| chunk.elements.iter().map(|range| (chunk.checksum, range.clone())))
        .collect()
}
