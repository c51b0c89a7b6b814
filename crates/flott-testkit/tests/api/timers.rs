//! Timers, of both kinds: a function that does what its input says.

use flott_core::{Result, Timestamp};
use flott_datastream::{
    Collector, DataStream, KeyedContext, KeyedProcessFunction, Timer, TimerKind,
};
use flott_testkit::StreamTest;
use serde::{Deserialize, Serialize};

use crate::common::{millis, with_timestamps};

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Do {
    SetEvent(i64),
    SetProcessing(i64),
    DeleteEvent(i64),
    DeleteProcessing(i64),
}
use Do::{DeleteEvent, DeleteProcessing, SetEvent, SetProcessing};

/// Key, kind, time of the timer, and what the clock of that kind showed when it fired.
type Fired = (u8, TimerKind, i64, i64);

/// Timers that are set again when they fire are, `repeat` later, until `until`.
#[derive(Clone, Default)]
struct Timers {
    repeat: i64,
    until: i64,
}

impl KeyedProcessFunction<u8, (u8, Do), Fired> for Timers {
    fn process_element(
        &mut self,
        (_, what): (u8, Do),
        context: &mut KeyedContext<'_, u8>,
        _: &mut Collector<Fired>,
    ) -> Result<()> {
        match what {
            SetEvent(at) => context.register_event_time_timer(Timestamp(at)),
            SetProcessing(at) => context.register_processing_time_timer(Timestamp(at)),
            DeleteEvent(at) => context.delete_event_time_timer(Timestamp(at)),
            DeleteProcessing(at) => context.delete_processing_time_timer(Timestamp(at)),
        }
    }

    fn on_timer(
        &mut self,
        Timer { kind, timestamp }: Timer,
        context: &mut KeyedContext<'_, u8>,
        out: &mut Collector<Fired>,
    ) -> Result<()> {
        let next = Timestamp(timestamp.0 + self.repeat);
        let repeats = self.repeat > 0 && next.0 <= self.until;
        let now = match kind {
            TimerKind::EventTime => {
                assert_eq!(context.timestamp(), Some(timestamp));
                if repeats {
                    context.register_event_time_timer(next)?;
                }
                context.current_watermark()
            }
            TimerKind::ProcessingTime => {
                assert_eq!(context.timestamp(), None);
                if repeats {
                    context.register_processing_time_timer(next)?;
                }
                context.current_processing_time()
            }
        };
        out.collect((*context.current_key()?, kind, timestamp.0, now.0));
        Ok(())
    }
}

fn test() -> StreamTest<(u8, Do), Fired> {
    repeating(0, 0)
}

fn repeating(repeat: i64, until: i64) -> StreamTest<(u8, Do), Fired> {
    StreamTest::new(move |_, input: DataStream<(u8, Do)>| {
        input.key_by(|(key, _)| *key).process(Timers { repeat, until })
    })
    .order_within(|(key, kind, ..)| (*key, *kind))
    .rescaled()
}

fn event(key: u8, at: i64, watermark: i64) -> Fired {
    (key, TimerKind::EventTime, at, watermark)
}

fn processing(key: u8, at: i64, time: i64) -> Fired {
    (key, TimerKind::ProcessingTime, at, time)
}

#[test]
fn an_event_time_timer_fires_with_the_watermark_that_reaches_it() {
    let test = || test().record((1, SetEvent(10)));
    test().watermark(9).without_end().check([]).unwrap();
    test().watermark(9).watermark(10).watermark(11).check([event(1, 10, 10)]).unwrap();
    test().watermark(9).watermark(11).check([event(1, 10, 11)]).unwrap();
}

/// E13: never early, not by a millisecond.
#[test]
fn a_processing_time_timer_fires_at_its_time_and_never_before() {
    let test = || test().record((1, SetProcessing(30)));
    test().advance(millis(29)).without_end().check([]).unwrap();
    test().advance(millis(29)).advance(millis(1)).check([processing(1, 30, 30)]).unwrap();
    test().advance(millis(31)).check([processing(1, 30, 30)]).unwrap();
    let micros = std::time::Duration::from_micros(29_999);
    test().advance(micros).without_end().check([]).unwrap();
}

#[test]
fn a_clock_that_jumps_fires_what_is_overdue() {
    test()
        .record((1, SetProcessing(30)))
        .record((2, SetProcessing(31)))
        .set_clock(100)
        .check([processing(1, 30, 100), processing(2, 31, 100)])
        .unwrap();
}

#[test]
fn a_clock_that_goes_back_makes_timers_wait() {
    test()
        .set_clock(1000)
        .record((1, SetProcessing(1010)))
        .set_clock(900)
        .advance(millis(100))
        .advance(millis(10))
        .check([processing(1, 1010, 1010)])
        .unwrap();
}

#[test]
fn event_time_timers_fire_at_the_end_of_input_and_those_of_processing_time_do_not() {
    test()
        .records([(1, SetEvent(10)), (1, SetEvent(i64::MAX)), (1, SetProcessing(10))])
        .check([event(1, 10, i64::MAX), event(1, i64::MAX, i64::MAX)])
        .unwrap();
}

#[test]
fn a_deleted_timer_does_not_fire() {
    test()
        .records([(1, SetEvent(10)), (1, SetEvent(20)), (2, SetEvent(10))])
        .records([(1, SetProcessing(10)), (1, SetProcessing(20))])
        .records([(1, DeleteEvent(10)), (1, DeleteProcessing(20))])
        .watermark(50)
        .advance(millis(50))
        .check([event(1, 20, 50), event(2, 10, 50), processing(1, 10, 10)])
        .unwrap();
}

#[test]
fn a_timer_that_was_deleted_can_be_set_again() {
    test()
        .records([(1, SetEvent(10)), (1, DeleteEvent(10)), (1, SetEvent(10))])
        .watermark(10)
        .record((1, DeleteEvent(10)))
        .check([event(1, 10, 10)])
        .unwrap();
}

#[test]
fn deleting_a_timer_that_does_not_exist_does_nothing() {
    test()
        .records([(1, DeleteEvent(10)), (1, DeleteProcessing(10)), (1, SetEvent(11))])
        .check([event(1, 11, i64::MAX)])
        .unwrap();
}

#[test]
fn the_same_time_twice_is_one_timer_and_may_come_again_after_it_has_fired() {
    test()
        .records([
            (1, SetEvent(10)),
            (1, SetEvent(10)),
            (1, SetProcessing(5)),
            (1, SetProcessing(5)),
        ])
        .watermark(10)
        .advance(millis(5))
        .record((1, SetEvent(15)))
        .watermark(20)
        .check([event(1, 10, 10), processing(1, 5, 5), event(1, 15, 20)])
        .unwrap();
}

/// E11: the two kinds do not meet, not even at the same time.
#[test]
fn timers_of_both_kinds_with_the_same_time_fire_each_by_its_own_clock() {
    test()
        .records([(1, SetEvent(10)), (1, SetProcessing(10))])
        .watermark(10)
        .advance(millis(10))
        .check([event(1, 10, 10), processing(1, 10, 10)])
        .unwrap();
    test()
        .records([(1, SetEvent(10)), (1, SetProcessing(10)), (1, DeleteEvent(10))])
        .watermark(10)
        .advance(millis(10))
        .check([processing(1, 10, 10)])
        .unwrap();
    test()
        .records([(1, SetEvent(10)), (1, SetProcessing(10)), (1, DeleteProcessing(10))])
        .advance(millis(10))
        .watermark(10)
        .check([event(1, 10, 10)])
        .unwrap();
}

#[test]
fn timers_of_one_kind_fire_in_the_order_of_their_times() {
    test()
        .records([(1, SetEvent(30)), (1, SetEvent(-5)), (1, SetEvent(20)), (1, SetEvent(10))])
        .watermark(25)
        .check([event(1, -5, 25), event(1, 10, 25), event(1, 20, 25), event(1, 30, i64::MAX)])
        .unwrap();
}

#[test]
fn a_timer_that_is_set_while_timers_fire_fires_with_them_if_it_is_due() {
    let times = |times: &[i64], now| times.iter().map(|at| event(1, *at, now)).collect::<Vec<_>>();
    let expected = [times(&[10, 20, 30], 35), times(&[40], 40)].concat();
    repeating(10, 40)
        .record((1, SetEvent(10)))
        .watermark(35)
        .watermark(40)
        .check(expected)
        .unwrap();
    repeating(10, 30)
        .record((1, SetProcessing(10)))
        .advance(millis(25))
        .advance(millis(25))
        .check([10, 20, 30].map(|at| processing(1, at, at)))
        .unwrap();
    repeating(10, 30)
        .record((1, SetProcessing(10)))
        .set_clock(100)
        .check([10, 20, 30].map(|at| processing(1, at, 100)))
        .unwrap();
}

#[test]
fn a_processing_time_timer_in_the_past_fires_at_once() {
    test()
        .advance(millis(50))
        .record((1, SetProcessing(20)))
        .check([processing(1, 20, 50)])
        .unwrap();
    test().record((1, SetProcessing(0))).check([processing(1, 0, 0)]).unwrap();
}

/// A plain run only: a restore says the watermark again, and with it the timer fires.
#[test]
fn an_event_time_timer_in_the_past_fires_with_the_next_watermark() {
    let test = || test().watermark(50).record((1, SetEvent(20)));
    assert_eq!(test().without_end().run().unwrap(), []);
    assert_eq!(test().watermark(60).run().unwrap(), [event(1, 20, 60)]);
    assert_eq!(test().run().unwrap(), [event(1, 20, i64::MAX)]);
}

#[test]
fn what_a_timer_emits_has_the_time_of_the_timer_if_that_is_event_time() {
    StreamTest::new(|_, input: DataStream<(u8, Do)>| {
        let fired = input.key_by(|(key, _)| *key).process(Timers::default());
        with_timestamps(fired).map(|((_, kind, ..), time): (Fired, Option<i64>)| (kind, time))
    })
    .record_at((1, SetEvent(10)), 3)
    .record_at((1, SetProcessing(10)), 4)
    .watermark(10)
    .advance(millis(10))
    .check([(TimerKind::EventTime, Some(10)), (TimerKind::ProcessingTime, None)])
    .unwrap();
}

/// E18: a restore without any input is enough.
#[test]
fn timers_of_a_savepoint_fire_without_input() {
    let before =
        test().records([(1, SetProcessing(30)), (2, SetProcessing(500)), (3, SetEvent(5))]);
    let savepoint = before.advance(millis(10)).savepoint().unwrap();
    let after = test().from_savepoint(&savepoint).set_clock(100).watermark(5);
    after.without_end().check([processing(1, 30, 100), event(3, 5, 5)]).unwrap();
}
