//! Keyed state after a restore: equal, rescaled, refused.

use std::time::Duration;

use flott_checkpoint::snapshot::OperatorSnapshot;
use flott_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::*;
use crate::restore::{KeyedData, PieceBytes};
use crate::testing::{MemoryStorage, OPERATOR, finish, inline_writer, keyed};

fn snapshot(b: &mut KeyedBackend<String>) -> OperatorSnapshot {
    let mut writer = inline_writer();
    b.snapshot().unwrap().write(OPERATOR, &mut writer).unwrap();
    finish(writer)
}

fn restored(snapshot: &OperatorSnapshot) -> KeyedBackend<String> {
    let mut b = backend();
    b.restore(keyed(std::slice::from_ref(snapshot), b.range()));
    b
}

fn ttl() -> StateTtlConfig {
    StateTtlConfig::new(Duration::from_millis(10))
}

#[test]
fn a_snapshot_is_not_changed_by_later_writes() {
    let mut b = backend();
    let count = b.value_state(ValueStateDescriptor::<i64>::new("count")).unwrap();
    count.update(&mut b, 1).unwrap();
    let before = b.snapshot().unwrap();
    count.update(&mut b, 2).unwrap();
    let mut writer = inline_writer();
    std::thread::scope(|scope| {
        scope.spawn(|| before.write(OPERATOR, &mut writer).unwrap());
    });
    let mut b = restored(&finish(writer));
    let count = b.value_state(ValueStateDescriptor::<i64>::new("count")).unwrap();
    assert_eq!(count.get(&mut b).unwrap(), Some(&1));
}

#[derive(Clone, Serialize, Deserialize)]
struct Old {
    count: i64,
}

#[derive(Clone, Serialize, Deserialize)]
struct New {
    count: String,
}

#[test]
fn state_of_another_shape_or_kind_is_refused_in_words() {
    let mut b = backend();
    let v = b.value_state(ValueStateDescriptor::<Old>::new("word")).unwrap();
    v.update(&mut b, Old { count: 1 }).unwrap();
    let stored = snapshot(&mut b);

    let mut b = restored(&stored);
    let error = b.value_state(ValueStateDescriptor::<New>::new("word")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let text = error.to_string();
    assert!(
        text.contains(
            "operator \"totals\": state \"word\" cannot be restored: field `count` was i64, is \
             String; change the type so that it can read what was stored"
        ),
        "{text}"
    );
    let mut b = restored(&stored);
    let error = b.list_state(ListStateDescriptor::<Old>::new("word")).unwrap_err().to_string();
    assert!(error.contains("it was a value state, is a list state"), "{error}");

    let mut b = KeyedBackend::<u64>::new("totals", max(8).range_of(0, 1), max(8));
    b.restore(keyed(&[stored], b.range()));
    let error = b.value_state(ValueStateDescriptor::<Old>::new("word")).unwrap_err().to_string();
    assert!(error.contains("in its key, the type was String, is u64"), "{error}");
}

#[test]
fn state_that_nobody_registers_is_reported() {
    let mut b = backend();
    for name in ["b", "a", "c"] {
        let v = b.value_state(ValueStateDescriptor::<u8>::new(name)).unwrap();
        v.update(&mut b, 1).unwrap();
    }
    let empty = b.value_state(ValueStateDescriptor::<u8>::new("empty")).unwrap();
    assert_eq!(empty.get(&mut b).unwrap(), None);
    let mut b = restored(&snapshot(&mut b));
    b.value_state(ValueStateDescriptor::<u8>::new("b")).unwrap();
    assert_eq!(b.unclaimed(), ["a", "c"]);
}

#[test]
fn damaged_bytes_are_refused_by_name() {
    let mut b = backend();
    let v = b.value_state(ValueStateDescriptor::<String>::new("word")).unwrap();
    v.update(&mut b, "hello".into()).unwrap();
    let stored = snapshot(&mut b);
    let group = stored.keyed[0].groups[0].group.0;
    let intact = keyed(std::slice::from_ref(&stored), b.range());
    let KeyedData::Bytes(pieces) = intact[0].data.clone() else { panic!("they were written") };
    let bytes = pieces[0].clone().unwrap().bytes;
    for cut in 0..bytes.len() {
        for flip in [true, false] {
            let (mut damaged, mut bytes) = (intact.clone(), bytes.clone());
            if flip {
                bytes[cut] ^= 0x10;
            } else {
                bytes.truncate(cut);
            }
            damaged[0].data = KeyedData::Bytes(vec![Some(PieceBytes { start: 0, bytes })]);
            let mut b = backend();
            b.restore(damaged);
            let error = b.value_state(ValueStateDescriptor::<String>::new("word")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            let place = format!("operator \"totals\": state \"word\", key group {group}");
            assert!(error.to_string().contains(&place), "{error}");
        }
    }
}

#[test]
fn a_million_random_changes_of_a_file_are_found() {
    use flott_checkpoint::snapshot::{DataRef, SchemaText};
    use flott_core::hash::mix;

    use crate::inspect::{check_elements, entries_by_group};

    let mut b = backend();
    let word = b.value_state(ValueStateDescriptor::<String>::new("word")).unwrap();
    let map = b.map_state(MapStateDescriptor::<u8, i64>::new("map")).unwrap();
    for number in 0..40u8 {
        let key = format!("key {number}");
        b.set_current_key(hash(&key), key);
        word.update(&mut b, "word ".repeat(usize::from(number % 4))).unwrap();
        map.put(&mut b, number, i64::from(number)).unwrap();
    }
    let storage = Arc::new(MemoryStorage::default());
    let mut writer = crate::SnapshotWriter::new(storage.clone(), "chk-1/x.state", 0);
    b.snapshot().unwrap().write(OPERATOR, &mut writer).unwrap();
    let batches = [b"some records".to_vec(), b"and more".to_vec()];
    writer.write_in_flight(OPERATOR, true, SchemaText("u8".into()), &batches).unwrap();
    let written = writer.finish().unwrap().remove(0);
    let whole = storage.files.lock().unwrap()["chk-1/x.state"].clone();
    let digest = |file: &[u8]| -> Result<u64> {
        let part = |data: &DataRef| {
            let DataRef::File { offset, length, .. } = data else { panic!("not in a file") };
            file[*offset as usize..(offset + length) as usize].to_vec()
        };
        let mut sum = 0u64;
        for handle in &written.keyed {
            let pieces = handle.pieces.iter().map(part);
            let pieces: Vec<_> = pieces.map(|bytes| Some(PieceBytes { start: 0, bytes })).collect();
            sum = sum.wrapping_add(entries_by_group(handle, &pieces)?.1);
        }
        for handle in &written.operator_states {
            check_elements(handle, &part(&handle.data))?;
        }
        Ok(sum)
    };
    let expected = digest(&whole).unwrap();
    let mut file = whole.clone();
    for round in 0..1_000_000u64 {
        for change in 0..=round % 3 {
            let random = mix((round << 2) | change);
            file[(random >> 8) as usize % whole.len()] ^= 1 + (random % 255) as u8;
        }
        if file != whole {
            assert!(crate::check_file(&file).is_err(), "round {round}");
            match digest(&file) {
                Ok(found) => assert_eq!(found, expected, "round {round}: the header has changed"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "round {round}"),
            }
            file.copy_from_slice(&whole);
        }
    }
}

#[test]
fn expired_values_are_not_written_and_the_rest_keeps_its_age() {
    let mut b = backend();
    let map = b.map_state(MapStateDescriptor::<u8, i64>::new("m").ttl(ttl())).unwrap();
    let list = b.list_state(ListStateDescriptor::<u8>::new("l").ttl(ttl())).unwrap();
    let v = b.value_state(ValueStateDescriptor::<u8>::new("v").ttl(ttl())).unwrap();
    map.put(&mut b, 1, 1).unwrap();
    list.add(&mut b, 1).unwrap();
    v.update(&mut b, 1).unwrap();
    b.set_now(Timestamp(5));
    map.put(&mut b, 2, 2).unwrap();
    list.add(&mut b, 2).unwrap();
    b.set_now(Timestamp(10));
    let stored = snapshot(&mut b);
    assert!(stored.keyed.iter().all(|state| state.ttl));
    assert_eq!(stored.keyed.len(), 2, "nothing of the value state is alive");

    let mut b = restored(&stored);
    let map = b.map_state(MapStateDescriptor::<u8, i64>::new("m").ttl(ttl())).unwrap();
    let list = b.list_state(ListStateDescriptor::<u8>::new("l").ttl(ttl())).unwrap();
    b.set_now(Timestamp(14));
    assert_eq!(entries(map, &mut b), BTreeMap::from([(2, 2)]));
    assert_eq!(list.get(&mut b).unwrap(), &[2]);
    b.set_now(Timestamp(15));
    assert!(map.is_empty(&mut b).unwrap() && list.get(&mut b).unwrap().is_empty());
}

/// Restores all kinds of state from `from` to `to` and says whether they live on at 9 and 10 ms.
fn switch(from: Option<StateTtlConfig>, to: Option<StateTtlConfig>) -> (bool, bool) {
    let register = |b: &mut KeyedBackend<String>, ttl: Option<StateTtlConfig>| {
        let mut v = ValueStateDescriptor::<u8>::new("v");
        let mut l = ListStateDescriptor::<u8>::new("l");
        let mut m = MapStateDescriptor::<u8, i64>::new("m");
        let mut r = ReducingStateDescriptor::new("r", sum());
        let mut a = super::mean();
        if let Some(ttl) = ttl {
            (v, l, m, r, a) = (v.ttl(ttl), l.ttl(ttl), m.ttl(ttl), r.ttl(ttl), a.ttl(ttl));
        }
        let v = b.value_state(v).unwrap();
        let l = b.list_state(l).unwrap();
        let m = b.map_state(m).unwrap();
        (v, l, m, b.reducing_state(r).unwrap(), b.aggregating_state(a).unwrap())
    };
    let mut b = backend();
    let (v, l, m, r, a) = register(&mut b, from);
    v.update(&mut b, 1).unwrap();
    l.add(&mut b, 1).unwrap();
    m.put(&mut b, 1, 1).unwrap();
    r.add(&mut b, 1).unwrap();
    a.add(&mut b, 1).unwrap();
    let stored = snapshot(&mut b);
    let mut b = restored(&stored);
    let (v, l, m, r, a) = register(&mut b, to);
    let mut alive = |now: i64| {
        b.set_now(Timestamp(now));
        let alive = [
            v.get(&mut b).unwrap() == Some(&1),
            l.get(&mut b).unwrap() == [1],
            m.get(&mut b, &1).unwrap() == Some(&1),
            r.get(&mut b).unwrap() == Some(&1),
            a.get(&mut b).unwrap() == Some(1),
        ];
        assert!(alive.iter().all(|one| *one == alive[0]), "{alive:?}");
        alive[0]
    };
    (alive(9), alive(10))
}

#[test]
fn ttl_can_be_switched_on_and_off_for_stored_state() {
    assert_eq!(switch(Some(ttl()), Some(ttl())), (true, false));
    assert_eq!(switch(None, Some(ttl())), (true, false));
    assert_eq!(switch(Some(ttl()), None), (true, true));
    assert_eq!(switch(None, None), (true, true));
}

#[test]
fn ttl_state_is_not_restored_before_the_time_is_set() {
    let mut b = backend();
    let v = b.value_state(ValueStateDescriptor::<u8>::new("v")).unwrap();
    v.update(&mut b, 1).unwrap();
    let stored = snapshot(&mut b);
    let mut b = KeyedBackend::<String>::new("totals", max(8).range_of(0, 1), max(8));
    b.restore(keyed(&[stored], b.range()));
    let error = b.value_state(ValueStateDescriptor::<u8>::new("v").ttl(ttl())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
}

#[test]
fn large_state_becomes_one_checked_file_and_small_state_stays_in_the_handle() {
    use flott_checkpoint::snapshot::DataRef;
    use flott_core::codec::checksum;

    let mut b = backend();
    for name in ["v", "w"] {
        let state = b.value_state(ValueStateDescriptor::<String>::new(name)).unwrap();
        state.update(&mut b, "hello ".repeat(20)).unwrap();
    }
    let write = |b: &mut KeyedBackend<String>, storage: &Arc<MemoryStorage>, threshold| {
        let mut writer = crate::SnapshotWriter::new(storage.clone(), "chk-1/x.state", threshold);
        b.snapshot().unwrap().write(OPERATOR, &mut writer).unwrap();
        writer.finish()
    };
    let storage = Arc::new(MemoryStorage::default());
    let small = write(&mut b, &storage, 1000).unwrap();
    assert!(storage.files.lock().unwrap().is_empty());
    let large = write(&mut b, &storage, 100).unwrap();
    let file = storage.files.lock().unwrap()["chk-1/x.state"].clone();
    assert_eq!(&file[..12], b"FLOTTSTA\x01\0\0\0");
    assert_eq!(file[12..16], checksum(&file[24..]).to_le_bytes());
    assert_eq!(file[16..24], (file.len() as u64 - 24).to_le_bytes());
    for (small, large) in small[0].keyed.iter().zip(&large[0].keyed) {
        let [DataRef::File { path, offset, length }] = &large.pieces[..] else {
            panic!("not in a file")
        };
        assert_eq!(path, "chk-1/x.state");
        let range = *offset as usize..(offset + length) as usize;
        assert_eq!(small.pieces, [DataRef::Inline(file[range].to_vec())]);
        assert_eq!(small.groups, large.groups);
    }

    let none = Arc::new(MemoryStorage { keeps_none: true, ..MemoryStorage::default() });
    assert_eq!(write(&mut b, &none, 0).unwrap(), small, "storage without files");
    let broken = Arc::new(MemoryStorage { refuses: true, ..MemoryStorage::default() });
    let error = write(&mut b, &broken, 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);
    assert!(error.to_string().contains("chk-1/x.state"), "{error}");
}

#[test]
fn what_tasks_remember_goes_into_one_file_except_for_what_is_small() {
    use flott_checkpoint::snapshot::DataRef;

    let write = |storage: &Arc<MemoryStorage>| -> Vec<DataRef> {
        let mut file = crate::StateFile::default();
        let mut all = ["small", &"large ".repeat(50), &"larger ".repeat(50)].map(|text| {
            let mut b = backend();
            let state = b.value_state(ValueStateDescriptor::<String>::new("v")).unwrap();
            state.update(&mut b, text.to_owned()).unwrap();
            let path = format!("chk-1/{}.state", text.len());
            let mut writer = crate::SnapshotWriter::new(storage.clone(), path, 100);
            b.snapshot().unwrap().write(OPERATOR, &mut writer).unwrap();
            writer.finish_into(&mut file)
        });
        assert!(storage.files.lock().unwrap().is_empty(), "nothing is written before all of it is");
        file.settle(&**storage, all.iter_mut().map(|own| &mut **own)).unwrap();
        all.iter().map(|own| own[0].keyed[0].pieces[0].clone()).collect()
    };
    let storage = Arc::new(MemoryStorage::default());
    let none = Arc::new(MemoryStorage { keeps_none: true, ..MemoryStorage::default() });
    let (pieces, inline) = (write(&storage), write(&none));
    let files = storage.files.lock().unwrap();
    assert_eq!(files.keys().collect::<Vec<_>>(), ["chk-1/300.state"]);
    crate::check_file(&files["chk-1/300.state"]).unwrap();
    assert_eq!(pieces[0], inline[0], "little state stays in the handle");
    for (piece, inline) in pieces[1..].iter().zip(&inline[1..]) {
        let DataRef::File { path, offset, length } = piece else { panic!("not in a file") };
        let range = *offset as usize..(offset + length) as usize;
        assert_eq!(DataRef::Inline(files[path][range].to_vec()), *inline);
    }
}

/// What a process that has kept its tables restores instead of what it has written.
fn from_memory(b: &mut KeyedBackend<String>) -> Vec<RestoredKeyedState> {
    let range = b.range();
    let kept = b.snapshot().unwrap();
    let mut states = keyed(&[snapshot(b)], range);
    for state in &mut states {
        let mut memories = kept.memories();
        let memory = memories.find(|(name, _)| *name == state.handle.name).unwrap().1;
        state.data = KeyedData::Memory(memory);
    }
    states
}

#[test]
fn a_table_that_was_kept_is_begun_from_without_a_copy_of_what_came_later() {
    let mut b = backend();
    let count = b.value_state(ValueStateDescriptor::<i64>::new("count")).unwrap();
    count.update(&mut b, 1).unwrap();
    let states = from_memory(&mut b);
    count.update(&mut b, 2).unwrap();
    let mut again = backend();
    again.restore(states.clone());
    let restored = again.value_state(ValueStateDescriptor::<i64>::new("count")).unwrap();
    assert_eq!(restored.get(&mut again).unwrap(), Some(&1));
    restored.update(&mut again, 7).unwrap();
    // What is begun from it does not change it, either.
    let mut third = backend();
    third.restore(states);
    let restored = third.value_state(ValueStateDescriptor::<i64>::new("count")).unwrap();
    assert_eq!(restored.get(&mut third).unwrap(), Some(&1));
}

#[test]
fn a_part_of_a_table_that_was_kept_can_be_taken() {
    let mut b = backend();
    let count = b.value_state(ValueStateDescriptor::<i64>::new("count")).unwrap();
    count.update(&mut b, 1).unwrap();
    let group = u32::from(b.max.key_group(b.current_hash().unwrap()).0);
    let all = from_memory(&mut b);
    for (range, expected) in [
        (KeyGroupRange { start: group, end: group + 1 }, Some(1)),
        (KeyGroupRange { start: group + 1, end: b.range().end }, None),
    ] {
        let mut part = backend();
        part.restore(all.iter().cloned().map(|s| RestoredKeyedState { range, ..s }).collect());
        let restored = part.value_state(ValueStateDescriptor::<i64>::new("count")).unwrap();
        assert_eq!(restored.get(&mut part).unwrap().copied(), expected, "{range:?}");
    }
}

#[test]
fn a_table_that_was_kept_by_another_program_is_refused() {
    let mut b = backend();
    let count = b.value_state(ValueStateDescriptor::<i64>::new("count")).unwrap();
    count.update(&mut b, 1).unwrap();
    let mut states = from_memory(&mut b);
    // The handle says one thing, the table is another.
    let mut other = backend();
    let word = other.value_state(ValueStateDescriptor::<String>::new("count")).unwrap();
    word.update(&mut other, "hello".into()).unwrap();
    states[0].data = from_memory(&mut other)[0].data.clone();
    let mut again = backend();
    again.restore(states);
    let error = again.value_state(ValueStateDescriptor::<i64>::new("count")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
}
