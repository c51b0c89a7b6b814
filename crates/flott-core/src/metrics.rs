//! Metric handles: cheap to count with, readable from another thread.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::accumulator::Accumulators;
use crate::time::MonoTime;

/// A number that only grows. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Adds `n`. Called once per batch, not once per record.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Makes the count at least `n`: somebody else has counted.
    pub fn raise(&self, n: u64) {
        self.0.fetch_max(n, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The last value set.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a task is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Occupation {
    /// It has nothing to do.
    #[default]
    Idle,
    /// It works, or waits for a thread.
    Busy,
    /// It cannot go on before others have taken what it has sent.
    Backpressured,
}

/// What a task has spent its time on; the rest it was idle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeSpent {
    /// Working.
    pub busy: Duration,
    /// Waiting until others take what it has sent.
    pub backpressured: Duration,
}

/// Measures what a task spends its time on. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct TaskTimes(Arc<Mutex<Times>>);

#[derive(Debug, Default)]
struct Times {
    spent: TimeSpent,
    occupation: Occupation,
    since: MonoTime,
}

impl Times {
    fn at(&self, now: MonoTime) -> TimeSpent {
        let TimeSpent { mut busy, mut backpressured } = self.spent;
        match self.occupation {
            Occupation::Idle => {}
            Occupation::Busy => busy += now.since(self.since),
            Occupation::Backpressured => backpressured += now.since(self.since),
        }
        TimeSpent { busy, backpressured }
    }
}

impl TaskTimes {
    /// From now on the task does this. Called a few times per step, not once per record.
    pub fn enter(&self, occupation: Occupation, now: MonoTime) {
        let mut times = self.lock();
        *times = Times { spent: times.at(now), occupation, since: now };
    }

    /// What it has spent until now, by the clock of the process that it runs in.
    pub fn spent(&self, now: MonoTime) -> TimeSpent {
        self.lock().at(now)
    }

    /// Somebody else has measured this much.
    pub fn set(&self, spent: TimeSpent) {
        *self.lock() = Times { spent, ..Times::default() };
    }

    fn lock(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What every task counts. Names are Flink's.
#[derive(Clone, Debug)]
pub struct TaskMetrics {
    /// `numRecordsIn`.
    pub records_in: Counter,
    /// `numRecordsOut`.
    pub records_out: Counter,
    /// `numBytesIn`: what came through channels. Between tasks of one process it is an estimate of the memory that
    /// records take.
    pub bytes_in: Counter,
    /// `numBytesOut`, likewise.
    pub bytes_out: Counter,
    /// `busyTimeMsPerSecond` and its like, as totals.
    pub times: TaskTimes,
    /// `currentInputWatermark`, milliseconds; the least number before the first one.
    pub input_watermark: Gauge,
    /// How many bytes of keyed state the newest snapshot has.
    pub state_bytes: Gauge,
    /// What its user functions add up.
    pub accumulators: Accumulators,
}

impl Default for TaskMetrics {
    /// Nothing is counted, and no watermark has come.
    fn default() -> Self {
        let input_watermark = Gauge::default();
        input_watermark.set(i64::MIN);
        Self {
            records_in: Counter::default(),
            records_out: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            times: TaskTimes::default(),
            input_watermark,
            state_bytes: Gauge::default(),
            accumulators: Accumulators::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_to_what_the_task_was_doing_also_while_it_is_at_it() {
        let times = TaskTimes::default();
        let at = |millis: u64| MonoTime(millis * 1_000_000);
        let spent = |busy, backpressured| TimeSpent {
            busy: Duration::from_millis(busy),
            backpressured: Duration::from_millis(backpressured),
        };
        times.enter(Occupation::Busy, at(10));
        times.enter(Occupation::Backpressured, at(30));
        assert_eq!(times.spent(at(35)), spent(20, 5));
        times.enter(Occupation::Idle, at(40));
        assert_eq!(times.spent(at(100)), spent(20, 10));
        times.set(spent(7, 8));
        assert_eq!(times.spent(at(200)), spent(7, 8));
    }
}
