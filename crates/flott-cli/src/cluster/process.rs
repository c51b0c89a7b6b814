//! The processes of a cluster on this machine: started in the background, found again by their pid
//! files.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use flott_core::{Error, ErrorKind, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::client::pause;

/// How often a process is looked at that was told to end, how often before it is killed, and how long
/// to wait in between.
const LOOKS_MAX: usize = 1000;
const LOOK: Duration = Duration::from_millis(10);

/// How much of a log is repeated when a process does not start.
const COMPLAINT_MAX: usize = 2000;

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    JobManager,
    TaskManager,
}

impl Kind {
    /// The command that runs it, and its name in files and messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::JobManager => "jobmanager",
            Self::TaskManager => "taskmanager",
        }
    }
}

/// Where logs go.
pub(super) fn log_dir() -> PathBuf {
    std::env::var_os("FLOTT_LOG_DIR").map_or_else(|| PathBuf::from("log"), PathBuf::from)
}

fn pid_file(kind: Kind) -> PathBuf {
    let directory =
        std::env::var_os("FLOTT_PID_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    directory.join(format!("flott-{}-{}.pid", user(), kind.name()))
}

fn user() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    user.unwrap_or_else(|_| rustix::process::getuid().as_raw().to_string())
}

/// A process that was started now or before.
pub(super) struct Daemon {
    pub(super) pid: i32,
    kind: Kind,
    /// If it was started now: it and its log.
    started: Option<(Child, PathBuf)>,
}

impl Daemon {
    /// Starts a process in the background. What it prints goes to its `.out` file, what it logs to its
    /// `.log`; with a TaskManager's go those of its workers.
    pub(super) fn start(kind: Kind, properties: &[String]) -> Result<Self> {
        let io = |what: String| move |e| Error::with_source(ErrorKind::Io, what, e);
        let logs = log_dir();
        let logs = std::path::absolute(&logs).unwrap_or(logs);
        fs::create_dir_all(&logs)
            .map_err(io(format!("cannot create \"{}\" (FLOTT_LOG_DIR)", logs.display())))?;
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let name = |number: usize| format!("flott-{}-{}-{number}-{host}", user(), kind.name());
        let number = (0..).find(|number| !logs.join(name(*number) + ".log").exists());
        let base = logs.join(name(number.unwrap_or_default()));
        let create = |extension: &str| {
            let path =
                base.with_file_name(format!("{}{extension}", name(number.unwrap_or_default())));
            let file =
                File::create(&path).map_err(io(format!("cannot create {}", path.display())))?;
            Ok::<_, Error>((file, path))
        };
        let ((log, log_path), (out, _)) = (create(".log")?, create(".out")?);
        let program = std::env::current_exe().map_err(io("this program has no path".into()))?;
        // Before there is a process that nobody could stop.
        let pids = pid_file(kind);
        let opened = fs::create_dir_all(pids.parent().unwrap_or(&pids))
            .and_then(|()| OpenOptions::new().create(true).append(true).open(&pids));
        let mut file =
            opened.map_err(io(format!("cannot write \"{}\" (FLOTT_PID_DIR)", pids.display())))?;
        println!("Starting {} on host {host}.", kind.name());
        let mut command = Command::new(program);
        command.arg(kind.name());
        command.args(properties.iter().flat_map(|property| ["-D", property]));
        // A process group of its own: what ends this command from a terminal does not end it.
        command.stdin(Stdio::null()).stdout(out).stderr(log).process_group(0);
        let child = command.spawn().map_err(io(format!("cannot start a {}", kind.name())))?;
        let pid = i32::try_from(child.id()).unwrap_or_default();
        writeln!(file, "{pid}").map_err(io(format!("cannot write \"{}\"", pids.display())))?;
        Ok(Self { pid, kind, started: Some((child, log_path)) })
    }

    /// The error that a process has ended with that should not have ended yet.
    pub(super) fn has_ended(&mut self) -> Option<Error> {
        let (child, log) = self.started.as_mut()?;
        let status = child.try_wait().ok()??;
        let said = fs::read(&*log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said[said.len().saturating_sub(COMPLAINT_MAX)..])
            .trim()
            .to_owned();
        let kind = self.kind.name();
        Some(Error::new(ErrorKind::Io, format!("the {kind} has ended: {status}; it said:\n{said}")))
    }

    /// Tells the process to end, and kills it if it does not.
    pub(super) fn stop(&self) -> Result<()> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(()) };
        for signal in [Signal::TERM, Signal::KILL] {
            if kill_process(pid, signal).is_err() {
                // It has ended meanwhile.
                return Ok(());
            }
            for _ in 0..LOOKS_MAX {
                if !is_running(self.pid, self.kind) {
                    return Ok(());
                }
                pause(LOOK);
            }
        }
        let (kind, pid) = (self.kind.name(), self.pid);
        Err(Error::new(ErrorKind::Io, format!("the {kind} (pid: {pid}) does not end")))
    }
}

/// The processes of a kind that were started and run.
pub(super) fn running(kind: Kind) -> Result<Vec<Daemon>> {
    let file = pid_file(kind);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => {
            let what = format!("cannot read \"{}\"", file.display());
            return Err(Error::with_source(ErrorKind::Io, what, e));
        }
    };
    let pids = text.lines().filter_map(|line| line.trim().parse().ok());
    let pids = pids.filter(|pid| is_running(*pid, kind));
    Ok(pids.map(|pid| Daemon { pid, kind, started: None }).collect())
}

/// Forgets the processes of a kind: all have ended.
pub(super) fn forget(kind: Kind) -> Result<()> {
    let file = pid_file(kind);
    match fs::remove_file(&file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            let what = format!("cannot delete \"{}\"", file.display());
            Err(Error::with_source(ErrorKind::Io, what, e))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether a pid is that of a process of this kind: pids are used again.
fn is_running(pid: i32, kind: Kind) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    let Ok(line) = fs::read(process.join("cmdline")) else { return false };
    // One that has ended and was not waited for has none.
    line.split(|byte| *byte == 0).nth(1) == Some(kind.name().as_bytes())
}
