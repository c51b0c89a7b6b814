//! Flott, and the hand-written loop, as contestants of the suite.

use flott::{Error, Result};
use flott_benches::workloads::Run;
use flott_benches::{loops, workloads};

/// The keys of W2 and W5.
const KEYS: u64 = 1_000_000;
/// Those of W5L, which are too many for its memory.
const MANY_KEYS: u64 = 10_000_000;

/// Runs `flott|loop WORKLOAD EVENTS PARALLELISM [KEY=VALUE …]`, options of a job; returns what that has computed.
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
    match (engine.as_str(), workload.as_str()) {
        ("flott", "W1") => workloads::stateless(events, &run),
        ("flott", "W2" | "W5") => workloads::keyed_sum(events, KEYS, &run),
        ("flott", "W5L") => workloads::keyed_sum(events, MANY_KEYS, &run),
        ("flott", "W3") => workloads::word_count(events, &run),
        ("loop", "W1") => Ok(loops::stateless(events, threads)),
        ("loop", "W2") => Ok(loops::keyed_sum(events, KEYS, threads)),
        ("loop", "W3") => Ok(loops::word_count(events, threads)),
        _ => Err(usage()),
    }
}
