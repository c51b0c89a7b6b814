//! Flott, and the hand-written loop, as contestants of the suite.

use flott::{Error, Result};
use flott_benches::latency::latencies;
use flott_benches::workloads::Run;
use flott_benches::{loops, nexmark, operations, workloads};

/// The keys of W2 and W5, if nothing else is said.
const KEYS: u64 = 1_000_000;
/// Those of W5L, which are too many for its memory.
const MANY_KEYS: u64 = 10_000_000;
/// Those of W4.
const WINDOWED_KEYS: u64 = 10_000;
/// Events in a second when it is about latency: for one thread, which must have time left.
const PER_SECOND: u64 = 500_000;

/// Runs `flott|loop WORKLOAD EVENTS PARALLELISM [KEY=VALUE …]`, options of a job; returns what that has computed.
/// `W2@1000` is W2 with a thousand keys. What is done to jobs (`START`, `SAVEPOINT`, …) has keys for events, and says
/// what it has measured in lines of its own.
///
/// # Errors
/// If the arguments are wrong, or the job fails.
pub(crate) fn run(arguments: &[String]) -> Result<u64> {
    let usage =
        || Error::invalid("suite contestant flott|loop WORKLOAD EVENTS PARALLELISM [KEY=VALUE …]");
    let [engine, workload, events, parallelism, options @ ..] = arguments else {
        return Err(usage());
    };
    let events: u64 = events.parse().map_err(|_| usage())?;
    let threads: u64 = parallelism.parse().map_err(|_| usage())?;
    let mut run = Run::default()
        .with("parallelism.default", parallelism.as_str())
        .with("taskmanager.driver-threads", parallelism.as_str());
    for option in options {
        let (key, value) = option.split_once('=').ok_or_else(usage)?;
        run = run.with(key, value);
    }
    let (workload, size) = workload.split_once('@').unwrap_or((workload, ""));
    let size =
        |otherwise| if size.is_empty() { Ok(otherwise) } else { size.parse().map_err(|_| usage()) };
    match (engine.as_str(), workload) {
        ("flott", "W1") => workloads::stateless(events, &run),
        ("flott", "W2" | "W5") => workloads::keyed_sum(events, size(KEYS)?, &run),
        ("flott", "W5L") => workloads::keyed_sum(events, MANY_KEYS, &run),
        ("flott", "W3") => workloads::word_count(events, &run),
        ("flott", "W4") => workloads::windowed_count(events, WINDOWED_KEYS, &run),
        ("flott", query) if query.starts_with('q') => nexmark::run(query, events, &run),
        ("flott", "CHAIN") => workloads::chained(events, size(1)?, &run),
        ("flott", "BYTES") => workloads::sized(events, size(8)?, &run),
        ("flott", "START") => operations::start(&run).map(|()| 1),
        ("flott", "IDLE") => workloads::rare(events, 10.0, &run),
        ("flott", "SAVEPOINT") => operations::savepoint(events, &run).map(|()| events),
        ("flott", "RESTORE") => operations::restore(events, &run).map(|()| events),
        ("flott", "KILL") => operations::kill(events, &run).map(|()| events),
        ("flott", "CHECKPOINTS") => operations::checkpoints(events, &run).map(|()| events),
        ("flott", "RECOVER") => operations::recover(events, &run).map(|()| events),
        ("flott", "LATENCY") => late(events, &run).map(|()| events),
        ("loop", "W1") => Ok(loops::stateless(events, threads)),
        ("loop", "W2") => Ok(loops::keyed_sum(events, KEYS, threads)),
        ("loop", "W3") => Ok(loops::word_count(events, threads)),
        ("loop", "W4") => Ok(loops::windowed_count(events, WINDOWED_KEYS)),
        _ => Err(usage()),
    }
}

/// How late events come, in a run of so many seconds.
fn late(seconds: u64, run: &Run) -> Result<()> {
    let (own, probe) = latencies(seconds, PER_SECOND, KEYS, run)?;
    println!("figure p50_ms {}", own.p50);
    println!("figure p99_ms {}", own.p99);
    println!("figure p9999_ms {}", own.p9999);
    println!("figure probe_ms {}", probe.p9999);
    println!("figure beyond_ms {}", own.p9999 - probe.p9999);
    Ok(())
}
