//! How late events come through a keyed job, by a fixed schedule: what is made late because the job was behind counts as
//! late (no coordinated omission). Beside it a thread that only sleeps and wakes, by a schedule as fixed: what the
//! machine does to everybody, and whoever is on its cores.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{Builder, sleep};
use std::time::{Duration, Instant};

use flott::prelude::*;
use flott::{Error, ErrorKind, Result};
use flott_core::Now;

use crate::events::key_of;
use crate::workloads::Run;

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Percentiles {
    /// Half of all come within that.
    pub p50: f64,
    /// 99 of a hundred.
    pub p99: f64,
    /// All but one of ten thousand.
    pub p9999: f64,
}

impl Percentiles {
    fn of(mut micros: Vec<u32>) -> Self {
        micros.sort_unstable();
        let millis = |share: f64| {
            let index =
                ((micros.len() as f64 * share) as usize).min(micros.len().saturating_sub(1));
            micros.get(index).map_or(f64::NAN, |micros| f64::from(*micros) / 1000.0)
        };
        let [p50, p99, p9999] = [0.5, 0.99, 0.9999].map(millis);
        Self { p50, p99, p9999 }
    }
}

/// A keyed job that gets so many records a second for some seconds: how late each comes to its sink, after the moment
/// at which it was to be made, whether it was or not; and how late the probe woke. The first quarter is left out.
///
/// # Errors
/// If the job fails.
pub fn latencies(
    seconds: u64,
    per_second: u64,
    keys: u64,
    run: &Run,
) -> Result<(Percentiles, Percentiles)> {
    let (late, woken) = beside_probe(|| job(seconds, per_second, keys, run))?;
    Ok((Percentiles::of(late?), Percentiles::of(woken)))
}

fn job(seconds: u64, per_second: u64, keys: u64, run: &Run) -> Result<Vec<u32>> {
    let env = run.environment()?;
    let (clock, count) = (Schedule { started: Arc::default(), per_second }, seconds * per_second);
    let (own, all) = (clock.clone(), Arc::new(Mutex::new(Vec::with_capacity(count as usize))));
    let late = all.clone();
    let events = Generator::new(Some(count), move |index| {
        own.begin();
        (key_of(index, keys), index)
    });
    env.generate_with("events", events.rate_limited(per_second as f64))
        .key_by(|(key, _)| *key)
        .max(|(_, index)| index)
        .add_sink("late", false, move |_| LateSink {
            clock: clock.clone(),
            from: count / 4,
            late: late.clone(),
        });
    env.execute("latencies")?;
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut *all))
}

/// Runs `body` beside a thread that wants to wake each millisecond; how late each time was, in microseconds.
fn beside_probe<T>(body: impl FnOnce() -> T) -> Result<(T, Vec<u32>)> {
    let is_over = Arc::new(AtomicBool::new(false));
    let seen = is_over.clone();
    let probe = Builder::new().name("probe".into()).spawn(move || {
        let (mut woken, began, mut due) = (Vec::new(), Instant::now(), Duration::ZERO);
        while !seen.load(Ordering::Relaxed) {
            due += Duration::from_millis(1);
            sleep(due.saturating_sub(began.elapsed()));
            let late = began.elapsed().saturating_sub(due).as_micros();
            woken.push(u32::try_from(late).unwrap_or(u32::MAX));
        }
        woken.split_off(woken.len() / 4)
    })?;
    let result = body();
    is_over.store(true, Ordering::Relaxed);
    let woken =
        probe.join().map_err(|_| Error::new(ErrorKind::Internal, "the probe has failed"))?;
    Ok((result, woken))
}

/// When events are to be made.
#[derive(Clone)]
struct Schedule {
    started: Arc<OnceLock<Instant>>,
    per_second: u64,
}

impl Schedule {
    /// The first event is made.
    fn begin(&self) {
        self.started.get_or_init(Instant::now);
    }

    /// How long it is since the first one, in microseconds.
    fn now(&self) -> u64 {
        self.started.get().map_or(0, |started| started.elapsed().as_micros() as u64)
    }
}

struct LateSink {
    clock: Schedule,
    /// The first event that counts.
    from: u64,
    late: Arc<Mutex<Vec<u32>>>,
}

impl Operator<(u64, u64), ()> for LateSink {
    fn process(
        &mut self,
        batch: &mut Batch<(u64, u64)>,
        _: &mut Collector<()>,
        _: Now,
    ) -> Result<()> {
        let now = self.clock.now();
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        late.extend(batch.records().iter().filter(|(_, index)| *index >= self.from).map(
            |(_, index)| {
                let due = index * 1_000_000 / self.clock.per_second;
                u32::try_from(now.saturating_sub(due)).unwrap_or(u32::MAX)
            },
        ));
        batch.clear();
        Ok(())
    }
}
