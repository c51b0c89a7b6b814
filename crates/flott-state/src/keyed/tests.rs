//! Keyed state through its handles.

mod disk;
mod increments;
mod look_up;
mod rescale;
mod restore;
mod ttl;
mod unread;

use std::collections::BTreeMap;
use std::sync::Arc;

use flott_core::ErrorKind;

use super::*;
use crate::testing::{hash, max};

/// A backend that owns everything, at time 0 and key "a".
fn backend() -> KeyedBackend<String> {
    let mut backend = KeyedBackend::new("totals", max(8).range_of(0, 1), max(8));
    backend.set_now(WallTime::MIN.max(flott_core::Timestamp(0)));
    at(&mut backend, "a");
    backend
}

fn at(backend: &mut KeyedBackend<String>, key: &str) {
    backend.set_current_key(hash(key), key.to_owned());
}

fn sum() -> ReduceFunction<i64> {
    Arc::new(|a, b| a.checked_add(*b).ok_or_else(|| Error::new(ErrorKind::User, "overflow")))
}

struct Mean;

impl AggregateFunction<i64, (i64, i64), i64> for Mean {
    fn create_accumulator(&self) -> Result<(i64, i64)> {
        Ok((0, 0))
    }

    fn add(&self, (sum, count): &mut (i64, i64), value: i64) -> Result<()> {
        if value < 0 {
            return Err(Error::new(ErrorKind::User, "negative"));
        }
        *sum += value;
        *count += 1;
        Ok(())
    }

    fn get_result(&self, (sum, count): &(i64, i64)) -> Result<i64> {
        Ok(sum / count)
    }

    fn merge(&self, a: (i64, i64), b: (i64, i64)) -> Result<(i64, i64)> {
        Ok((a.0 + b.0, a.1 + b.1))
    }
}

fn mean() -> AggregatingStateDescriptor<i64, (i64, i64), i64> {
    AggregatingStateDescriptor::new("mean", Arc::new(Mean))
}

#[test]
fn a_value_belongs_to_its_key() {
    let mut b = backend();
    let count = b.value_state(ValueStateDescriptor::<i64>::new("count")).unwrap();
    assert_eq!(count.get(&mut b).unwrap(), None);
    count.update(&mut b, 1).unwrap();
    *count.get_mut(&mut b).unwrap().unwrap() += 1;
    at(&mut b, "b");
    assert_eq!(count.get_mut(&mut b).unwrap(), None);
    *count.get_or_insert_with(&mut b, || 10).unwrap() += 1;
    assert_eq!(count.get(&mut b).unwrap(), Some(&11));
    at(&mut b, "a");
    assert_eq!(count.get(&mut b).unwrap(), Some(&2));
    count.clear(&mut b).unwrap();
    assert_eq!(count.get(&mut b).unwrap(), None);
    assert_eq!(b.current_key().map(String::as_str), Some("a"));
}

#[test]
fn a_list_is_appended_to_and_replaced() {
    let mut b = backend();
    let list = b.list_state(ListStateDescriptor::<u8>::new("list")).unwrap();
    assert_eq!(list.get(&mut b).unwrap(), &[] as &[u8]);
    list.add(&mut b, 1).unwrap();
    list.add_all(&mut b, [2, 3]).unwrap();
    assert_eq!(list.get(&mut b).unwrap(), &[1, 2, 3]);
    list.update(&mut b, vec![4]).unwrap();
    assert_eq!(list.get(&mut b).unwrap(), &[4]);
    list.update(&mut b, vec![]).unwrap();
    assert_eq!(list.get(&mut b).unwrap(), &[] as &[u8]);
}

#[test]
fn a_map_is_ordered_and_gone_with_its_last_entry() {
    let mut b = backend();
    let map = b.map_state(MapStateDescriptor::<u8, String>::new("map")).unwrap();
    assert!(map.is_empty(&mut b).unwrap());
    map.put_all(&mut b, [(2, "two".to_owned()), (1, "one".to_owned())]).unwrap();
    assert_eq!(map.get(&mut b, &2).unwrap().map(String::as_str), Some("two"));
    assert!(map.contains(&mut b, &1).unwrap() && !map.contains(&mut b, &3).unwrap());
    assert_eq!(map.keys(&mut b).unwrap().copied().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(map.iter(&mut b).unwrap().count(), 2);
    assert_eq!(map.remove(&mut b, &3).unwrap(), None);
    assert_eq!(map.remove(&mut b, &1).unwrap().as_deref(), Some("one"));
    map.remove(&mut b, &2).unwrap();
    assert!(map.is_empty(&mut b).unwrap());
    map.put(&mut b, 5, String::new()).unwrap();
    map.clear(&mut b).unwrap();
    assert!(map.is_empty(&mut b).unwrap());
}

#[test]
fn values_are_reduced_and_aggregated_and_user_errors_come_through() {
    let mut b = backend();
    let total = b.reducing_state(ReducingStateDescriptor::new("total", sum())).unwrap();
    let mean = b.aggregating_state(mean()).unwrap();
    assert_eq!(total.get(&mut b).unwrap(), None);
    assert_eq!(mean.get(&mut b).unwrap(), None);
    for value in [1, 2, 6] {
        total.add(&mut b, value).unwrap();
        mean.add(&mut b, value).unwrap();
    }
    assert_eq!(total.get(&mut b).unwrap(), Some(&9));
    assert_eq!(mean.get(&mut b).unwrap(), Some(3));
    assert_eq!(total.add(&mut b, i64::MAX).unwrap_err().kind(), ErrorKind::User);
    assert_eq!(mean.add(&mut b, -1).unwrap_err().kind(), ErrorKind::User);
    total.clear(&mut b).unwrap();
    mean.clear(&mut b).unwrap();
    assert_eq!(total.get(&mut b).unwrap(), None);
    assert_eq!(mean.get(&mut b).unwrap(), None);
}

#[test]
fn keyed_state_without_a_current_key_is_an_error() {
    let mut b = KeyedBackend::<String>::new("totals", max(8).range_of(0, 1), max(8));
    let count = b.value_state(ValueStateDescriptor::<i64>::new("count")).unwrap();
    let error = count.update(&mut b, 1).unwrap_err();
    assert!(error.to_string().contains("\"totals\": keyed state was used without a current key"));
    at(&mut b, "a");
    count.update(&mut b, 1).unwrap();
    b.clear_current_key();
    assert!(count.get(&mut b).is_err());
}

#[test]
fn a_key_of_another_subtask_is_an_error() {
    let mut b = KeyedBackend::<String>::new("totals", max(8).range_of(0, 8), max(8));
    let count = b.value_state(ValueStateDescriptor::<i64>::new("count")).unwrap();
    let foreign = ["a", "b", "c", "d"].into_iter().find(|key| max(8).key_group(hash(*key)).0 > 0);
    at(&mut b, foreign.unwrap());
    assert_eq!(count.get(&mut b).unwrap_err().kind(), ErrorKind::Internal);
}

#[test]
fn one_name_is_one_state() {
    let mut b = backend();
    let one = b.value_state(ValueStateDescriptor::<i64>::new("x")).unwrap();
    let same = b.value_state(ValueStateDescriptor::<i64>::new("x")).unwrap();
    one.update(&mut b, 4).unwrap();
    assert_eq!(same.get(&mut b).unwrap(), Some(&4));
    let other = b.list_state(ListStateDescriptor::<i64>::new("x")).unwrap_err().to_string();
    assert!(other.contains("as value state of i64 and as list state of i64"), "{other}");
    let other = b.value_state(ValueStateDescriptor::<u8>::new("x")).unwrap_err().to_string();
    assert!(other.contains("as value state of i64 and as value state of u8"), "{other}");
    let ttl = StateTtlConfig::new(std::time::Duration::from_secs(1));
    let other = ValueStateDescriptor::<i64>::new("x").ttl(ttl);
    assert!(b.value_state(other).unwrap_err().to_string().contains("with TTL"));
}

#[test]
fn a_raw_table_is_a_value_state() {
    let mut b = backend();
    let raw = b.register_raw_value::<i64>("count").unwrap();
    let count = b.value_state(ValueStateDescriptor::<i64>::new("count")).unwrap();
    let table = raw.table_mut(&mut b).unwrap();
    table.prefetch(hash("a"));
    *table.upsert(hash("a"), "a".to_owned(), || 0) += 3;
    assert_eq!(count.get(&mut b).unwrap(), Some(&3));
}

#[test]
fn any_hash_may_be_asked_for_ahead() {
    let mut b = KeyedBackend::<String>::new("half", max(8).range_of(1, 2), max(8));
    b.value_state(ValueStateDescriptor::<i64>::new("count")).unwrap();
    // Also those of another subtask: only who uses such a key is told.
    (0..100u64).for_each(|key| b.prefetch(flott_core::hash::mix(key)));
}

#[test]
fn a_handle_of_another_operator_is_an_error() {
    let mut b = backend();
    let count = b.value_state(ValueStateDescriptor::<i64>::new("count")).unwrap();
    let mut other = backend();
    assert!(count.get(&mut other).is_err());
    other.list_state(ListStateDescriptor::<i64>::new("count")).unwrap();
    assert!(count.get(&mut other).is_err());
}

/// Everything that a map state holds at the current key.
fn entries(map: MapState<u8, i64>, b: &mut KeyedBackend<String>) -> BTreeMap<u8, i64> {
    map.iter(b).unwrap().map(|(key, value)| (*key, *value)).collect()
}
