//! The record as bytes: golden, damaged, arbitrary.

use std::collections::{BTreeMap, BTreeSet};

use flott_core::{CheckpointId, JobId, KeyGroup, OperatorId, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::snapshot::{
    CheckpointTimes, GroupRange, KeyedStateHandle, OperatorInfo, OperatorStateHandle,
    Redistribution, SchemaText, StateKind,
};

const GOLDEN: &[u8] = include_bytes!("../../tests/golden/metadata-v3.bin");

#[test]
fn version_3_keeps_its_bytes() {
    assert!(encode(&sample()).unwrap() == GOLDEN, "the format changed: bump VERSION, keep v3");
    assert_eq!(decode(GOLDEN, "golden").unwrap(), sample());
}

#[test]
fn version_2_is_read() {
    let golden = include_bytes!("../../tests/golden/metadata-v2.bin");
    assert_eq!(decode(golden, "golden").unwrap(), without_records_in_flight());
}

fn without_records_in_flight() -> CompletedCheckpoint {
    let mut record = sample();
    record.operators[0].subtasks.get_mut(&0).unwrap().operator_states.truncate(1);
    record
}

#[test]
fn version_1_is_read() {
    let golden = include_bytes!("../../tests/golden/metadata-v1.bin");
    let mut expected = without_records_in_flight();
    let keyed = &mut expected.operators[0].subtasks.get_mut(&0).unwrap().keyed[0];
    keyed.pieces.truncate(1);
    keyed.groups.truncate(1);
    keyed.groups[0].digest = 0;
    assert_eq!(decode(golden, "golden").unwrap(), expected);
}

#[test]
#[ignore = "writes the golden file: run it only to add a new version"]
fn write_golden() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/metadata-v3.bin");
    std::fs::write(path, encode(&sample()).unwrap()).unwrap();
}

#[test]
fn every_truncation_says_so() {
    for len in 0..GOLDEN.len() {
        assert_message(&GOLDEN[..len], "the checkpoint chk-7/_metadata is truncated");
    }
}

#[test]
fn another_file_is_no_checkpoint() {
    assert_message(b"# a text file", "chk-7/_metadata is not a checkpoint of Flott");
}

#[test]
fn a_newer_format_is_named() {
    let mut bytes = GOLDEN.to_vec();
    bytes[MAGIC.len()] = 9;
    assert_message(&bytes, "its format is 9, this program reads up to 3");
}

#[test]
fn a_damaged_payload_is_noticed() {
    let mut bytes = GOLDEN.to_vec();
    bytes[HEADER_LEN + 20] ^= 1;
    assert_message(&bytes, "is damaged (its checksum does not match)");
}

#[test]
fn bytes_after_the_end_are_noticed() {
    let mut bytes = GOLDEN.to_vec();
    bytes.push(0);
    assert_message(&bytes, "is damaged (bytes follow its end)");
}

#[test]
fn every_changed_byte_is_an_error() {
    let mut bytes = GOLDEN.to_vec();
    for at in 0..bytes.len() {
        for flip in 1..=255 {
            bytes[at] ^= flip;
            assert!(decode(&bytes, "x").is_err(), "byte {at} flipped by {flip}");
            bytes[at] ^= flip;
        }
    }
}

#[test]
fn a_record_that_lies_about_its_subtasks_is_refused() {
    let mut record = sample();
    record.operators[0].info.parallelism = 1;
    assert_message(&encode(&record).unwrap(), "operator \"count\" has too many subtasks");
}

#[test]
fn a_record_with_ranges_outside_its_data_is_refused() {
    let mut record = sample();
    record.operators[0].subtasks.get_mut(&0).unwrap().keyed[0].groups[0].length = u64::MAX;
    assert_message(&encode(&record).unwrap(), "state of operator \"count\" is out of bounds");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        prop_assert!(decode(&bytes, "x").is_err());
    }

    #[test]
    fn an_arbitrary_payload_with_a_right_checksum_never_panics(
        mut payload: Vec<u8>, cut in 0usize..200, from_golden: bool,
    ) {
        if from_golden {
            let golden = &GOLDEN[HEADER_LEN..GOLDEN.len() - CHECKSUM_LEN];
            payload = [&golden[..cut.min(golden.len())], &payload].concat();
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((payload.len() as u64).to_le_bytes());
        bytes.extend(&payload);
        bytes.extend(codec::checksum(&bytes).to_le_bytes());
        let _ = decode(&bytes, "x");
    }
}

fn assert_message(bytes: &[u8], expected: &str) {
    let error = decode(bytes, "chk-7/_metadata").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(expected), "{error}");
}

/// One of everything.
fn sample() -> CompletedCheckpoint {
    let count = OperatorId::from_name("count");
    let keyed = KeyedStateHandle {
        name: "sum".into(),
        kind: StateKind::Value,
        ttl: true,
        key_schema: SchemaText("string".into()),
        value_schema: SchemaText("i64".into()),
        pieces: vec![
            DataRef::File { path: "chk-7/ab.state".into(), offset: 16, length: 40 },
            DataRef::Inline(vec![4, 5, 6]),
        ],
        groups: vec![
            GroupRange {
                group: KeyGroup(3),
                piece: 0,
                offset: 0,
                length: 40,
                entries: 2,
                removed: 0,
                live: 2,
                digest: 5,
                checksum: 0xdead_beef,
            },
            GroupRange {
                group: KeyGroup(3),
                piece: 1,
                offset: 1,
                length: 2,
                entries: 0,
                removed: 1,
                live: 1,
                digest: 42,
                checksum: 0xbeef,
            },
        ],
    };
    let list = OperatorStateHandle {
        name: "pending".into(),
        redistribution: Redistribution::Union,
        schema: SchemaText("u8".into()),
        data: DataRef::Inline(vec![1, 2, 3]),
        ends: vec![1, 3],
        checksum: 7,
    };
    let in_flight = OperatorStateHandle {
        name: "records in flight".into(),
        redistribution: Redistribution::InFlight { by_key: true },
        schema: SchemaText("u16".into()),
        data: DataRef::File { path: "chk-7/ab.state".into(), offset: 56, length: 9 },
        ends: vec![4, 9],
        checksum: 8,
    };
    let snapshot = OperatorSnapshot {
        operator: count,
        keyed: vec![keyed],
        operator_states: vec![list, in_flight],
        digest: 42,
    };
    CompletedCheckpoint {
        checkpoint: CheckpointId(7),
        job: JobId::from_name("job"),
        job_name: "word totals".into(),
        times: CheckpointTimes { triggered_at: Timestamp(1_000), completed_at: Timestamp(1_250) },
        operators: vec![
            OperatorRecord {
                info: OperatorInfo {
                    id: count,
                    uid: "count-uid".into(),
                    name: "count".into(),
                    parallelism: 2,
                    max_parallelism: MaxParallelism::new(128).unwrap(),
                },
                subtasks: BTreeMap::from([(0, snapshot)]),
                end_of_data: BTreeSet::from([1]),
            },
            OperatorRecord {
                info: OperatorInfo {
                    id: OperatorId::from_name("print"),
                    uid: "print".into(),
                    name: "print".into(),
                    parallelism: 1,
                    max_parallelism: MaxParallelism::new(128).unwrap(),
                },
                subtasks: BTreeMap::new(),
                end_of_data: BTreeSet::new(),
            },
        ],
    }
}
