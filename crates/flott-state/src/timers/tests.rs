//! Timers: order, deletion, restore.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::TimerKind::{EventTime, ProcessingTime};
use super::*;
use crate::testing::{OPERATOR, finish, hash, inline_writer, keyed, max};

fn service() -> TimerService<u8> {
    TimerService::new("window", max(8).range_of(0, 1), max(8))
}

fn restored(timers: &mut TimerService<u8>) -> TimerService<u8> {
    let mut writer = inline_writer();
    timers.snapshot().write(OPERATOR, &mut writer).unwrap();
    let mut states = keyed(&[finish(writer)], timers.table.range());
    let mut timers = service();
    timers.restore(&mut states).unwrap();
    assert!(states.is_empty());
    timers
}

fn set(timers: &mut TimerService<u8>, kind: TimerKind, key: u8, time: i64) {
    timers.register(kind, hash(&key), &key, Timestamp(time));
}

fn drain(timers: &mut TimerService<u8>, kind: TimerKind, now: i64) -> Vec<(i64, u8)> {
    std::iter::from_fn(|| timers.pop_due(kind, Timestamp(now)))
        .map(|(time, hashed, key)| {
            assert_eq!(hashed, hash(&key));
            (time.0, key)
        })
        .collect()
}

#[test]
fn timers_fire_in_order_when_their_time_has_come() {
    let mut timers = service();
    for time in [30, 10, 20, 10] {
        set(&mut timers, EventTime, 1, time);
    }
    assert_eq!(timers.next(EventTime), Some(Timestamp(10)));
    assert_eq!(timers.len(EventTime), 3, "the same time twice is one timer");
    set(&mut timers, EventTime, 2, 10);
    let upcoming = (0..3).map(|after| timers.upcoming(EventTime, after));
    assert_eq!(upcoming.collect::<Vec<_>>(), [Some(hash(&2)), Some(hash(&1)), None]);
    assert!(timers.delete(EventTime, hash(&2), &2, Timestamp(10)));
    assert_eq!(drain(&mut timers, EventTime, 9), []);
    assert_eq!(drain(&mut timers, EventTime, 20), [(10, 1), (20, 1)]);
    assert_eq!(timers.next(EventTime), Some(Timestamp(30)));
    assert_eq!(timers.next(ProcessingTime), None);
}

#[test]
fn the_two_kinds_do_not_mix_even_at_the_same_time_and_after_a_restore() {
    let mut timers = service();
    set(&mut timers, EventTime, 1, 5);
    set(&mut timers, ProcessingTime, 1, 5);
    set(&mut timers, ProcessingTime, 2, 6);
    let mut timers = restored(&mut timers);
    assert_eq!(drain(&mut timers, EventTime, 10), [(5, 1)]);
    assert_eq!(drain(&mut timers, ProcessingTime, 10), [(5, 1), (6, 2)]);
    assert!(timers.is_empty());
}

#[test]
fn a_deleted_timer_does_not_fire_and_can_be_set_again() {
    let mut timers = service();
    set(&mut timers, EventTime, 1, 5);
    set(&mut timers, EventTime, 2, 7);
    assert!(timers.delete(EventTime, hash(&1u8), &1, Timestamp(5)));
    assert!(!timers.delete(EventTime, hash(&1u8), &1, Timestamp(5)));
    assert!(!timers.delete(ProcessingTime, hash(&2u8), &2, Timestamp(7)));
    assert_eq!(timers.next(EventTime), Some(Timestamp(7)));
    set(&mut timers, EventTime, 1, 5);
    assert_eq!(drain(&mut timers, EventTime, 10), [(5, 1), (7, 2)]);
}

#[test]
fn a_timer_that_is_set_and_deleted_for_ever_takes_no_memory() {
    let mut timers = service();
    set(&mut timers, EventTime, 1, 1);
    for time in 2..100_000 {
        set(&mut timers, EventTime, 1, time);
        timers.delete(EventTime, hash(&1u8), &1, Timestamp(time));
    }
    assert!(timers.event_time.entries() <= queue::SPARE + 3);
    assert_eq!(timers.next(EventTime), Some(Timestamp(1)));
}

#[test]
fn timers_of_another_key_type_are_refused() {
    let mut timers = service();
    set(&mut timers, EventTime, 1, 1);
    let mut writer = inline_writer();
    timers.snapshot().write(OPERATOR, &mut writer).unwrap();
    let mut states = keyed(&[finish(writer)], timers.table.range());
    let mut other = TimerService::<String>::new("window", timers.table.range(), timers.max);
    let error = other.restore(&mut states).unwrap_err().to_string();
    assert!(error.contains("in its key, the type was u8, is String"), "{error}");
}

proptest! {
    #[test]
    fn the_service_agrees_with_an_ordered_set(
        ops in proptest::collection::vec((0u8..8, any::<bool>(), 0u8..6, -20i64..20), 0..400),
    ) {
        let mut timers = service();
        let mut model = BTreeSet::new();
        for (op, event, key, time) in ops {
            let kind = if event { EventTime } else { ProcessingTime };
            match op {
                0..=3 => {
                    set(&mut timers, kind, key, time);
                    model.insert((kind, time, key));
                }
                4..=5 => {
                    let found = timers.delete(kind, hash(&key), &key, Timestamp(time));
                    prop_assert_eq!(found, model.remove(&(kind, time, key)));
                }
                6 => {
                    let mut fired = drain(&mut timers, kind, time);
                    prop_assert!(fired.is_sorted_by_key(|(time, _)| *time));
                    fired.sort_unstable();
                    let due = model.extract_if(.., |(k, t, _)| *k == kind && *t <= time);
                    prop_assert_eq!(fired, due.map(|(_, t, key)| (t, key)).collect::<Vec<_>>());
                }
                _ => timers = restored(&mut timers),
            }
            for kind in [EventTime, ProcessingTime] {
                let first = model.iter().find(|(k, ..)| *k == kind).map(|(_, t, _)| Timestamp(*t));
                prop_assert_eq!(timers.next(kind), first);
                prop_assert_eq!(timers.len(kind), model.iter().filter(|(k, ..)| *k == kind).count());
            }
        }
    }
}
