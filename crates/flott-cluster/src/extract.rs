//! What a job binary says of itself: its jobs, and the plan of one, without running it.
//!
//! Whoever wants a plan never runs user code: the binary is started as a child process with
//! [`VARIABLE`] in its environment, calls the job function, writes a [`JobBinary`] to the file that
//! the variable names, and ends. It has a time limit for that.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind as IoErrorKind, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use flott_core::{Error, ErrorKind, Result};
use flott_plan::{JobGraph, StreamGraph};
use serde::{Deserialize, Serialize};

pub use crate::rpc::messages::Settings;

/// The environment variable that turns a job binary's run into a description of itself.
pub const VARIABLE: &str = "FLOTT_DESCRIBE_TO";

/// The environment variable with the settings of the cluster that wants the description.
const SETTINGS_VARIABLE: &str = "FLOTT_SETTINGS";

/// Stands in every job binary: others are not even started.
pub const MARKER: &[u8] = b"flott job binary: it describes itself, protocol 2\0";

/// Changes when an older reader would not understand a [`JobBinary`].
const PROTOCOL: u32 = 2;

/// How much of what a child says to its standard error is repeated in an error.
const COMPLAINT_MAX: usize = 4096;

/// How often it is tried to start a file that is busy.
const BUSY_TRIES: usize = 500;

/// How often the child is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// What a job binary says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct JobBinary {
    protocol: u32,
    /// The version of Flott that it was built with.
    pub version: String,
    /// Its jobs.
    pub jobs: Vec<JobEntry>,
    /// What became of the job that was asked for.
    pub outcome: Outcome,
}

/// A job of a binary.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobEntry {
    /// Its name.
    pub name: String,
    /// What it does, if its arguments say so.
    pub about: Option<String>,
}

/// What became of the job that was asked for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// None was asked for.
    Nothing,
    /// Its plan.
    Plan(Box<JobPlan>),
    /// There is no plan: the job function or its arguments are wrong.
    Error(String),
}

/// The plan of a job.
#[derive(Debug, Serialize, Deserialize)]
pub struct JobPlan {
    /// The job's name.
    pub name: String,
    /// The program as the user wrote it.
    pub program: StreamGraph,
    /// Boxes and arrows.
    pub graph: JobGraph,
    /// The configuration: the cluster's, the program's and the command line's.
    pub settings: Settings,
}

/// The settings of the cluster that started this process, if one did.
///
/// # Errors
/// If the environment variable is damaged.
pub fn cluster_settings() -> Result<Settings> {
    let Ok(text) = std::env::var(SETTINGS_VARIABLE) else { return Ok(Settings::new()) };
    serde_json::from_str(&text).map_err(|e| {
        let what = format!("the environment variable {SETTINGS_VARIABLE} is damaged");
        Error::with_source(ErrorKind::InvalidInput, what, e)
    })
}

impl JobBinary {
    /// What a binary with these jobs, built with this program, says.
    pub fn new(jobs: Vec<JobEntry>, outcome: Outcome) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { protocol: PROTOCOL, version, jobs, outcome }
    }

    /// Writes it where the caller of this process wants it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_vec(self)?;
        std::fs::write(file, text).map_err(|e| {
            let message = format!("cannot write the description to \"{}\"", file.display());
            Error::with_source(ErrorKind::Io, message, e)
        })
    }
}

/// The job with this name, of all `names`; without a name, the only one. `binary` is what the binary is
/// called in errors.
///
/// # Errors
/// If there is none, or there are several: the error lists those that there are.
pub fn choose<'a>(names: &[&'a str], job: Option<&str>, binary: &str) -> Result<&'a str> {
    let found = match (job, names) {
        (Some(job), _) => names.iter().find(|name| **name == job).copied(),
        (None, [only]) => Some(*only),
        (None, _) => None,
    };
    found.ok_or_else(|| {
        let names = names.join(", ");
        Error::invalid(match job {
            Some(job) => format!("\"{binary}\" has no job \"{job}\"; its jobs are {names}"),
            None => format!("\"{binary}\" has several jobs, name one with -c: {names}"),
        })
    })
}

/// Asks a job binary about itself. `arguments` are those of its command line; without any, it names
/// its jobs only. `settings` are the cluster's.
///
/// # Errors
/// If it is no job binary for this machine, speaks another protocol, fails, or takes longer than
/// `limit`. What is wrong with the job itself is an [`Outcome`].
pub fn describe(
    binary: &Path,
    arguments: &[OsString],
    settings: &Settings,
    limit: Duration,
) -> Result<JobBinary> {
    check(binary)?;
    let name = binary.display();
    let io = |what: &'static str| {
        move |e| Error::with_source(ErrorKind::Io, format!("cannot ask a job binary: {what}"), e)
    };
    let folder = tempfile::tempdir().map_err(io("no temporary folder"))?;
    let (answer, complaint) = (folder.path().join("answer"), folder.path().join("complaint"));
    let stderr = File::create(&complaint).map_err(io("no temporary file"))?;
    // A path without a folder is a file here, not a command.
    let program = std::path::absolute(binary).map_err(io("no absolute path"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env(VARIABLE, &answer)
        .env(SETTINGS_VARIABLE, serde_json::to_string(settings)?)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr);
    let child = spawn(&mut command).map_err(|e| {
        Error::with_source(ErrorKind::InvalidInput, format!("cannot start \"{name}\""), e)
    })?;
    let status = wait(child, limit).map_err(io("it cannot be waited for"))?;
    let said = tail(&complaint);
    let Some(status) = status else {
        return Err(Error::invalid(format!(
            "\"{name}\" did not give the plan of its job within {limit:?}: a job function only \
             builds the program; what waits belongs into a source or into open(){said}"
        )));
    };
    let text = std::fs::read(&answer).map_err(|_| {
        Error::invalid(format!("\"{name}\" did not describe itself, but ended: {status}{said}"))
    })?;
    parse(&text).map_err(|error| error.context(format!("\"{name}\" is of no use here")))
}

/// Starts a process whose file may just have been written: as long as some other process that is being
/// started has not let go of that file, it is busy.
pub(crate) fn spawn(command: &mut Command) -> std::io::Result<Child> {
    for _ in 0..BUSY_TRIES {
        match command.spawn() {
            Err(e) if e.kind() == IoErrorKind::ExecutableFileBusy => pause(LOOK),
            other => return other,
        }
    }
    command.spawn()
}

#[expect(clippy::disallowed_methods, reason = "a shell waits for another process")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn parse(text: &[u8]) -> Result<JobBinary> {
    #[derive(Deserialize)]
    struct Protocol {
        protocol: u32,
        version: String,
    }
    let broken = |e| Error::with_source(ErrorKind::Corrupt, "its description is damaged", e);
    let Protocol { protocol, version } = serde_json::from_slice(text).map_err(broken)?;
    if protocol != PROTOCOL {
        return Err(Error::invalid(format!(
            "it was built with Flott {version} and speaks protocol {protocol}, this is Flott {} \
             with protocol {PROTOCOL}: build it again",
            env!("CARGO_PKG_VERSION")
        )));
    }
    serde_json::from_slice(text).map_err(broken)
}

/// Whether a file is a job binary that this machine can run.
fn check(binary: &Path) -> Result<()> {
    let name = binary.display();
    let bytes = std::fs::read(binary).map_err(|e| {
        Error::with_source(ErrorKind::InvalidInput, format!("cannot read \"{name}\""), e)
    })?;
    if cfg!(target_os = "linux") {
        let machine = elf_machine(&bytes).ok_or_else(|| {
            Error::invalid(format!("\"{name}\" is not a job binary: it is no Linux executable"))
        })?;
        let own = own_machine();
        if own.is_some_and(|own| own != machine) {
            return Err(Error::invalid(format!(
                "\"{name}\" is for another kind of processor (ELF machine {machine}, here it is \
                 {}): build it for this one",
                own.unwrap_or_default()
            )));
        }
    }
    if memchr::memmem::find(&bytes, MARKER).is_none() {
        return Err(Error::invalid(format!(
            "\"{name}\" is not a job binary: its main is not made by flott::main!"
        )));
    }
    Ok(())
}

/// The processor that an ELF file is for.
fn elf_machine(bytes: &[u8]) -> Option<u16> {
    let rest = bytes.strip_prefix(b"\x7fELF")?;
    let little = rest.get(1) == Some(&1);
    let machine = [*rest.get(14)?, *rest.get(15)?];
    Some(if little { u16::from_le_bytes(machine) } else { u16::from_be_bytes(machine) })
}

/// That of this process.
fn own_machine() -> Option<u16> {
    let mut header = [0; 20];
    File::open("/proc/self/exe").and_then(|mut file| file.read_exact(&mut header)).ok()?;
    elf_machine(&header)
}

/// Waits for a child; nothing if it was killed at the end of its time.
#[expect(clippy::disallowed_methods, reason = "a shell waits for a process, by the clock")]
fn wait(mut child: Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        pause(LOOK);
    }
}

/// The end of what a child has said, to be appended to an error.
fn tail(complaint: &Path) -> String {
    let text = std::fs::read(complaint).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(COMPLAINT_MAX)..]);
    if text.trim().is_empty() { String::new() } else { format!("; it said:\n{}", text.trim()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_protocol_is_named_before_anything_else_is_read() {
        let text = br#"{"protocol": 7, "version": "9.0.0", "jobs": "of another kind"}"#;
        let error = parse(text).unwrap_err().report();
        assert!(error.contains("built with Flott 9.0.0 and speaks protocol 7"), "{error}");
        assert!(parse(b"{").unwrap_err().report().contains("damaged"));
    }

    #[test]
    fn this_program_is_for_this_machine_but_is_no_job_binary() {
        let own = std::env::current_exe().unwrap();
        assert_eq!(elf_machine(&std::fs::read(&own).unwrap()), own_machine());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("job");
        let describe = || {
            describe(&file, &[], &Settings::new(), Duration::from_secs(10)).unwrap_err().report()
        };
        assert!(describe().contains("cannot read"));
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        assert!(describe().contains("it is no Linux executable"));
        let mut header = [0u8; 64];
        File::open(&own).and_then(|mut own| own.read_exact(&mut header)).unwrap();
        std::fs::write(&file, header).unwrap();
        assert!(describe().contains("its main is not made by flott::main!"));
        header[18] ^= 0xff;
        std::fs::write(&file, header).unwrap();
        assert!(describe().contains("is for another kind of processor"));
    }
}
