//! The contestants as programs: where they come from, and how one is run.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

    /// Runs a contestant.
    ///
    /// # Errors
    /// If it fails, or does not say what it has computed.
    pub(crate) fn run(&self, engine: Engine, case: &Case, events: u64) -> Result<Run> {
        let program = self.programs.get(&engine).ok_or_else(|| Error::internal("nothing built"))?;
        let folder = tempfile::tempdir()?;
        // One worker is measured on one core; Flink compiles and collects garbage on others, too.
        let pinned = case.parallelism == 1 && engine != Engine::Flink;
        let pin: &[&str] = if pinned { &["taskset", "-c", "0"] } else { &[] };
        let mut all: Vec<String> = pin.iter().map(|word| (*word).to_owned()).collect();
        all.extend(program.iter().cloned());
        all.extend([case.workload.to_owned(), events.to_string(), case.parallelism.to_string()]);
        let (disk, scheme) =
            if engine == Engine::Flink { ("rocksdb", "file://") } else { ("lsm", "") };
        let place = format!("{scheme}{}", folder.path().display());
        all.extend(
            case.options
                .iter()
                .map(|option| option.replace("{disk}", disk).replace("{folder}", &place)),
        );
        let mut command = Command::new(&all[0]);
        command.args(&all[1..]).stdin(Stdio::null()).stderr(Stdio::piped());
        let before = cpu_time_of_children("self");
        let (output, cost) = measure(|| command.output());
        let cpu = cpu_time_of_children("self").saturating_sub(before).as_secs_f64();
        let output = output.map_err(|e| started(&all[0], e))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let said = text.lines().rev().find_map(|line| {
            let (check, peak) = line.strip_prefix("check=")?.split_once(" peak_kb=")?;
            Some((check.parse().ok()?, peak.trim().parse().ok()?))
        });
        let (check, peak_kb) = said.filter(|_| output.status.success()).ok_or_else(|| {
            let why = String::from_utf8_lossy(&output.stderr);
            Error::new(
                ErrorKind::Io,
                format!("{}: {}\n{text}\n{why}", all.join(" "), output.status),
            )
        })?;
        Ok(Run { check, peak_kb, wall: cost.wall.as_secs_f64(), cpu })
    }
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
    done(compiler.arg(package.join("Contestant.java")))?;
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
