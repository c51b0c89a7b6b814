//! List and broadcast state, and their restores.

use flott_core::ErrorKind;

use super::*;
use crate::testing::{OPERATOR, finish, inline_writer, operator_states};

fn backend() -> OperatorStateBackend {
    OperatorStateBackend::new("reader")
}

fn restored(b: &OperatorStateBackend, subtask: usize, parallelism: usize) -> OperatorStateBackend {
    let mut writer = inline_writer();
    b.snapshot().write(OPERATOR, &mut writer).unwrap();
    let mut b = backend();
    b.restore(operator_states(&[finish(writer)], subtask, parallelism));
    b
}

#[test]
fn a_list_is_dealt_out_and_a_union_list_is_not() {
    let mut b = backend();
    let split = b.list_state::<u32>("split", Redistribution::Split).unwrap();
    let union = b.list_state::<u32>("union", Redistribution::Union).unwrap();
    for x in [1, 300, 70_000] {
        split.add(&mut b, x).unwrap();
        union.add(&mut b, x).unwrap();
    }
    for (subtask, expected) in [(0, vec![1, 70_000]), (1, vec![300])] {
        let mut b = restored(&b, subtask, 2);
        let split = b.list_state::<u32>("split", Redistribution::Split).unwrap();
        let union = b.list_state::<u32>("union", Redistribution::Union).unwrap();
        assert_eq!(split.get(&mut b).unwrap(), expected);
        assert_eq!(union.get(&mut b).unwrap(), [1, 300, 70_000]);
    }
    split.clear(&mut b).unwrap();
    assert!(split.get(&mut b).unwrap().is_empty());
}

#[test]
fn a_broadcast_state_is_an_ordered_map() {
    let mut b = backend();
    let rules = b.broadcast_state::<String, u8>("rules").unwrap();
    rules.put(&mut b, "b".into(), 2).unwrap();
    rules.put(&mut b, "a".into(), 1).unwrap();
    assert_eq!(rules.remove(&mut b, &"x".into()).unwrap(), None);
    let mut b = restored(&b, 1, 2);
    let rules = b.broadcast_state::<String, u8>("rules").unwrap();
    assert_eq!(rules.iter(&mut b).unwrap().map(|(_, v)| *v).collect::<Vec<_>>(), [1, 2]);
    assert!(rules.contains(&mut b, &"a".into()).unwrap());
    assert_eq!(rules.remove(&mut b, &"a".into()).unwrap(), Some(1));
    assert_eq!(rules.get(&mut b, &"a".into()).unwrap(), None);
    rules.clear(&mut b).unwrap();
    assert_eq!(rules.iter(&mut b).unwrap().count(), 0);
}

#[test]
fn a_snapshot_is_not_changed_by_later_writes() {
    let mut b = backend();
    let list = b.list_state::<u32>("l", Redistribution::Split).unwrap();
    list.add(&mut b, 1).unwrap();
    let snapshot = b.snapshot();
    list.add(&mut b, 2).unwrap();
    let mut writer = inline_writer();
    snapshot.write(OPERATOR, &mut writer).unwrap();
    assert_eq!(finish(writer).operator_states[0].ends, [1]);
}

#[test]
fn another_kind_or_shape_is_refused_and_unclaimed_state_reported() {
    let mut b = backend();
    let list = b.list_state::<u32>("l", Redistribution::Split).unwrap();
    b.list_state::<u32>("empty", Redistribution::Split).unwrap();
    list.add(&mut b, 1).unwrap();
    let twice = b.list_state::<u8>("l", Redistribution::Split).unwrap_err().to_string();
    assert!(twice.contains("as split list state of u32 and as split list state of u8"), "{twice}");
    assert!(b.list_state::<u32>("x", Redistribution::Broadcast).is_err());
    let mut b = restored(&b, 0, 1);
    assert_eq!(b.unclaimed(), ["l"]);
    let error = b.list_state::<String>("l", Redistribution::Split).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("the type was u32, is String"), "{error}");
    let error = b.list_state::<u32>("l", Redistribution::Union).unwrap_err().to_string();
    assert!(error.contains("it was a split list state, is a union list state"), "{error}");
    assert!(b.list_state::<u32>("l", Redistribution::Split).is_ok());
    assert!(b.unclaimed().is_empty());
}

#[test]
fn damaged_bytes_are_refused_by_name() {
    let mut b = backend();
    let list = b.list_state::<u32>("l", Redistribution::Split).unwrap();
    list.add(&mut b, 1).unwrap();
    let mut b = restored(&b, 0, 1);
    b.restored[0].chunks[0].bytes[0] ^= 1;
    let error = b.list_state::<u32>("l", Redistribution::Split).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("operator \"reader\": state \"l\""), "{error}");
}
