//! How many instructions an event takes: what a change costs, on a machine where seconds say nothing.
//!
//! Valgrind counts them, for so many events and for twice as many; the difference is what events take. What was last
//! looked at is in `instructions.json`. More than that is an error, until `--bless` records it.

use std::collections::BTreeMap;
use std::process::Command;

use flott::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::engines::package;

/// By how much of what is recorded a count may be higher.
const TOLERANCE: f64 = 0.05;

/// What is counted, with how many events: enough for what is done once (state that grows) to be over. Nothing that goes by
/// a clock alone: in W4 event time runs faster, and watermarks come by that.
const COUNTED: [(&str, u64); 5] =
    [("W1", 1_000_000), ("W2", 4_000_000), ("W3", 20_000), ("W4", 2_000_000), ("q3", 100_000)];

/// What is recorded. Another compiler makes other instructions.
#[derive(Deserialize, Serialize)]
struct Recorded {
    compiler: String,
    /// Instructions per event.
    events: BTreeMap<String, f64>,
}

/// Counts, and compares with what is recorded; or records it.
///
/// # Errors
/// If a workload fails, or takes more instructions than is recorded.
pub(crate) fn run(blesses: bool) -> Result<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("!!! valgrind is not installed on this machine: instructions are NOT counted.");
        return Ok(());
    }
    let (file, compiler) = (package().join("instructions.json"), compiler()?);
    let text = std::fs::read_to_string(&file)
        .map_err(|e| Error::with_source(ErrorKind::Io, file.display().to_string(), e));
    let recorded = text.and_then(|text| {
        serde_json::from_str::<Recorded>(&text)
            .map_err(|e| Error::with_source(ErrorKind::Io, file.display().to_string(), e))
    });
    let recorded = if blesses { recorded.ok() } else { Some(recorded?) };
    if let Some(before) = recorded.as_ref().filter(|before| !blesses && before.compiler != compiler)
    {
        println!("!!! Recorded with {}, this is {compiler}: NOT compared.", before.compiler);
        return Ok(());
    }
    let (mut new, mut missed) = (Recorded { compiler, events: BTreeMap::new() }, Vec::new());
    for (workload, events) in COUNTED {
        let (less, more) = (count(workload, events)?, count(workload, 2 * events)?);
        let each = more.saturating_sub(less) as f64 / events as f64;
        let before = recorded.as_ref().and_then(|recorded| recorded.events.get(workload));
        print!("{workload}: {each:.1} instructions per event");
        match before {
            Some(before) => println!(", {:+.1} % ({before:.1})", 100.0 * (each / before - 1.0)),
            None => println!(" (new)"),
        }
        if before.is_some_and(|before| each > before * (1.0 + TOLERANCE)) {
            missed.push(workload);
        }
        new.events.insert(workload.to_owned(), (each * 10.0).round() / 10.0);
    }
    if blesses {
        let text = serde_json::to_string_pretty(&new)
            .map_err(|e| Error::with_source(ErrorKind::Internal, "no JSON", e))?;
        std::fs::write(file, text + "\n")?;
        return Ok(());
    }
    if missed.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{} takes more instructions than benches/instructions.json says; if that is wanted: cargo xtask bench \
         --instructions --bless",
        missed.join(", ")
    )))
}

/// All instructions of a run, as valgrind counts them.
fn count(workload: &str, events: u64) -> Result<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
    command.arg(std::env::current_exe()?);
    command.args(["contestant", "flott", workload, &events.to_string(), "1"]);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let total = said.lines().find_map(|line| line.split_once("refs:").map(|(_, number)| number));
    let total = total.and_then(|number| number.trim().replace(',', "").parse().ok());
    total.filter(|_| output.status.success()).ok_or_else(|| {
        Error::new(ErrorKind::Io, format!("valgrind, {workload}: {}\n{said}", output.status))
    })
}

/// The compiler, as it says itself.
fn compiler() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
