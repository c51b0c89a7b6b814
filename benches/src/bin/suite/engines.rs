//! The contestants as programs: where they come from, and how one is run.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use flott::{Error, ErrorKind, Result};
use flott_benches::measure::{cpu_time_of_children, measure};

use crate::cases::Case;

/// What a workload runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Engine {
    Flott,
    Loop,
    Timely,
    Renoir,
    Flink,
}

impl Engine {
    /// All that Flott can be measured beside.
    pub(crate) const ALL: [Self; 4] = [Self::Loop, Self::Timely, Self::Renoir, Self::Flink];

    /// The one that is called so.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|engine| engine.to_string() == name);
        found.ok_or_else(|| {
            let all = Self::ALL.map(|engine| engine.to_string()).join(", ");
            Error::invalid(format!("\"{name}\" is nothing to be measured beside; there are {all}"))
        })
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flott => "flott",
            Self::Loop => "loop",
            Self::Timely => "timely",
            Self::Renoir => "renoir",
            Self::Flink => "flink",
        })
    }
}

/// What a run said and took.
pub(crate) struct Run {
    pub(crate) check: u64,
    pub(crate) peak_kb: u64,
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
}

/// The programs, each with its first arguments.
pub(crate) struct Engines {
    programs: BTreeMap<Engine, Vec<String>>,
}

/// The version that is measured beside.
const FLINK: &str = "2.3.0";

/// What Flink needs of a Java virtual machine, as its own scripts have it, and how it is tuned for throughput.
const JAVA: [&str; 7] = [
    "java",
    "-XX:+UseParallelGC",
    "-Xms2g",
    "-Xmx2g",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.time=ALL-UNNAMED",
];

/// What Flink's contestant is compiled from.
const SOURCES: [&str; 7] = [
    "Contestant.java",
    "Checkpoints.java",
    "Nexmark.java",
    "NexmarkEvents.java",
    "NexmarkJoins.java",
    "NexmarkStatistics.java",
    "Operations.java",
];

impl Engines {
    /// Fetches and builds what is needed.
    ///
    /// # Errors
    /// If a tool is missing or fails.
    pub(crate) fn build(against: &[Engine]) -> Result<Self> {
        let own = std::env::current_exe()?.display().to_string();
        let contestant = |name: &str| vec![own.clone(), "contestant".to_owned(), name.to_owned()];
        let mut programs = BTreeMap::from([
            (Engine::Flott, contestant("flott")),
            (Engine::Loop, contestant("loop")),
        ]);
        let packages = package().join("contestants");
        let target = cache()?;
        for engine in [Engine::Timely, Engine::Renoir] {
            if against.contains(&engine) {
                let manifest = packages.join(engine.to_string()).join("Cargo.toml");
                let mut cargo = Command::new("cargo");
                cargo.args(["build", "--release", "--manifest-path"]).arg(manifest);
                done(cargo.env("CARGO_TARGET_DIR", &target))?;
                let program = target.join(format!("release/{engine}-contestant"));
                programs.insert(engine, vec![program.display().to_string()]);
            }
        }
        if against.contains(&Engine::Flink) {
            programs.insert(Engine::Flink, flink(&packages.join("flink"), &target)?);
        }
        Ok(Self { programs })
    }

    /// Runs a contestant in a case.
    ///
    /// # Errors
    /// If it fails, or does not say what it has computed.
    pub(crate) fn run(&self, engine: Engine, case: &Case, events: u64) -> Result<Run> {
        // One worker is measured on one core; Flink compiles and collects garbage on others, too.
        self.run_on(engine, case, events, case.parallelism == 1 && engine != Engine::Flink)
    }

    /// The same, on one core or on all.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(crate) fn run_on(
        &self,
        engine: Engine,
        case: &Case,
        events: u64,
        pins: bool,
    ) -> Result<Run> {
        let folder = tempfile::tempdir()?;
        let job = Job {
            workload: case.workload,
            events,
            parallelism: case.parallelism,
            options: case.options,
            folder: folder.path(),
        };
        let mut command = self.command(engine, &job, pins, None)?;
        let before = cpu_time_of_children("self");
        let (output, cost) = measure(|| command.output());
        let cpu = cpu_time_of_children("self").saturating_sub(before).as_secs_f64();
        let output = output.map_err(|e| started(&format!("{command:?}"), e))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let said = text.lines().rev().find_map(|line| {
            let (check, peak) = line.strip_prefix("check=")?.split_once(" peak_kb=")?;
            Some((check.parse().ok()?, peak.trim().parse().ok()?))
        });
        let (check, peak_kb) = said
            .filter(|_| output.status.success())
            .ok_or_else(|| failed(&command, &text, &String::from_utf8_lossy(&output.stderr)))?;
        Ok(Run { check, peak_kb, wall: cost.wall.as_secs_f64(), cpu })
    }

    /// Runs a contestant that says what it measures; with `until_first` only until its first record is out.
    ///
    /// # Errors
    /// If it fails before that.
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
    pub(crate) fn watch(
        &self,
        engine: Engine,
        job: &Job<'_>,
        heap: Option<&str>,
        until_first: bool,
    ) -> Result<Said> {
        let (began, mut said) = (Instant::now(), Said::default());
        let mut command = self.command(engine, job, false, heap)?;
        let mut child = command.spawn().map_err(|e| started(&format!("{command:?}"), e))?;
        // What it complains of is read beside: a full pipe would stop it.
        let complaints = child.stderr.take().map(|mut stderr| {
            std::thread::spawn(move || {
                let mut text = String::new();
                // What cannot be read is not told.
                let _ = stderr.read_to_string(&mut text);
                text
            })
        });
        let (mut is_first, mut text) = (false, String::new());
        let lines = child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines);
        for line in lines.map_while(std::result::Result::ok) {
            if line == "first" {
                is_first = true;
                said.figures.insert("first_ms".into(), began.elapsed().as_secs_f64() * 1e3);
            }
            said.hear(&line);
            text += &line;
            if is_first && until_first {
                // It may have ended by itself.
                let _ = child.kill();
                break;
            }
        }
        let status = child.wait()?;
        let complaints = complaints.and_then(|thread| thread.join().ok()).unwrap_or_default();
        if status.success() || (is_first && until_first) {
            Ok(said)
        } else {
            Err(failed(&command, &text, &complaints))
        }
    }

    fn command(
        &self,
        engine: Engine,
        job: &Job<'_>,
        pins: bool,
        heap: Option<&str>,
    ) -> Result<Command> {
        let program = self.programs.get(&engine).ok_or_else(|| Error::internal("nothing built"))?;
        let pin: &[&str] = if pins { &["taskset", "-c", "0"] } else { &[] };
        let mut all: Vec<String> = pin.iter().map(|word| (*word).to_owned()).collect();
        for word in program {
            if word == "-cp" {
                // Libraries that it unpacks go with the folder, also when it is killed.
                all.push(format!("-Djava.io.tmpdir={}", job.folder.display()));
                // The last one counts.
                all.extend(
                    heap.iter().flat_map(|heap| [format!("-Xms{heap}"), format!("-Xmx{heap}")]),
                );
            }
            all.push(word.clone());
        }
        all.extend([job.workload.to_owned(), job.events.to_string(), job.parallelism.to_string()]);
        let (disk, scheme) =
            if engine == Engine::Flink { ("rocksdb", "file://") } else { ("lsm", "") };
        let place = format!("{scheme}{}", job.folder.display());
        all.extend(
            job.options
                .iter()
                .map(|option| option.replace("{disk}", disk).replace("{folder}", &place)),
        );
        let mut command = Command::new(&all[0]);
        command.args(&all[1..]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }
}

/// What a contestant runs.
pub(crate) struct Job<'a> {
    pub(crate) workload: &'a str,
    pub(crate) events: u64,
    pub(crate) parallelism: u32,
    pub(crate) options: &'a [&'a str],
    /// What `{folder}` in its options is.
    pub(crate) folder: &'a Path,
}

/// What a contestant says that it has measured.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) figures: BTreeMap<String, f64>,
    /// Where its savepoint is.
    pub(crate) place: Option<String>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let mut words = line.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("figure"), Some(name), Some(number)) => {
                if let Ok(number) = number.parse() {
                    self.figures.insert(name.to_owned(), number);
                }
            }
            (Some("place"), Some(place), None) => self.place = Some(place.to_owned()),
            _ => {
                let peak =
                    line.split_once(" peak_kb=").and_then(|(_, peak)| peak.trim().parse().ok());
                if let Some(peak) = peak.map(|peak: f64| peak / 1024.0) {
                    self.figures.insert("peak_mib".into(), peak);
                }
            }
        }
    }
}

fn failed(command: &Command, text: &str, complaints: &str) -> Error {
    Error::new(ErrorKind::Io, format!("{command:?} has failed:\n{text}\n{complaints}"))
}

/// The folder of this package: that in which cargo runs this program, which may have been built in another checkout.
pub(crate) fn package() -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    own.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")))
}

/// Where what is fetched and built stays between runs.
fn cache() -> Result<PathBuf> {
    let home = std::env::var("XDG_CACHE_HOME").map(PathBuf::from);
    let home = home.or_else(|_| std::env::var("HOME").map(|home| Path::new(&home).join(".cache")));
    let cache = home.map_err(|_| Error::invalid("HOME is not set"))?.join("flott/contestants");
    std::fs::create_dir_all(&cache)?;
    Ok(cache)
}

/// Fetches Flink and compiles its contestant.
fn flink(package: &Path, target: &Path) -> Result<Vec<String>> {
    let libraries = target.join(format!("flink-{FLINK}"));
    if !libraries.exists() {
        let new = target.join("flink.new");
        let mut maven = Command::new("mvn");
        maven.args(["-q", "-f"]).arg(package.join("pom.xml")).arg(format!("-Dflink={FLINK}"));
        maven.arg("dependency:copy-dependencies");
        done(maven.arg(format!("-DoutputDirectory={}", new.display())))?;
        std::fs::rename(new, &libraries)?;
    }
    let (classes, libraries) = (target.join("classes"), format!("{}/*", libraries.display()));
    let mut compiler = Command::new("javac");
    compiler.args(["-cp", &libraries, "-d"]).arg(&classes);
    done(compiler.args(SOURCES.map(|file| package.join(file))))?;
    let mut program: Vec<String> = JAVA.map(str::to_owned).to_vec();
    let path = format!("{}:{libraries}", classes.display());
    program.extend(["-cp".to_owned(), path, "Contestant".to_owned()]);
    Ok(program)
}

fn done(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|e| started(&name, e))?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::Io, format!("{name} has failed: {status}")))
    }
}

fn started(name: &str, e: std::io::Error) -> Error {
    Error::with_source(ErrorKind::Io, format!("cannot start {name}"), e)
}
