//! Windows: which records are in one, when it fires, and what becomes of those that are late.

use std::collections::BTreeMap;
use std::time::Duration;

use flott_core::{Result, Timestamp};
use flott_datastream::{
    AggregateFunction, Collector, DataStream, EventTimeSessionWindows, OutputTag,
    ProcessingTimeSessionWindows, SlidingEventTimeWindows, StreamExecutionEnvironment, TimeWindow,
    TimerKind, TumblingEventTimeWindows, TumblingProcessingTimeWindows, WindowAssigner,
    WindowContext,
};
use flott_testkit::StreamTest;
use flott_testkit::rng::Rng;

use crate::common::{millis, with_timestamps};

type Event = (u8, i64);
/// Key, values, start and end of the window.
type Fired = (u8, Vec<i64>, i64, i64);

fn ten() -> TumblingEventTimeWindows {
    TumblingEventTimeWindows::of(millis(10))
}

/// Shows what a window has.
fn show(
    key: &u8,
    context: &WindowContext,
    elements: &[Event],
    out: &mut Collector<Fired>,
) -> Result<()> {
    let TimeWindow { start, end } = context.window();
    out.collect((*key, elements.iter().map(|(_, value)| *value).collect(), start.0, end.0));
    Ok(())
}

fn shown(
    assigner: impl WindowAssigner,
) -> impl Fn(&StreamExecutionEnvironment, DataStream<Event>) -> DataStream<Fired> {
    move |_, events| events.key_by(|(key, _)| *key).window(assigner.clone()).process(show)
}

#[test]
fn a_window_fires_when_event_time_has_come_to_its_last_millisecond() {
    StreamTest::new(|_, events: DataStream<Event>| {
        with_timestamps(events.key_by(|(key, _)| *key).window(ten()).sum(|(_, value)| value))
    })
    .record_at((1, 1), 0)
    .record_at((2, 10), 9)
    .record_at((1, 2), 10)
    .record_at((1, 4), 3)
    .watermark(8)
    .record_at((1, 8), 9)
    .watermark(9)
    .record_at((1, 16), 19)
    // Too late for its window, which is forgotten.
    .record_at((1, 64), 9)
    .watermark(18)
    .watermark(25)
    .record_at((1, 32), 30)
    .any_order()
    .rescaled()
    .check([
        ((1, 13), Some(9)),
        ((2, 10), Some(9)),
        ((1, 18), Some(19)),
        // The end of the input is the end of time.
        ((1, 32), Some(39)),
    ])
    .unwrap();
}

#[test]
fn a_record_is_in_every_window_that_slides_over_it() {
    StreamTest::new(shown(SlidingEventTimeWindows::of(millis(10), millis(5))))
        .record_at((1, 1), 3)
        .record_at((1, 2), 7)
        .watermark(4)
        .record_at((1, 3), 12)
        .watermark(30)
        .rescaled()
        .check([
            (1, vec![1], -5, 5),
            (1, vec![1, 2], 0, 10),
            (1, vec![2, 3], 5, 15),
            (1, vec![3], 10, 20),
        ])
        .unwrap();
}

#[test]
fn sessions_that_a_record_bridges_are_one() {
    StreamTest::new(shown(EventTimeSessionWindows::with_gap(millis(10))))
        .record_at((1, 1), 0)
        .record_at((1, 2), 18)
        .record_at((2, 3), 5)
        // Touches both: as in Flink, sessions that meet are one.
        .record_at((1, 4), 8)
        .record_at((1, 5), 40)
        .watermark(27)
        .record_at((1, 6), 45)
        .watermark(60)
        .any_order()
        .rescaled()
        .check([(1, vec![1, 2, 4], 0, 28), (2, vec![3], 5, 15), (1, vec![5, 6], 40, 55)])
        .unwrap();
}

#[test]
fn what_is_late_fires_again_or_goes_to_the_side() {
    let late = OutputTag::<Event>::new("late");
    let tag = late.clone();
    StreamTest::new(move |_, events: DataStream<Event>| {
        events
            .key_by(|(key, _)| *key)
            .window(ten())
            .allowed_lateness(millis(5))
            .side_output_late_data(&tag)
            .process(show)
    })
    .record_at((1, 1), 5)
    .watermark(9)
    .record_at((1, 2), 6)
    .watermark(13)
    .record_at((1, 3), 7)
    // So long after its last millisecond it is forgotten.
    .watermark(14)
    .record_at((1, 4), 8)
    .record_at((1, 5), 14)
    .rescaled()
    .check_with_side(
        [
            (1, vec![1], 0, 10),
            (1, vec![1, 2], 0, 10),
            (1, vec![1, 2, 3], 0, 10),
            (1, vec![5], 10, 20),
        ],
        &late,
        [(1, 4)],
    )
    .unwrap();
}

#[test]
fn a_late_record_that_makes_a_session_longer_puts_its_end_off() {
    StreamTest::new(|_, events: DataStream<Event>| {
        events
            .key_by(|(key, _)| *key)
            .window(EventTimeSessionWindows::with_gap(millis(10)))
            .allowed_lateness(millis(100))
            .process(show)
    })
    .record_at((1, 1), 0)
    .watermark(12)
    .record_at((1, 2), 8)
    .watermark(16)
    .watermark(17)
    // At once: its end is over.
    .record_at((1, 3), 2)
    .watermark(500)
    .rescaled()
    .check([(1, vec![1], 0, 10), (1, vec![1, 2], 0, 18), (1, vec![1, 2, 3], 0, 18)])
    .unwrap();
}

#[test]
fn what_has_fired_does_not_fire_again_because_event_time_begins_anew() {
    let windowed = |lateness: u64| {
        move |_: &StreamExecutionEnvironment, events: DataStream<Event>| {
            let windows = events.key_by(|(key, _)| *key).window(ten());
            windows.allowed_lateness(millis(lateness)).process(show).uid("windows")
        }
    };
    let before = StreamTest::new(windowed(100)).record_at((1, 1), 12).watermark(19);
    let savepoint = before.savepoint().unwrap();
    // Its watermarks begin with this one.
    let test = StreamTest::new(windowed(100)).from_savepoint(&savepoint);
    test.record_at((1, 2), 5)
        .watermark(30)
        .record_at((1, 3), 13)
        .check([(1, vec![2], 0, 10), (1, vec![1, 3], 10, 20)])
        .unwrap();
    // With less lateness than before, what was kept is forgotten.
    let test = StreamTest::new(windowed(0)).from_savepoint(&savepoint);
    test.record_at((1, 2), 55).watermark(70).check([(1, vec![2], 50, 60)]).unwrap();
}

#[test]
fn a_window_that_fires_is_told_what_time_it_is() {
    let clock = |_: &u8, context: &WindowContext, _: &[Event], out: &mut Collector<i64>| {
        out.collect(context.current_processing_time().0);
        Ok(())
    };
    StreamTest::new(move |_, events: DataStream<Event>| {
        events.key_by(|(key, _)| *key).window(ten()).process(clock)
    })
    .set_clock(1000)
    .record_at((1, 1), 0)
    .advance(millis(50))
    .watermark(9)
    .check([1050])
    .unwrap();
}

#[test]
fn windows_of_processing_time_go_by_the_clock() {
    StreamTest::new(shown(TumblingProcessingTimeWindows::of(millis(10))))
        .set_clock(3)
        .record((1, 1))
        .record((1, 2))
        .set_clock(8)
        .record((1, 3))
        .advance(millis(1))
        .advance(millis(5))
        .record((1, 4))
        .advance(millis(100))
        .rescaled()
        .check([(1, vec![1, 2, 3], 0, 10), (1, vec![4], 10, 20)])
        .unwrap();
    StreamTest::new(shown(ProcessingTimeSessionWindows::with_gap(millis(10))))
        .set_clock(3)
        .record((1, 1))
        .advance(millis(6))
        .record((1, 2))
        .advance(millis(20))
        .record((1, 3))
        .advance(millis(20))
        .rescaled()
        .check([(1, vec![1, 2], 3, 19), (1, vec![3], 29, 39)])
        .unwrap();
}

/// The mean, with how many there were.
struct Mean;

impl AggregateFunction<Event, (i64, i64), i64> for Mean {
    fn create_accumulator(&self) -> Result<(i64, i64)> {
        Ok((0, 0))
    }

    fn add(&self, (sum, count): &mut (i64, i64), (_, value): Event) -> Result<()> {
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

#[test]
fn an_aggregate_is_all_that_a_window_keeps() {
    let script = |test: StreamTest<Event, (u8, i64, i64)>| {
        let test = test.record_at((1, 4), 0).record_at((1, 9), 15).record_at((1, 11), 8);
        test.watermark(40).rescaled().check([(1, 8, 0)]).unwrap();
    };
    let with_key = |key: &u8, context: &WindowContext, means: &[i64], out: &mut Collector<_>| {
        out.collect((*key, means.iter().sum(), context.window().start.0));
        Ok(())
    };
    let session = EventTimeSessionWindows::with_gap(millis(10));
    script(StreamTest::new(move |_, events: DataStream<Event>| {
        events.key_by(|(key, _)| *key).window(session).aggregate_with(Mean, with_key)
    }));
    script(StreamTest::new(move |_, events: DataStream<Event>| {
        events.key_by(|(key, _)| *key).window(session).aggregate(Mean).map(|mean| (1, mean, 0))
    }));
    let greatest = |key: &u8, _: &WindowContext, all: &[Event], out: &mut Collector<_>| {
        out.collect((*key, all.iter().map(|(_, value)| value - 3).sum(), 0));
        Ok(())
    };
    script(StreamTest::new(move |_, events: DataStream<Event>| {
        let keep = |a: &Event, b: Event| if a.1 > b.1 { *a } else { b };
        events.key_by(|(key, _)| *key).window(session).reduce_with(keep, greatest)
    }));
}

/// Two sessions for each record, the other one a thousand milliseconds later.
#[derive(Clone)]
struct Twice(EventTimeSessionWindows);

impl WindowAssigner for Twice {
    fn time(&self) -> TimerKind {
        self.0.time()
    }

    fn assign(&self, timestamp: Timestamp, windows: &mut Vec<TimeWindow>) {
        self.0.assign(timestamp, windows);
        self.0.assign(Timestamp(timestamp.0 + 1000), windows);
    }

    fn is_merging(&self) -> bool {
        true
    }
}

#[test]
fn an_assigner_of_ones_own_may_merge_several_windows_of_a_record() {
    StreamTest::new(shown(Twice(EventTimeSessionWindows::with_gap(millis(10)))))
        .record_at((1, 1), 0)
        .record_at((1, 2), 15)
        .record_at((1, 3), 8)
        .watermark(5000)
        .rescaled()
        .check([(1, vec![1, 2, 3], 0, 25), (1, vec![1, 2, 3], 1000, 1025)])
        .unwrap();
}

/// What windows of an input have in the end, if nothing is late.
fn model(events: &[(Event, i64)], assigner: &impl WindowAssigner) -> Vec<Fired> {
    let mut windows: BTreeMap<u8, Vec<(TimeWindow, Vec<i64>)>> = BTreeMap::new();
    for ((key, value), time) in events {
        let mut own = Vec::new();
        assigner.assign(Timestamp(*time), &mut own);
        let all = windows.entry(*key).or_default();
        for mut window in own {
            let mut values = vec![*value];
            if assigner.is_merging() {
                let (touched, others): (Vec<_>, Vec<_>) = std::mem::take(all)
                    .into_iter()
                    .partition(|(other, _)| other.intersects(&window));
                *all = others;
                for (other, theirs) in touched {
                    window = window.cover(&other);
                    values.extend(theirs);
                }
            }
            match all.iter_mut().find(|(other, _)| *other == window) {
                Some((_, all)) => all.extend(values),
                None => all.push((window, values)),
            }
        }
    }
    let mut fired = Vec::new();
    for (key, windows) in windows {
        for (window, mut values) in windows {
            values.sort_unstable();
            fired.push((key, values, window.start.0, window.end.0));
        }
    }
    fired
}

#[test]
fn any_input_has_the_windows_that_it_should_have() {
    fn check(seed: u64, assigner: impl WindowAssigner) {
        let (mut rng, mut events, mut now) = (Rng::new(seed, 0), Vec::new(), 0);
        let sorted = assigner.clone();
        let mut test = StreamTest::new(move |_, events: DataStream<Event>| {
            let assigner = sorted.clone();
            let windows = events.key_by(|(key, _)| *key).window(assigner);
            windows.process(
                |key: &u8, context: &WindowContext, all: &[Event], out: &mut Collector<_>| {
                    let mut values: Vec<i64> = all.iter().map(|(_, value)| *value).collect();
                    values.sort_unstable();
                    out.collect((*key, values, context.window().start.0, context.window().end.0));
                    Ok(())
                },
            )
        });
        for value in 0..40 {
            now += rng.below(9) as i64;
            // Up to 15 ms out of order, with a watermark that knows.
            let time = now - rng.below(16) as i64;
            let event = (rng.below(3) as u8, value);
            events.push((event, time));
            test = test.record_at(event, time);
            if rng.below(4) == 0 {
                test = test.watermark(now - 16);
            }
        }
        let found = test.any_order().rescaled().check(model(&events, &assigner));
        found.unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
    }
    for seed in 0..12 {
        check(seed, ten());
        check(seed, SlidingEventTimeWindows::of(millis(12), millis(5)).with_offset(2));
        check(seed, EventTimeSessionWindows::with_gap(millis(7)));
    }
}

#[test]
fn what_cannot_work_is_said() {
    let untimed = StreamTest::new(shown(ten())).record((1, 1)).run().unwrap_err().report();
    assert!(untimed.contains("assign_timestamps_and_watermarks"), "{untimed}");
    let nothing = StreamTest::new(shown(TumblingEventTimeWindows::of(Duration::ZERO)));
    let nothing = nothing.record_at((1, 1), 1).run().unwrap_err().report();
    assert!(nothing.contains("at least a millisecond"), "{nothing}");
}
