//! What becomes of a record that is too late for its window, and windows of more keys than a cache holds.

use std::time::Duration;

use flott::core::config::{Configuration, options};
use flott::prelude::*;

#[test]
fn what_is_dropped_is_counted() -> flott::Result<()> {
    let (records, mut config) = (20_000u64, Configuration::new());
    // A watermark after each batch.
    config.set(&options::AUTO_WATERMARK_INTERVAL, Duration::ZERO)?;
    let env = StreamExecutionEnvironment::create_local_environment(config);
    env.set_parallelism(1);
    // The last one comes much too late.
    let time = move |n: &u64| if *n == records - 1 { 0 } else { *n as i64 };
    let times = WatermarkStrategy::for_monotonous_timestamps().with_timestamp_assigner(time);
    env.generate("numbers", Some(records), |index| index)
        .assign_timestamps_and_watermarks(times)
        .key_by(|_| 0u8)
        .window(TumblingEventTimeWindows::of(millis(10)))
        .max(|n| n)
        .discard();
    let result = env.execute("late")?;
    let dropped = result.accumulators.get("numLateRecordsDropped");
    assert_eq!(dropped, Some(&AccumulatorValue::LongCounter(1)));
    Ok(())
}

#[test]
fn many_keys_have_each_of_their_windows_once() -> flott::Result<()> {
    const KEYS: u64 = 50_000;
    let env = StreamExecutionEnvironment::create_local_environment(Configuration::new());
    env.set_parallelism(1);
    // Twice in each window, of which there are three.
    let times = WatermarkStrategy::for_monotonous_timestamps()
        .with_timestamp_assigner(|(_, time): &(u64, u64)| *time as i64);
    let mut counts = env
        .generate("events", Some(6 * KEYS), |index| (index % KEYS, index / (2 * KEYS / 1000)))
        .assign_timestamps_and_watermarks(times)
        .map(|(key, _)| (key, 1u64))
        .key_by(|(key, _)| *key)
        .window(TumblingEventTimeWindows::of(millis(1000)))
        .sum(|(_, count)| count)
        .execute_and_collect("many keys")?;
    counts.sort_unstable();
    assert!(counts.into_iter().eq((0..KEYS).flat_map(|key| [(key, 2); 3])));
    Ok(())
}
