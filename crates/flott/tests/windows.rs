//! What becomes of a record that is too late for its window.

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
