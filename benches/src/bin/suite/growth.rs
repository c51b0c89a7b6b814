//! What an event costs Flott as things grow: keys, operators in a chain, bytes of a record, threads.

use flott::Result;
use flott_benches::measure::median;
use serde::{Deserialize, Serialize};

use crate::cases::{CHECKPOINTS, Case};
use crate::engines::{Engine, Engines};

/// One size of something that grows.
struct Size {
    /// What grows; the first size is what others are compared with.
    grows: &'static str,
    size: &'static str,
    workload: &'static str,
    parallelism: u32,
    options: &'static [&'static str],
    events: u64,
    /// Over how much the cost is spread: operators, say.
    by: u32,
}

const KEYS: &str = "keys of a running sum";
const OPERATORS: &str = "maps in a chain, for each";
const BYTES: &str = "bytes of a record, through an exchange";
const CHANNELS: &str = "channels of an exchange on one core, each with records in flight";
const CHECKPOINTED: &str = "checkpoints of a running sum of a million keys";
const THREADS: &str = "parallelism of a running sum of a million keys, from start to end";

const fn size(
    grows: &'static str,
    size: &'static str,
    workload: &'static str,
    events: u64,
) -> Size {
    Size { grows, size, workload, parallelism: 1, options: &[], events, by: 1 }
}

const fn chain(size: &'static str, workload: &'static str, by: u32) -> Size {
    Size { by, ..self::size(OPERATORS, size, workload, 20_000_000) }
}

/// A running sum of a million keys, by so many subtasks on one thread.
const fn channels(size: &'static str, options: &'static [&'static str]) -> Size {
    Size { options, ..self::size(CHANNELS, size, "W2", 10_000_000) }
}

const SIZES: [Size; 22] = [
    size(KEYS, "1,000", "W2@1000", 10_000_000),
    size(KEYS, "10,000", "W2@10000", 10_000_000),
    size(KEYS, "100,000", "W2@100000", 10_000_000),
    size(KEYS, "1,000,000", "W2@1000000", 10_000_000),
    size(KEYS, "10,000,000", "W2@10000000", 20_000_000),
    chain("1", "CHAIN@1", 1),
    chain("2", "CHAIN@2", 2),
    chain("5", "CHAIN@5", 5),
    chain("10", "CHAIN@10", 10),
    chain("20", "CHAIN@20", 20),
    size(BYTES, "8", "BYTES@8", 5_000_000),
    size(BYTES, "100", "BYTES@100", 3_000_000),
    size(BYTES, "1,000", "BYTES@1000", 1_000_000),
    size(BYTES, "10,000", "BYTES@10000", 200_000),
    channels("1", &["parallelism.default=1"]),
    channels("16", &["parallelism.default=4"]),
    channels("256", &["parallelism.default=16"]),
    channels("1,024", &["parallelism.default=32"]),
    size(CHECKPOINTED, "none", "W2", 30_000_000),
    Size { options: CHECKPOINTS, ..size(CHECKPOINTED, "each second", "W2", 30_000_000) },
    size(THREADS, "1", "W2", 10_000_000),
    Size { parallelism: 2, ..size(THREADS, "2", "W2", 10_000_000) },
];

/// What came of one size.
#[derive(Deserialize, Serialize)]
pub(crate) struct SizeRow {
    pub(crate) grows: String,
    pub(crate) size: String,
    /// Nanoseconds per event: of all processors; for threads from start to end.
    pub(crate) nanos: f64,
    /// Of the first size's.
    pub(crate) share: f64,
}

/// Measures all of it.
///
/// # Errors
/// If a run fails.
pub(crate) fn run(engines: &Engines, rounds: usize, divisor: u64) -> Result<Vec<SizeRow>> {
    let mut rows: Vec<SizeRow> = Vec::new();
    println!("\n{:<68}{:>12}{:>10}{:>8}", "", "", "ns", "share");
    // What is there without any map.
    let none = cost(engines, &chain("0", "CHAIN@0", 1), rounds, divisor)?;
    for one in &SIZES {
        let all = cost(engines, one, rounds, divisor)?;
        let own = if one.grows == OPERATORS { all - none } else { all };
        let nanos = own / f64::from(one.by);
        let first = rows.iter().find(|row| row.grows == one.grows).map_or(nanos, |row| row.nanos);
        let row = SizeRow {
            grows: one.grows.to_owned(),
            size: one.size.to_owned(),
            nanos,
            share: nanos / first,
        };
        println!("{:<68}{:>12}{nanos:>10.1}{:>8.2}", row.grows, row.size, row.share);
        rows.push(row);
    }
    Ok(rows)
}

fn cost(engines: &Engines, size: &Size, rounds: usize, divisor: u64) -> Result<f64> {
    let mut case = Case::alone(size.workload, size.parallelism);
    case.options = size.options;
    let events = size.events / divisor;
    let mut costs = Vec::new();
    for _ in 0..rounds {
        let pins = size.grows != THREADS;
        let less = engines.run_on(Engine::Flott, &case, events, pins)?;
        let more = engines.run_on(Engine::Flott, &case, 3 * events, pins)?;
        let spent = if size.grows == THREADS { more.wall - less.wall } else { more.cpu - less.cpu };
        costs.push(spent * 1e9 / (2 * events) as f64);
    }
    Ok(median(costs))
}
