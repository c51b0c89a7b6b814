//! What runs took, as medians and ratios.

use std::path::PathBuf;

use flott::{Error, ErrorKind, Result};
use flott_benches::measure::median;
use serde::{Deserialize, Serialize};

use crate::cases::{CASES, Case, Contestant};
use crate::engines::{Engine, Engines, package};
use crate::growth::SizeRow;
use crate::measures::MeasureRow;

/// What an event cost in one round, and what a whole run took.
pub(crate) struct Round {
    /// Nanoseconds per event, in time and on all processors together.
    wall: f64,
    cpu: f64,
    peak_kb: u64,
}

/// Runs a contestant with so many events, and with three times as many.
///
/// # Errors
/// If it fails.
pub(crate) fn measure(
    engines: &Engines,
    case: &Case,
    contestant: &Contestant,
    events: u64,
) -> Result<Round> {
    let less = engines.run(contestant.engine, case, events)?;
    let more = engines.run(contestant.engine, case, 3 * events)?;
    let per_event = |more: f64, less: f64| (more - less) * 1e9 / (2 * events) as f64;
    Ok(Round {
        wall: per_event(more.wall, less.wall),
        cpu: per_event(more.cpu, less.cpu),
        peak_kb: more.peak_kb,
    })
}

/// What a contestant took, over all rounds.
pub(crate) struct Outcome {
    pub(crate) engine: Engine,
    rounds: Vec<Round>,
}

impl Outcome {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, rounds: Vec::new() }
    }

    pub(crate) fn add(&mut self, round: Round) {
        self.rounds.push(round);
    }

    fn each(&self, of: impl Fn(&Round) -> f64) -> Vec<f64> {
        self.rounds.iter().map(of).collect()
    }
}

/// A row of the results.
#[derive(Deserialize, Serialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) title: String,
    pub(crate) engine: String,
    /// Nanoseconds per event on all processors: median, least and most.
    pub(crate) cpu: [f64; 3],
    /// Nanoseconds per event from start to end: median.
    pub(crate) wall: f64,
    pub(crate) peak_mib: f64,
    /// How many times as much of the processors as Flott.
    pub(crate) ratio: f64,
    /// How many times the target says.
    pub(crate) target: Option<f64>,
}

/// All rows.
#[derive(Deserialize, Serialize)]
pub(crate) struct Results {
    pub(crate) rounds: usize,
    pub(crate) machine: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) measures: Vec<MeasureRow>,
    pub(crate) growth: Vec<SizeRow>,
}

impl Results {
    pub(crate) fn new(rounds: usize) -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let model = model.map_or("unknown processor", |(_, name)| name);
        let machine = format!("{cores} cores, {model}");
        Self { rounds, machine, rows: Vec::new(), measures: Vec::new(), growth: Vec::new() }
    }

    /// What there is from runs before this one on this machine, to which some cases are added.
    pub(crate) fn go_on(self) -> Self {
        let text = file().and_then(|file| Ok(std::fs::read_to_string(file)?)).unwrap_or_default();
        let before = serde_json::from_str::<Self>(&text).ok();
        before.filter(|before| before.machine == self.machine).unwrap_or(self)
    }

    pub(crate) fn add(&mut self, case: &Case, outcomes: &[Outcome]) {
        self.rows.retain(|row| row.case != case.name);
        self.rows.extend(rows(case, outcomes));
        self.rows.sort_by_key(|row| CASES.iter().position(|case| case.name == row.case));
    }

    /// Writes all of them as JSON; says where.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn write(&self) -> Result<PathBuf> {
        let file = file()?;
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::with_source(ErrorKind::Internal, "no JSON", e))?;
        std::fs::write(&file, text)?;
        Ok(file)
    }
}

/// Where results are.
fn file() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("suite.json"))
}

impl Row {
    /// Whether the target is met, if there is one.
    pub(crate) fn verdict(&self) -> String {
        let verdict = |target| if self.ratio >= target { "met" } else { "MISSED" };
        self.target.map_or(String::new(), |target| format!(">= {target} {}", verdict(target)))
    }
}

/// Prints what a case has come to.
pub(crate) fn print(case: &Case, outcomes: &[Outcome]) {
    println!("\n{}", case.title);
    println!(
        "{:<8} {:>10} {:>10} {:>10} {:>8}",
        "", "cpu ns/ev", "wall ns/ev", "peak MiB", "ratio"
    );
    for row in rows(case, outcomes) {
        let Row { engine, cpu: [cpu, least, most], wall, peak_mib, ratio, .. } = &row;
        let spread = format!("{least:.1} to {most:.1}");
        println!(
            "{engine:<8} {cpu:>10.1} {wall:>10.1} {peak_mib:>10.0} {ratio:>8.2}  {:<18} {spread}",
            row.verdict()
        );
    }
}

fn rows(case: &Case, outcomes: &[Outcome]) -> Vec<Row> {
    let cpu = |outcome: &Outcome| median(outcome.each(|round| round.cpu));
    let flott = outcomes.iter().find(|own| own.engine == Engine::Flott).map_or(f64::NAN, cpu);
    let row = |outcome: &Outcome| {
        let (all, own) = (outcome.each(|round| round.cpu), cpu(outcome));
        let least = all.iter().copied().fold(f64::INFINITY, f64::min);
        let most = all.iter().copied().fold(0.0, f64::max);
        let target = case.targets.iter().find(|(engine, _)| *engine == outcome.engine);
        Row {
            case: case.name.to_owned(),
            title: case.title.to_owned(),
            engine: outcome.engine.to_string(),
            cpu: [own, least, most],
            wall: median(outcome.each(|round| round.wall)),
            peak_mib: median(outcome.each(|round| round.peak_kb as f64 / 1024.0)),
            ratio: own / flott,
            target: target.map(|(_, target)| *target),
        }
    };
    outcomes.iter().map(row).collect()
}

/// The folder of the project.
pub(crate) fn project() -> PathBuf {
    package().join("..")
}
