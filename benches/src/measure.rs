//! Time and memory of this process, from the kernel.

use std::fs;
use std::time::{Duration, Instant};

/// What a run took.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// From start to end.
    pub wall: Duration,
    /// On all cores, by all threads; the kernel counts in ticks of 10 ms.
    pub cpu: Duration,
}

impl Cost {
    /// Nanoseconds of CPU per event.
    pub fn cpu_nanos_per(&self, events: u64) -> f64 {
        self.cpu.as_nanos() as f64 / events as f64
    }

    /// Nanoseconds per event.
    pub fn wall_nanos_per(&self, events: u64) -> f64 {
        self.wall.as_nanos() as f64 / events as f64
    }
}

/// Runs `body` and measures it.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub fn measure<R>(body: impl FnOnce() -> R) -> (R, Cost) {
    let (started, cpu) = (Instant::now(), cpu_time());
    let result = body();
    (result, Cost { wall: started.elapsed(), cpu: cpu_time().saturating_sub(cpu) })
}

/// The CPU time of this process so far, threads that have ended included.
pub fn cpu_time() -> Duration {
    cpu_ticks("self", 11)
}

/// The CPU time of the children of a process that have ended and that it has waited for.
pub fn cpu_time_of_children(process: &str) -> Duration {
    cpu_ticks(process, 13)
}

/// Two of the fields of `/proc/<process>/stat` after the name, of user and of system time.
fn cpu_ticks(process: &str, field: usize) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(field)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

/// A line of `/proc/<process>/status` in kilobytes, such as `VmRSS`.
pub fn memory_kb(process: &str, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
