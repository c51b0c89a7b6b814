//! What a process knows of itself, and of others on its machine: from `/proc`.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flott_control::processes::{
    Answer, Load, LogFile, ProcessName, Processes, Question, ThreadView,
};
use flott_core::{Error, ErrorKind, Result};

use crate::clock::wall_time;

/// Answers for this process, and for those that it has started if it `starts_workers`.
///
/// # Errors
/// If it does not log to such a file, or cannot read it.
pub(crate) fn answer(question: &Question, starts_workers: bool) -> Result<Answer> {
    match question {
        Question::Logs => {
            Ok(Answer::Logs(logs().iter().filter_map(|path| log_file(path)).collect()))
        }
        Question::Log { name, last } => end_of_log(logs(), name, *last).map(Answer::Log),
        Question::Threads => Ok(Answer::Threads(threads())),
        Question::Load => {
            let own = load(Path::new("/proc/self")).unwrap_or_default();
            let workers = starts_workers.then(|| {
                let loads = children().into_iter().filter_map(|folder| load(&folder));
                // The time of those that have ended counts: it never becomes less.
                let ended =
                    Stat::read(Path::new("/proc/self")).map_or(Duration::ZERO, |own| own.ended);
                loads.fold(Load { cpu: ended, ..Load::default() }, Load::and)
            });
            Ok(Answer::Load { own, workers })
        }
    }
}

/// This process when it is everything.
pub struct ThisProcess {
    /// The options that it was started with.
    pub options: Vec<(String, String)>,
}

impl Processes for ThisProcess {
    fn options(&self) -> Vec<(String, String)> {
        self.options.clone()
    }

    fn ask(&self, process: &ProcessName, question: Question) -> Result<Answer> {
        match process {
            ProcessName::JobManager => answer(&question, false),
            ProcessName::TaskManager(name) => Err(no_task_manager(name)),
        }
    }
}

pub(crate) fn no_task_manager(name: &str) -> Error {
    Error::invalid(format!("No TaskExecutor registered under {name}."))
}

/// The files that this process writes to as its output and its log: what it was started with. Nobody can name
/// another one.
fn logs() -> Vec<PathBuf> {
    let target = |descriptor: u32| fs::read_link(format!("/proc/self/fd/{descriptor}")).ok();
    let mut files: Vec<PathBuf> = [2, 1].into_iter().filter_map(target).collect();
    files.retain(|path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file()));
    files.dedup();
    files
}

fn log_file(path: &Path) -> Option<LogFile> {
    let meta = fs::metadata(path).ok()?;
    Some(LogFile {
        name: path.file_name()?.to_string_lossy().into_owned(),
        size: meta.len(),
        modified: wall_time(meta.modified().ok()?),
    })
}

fn end_of_log(logs: Vec<PathBuf>, name: &str, last: u64) -> Result<Vec<u8>> {
    let is_it = |path: &PathBuf| path.file_name().is_some_and(|own| own.to_string_lossy() == name);
    let path = logs.into_iter().find(is_it).ok_or_else(|| {
        Error::invalid(format!("This process does not log to a file \"{name}\"."))
    })?;
    let read = || {
        let mut file = File::open(&path)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(last)))?;
        let mut bytes = Vec::new();
        file.take(last).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|e: io::Error| {
        Error::with_source(ErrorKind::Io, format!("cannot read \"{}\"", path.display()), e)
    })
}

/// The threads of this process that are there.
fn threads() -> Vec<ThreadView> {
    let Ok(folders) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let threads = folders.flatten().filter_map(|folder| {
        let stat = Stat::read(&folder.path())?;
        let state = match stat.state {
            'R' => "runs",
            'S' => "waits",
            'D' => "waits for a device",
            'T' | 't' => "is stopped",
            _ => "ends",
        };
        let id = folder.file_name().to_string_lossy().parse().ok()?;
        Some(ThreadView { id, name: stat.name, state: state.into(), cpu: stat.cpu })
    });
    let mut threads: Vec<ThreadView> = threads.collect();
    threads.sort_by_key(|thread| Reverse(thread.cpu));
    threads
}

/// The folders of the processes that this one has started, and that are there.
fn children() -> Vec<PathBuf> {
    let Ok(folders) = fs::read_dir("/proc") else { return Vec::new() };
    let own = u64::from(std::process::id());
    let is_child = |folder: &PathBuf| Stat::read(folder).is_some_and(|stat| stat.parent == own);
    folders.flatten().map(|folder| folder.path()).filter(is_child).collect()
}

/// How much the process takes whose folder this is; nothing if it is gone.
fn load(folder: &Path) -> Option<Load> {
    let stat = Stat::read(folder)?;
    let files = fs::read_dir(folder.join("fd")).map_or(0, |files| files.count() as u64);
    let (memory, cpu, threads) = (stat.memory, stat.cpu, stat.threads);
    Some(Load { processes: 1, memory, cpu, threads, files })
}

/// What the system says of a process or a thread: `proc_pid_stat(5)`.
struct Stat {
    name: String,
    state: char,
    parent: u64,
    cpu: Duration,
    /// That of its children that have ended.
    ended: Duration,
    threads: u64,
    memory: u64,
}

impl Stat {
    fn read(folder: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(folder.join("stat")).ok()?)
    }

    /// The name is in parentheses, and may have some itself; numbers are counted from the state, which follows it.
    fn parse(text: &str) -> Option<Self> {
        let (head, rest) = text.rsplit_once(") ")?;
        let (_, name) = head.split_once('(')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        let time = |ticks: u64| Duration::from_millis(ticks * 1000 / per_second);
        Some(Self {
            name: name.to_owned(),
            state: fields.first()?.chars().next()?,
            parent: number(1)?,
            cpu: time(number(11)? + number(12)?),
            ended: time(number(13)? + number(14)?),
            threads: number(17)?,
            memory: number(21)? * rustix::param::page_size() as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn this_process_has_threads_and_memory() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let Ok(Answer::Load { own, workers }) = answer(&Question::Load, true) else {
            panic!("no load")
        };
        assert!(own.memory > 100_000 && own.threads > 0 && own.files > 0, "{own:?}");
        assert!(workers.unwrap().processes > 0);
        drop(child.stdin.take());
        child.wait().unwrap();
        let Ok(Answer::Threads(threads)) = answer(&Question::Threads, false) else {
            panic!("no threads")
        };
        assert!(threads.iter().any(|thread| thread.state == "runs"), "{threads:?}");
    }

    #[test]
    fn a_name_with_parentheses_is_read() {
        let fields = (4..=24).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let stat = Stat::parse(&format!("7 (a) S (b)) R {fields} 9")).unwrap();
        assert_eq!(
            (stat.name.as_str(), stat.state, stat.parent, stat.threads),
            ("a) S (b)", 'R', 4, 20)
        );
        assert!(Stat::parse("7 (a) R 1").is_none());
    }

    #[test]
    fn only_its_own_logs_can_be_read_and_of_those_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.log");
        fs::write(&path, "a\nb\n").unwrap();
        fs::write(folder.path().join("other.log"), "secret").unwrap();
        let read = |name: &str| end_of_log(vec![path.clone()], name, 2);
        assert_eq!(read("own.log").unwrap(), b"b\n");
        for name in
            ["other.log", "/etc/passwd", "../../etc/passwd", "", ".", "own.log/../other.log"]
        {
            assert_eq!(read(name).unwrap_err().kind(), ErrorKind::InvalidInput, "{name}");
        }
    }
}
