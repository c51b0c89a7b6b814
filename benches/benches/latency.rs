//! How late events come through a keyed job, by a fixed schedule: what is made late because the job was behind counts as
//! late (no coordinated omission). Beside it a thread that only sleeps and wakes: what the machine does to everybody.
//!
//! `cargo bench -p flott-benches --bench latency [-- --quick]`

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, sleep};
use std::time::{Duration, Instant};

use flott::{Error, ErrorKind, Result};
use flott_benches::workloads::{Run, latencies};

flott::use_allocator!();

/// Events in a second: on one core, beside which there must be time for checkpoints.
const PER_SECOND: u64 = 500_000;
const KEYS: u64 = 1_000_000;
/// What the slowest of ten thousand events may take beyond what the probe sees.
const TARGET: f64 = 10.0;

fn main() -> Result<()> {
    let seconds = if std::env::args().any(|argument| argument == "--quick") { 8 } else { 40 };
    println!(
        "{PER_SECOND} events/s, {KEYS} keys, one thread for tasks, {seconds} s; milliseconds late"
    );
    println!("{:<28}{:>9}{:>9}{:>9}{:>9}{:>9}", "", "50 %", "99 %", "99.9 %", "99.99 %", "most");
    let folder = tempfile::tempdir()?;
    let checkpointed = Run::on_one_core()
        .with("execution.checkpointing.interval", "1 s")
        .with("execution.checkpointing.storage", "filesystem")
        .with("execution.checkpointing.dir", folder.path().display().to_string());
    for (what, run) in
        [("without checkpoints", Run::on_one_core()), ("1 s checkpoints", checkpointed)]
    {
        let (late, woken) = beside_probe(|| latencies(seconds, PER_SECOND, KEYS, &run))?;
        let machine = show("  the probe", woken);
        let own = show(what, late?);
        let beyond = own - machine;
        let verdict = if beyond <= TARGET { "" } else { ": MISSED" };
        println!("  99.99 % are {beyond:.1} ms later than the probe (target {TARGET} ms){verdict}");
    }
    Ok(())
}

/// Runs `body` beside a thread that wants to wake each millisecond, by a fixed schedule as the events are made by; how
/// late each time was, in microseconds.
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
        woken
    })?;
    let result = body();
    is_over.store(true, Ordering::Relaxed);
    let woken =
        probe.join().map_err(|_| Error::new(ErrorKind::Internal, "the probe has failed"))?;
    Ok((result, woken))
}

/// Prints a row; returns the time within which all but one of ten thousand came.
fn show(what: &str, mut micros: Vec<u32>) -> f64 {
    micros.sort_unstable();
    let millis = |share: f64| {
        let index = ((micros.len() as f64 * share) as usize).min(micros.len().saturating_sub(1));
        micros.get(index).map_or(f64::NAN, |micros| f64::from(*micros) / 1000.0)
    };
    let [half, p99, p999, p9999, most] = [0.5, 0.99, 0.999, 0.9999, 1.0].map(millis);
    println!("{what:<28}{half:>9.3}{p99:>9.3}{p999:>9.3}{p9999:>9.3}{most:>9.3}");
    p9999
}
