//! State with a time to live. The clock is that of processing time, and moved by hand.

use flott_core::{Result, Timestamp};
use flott_datastream::{
    Collector, DataStream, KeyedContext, KeyedProcessFunction, ListState, ListStateDescriptor,
    MapState, MapStateDescriptor, StateTtlConfig, StateVisibility, Timer, TtlTimeCharacteristic,
    UpdateType, ValueState, ValueStateDescriptor,
};
use flott_testkit::StreamTest;
use serde::{Deserialize, Serialize};

use crate::common::millis;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Do {
    Put(i64),
    Get,
    Clear,
}
use Do::{Clear, Get, Put};

/// What is seen in a value, a list and a map.
type Seen = (Option<i64>, Vec<i64>, Vec<i64>);

#[derive(Clone)]
struct Mortal {
    ttl: Option<StateTtlConfig>,
    value: ValueState<i64>,
    list: ListState<i64>,
    map: MapState<i64, ()>,
}

impl KeyedProcessFunction<u8, (u8, Do), Seen> for Mortal {
    fn open(&mut self, context: &mut KeyedContext<'_, u8>) -> Result<()> {
        let (mut value, mut list, mut map) = (
            ValueStateDescriptor::new("value"),
            ListStateDescriptor::new("list"),
            MapStateDescriptor::new("map"),
        );
        if let Some(ttl) = self.ttl {
            (value, list, map) = (value.ttl(ttl), list.ttl(ttl), map.ttl(ttl));
        }
        self.value = context.value_state(value)?;
        self.list = context.list_state(list)?;
        self.map = context.map_state(map)?;
        Ok(())
    }

    fn process_element(
        &mut self,
        (_, what): (u8, Do),
        context: &mut KeyedContext<'_, u8>,
        out: &mut Collector<Seen>,
    ) -> Result<()> {
        match what {
            Put(value) => {
                self.value.update(context, value)?;
                self.list.add(context, value)?;
                self.map.put(context, value, ())
            }
            Get => {
                let value = self.value.get(context)?.copied();
                let list = self.list.get(context)?.to_vec();
                let map = self.map.keys(context)?.copied().collect();
                out.collect((value, list, map));
                Ok(())
            }
            Clear => {
                self.value.clear(context)?;
                self.list.clear(context)?;
                self.map.clear(context)
            }
        }
    }
}

fn with(ttl: Option<StateTtlConfig>) -> StreamTest<(u8, Do), Seen> {
    StreamTest::new(move |_, input: DataStream<(u8, Do)>| {
        let mortal = Mortal {
            ttl,
            value: ValueState::default(),
            list: ListState::default(),
            map: MapState::default(),
        };
        input.key_by(|(key, _)| *key).process(mortal)
    })
    .rescaled()
}

fn config() -> StateTtlConfig {
    StateTtlConfig::new(millis(100))
}

fn test() -> StreamTest<(u8, Do), Seen> {
    with(Some(config()))
}

fn seen(value: Option<i64>, list: &[i64], map: &[i64]) -> Seen {
    (value, list.to_vec(), map.to_vec())
}

fn nothing() -> Seen {
    seen(None, &[], &[])
}

#[test]
fn a_value_lives_until_its_time_and_not_a_millisecond_longer() {
    test()
        .record((1, Put(7)))
        .advance(millis(99))
        .record((1, Get))
        .advance(millis(1))
        .record((1, Get))
        .check([seen(Some(7), &[7], &[7]), nothing()])
        .unwrap();
}

#[test]
fn each_element_and_each_entry_has_a_time_of_its_own() {
    test()
        .record((1, Put(1)))
        .advance(millis(60))
        .record((1, Put(2)))
        .advance(millis(60))
        .record((1, Get))
        .advance(millis(60))
        .record((1, Get))
        .check([seen(Some(2), &[2], &[2]), nothing()])
        .unwrap();
}

#[test]
fn reading_is_no_use_unless_the_update_type_says_so() {
    let script = |test: StreamTest<(u8, Do), Seen>| {
        let test = test.record((1, Put(1))).advance(millis(60)).record((1, Get));
        test.advance(millis(60)).record((1, Get)).advance(millis(100)).record((1, Get))
    };
    let alive = seen(Some(1), &[1], &[1]);
    script(test()).check([alive.clone(), nothing(), nothing()]).unwrap();
    let on_read = config().update_type(UpdateType::OnReadAndWrite);
    script(with(Some(on_read))).check([alive.clone(), alive.clone(), nothing()]).unwrap();
    let disabled = config().update_type(UpdateType::Disabled);
    script(with(Some(disabled))).check([alive.clone(), alive.clone(), alive]).unwrap();
}

#[test]
fn every_key_has_times_of_its_own() {
    test()
        .record((1, Put(1)))
        .advance(millis(50))
        .record((2, Put(2)))
        .advance(millis(50))
        .records([(1, Get), (2, Get)])
        .any_order()
        .check([nothing(), seen(Some(2), &[2], &[2])])
        .unwrap();
}

#[test]
fn what_is_cleared_can_be_put_again() {
    test()
        .records([(1, Put(1)), (1, Clear), (1, Get), (1, Put(2)), (1, Get)])
        .check([nothing(), seen(Some(2), &[2], &[2])])
        .unwrap();
}

fn lenient() -> StreamTest<(u8, Do), Seen> {
    with(Some(config().visibility(StateVisibility::ReturnExpiredIfNotCleanedUp)))
}

#[test]
fn what_has_expired_can_be_seen_if_the_visibility_says_so() {
    let output = lenient().record((1, Put(1))).advance(millis(500)).record((1, Get)).run().unwrap();
    assert_eq!(output, [seen(Some(1), &[1], &[1])]);
}

#[test]
fn no_snapshot_holds_what_has_expired() {
    // The record of another key brings the state's clock to the time of the snapshot.
    let before = lenient().record((1, Put(1))).advance(millis(500)).record((2, Put(2)));
    let savepoint = before.savepoint().unwrap();
    let after = lenient().from_savepoint(&savepoint).records([(1, Get), (2, Get)]);
    assert_eq!(after.run().unwrap(), [nothing(), seen(Some(2), &[2], &[2])]);
}

#[test]
fn time_that_goes_backwards_neither_revives_nor_prolongs() {
    test()
        .set_clock(1000)
        .record((1, Put(1)))
        .advance(millis(100))
        .record((1, Get))
        .set_clock(500)
        .record((1, Get))
        .record((1, Put(2)))
        .record((1, Get))
        .check([nothing(), nothing(), seen(Some(2), &[2], &[2])])
        .unwrap();
}

#[test]
fn ttl_can_be_switched_on_and_off_between_two_versions_of_a_program() {
    let without = with(None).record((1, Put(1))).advance(millis(500)).savepoint().unwrap();
    let alive = seen(Some(1), &[1], &[1]);
    // Switched on, it counts from the restore.
    let on = test().from_savepoint(&without).advance(millis(99)).record((1, Get));
    on.advance(millis(1)).record((1, Get)).check([alive.clone(), nothing()]).unwrap();
    let stamped = test().record((1, Put(1))).savepoint().unwrap();
    let off = with(None).from_savepoint(&stamped).set_clock(500).record((1, Get));
    off.check([alive]).unwrap();
}

fn in_event_time() -> StreamTest<(u8, Do), Seen> {
    with(Some(config().time_characteristic(TtlTimeCharacteristic::EventTime)))
}

#[test]
fn in_event_time_only_watermarks_end_a_life() {
    in_event_time()
        .record_at((1, Put(7)), 1_000)
        .advance(millis(100_000))
        .watermark(1_099)
        .record_at((1, Get), 2_000)
        .watermark(1_100)
        .record_at((1, Get), 2_000)
        .check([seen(Some(7), &[7], &[7]), nothing()])
        .unwrap();
}

#[test]
fn in_event_time_what_has_expired_does_not_come_back_with_a_restore() {
    // Each is restored after every step in some of the variations, and no watermark follows the last one.
    in_event_time()
        .record_at((1, Put(1)), 1_000)
        .record_at((1, Put(2)), 1_050)
        .watermark(1_120)
        .record_at((1, Get), 1_130)
        .record_at((1, Get), 1_130)
        .check([seen(Some(2), &[2], &[2]), seen(Some(2), &[2], &[2])])
        .unwrap();
}

/// Sets a timer for each record, and shows what there is when it fires.
#[derive(Clone)]
struct Reminder {
    value: ValueState<i64>,
}

impl KeyedProcessFunction<u8, (u8, i64), Option<i64>> for Reminder {
    fn open(&mut self, context: &mut KeyedContext<'_, u8>) -> Result<()> {
        let ttl = config().time_characteristic(TtlTimeCharacteristic::EventTime);
        self.value = context.value_state(ValueStateDescriptor::new("value").ttl(ttl))?;
        Ok(())
    }

    fn process_element(
        &mut self,
        (_, value): (u8, i64),
        context: &mut KeyedContext<'_, u8>,
        _: &mut Collector<Option<i64>>,
    ) -> Result<()> {
        let now = context.timestamp().unwrap_or(Timestamp(0));
        context.register_event_time_timer(now.plus(millis(99)))?;
        context.register_event_time_timer(now.plus(millis(100)))?;
        self.value.update(context, value)
    }

    fn on_timer(
        &mut self,
        _: Timer,
        context: &mut KeyedContext<'_, u8>,
        out: &mut Collector<Option<i64>>,
    ) -> Result<()> {
        out.collect(self.value.get(context)?.copied());
        Ok(())
    }
}

#[test]
fn in_event_time_a_timer_sees_what_is_there_at_its_time_however_late_it_fires() {
    StreamTest::new(move |_, input: DataStream<(u8, i64)>| {
        input.key_by(|(key, _)| *key).process(Reminder { value: ValueState::default() })
    })
    .record_at((1, 7), 1_000)
    .watermark(9_000)
    .check([Some(7), None])
    .unwrap();
}
