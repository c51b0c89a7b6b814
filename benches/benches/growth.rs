//! What an event costs as things grow: keys, operators in a chain, bytes of a record, threads.
//!
//! `cargo bench -p flott-benches --bench growth [-- --quick]`

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use flott::Result;
use flott_benches::measure::{Cost, measure, median};
use flott_benches::workloads::{Run, chained, keyed_sum, sized};

flott::use_allocator!();

const ROUNDS: usize = 3;

fn main() -> Result<()> {
    let divisor = if std::env::args().any(|argument| argument == "--quick") { 10 } else { 1 };
    let run = Run::on_one_core();
    println!(
        "Medians of {ROUNDS} rounds, one thread for tasks, nanoseconds of processors per event."
    );

    println!("\nKeyed running sum, by the number of keys (all of them are there before the end):");
    for keys in [1_000, 10_000, 100_000, 1_000_000, 10_000_000] {
        let events = 30_000_000 / divisor;
        let cost = cost(events, || keyed_sum(events, keys, &run).map(drop))?;
        println!("{keys:>12} keys {cost:>10.1} ns");
    }

    println!("\nMaps in a chain:");
    let events = 30_000_000 / divisor;
    let none = cost(events, || chained(events, 0, &run).map(drop))?;
    let mut first = None;
    for operators in [1, 2, 5, 10, 20] {
        let all = cost(events, || chained(events, operators, &run).map(drop))?;
        let each = (all - none) / f64::from(operators);
        let change = 100.0 * (each / *first.get_or_insert(each) - 1.0);
        println!("{operators:>12} maps {all:>10.1} ns, {each:>6.2} ns for each ({change:+.0} %)");
    }

    println!("\nRecords through an exchange, by their size:");
    for bytes in [8, 100, 1_000, 10_000] {
        let events = (2_000_000_000 / (bytes as u64 + 200)).min(5_000_000) / divisor;
        let cost = cost(events, || sized(events, bytes, &run).map(drop))?;
        println!(
            "{bytes:>11} bytes {cost:>10.1} ns, {:>6.2} ns for each byte",
            cost / bytes as f64
        );
    }

    println!("\nKeyed running sum of a million keys, by parallelism, from start to end:");
    let events = 30_000_000 / divisor;
    let mut first = None;
    for parallelism in ["1", "2"] {
        let run = Run::default()
            .with("parallelism.default", parallelism)
            .with("taskmanager.driver-threads", parallelism);
        let nanos = (0..ROUNDS).map(|_| {
            let (result, cost) = measure(|| keyed_sum(events, 1_000_000, &run));
            result.map(|_| cost.wall_nanos_per(events))
        });
        let nanos = median(nanos.collect::<Result<Vec<_>>>()?);
        let speed = *first.get_or_insert(nanos) / nanos;
        println!("{parallelism:>12} tasks {nanos:>9.1} ns, {speed:.2} times as fast as one");
    }
    Ok(())
}

/// What an event takes of all processors.
fn cost(events: u64, mut body: impl FnMut() -> Result<()>) -> Result<f64> {
    let rounds = (0..ROUNDS).map(|_| {
        let (result, cost): (Result<()>, Cost) = measure(&mut body);
        result.map(|()| cost.cpu_nanos_per(events))
    });
    Ok(median(rounds.collect::<Result<Vec<_>>>()?))
}
