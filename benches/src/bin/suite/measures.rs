//! What is measured of a job beside what an event costs: how long it takes to start, to save, to come back; how much
//! memory it holds when nothing happens; how late events come.

use std::path::{Path, PathBuf};

use flott::{Error, Result};
use flott_benches::measure::median;
use serde::{Deserialize, Serialize};

use crate::cases::CHECKPOINTS;
use crate::engines::{Engine, Engines, Job, Said};

/// One figure of some operation.
struct Measure {
    what: &'static str,
    operation: Operation,
    figure: &'static str,
    target: Target,
}

/// What is done. Figures of the same operation come from the same runs.
#[derive(Clone, Copy, PartialEq)]
enum Operation {
    Start,
    Idle,
    /// Stopping with a savepoint, and starting from there.
    Savepoint,
    Recover,
    /// Killing a process, and starting another one from its last checkpoint.
    Kill,
    Checkpoints,
    Latency,
    CheckpointedLatency,
}

#[derive(Clone, Copy)]
enum Target {
    None,
    /// Flott's own figure.
    AtMost(f64),
    /// How many times Flott's figure that of Flink is.
    Times(f64),
}

const MEASURES: [Measure; 17] = [
    Measure {
        what: "start of a process to the first record, ms",
        operation: Operation::Start,
        figure: "first_ms",
        target: Target::AtMost(50.0),
    },
    Measure {
        what: "memory of a job that gets ten records a second, MiB",
        operation: Operation::Idle,
        figure: "peak_mib",
        target: Target::AtMost(30.0),
    },
    Measure {
        what: "stop with a savepoint of ten million keys, s",
        operation: Operation::Savepoint,
        figure: "savepoint_s",
        target: Target::Times(10.0),
    },
    Measure {
        what: "start with that savepoint to the first record (Flott reads state as it is needed), ms",
        operation: Operation::Savepoint,
        figure: "first_ms",
        target: Target::Times(10.0),
    },
    Measure {
        what: "a function fails, to the first record after that, a million keys, ms",
        operation: Operation::Recover,
        figure: "recovery_ms",
        target: Target::None,
    },
    Measure {
        what: "SIGKILL, to the first record of a process started from the last checkpoint, a million keys, ms",
        operation: Operation::Kill,
        figure: "first_ms",
        target: Target::None,
    },
    Measure {
        what: "checkpoint each second of a million keys, half of them changed, ms",
        operation: Operation::Checkpoints,
        figure: "duration_ms",
        target: Target::None,
    },
    Measure {
        what: "MiB written for one",
        operation: Operation::Checkpoints,
        figure: "written_mib",
        target: Target::None,
    },
    Measure {
        what: "longest time for which one makes a task stand still, ms (Flink tells whole ones)",
        operation: Operation::Checkpoints,
        figure: "pause_ms",
        target: Target::None,
    },
    late("p50_ms", "late at 500,000 events a second: 50 %, ms", Operation::Latency),
    late("p99_ms", "99 %, ms", Operation::Latency),
    late("p9999_ms", "99.99 %, ms", Operation::Latency),
    late("beyond_ms", "99.99 %, beyond those of a thread that only sleeps, ms", Operation::Latency),
    late(
        "p50_ms",
        "the same with a checkpoint each second: 50 %, ms",
        Operation::CheckpointedLatency,
    ),
    late("p99_ms", "99 %, ms", Operation::CheckpointedLatency),
    late("p9999_ms", "99.99 %, ms", Operation::CheckpointedLatency),
    Measure {
        target: Target::AtMost(10.0),
        ..late(
            "beyond_ms",
            "99.99 %, beyond those of a thread that only sleeps, ms",
            Operation::CheckpointedLatency,
        )
    },
];

const fn late(figure: &'static str, what: &'static str, operation: Operation) -> Measure {
    Measure { what, operation, figure, target: Target::None }
}

/// Flink's heap for ten million keys, and for a few records.
const HEAP: &str = "6g";
const SMALL_HEAP: &str = "256m";

const SAVED: &[&str] = &[
    "state.backend.type=hashmap",
    "execution.checkpointing.storage=filesystem",
    "execution.checkpointing.dir={folder}",
    "execution.checkpointing.savepoint-dir={folder}",
];

const FAILING: &[&str] =
    &["restart-strategy.type=fixed-delay", "restart-strategy.fixed-delay.delay=0 s"];

/// What came of one figure: medians.
#[derive(Deserialize, Serialize)]
pub(crate) struct MeasureRow {
    pub(crate) what: String,
    pub(crate) flott: f64,
    pub(crate) flink: Option<f64>,
    /// What was wanted, and whether it was met.
    pub(crate) verdict: String,
}

impl MeasureRow {
    /// How many times Flott's figure that of Flink is.
    pub(crate) fn ratio(&self) -> Option<f64> {
        self.flink.map(|flink| flink / self.flott)
    }
}

/// Measures all of it, Flink beside Flott if it is there.
///
/// # Errors
/// If something fails.
pub(crate) fn run(engines: &Engines, with_flink: bool, quick: bool) -> Result<Vec<MeasureRow>> {
    let (mut rows, mut last) = (Vec::new(), None);
    let rounds = if quick { 1 } else { 3 };
    println!("\n{:<92}{:>10}{:>10}{:>8}", "", "flott", "flink", "ratio");
    for Measure { what, operation, figure, target } in &MEASURES {
        if last.as_ref().is_none_or(|(of, _)| of != operation) {
            let mut said = Vec::new();
            for _ in 0..rounds {
                let flott = operation.run(engines, Engine::Flott, quick)?;
                let is_of_both = with_flink && operation.is_of_flink();
                let flink = is_of_both.then(|| operation.run(engines, Engine::Flink, quick));
                said.push((flott, flink.transpose()?));
            }
            last = Some((*operation, said));
        }
        let said = last.as_ref().map_or(&[][..], |(_, said)| said);
        let of = |said: &Said| said.figures.get(*figure).copied();
        let flott = median(said.iter().filter_map(|(flott, _)| of(flott)).collect());
        let flink: Vec<f64> = said.iter().filter_map(|(_, flink)| of(flink.as_ref()?)).collect();
        let flink = (!flink.is_empty()).then(|| median(flink));
        let mut row = MeasureRow { what: (*what).to_owned(), flott, flink, verdict: String::new() };
        row.verdict = target.verdict(&row);
        let number = |number: Option<f64>| number.map_or(String::new(), |n| format!("{n:.2}"));
        println!(
            "{what:<92}{flott:>10.2}{:>10}{:>8}  {}",
            number(flink),
            number(row.ratio()),
            row.verdict
        );
        rows.push(row);
    }
    Ok(rows)
}

impl Target {
    fn verdict(self, row: &MeasureRow) -> String {
        let verdict = |is_met| if is_met { "met" } else { "MISSED" };
        match self {
            Self::None => String::new(),
            Self::AtMost(most) => format!("<= {most} {}", verdict(row.flott <= most)),
            Self::Times(times) => row.ratio().map_or(String::new(), |ratio| {
                format!("ratio >= {times} {}", verdict(ratio >= times))
            }),
        }
    }
}

impl Operation {
    fn is_of_flink(self) -> bool {
        !matches!(self, Self::Latency | Self::CheckpointedLatency)
    }

    fn run(self, engines: &Engines, engine: Engine, quick: bool) -> Result<Said> {
        let folder = tempfile::tempdir()?;
        let job = |workload, events, options| Job {
            workload,
            events,
            parallelism: 1,
            options,
            folder: folder.path(),
        };
        let seconds = if quick { 8 } else { 20 };
        match self {
            Self::Start => engines.watch(engine, &job("START", 1, &[]), None, true),
            Self::Idle => {
                engines.watch(engine, &job("IDLE", 50, CHECKPOINTS), Some(SMALL_HEAP), false)
            }
            Self::Recover => {
                let options = [CHECKPOINTS, FAILING].concat();
                engines.watch(engine, &job("RECOVER", 1_000_000, &options), None, true)
            }
            Self::Checkpoints => {
                engines.watch(engine, &job("CHECKPOINTS", 1_000_000, CHECKPOINTS), None, false)
            }
            Self::Kill => {
                engines.watch(engine, &job("KILL", 1_000_000, CHECKPOINTS), None, true)?;
                let from = format!("execution.state-recovery.path={}", newest(folder.path())?);
                let options = [CHECKPOINTS, &[from.as_str()]].concat();
                engines.watch(engine, &job("RESTORE", 1_000_000, &options), None, true)
            }
            Self::Latency => engines.watch(engine, &job("LATENCY", seconds, &[]), None, false),
            Self::CheckpointedLatency => {
                engines.watch(engine, &job("LATENCY", seconds, CHECKPOINTS), None, false)
            }
            Self::Savepoint => {
                let keys = if quick { 1_000_000 } else { 10_000_000 };
                let mut said =
                    engines.watch(engine, &job("SAVEPOINT", keys, SAVED), Some(HEAP), false)?;
                let place = said.place.take();
                let place = place.ok_or_else(|| Error::internal("nobody says where it is"))?;
                let from = format!("execution.state-recovery.path={place}");
                let options = [SAVED, &[from.as_str()]].concat();
                let restored =
                    engines.watch(engine, &job("RESTORE", keys, &options), Some(HEAP), true)?;
                said.figures.extend(restored.figures);
                Ok(said)
            }
        }
    }
}

/// The newest checkpoint of the job whose folder is in this one.
fn newest(folder: &Path) -> Result<String> {
    // What is no folder has nothing in it.
    let inside = |folder: PathBuf| {
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
    };
    let number =
        |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix("chk-")?.parse::<u64>().ok();
    let complete = inside(folder.to_owned()).flat_map(inside);
    let complete = complete.filter(|path| path.join("_metadata").exists());
    let newest = complete.max_by_key(number);
    let newest = newest.ok_or_else(|| Error::internal("there is no checkpoint"))?;
    Ok(newest.display().to_string())
}
