//! A job as a process: started, and followed by what it prints and logs. `socket` feeds it. A wait
//! ends when a line has been seen, or fails after a time-out; nothing waits for time to pass.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use flott::core::hash::mix;

use crate::checkpoints::{self, COMPLETED, Checkpoint};
use crate::socket::Server;

/// How long to wait for something that must happen: generous, because machines are shared.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often to look at what is not a line: files and connections.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// The command line of a job.
pub(crate) struct Launch {
    options: Vec<String>,
    job: String,
    arguments: Vec<String>,
}

/// The job of this name.
pub(crate) fn job(name: &str) -> Launch {
    Launch { options: Vec::new(), job: name.to_owned(), arguments: Vec::new() }
}

impl Launch {
    /// What comes before the name of the job.
    pub(crate) fn options<const N: usize>(mut self, options: [&str; N]) -> Self {
        self.options.extend(options.map(str::to_owned));
        self
    }

    pub(crate) fn set(self, key: &str, value: &str) -> Self {
        self.options(["-D", &format!("{key}={value}")])
    }

    pub(crate) fn parallelism(self, parallelism: u32) -> Self {
        self.options(["-p", &parallelism.to_string()])
    }

    /// Takes checkpoints to this directory, as often as is useful in a test.
    pub(crate) fn checkpoints(self, directory: &Path, interval_ms: u32) -> Self {
        self.set("execution.checkpointing.dir", text(directory))
            .set("execution.checkpointing.interval", &format!("{interval_ms} ms"))
    }

    pub(crate) fn resume(self, checkpoint: &Path) -> Self {
        self.options(["-s", text(checkpoint)])
    }

    /// What comes after the name of the job.
    pub(crate) fn arguments<const N: usize>(mut self, arguments: [&str; N]) -> Self {
        self.arguments.extend(arguments.map(str::to_owned));
        self
    }

    /// Reads from this server.
    pub(crate) fn reading(self, server: &Server) -> Self {
        let port = server.port().to_string();
        self.arguments(["--host", "127.0.0.1", "--port", &port])
    }

    pub(crate) fn start(self) -> JobProcess {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flott-examples"));
        command.args(&self.options).arg(&self.job).args(&self.arguments).env_remove("FLOTT_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the job's binary can be started");
        let (sender, lines) = channel();
        follow(child.stdout.take().unwrap(), Stream::Out, sender.clone());
        follow(child.stderr.take().unwrap(), Stream::Err, sender);
        JobProcess { child, lines, printed: Transcript::default(), logged: Transcript::default() }
    }

    /// Runs the job to its end.
    pub(crate) fn run(self) -> Ended {
        self.start().end()
    }
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

#[derive(Clone, Copy)]
enum Stream {
    Out,
    Err,
}

/// Reads a stream of the process to its end, on a thread of its own.
fn follow(stream: impl Read + Send + 'static, name: Stream, lines: Sender<(Stream, String)>) {
    let read = move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            if lines.send((name, line)).is_err() {
                return;
            }
        }
    };
    // It ends with the process.
    Builder::new().name("lines of a job".into()).spawn(read).expect("a thread can be started");
}

/// The lines of a stream so far, and how many of them a test has looked at.
#[derive(Default)]
struct Transcript {
    lines: Vec<String>,
    seen: usize,
}

impl Transcript {
    /// The next line that is `wanted`; what comes before it is passed over.
    fn find<T>(&mut self, wanted: &mut impl FnMut(&str) -> Option<T>) -> Option<T> {
        while let Some(line) = self.lines.get(self.seen) {
            self.seen += 1;
            if let Some(found) = wanted(line) {
                return Some(found);
            }
        }
        None
    }
}

/// A running job. It is killed when a test fails.
pub(crate) struct JobProcess {
    child: Child,
    lines: Receiver<(Stream, String)>,
    printed: Transcript,
    logged: Transcript,
}

/// A job that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; nothing if it was killed.
    pub(crate) code: Option<i32>,
    /// Everything that it printed, from its start.
    pub(crate) printed: Vec<String>,
    /// Everything that it logged, from its start.
    pub(crate) logged: String,
}

impl Ended {
    /// Fails unless the job ended with this code, and every text is in what it logged.
    #[track_caller]
    pub(crate) fn expect<const N: usize>(&self, code: i32, texts: [&str; N]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for text in texts {
            assert!(self.logged.contains(text), "\"{text}\" is missing in:\n{}", self.logged);
        }
    }

    /// Whether the job was accepted and began to run.
    pub(crate) fn was_started(&self) -> bool {
        self.logged.contains("switched from state")
    }
}

impl JobProcess {
    /// The next line on standard output.
    #[track_caller]
    pub(crate) fn printed(&mut self) -> String {
        self.wait("a printed line", |job| job.printed.find(&mut |line| Some(line.to_owned())))
    }

    /// The next lines on standard output.
    #[track_caller]
    pub(crate) fn printed_lines(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.printed()).collect()
    }

    /// The next line on standard error that contains `text`.
    #[track_caller]
    pub(crate) fn logged(&mut self, text: &str) -> String {
        let mut wanted = |line: &str| line.contains(text).then(|| line.to_owned());
        self.wait(&format!("a logged line with \"{text}\""), |job| job.logged.find(&mut wanted))
    }

    /// The next checkpoint that is reported as completed.
    #[track_caller]
    pub(crate) fn completed(&mut self) -> Checkpoint {
        Checkpoint::reported(&self.logged(COMPLETED))
    }

    /// A completed checkpoint that holds everything that the job has done so far. A checkpoint's
    /// folder is made before its barriers start, so one without a folder now is certainly later.
    #[track_caller]
    pub(crate) fn completed_after_now(&mut self, directory: &Path) -> Checkpoint {
        let begun = checkpoints::begun(directory);
        loop {
            let checkpoint = self.completed();
            if checkpoint.number > begun {
                return checkpoint;
            }
        }
    }

    /// Waits until `condition` gives something, looking at it again and again while the job runs.
    #[track_caller]
    pub(crate) fn until<T>(&mut self, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
        self.wait(what, |_| condition())
    }

    /// As [`JobProcess::until`], for conditions on the job itself.
    #[track_caller]
    pub(crate) fn until_of<T>(
        &mut self,
        what: &str,
        condition: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        self.wait(what, condition)
    }

    /// How many lines have been logged so far that contain `text`.
    pub(crate) fn count_logged(&mut self, text: &str) -> usize {
        self.take_lines();
        self.logged.lines.iter().filter(|line| line.contains(text)).count()
    }

    /// Ends the process at once, as a power cut would (SIGKILL).
    pub(crate) fn kill(mut self) -> Ended {
        self.child.kill().expect("a process of ours can be killed");
        self.end()
    }

    /// What Ctrl-C does (SIGINT).
    pub(crate) fn interrupt(&self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status();
        assert!(sent.expect("there is a kill command").success());
    }

    /// Waits for the end of the process.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        let deadline = now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(now())) {
                Ok((stream, line)) => self.note(stream, line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the job does not end\n{}", self.report()),
            }
        }
        let code = self.child.wait().unwrap().code();
        let printed = std::mem::take(&mut self.printed.lines);
        let logged = self.logged.lines.join("\n");
        Ended { code, printed, logged }
    }

    #[track_caller]
    fn wait<T>(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> Option<T>) -> T {
        let deadline = now() + PATIENCE;
        let mut has_ended = false;
        loop {
            if let Some(found) = condition(self) {
                return found;
            }
            assert!(!has_ended, "the job ended before {what}\n{}", self.report());
            assert!(now() < deadline, "there is no {what}\n{}", self.report());
            match self.lines.recv_timeout(LOOK_INTERVAL) {
                Ok((stream, line)) => self.note(stream, line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => has_ended = true,
            }
            self.take_lines();
        }
    }

    fn take_lines(&mut self) {
        while let Ok((stream, line)) = self.lines.try_recv() {
            self.note(stream, line);
        }
    }

    fn note(&mut self, stream: Stream, line: String) {
        match stream {
            Stream::Out => self.printed.lines.push(line),
            Stream::Err => self.logged.lines.push(line),
        }
    }

    fn report(&self) -> String {
        let [printed, logged] = [&self.printed, &self.logged].map(|all| all.lines.join("\n"));
        format!("--- printed\n{printed}\n--- logged\n{logged}")
    }
}

impl Drop for JobProcess {
    fn drop(&mut self) {
        // Both fail if it has ended, which is the aim.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "a time-out of a test is real time")]
fn now() -> Instant {
    Instant::now()
}

/// Pseudo-random numbers from a seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number from `0` to `bound - 1`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 += 1;
        (mix(self.0) % bound as u64) as usize
    }

    /// A number of a range.
    pub(crate) fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }
}

/// The files of a directory, hidden ones too.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
