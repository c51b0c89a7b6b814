//! `assign_timestamps_and_watermarks`: when records happened, and how far event time has come.

use std::sync::Arc;
use std::time::Duration;

use flott_core::codec::Data;
use flott_core::config::options;
use flott_core::{Now, Result, Timestamp, WallTime};
use flott_runtime::{Batch, Collector, Operator};

use crate::stream::DataStream;

type Assigner<T> = Arc<dyn Fn(&T, Timestamp) -> Timestamp + Send + Sync>;

/// How to get timestamps and watermarks from records; Flink's `WatermarkStrategy`.
pub struct WatermarkStrategy<T> {
    /// How far behind the greatest timestamp the watermark stays; nothing for no watermarks.
    out_of_orderness: Option<Duration>,
    assigner: Option<Assigner<T>>,
    idleness: Option<Duration>,
}

impl<T> Clone for WatermarkStrategy<T> {
    fn clone(&self) -> Self {
        Self {
            out_of_orderness: self.out_of_orderness,
            assigner: self.assigner.clone(),
            idleness: self.idleness,
        }
    }
}

impl<T> WatermarkStrategy<T> {
    /// Timestamps never go back.
    pub const fn for_monotonous_timestamps() -> Self {
        Self::for_bounded_out_of_orderness(Duration::ZERO)
    }

    /// Records come up to `duration` late: the watermark is the greatest timestamp minus that,
    /// minus a millisecond.
    pub const fn for_bounded_out_of_orderness(duration: Duration) -> Self {
        Self { out_of_orderness: Some(duration), assigner: None, idleness: None }
    }

    /// No watermarks at all.
    pub const fn no_watermarks() -> Self {
        Self { out_of_orderness: None, assigner: None, idleness: None }
    }

    /// Where the timestamp is, in milliseconds since the epoch. Without this, records keep the one
    /// that the source gave them.
    #[must_use]
    pub fn with_timestamp_assigner(
        mut self,
        assigner: impl Fn(&T) -> i64 + Send + Sync + 'static,
    ) -> Self {
        self.assigner = Some(Arc::new(move |record, _| Timestamp(assigner(record))));
        self
    }

    /// After `timeout` without a record the stream is idle: operators that have other inputs do not
    /// wait for its watermark.
    #[must_use]
    pub const fn with_idleness(mut self, timeout: Duration) -> Self {
        self.idleness = Some(timeout);
        self
    }
}

impl<T: Data> DataStream<T> {
    /// Gives records timestamps, and the stream watermarks: one every `pipeline.auto-watermark-interval`, of the clock
    /// or of event time, whichever is over first, after a batch of records. So a job that catches up, with hours of
    /// records in a second, need not have hours of windows open. Watermarks from before are dropped.
    #[must_use]
    pub fn assign_timestamps_and_watermarks(self, strategy: WatermarkStrategy<T>) -> Self {
        let config = self.environment().configuration();
        let interval = config.get(&options::AUTO_WATERMARK_INTERVAL);
        let interval = interval.unwrap_or(Duration::from_millis(200));
        self.transform("timestamps_and_watermarks", move |_| TimestampsAndWatermarks {
            strategy: strategy.clone(),
            interval,
            greatest: None,
            emitted: Timestamp::MIN,
            counted_from: None,
            next_emission: None,
            last_record: None,
            idle: false,
        })
    }
}

struct TimestampsAndWatermarks<T> {
    strategy: WatermarkStrategy<T>,
    interval: Duration,
    greatest: Option<Timestamp>,
    emitted: Timestamp,
    /// How far event time had come when the interval began that is not over.
    counted_from: Option<Timestamp>,
    next_emission: Option<WallTime>,
    last_record: Option<WallTime>,
    idle: bool,
}

impl<T> TimestampsAndWatermarks<T> {
    fn emit(&mut self, out: &mut Collector<T>) {
        self.counted_from = self.greatest;
        self.next_emission = None;
        let (Some(bound), Some(greatest)) = (self.strategy.out_of_orderness, self.greatest) else {
            return;
        };
        let watermark = Timestamp(greatest.minus(bound).0.saturating_sub(1));
        if watermark > self.emitted {
            self.emitted = watermark;
            out.emit_watermark(watermark);
        }
    }

    fn idle_at(&self) -> Option<WallTime> {
        let timeout = self.strategy.idleness.filter(|_| !self.idle)?;
        Some(self.last_record?.plus(timeout))
    }
}

impl<T: Data> Operator<T, T> for TimestampsAndWatermarks<T> {
    fn open(&mut self, context: &mut flott_runtime::OpenContext<'_>) -> Result<()> {
        context.report_unclaimed_all();
        if context.batch {
            // Only the end of the input is a watermark then.
            self.strategy.out_of_orderness = None;
            self.strategy.idleness = None;
        }
        self.last_record = Some(context.now.wall);
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<T>, out: &mut Collector<T>, now: Now) -> Result<()> {
        self.last_record = Some(now.wall);
        if std::mem::take(&mut self.idle) {
            out.set_idle(false);
        }
        if let Some(assigner) = &self.strategy.assigner {
            batch.assign_timestamps(|record, timestamp| assigner(record, timestamp));
        }
        self.greatest = self.greatest.max(batch.max_timestamp());
        out.collect_batch(batch);
        self.counted_from = self.counted_from.or(self.greatest);
        let interval_ends = self.counted_from.map(|from| from.plus(self.interval));
        if self.interval.is_zero() || interval_ends.is_some_and(|end| self.greatest >= Some(end)) {
            self.emit(out);
        } else if self.next_emission.is_none() {
            self.next_emission = Some(now.wall.plus(self.interval));
        }
        Ok(())
    }

    fn forwards_watermarks(&self) -> bool {
        false
    }

    fn on_watermark(&mut self, watermark: Timestamp, out: &mut Collector<T>, _: Now) -> Result<()> {
        // The end of input is the end of event time, whatever the records say.
        if watermark == Timestamp::MAX {
            out.emit_watermark(watermark);
        }
        Ok(())
    }

    fn next_processing_time(&self) -> Option<WallTime> {
        [self.next_emission, self.idle_at()].into_iter().flatten().min()
    }

    fn on_processing_time(&mut self, out: &mut Collector<T>, now: Now) -> Result<()> {
        if self.next_emission.is_some_and(|time| time <= now.wall) {
            self.emit(out);
        }
        if self.idle_at().is_some_and(|time| time <= now.wall) {
            self.idle = true;
            out.set_idle(true);
        }
        Ok(())
    }
}
