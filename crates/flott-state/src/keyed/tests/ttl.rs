//! State that expires.

use std::time::Duration;

use flott_core::Timestamp;

use super::*;

fn ttl() -> StateTtlConfig {
    StateTtlConfig::new(Duration::from_millis(10))
}

fn value(b: &mut KeyedBackend<String>, ttl: StateTtlConfig) -> ValueState<i64> {
    b.value_state(ValueStateDescriptor::new("v").ttl(ttl)).unwrap()
}

#[test]
fn a_value_expires_when_its_time_is_over_and_not_before() {
    let mut b = backend();
    let v = value(&mut b, ttl());
    v.update(&mut b, 1).unwrap();
    b.set_now(Timestamp(9));
    assert_eq!(v.get(&mut b).unwrap(), Some(&1));
    b.set_now(Timestamp(10));
    assert_eq!(v.get(&mut b).unwrap(), None);
    assert_eq!(*v.get_or_insert_with(&mut b, || 5).unwrap(), 5);
}

#[test]
fn writing_prolongs_a_value_and_reading_only_if_asked_for() {
    for (update, alive) in
        [(UpdateType::OnCreateAndWrite, false), (UpdateType::OnReadAndWrite, true)]
    {
        let mut b = backend();
        let v = value(&mut b, ttl().update_type(update));
        v.update(&mut b, 1).unwrap();
        b.set_now(Timestamp(5));
        *v.get_mut(&mut b).unwrap().unwrap() = 2;
        b.set_now(Timestamp(14));
        assert_eq!(v.get(&mut b).unwrap(), Some(&2));
        b.set_now(Timestamp(15));
        assert_eq!(v.get(&mut b).unwrap().is_some(), alive);
    }
}

#[test]
fn changing_an_entry_of_a_map_in_place_prolongs_that_one_alone() {
    let mut b = backend();
    let m = b.map_state(MapStateDescriptor::<u8, i64>::new("m").ttl(ttl())).unwrap();
    m.put_all(&mut b, [(1, 1), (2, 2)]).unwrap();
    b.set_now(Timestamp(5));
    *m.get_mut(&mut b, &1).unwrap().unwrap() += 10;
    assert_eq!(m.get_mut(&mut b, &3).unwrap(), None);
    b.set_now(Timestamp(14));
    assert_eq!(m.get(&mut b, &1).unwrap(), Some(&11));
    assert_eq!(m.get_mut(&mut b, &2).unwrap(), None, "it expired at 10");
    b.set_now(Timestamp(15));
    assert_eq!(m.get_mut(&mut b, &1).unwrap(), None);
    assert!(m.is_empty(&mut b).unwrap());
}

#[test]
fn disabled_ttl_is_no_ttl() {
    let mut b = backend();
    let v = value(&mut b, ttl().update_type(UpdateType::Disabled));
    v.update(&mut b, 1).unwrap();
    b.set_now(Timestamp(1000));
    assert_eq!(v.get(&mut b).unwrap(), Some(&1));
}

#[test]
fn a_clock_that_jumps_back_revives_nothing() {
    let mut b = backend();
    let v = value(&mut b, ttl().visibility(StateVisibility::ReturnExpiredIfNotCleanedUp));
    let w = b.value_state(ValueStateDescriptor::<i64>::new("w").ttl(ttl())).unwrap();
    w.update(&mut b, 1).unwrap();
    b.set_now(Timestamp(10));
    b.set_now(Timestamp(0));
    assert_eq!(w.get(&mut b).unwrap(), None);
    v.update(&mut b, 1).unwrap();
    b.set_now(Timestamp(19));
    assert_eq!(v.get_mut(&mut b).unwrap(), Some(&mut 1), "written at 10, not at 0");
}

#[test]
fn an_expired_value_can_be_shown_but_is_not_built_upon() {
    let mut b = backend();
    let visible = ttl()
        .visibility(StateVisibility::ReturnExpiredIfNotCleanedUp)
        .update_type(UpdateType::OnReadAndWrite);
    let total = b.reducing_state(ReducingStateDescriptor::new("r", sum()).ttl(visible)).unwrap();
    total.add(&mut b, 1).unwrap();
    b.set_now(Timestamp(10));
    assert_eq!(total.get(&mut b).unwrap(), Some(&1), "not yet cleaned up");
    total.add(&mut b, 5).unwrap();
    assert_eq!(total.get(&mut b).unwrap(), Some(&5));
}

#[test]
fn elements_and_entries_expire_one_by_one() {
    let mut b = backend();
    let list = b.list_state(ListStateDescriptor::<u8>::new("l").ttl(ttl())).unwrap();
    let map = b.map_state(MapStateDescriptor::<u8, i64>::new("m").ttl(ttl())).unwrap();
    for (time, x) in [(0, 1), (5, 2)] {
        b.set_now(Timestamp(time));
        list.add(&mut b, x).unwrap();
        map.put(&mut b, x, i64::from(x)).unwrap();
    }
    b.set_now(Timestamp(10));
    assert_eq!(map.get(&mut b, &1).unwrap(), None);
    assert_eq!(map.get(&mut b, &2).unwrap(), Some(&2));
    assert_eq!(list.get(&mut b).unwrap(), &[2]);
    assert_eq!(entries(map, &mut b), BTreeMap::from([(2, 2)]));
    b.set_now(Timestamp(15));
    assert!(map.is_empty(&mut b).unwrap());
    assert_eq!(list.get(&mut b).unwrap(), &[] as &[u8]);
}

#[test]
fn reading_prolongs_elements_and_entries() {
    let mut b = backend();
    let ttl = ttl().update_type(UpdateType::OnReadAndWrite);
    let list = b.list_state(ListStateDescriptor::<u8>::new("l").ttl(ttl)).unwrap();
    let map = b.map_state(MapStateDescriptor::<u8, i64>::new("m").ttl(ttl)).unwrap();
    list.add(&mut b, 1).unwrap();
    map.put_all(&mut b, [(1, 1), (2, 2)]).unwrap();
    b.set_now(Timestamp(9));
    assert_eq!(list.get(&mut b).unwrap(), &[1]);
    assert_eq!(map.get(&mut b, &1).unwrap(), Some(&1));
    b.set_now(Timestamp(18));
    assert_eq!(list.get(&mut b).unwrap(), &[1]);
    assert_eq!(entries(map, &mut b), BTreeMap::from([(1, 1)]));
}

#[test]
fn state_of_keys_that_never_come_again_goes_away() {
    let mut b = backend();
    let v = value(&mut b, ttl());
    let list = b.list_state(ListStateDescriptor::<u8>::new("l").ttl(ttl())).unwrap();
    for key in 0..1000 {
        at(&mut b, &key.to_string());
        v.update(&mut b, key).unwrap();
        list.add(&mut b, 1).unwrap();
    }
    b.set_now(Timestamp(30));
    at(&mut b, "x");
    for _ in 0..1500 {
        v.update(&mut b, 1).unwrap();
        list.update(&mut b, vec![1]).unwrap();
    }
    let mut snapshot_sizes = Vec::new();
    for state in &mut b.states {
        let table = state.table.as_any_mut();
        if let Some(table) = table.downcast_mut::<ShapedTable<String, shape::Stamped<i64>>>() {
            snapshot_sizes.push(table.table.len());
        } else if let Some(table) = table.downcast_mut::<ShapedTable<String, shape::ListOf<u8>>>() {
            snapshot_sizes.push(table.table.len());
        }
    }
    assert_eq!(snapshot_sizes, [1, 1]);
}

fn in_event_time() -> StateTtlConfig {
    ttl().time_characteristic(TtlTimeCharacteristic::EventTime)
}

#[test]
fn in_event_time_the_watermark_ends_a_life_that_a_record_has_begun() {
    let mut b = backend();
    let v = value(&mut b, in_event_time());
    // The wall clock does not count.
    b.set_now(Timestamp(1_000_000));
    b.set_event_time(Timestamp::MIN, Timestamp(100));
    v.update(&mut b, 1).unwrap();
    b.set_event_time(Timestamp(109), Timestamp(500));
    assert_eq!(v.get(&mut b).unwrap(), Some(&1));
    b.set_event_time(Timestamp(110), Timestamp(50));
    assert_eq!(v.get(&mut b).unwrap(), None);
    // What is late is used now.
    v.update(&mut b, 2).unwrap();
    b.set_event_time(Timestamp(119), Timestamp::MIN);
    assert_eq!(v.get(&mut b).unwrap(), Some(&2));
    b.set_event_time(Timestamp(120), Timestamp::MIN);
    assert_eq!(v.get(&mut b).unwrap(), None);
}

#[test]
fn in_event_time_what_was_used_before_any_time_was_known_stays_until_it_is_used_again() {
    let mut b = backend();
    let v = value(&mut b, in_event_time());
    v.update(&mut b, 1).unwrap();
    b.set_event_time(Timestamp(1_000), Timestamp::MIN);
    assert_eq!(v.get(&mut b).unwrap(), Some(&1));
    v.update(&mut b, 2).unwrap();
    b.set_event_time(Timestamp(1_010), Timestamp::MIN);
    assert_eq!(v.get(&mut b).unwrap(), None);
}
