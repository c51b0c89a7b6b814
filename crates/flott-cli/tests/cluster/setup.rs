//! A cluster in a folder of its own, and jobs on it.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Whatever takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// The example `jobs` of this package; `cargo test` builds it.
pub(crate) fn jobs() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let jobs = test.parent().and_then(Path::parent).unwrap().join("examples/jobs");
    assert!(jobs.exists(), "{jobs:?} is missing: cargo build -p flott-cli --examples");
    jobs
}

/// What a command has led to.
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) text: String,
    pub(crate) error: String,
}

/// A cluster; it is stopped when this is dropped.
pub(crate) struct Cluster {
    folder: TempDir,
    rest: u16,
    rpc: u16,
    /// What runs a command on a host, if there are several.
    hosts: Option<PathBuf>,
    /// Processes that were started by hand.
    children: Vec<(&'static str, Child)>,
}

impl Cluster {
    /// Starts a JobManager and so many TaskManagers, with these options.
    pub(crate) fn start(taskmanagers: usize, options: &[&str]) -> Self {
        let cluster = Self::prepare(options);
        let count = taskmanagers.to_string();
        let started = cluster.flott(&["cluster", "start", "--taskmanagers", &count]);
        assert_eq!(started.code, 0, "{}{}", started.text, started.error);
        cluster
    }

    /// Nothing runs yet.
    pub(crate) fn prepare(options: &[&str]) -> Self {
        // Both are free now; nobody else is likely to take them.
        let listeners = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
        let [rest, rpc] = listeners.each_ref().map(|l| l.local_addr().unwrap().port());
        let folder = tempfile::tempdir().unwrap();
        for name in ["conf", "feed", "log"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mut text = format!(
            "rest.port: {rest}\njobmanager:\n  rpc.port: {rpc}\nrestart-strategy.type: fixed-delay\n\
             restart-strategy.fixed-delay.attempts: 100\nrestart-strategy.fixed-delay.delay: 0 s\n"
        );
        for option in options {
            text.push_str(&format!("{option}\n"));
        }
        // Once, before any process reads it.
        fs::write(folder.path().join("conf/config.yaml"), text).unwrap();
        Self { folder, rest, rpc, hosts: None, children: Vec::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The processes are on hosts, where `script` runs them; clients on the first.
    pub(crate) fn put_on_hosts(&mut self, script: &Path) {
        self.hosts = Some(script.to_path_buf());
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.command_on(1, arguments)
    }

    fn command_on(&self, host: u32, arguments: &[&str]) -> Command {
        let flott = env!("CARGO_BIN_EXE_flott");
        let mut command = Command::new(self.hosts.as_deref().unwrap_or(Path::new(flott)));
        if self.hosts.is_some() {
            command.args(["on", &host.to_string(), flott]);
        }
        command
            .env("FLOTT_PID_DIR", self.folder.path())
            .env("FLOTT_LOG_DIR", self.path("log"))
            .env("FLOTT_CONF_DIR", self.path("conf"))
            .args(arguments);
        command
    }

    /// A command that speaks to this cluster.
    fn client(&self, arguments: &[&str]) -> Command {
        let address = format!("localhost:{}", self.rest);
        self.command(&[&["-m", &address], arguments].concat())
    }

    /// Starts a command.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        self.client(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs a command to its end.
    pub(crate) fn flott(&self, arguments: &[&str]) -> Output {
        let output = self.client(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        Output { code, text: text(output.stdout), error: text(output.stderr) }
    }

    /// Runs a command that must succeed.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let Output { code, text, error } = self.flott(arguments);
        assert_eq!(code, 0, "{arguments:?}: {text}{error}\n{}", self.logs());
        text
    }

    /// Submits a job of the examples, detached; returns its id.
    pub(crate) fn submit(&self, arguments: &[&str]) -> String {
        let text = self.done(&[&["run", "-d"], arguments].concat());
        let id = text.trim().strip_prefix("Job has been submitted with JobID ");
        id.unwrap_or_else(|| panic!("{text}")).to_owned()
    }

    /// Submits `word_totals` on the folder `feed`, with these options of `run`; returns the job's id.
    pub(crate) fn run_totals(&self, options: &[&str]) -> String {
        let checkpoints =
            format!("execution.checkpointing.dir={}", self.path("checkpoints").display());
        let (jobs, feed) = (jobs(), self.path("feed"));
        let mut arguments = vec!["-c", "word_totals", "-D", &checkpoints];
        arguments.extend(["-D", "execution.checkpointing.interval=100 ms"]);
        arguments.extend(options);
        arguments.extend([jobs.to_str().unwrap(), "--"]);
        arguments.extend(["--file", feed.to_str().unwrap(), "--follow"]);
        self.submit(&arguments)
    }

    /// Gives the running job another file of lines.
    pub(crate) fn feed(&self, name: &str, lines: &str) {
        // Under its own name only when it is whole.
        let (hidden, file) = (self.path("hidden"), self.path("feed").join(name));
        fs::write(&hidden, lines).unwrap();
        fs::rename(hidden, file).unwrap();
    }

    /// What the jobs have printed, on all TaskManagers.
    pub(crate) fn printed(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for entry in fs::read_dir(self.path("log")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "out") {
                lines.extend(fs::read_to_string(path).unwrap().lines().map(str::to_owned));
            }
        }
        lines
    }

    /// Waits until a word has this total.
    pub(crate) fn wait_for_total(&self, word: &str, total: i64) {
        let wanted = format!("(\"{word}\", {total})");
        self.wait(&format!("{word} is {total}"), || {
            self.printed().iter().any(|line| line.ends_with(&wanted))
        });
    }

    pub(crate) fn wait(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let end = now() + PATIENCE;
        while !is_so() {
            assert!(now() < end, "{what}: never\n{}\n{:?}", self.logs(), self.printed());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// An answer of the REST API.
    pub(crate) fn get(&self, path: &str) -> Value {
        self.try_get(path).unwrap_or_else(|| panic!("no answer to {path}\n{}", self.logs()))
    }

    /// An answer of the REST API, if there is one now.
    pub(crate) fn try_get(&self, path: &str) -> Option<Value> {
        let url = format!("http://localhost:{}{path}", self.rest);
        let text = ureq::get(&url).call().ok()?.body_mut().read_to_string().ok()?;
        serde_json::from_str(&text).ok()
    }

    /// The status of a job.
    pub(crate) fn status(&self, job: &str) -> String {
        self.get(&format!("/jobs/{job}/status"))["status"].as_str().unwrap().to_owned()
    }

    /// How many checkpoints of a job have completed.
    pub(crate) fn completed(&self, job: &str) -> u64 {
        self.get(&format!("/jobs/{job}/checkpoints"))["counts"]["completed"].as_u64().unwrap()
    }

    /// Waits until a checkpoint has completed that began after this call.
    pub(crate) fn wait_for_checkpoint(&self, job: &str) {
        let before = self.completed(job);
        self.wait("a checkpoint", || self.completed(job) >= before + 2);
    }

    /// Everything that was logged.
    pub(crate) fn logs(&self) -> String {
        let mut all = String::new();
        for entry in fs::read_dir(self.path("log")).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "log") {
                let text = fs::read_to_string(&path).unwrap();
                all.push_str(&format!("== {}\n{text}\n", path.display()));
            }
        }
        all
    }

    /// The processes of the workers, in the order in which they were started.
    pub(crate) fn workers(&self) -> Vec<i32> {
        let mut found: Vec<(String, i32)> = Vec::new();
        for line in self.logs().lines() {
            if let Some((start, pid)) = line.split_once("is started, with pid ") {
                found.push((start.to_owned(), pid.trim_end_matches('.').parse().unwrap()));
            }
        }
        // Each line begins with its time.
        found.sort();
        found.into_iter().map(|(_, pid)| pid).collect()
    }

    /// The processes of the TaskManagers that `cluster start` has started.
    pub(crate) fn taskmanagers(&self) -> Vec<i32> {
        self.pids("-taskmanager.pid")
    }

    /// The process of the JobManager that was started last, of those that run.
    pub(crate) fn jobmanager(&self) -> i32 {
        let added = self.children.iter().filter(|(kind, _)| *kind == "jobmanager");
        let added = added.map(|(_, child)| i32::try_from(child.id()).unwrap());
        let all = self.pids("-jobmanager.pid").into_iter().chain(added);
        // The one that leads was there first.
        all.into_iter().find(|pid| is_running(*pid)).unwrap()
    }

    fn pids(&self, name: &str) -> Vec<i32> {
        let entries = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files = entries.filter(|path| path.to_string_lossy().ends_with(name));
        let text = fs::read_to_string(files.next().unwrap()).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }

    /// Every process of this cluster that runs: of this kind, or all of them.
    pub(crate) fn running(&self, kind: Option<&str>) -> Vec<i32> {
        let own = |pid: i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let folder = self.folder.path().to_string_lossy().into_owned();
            let is_worker = environment.split(|byte| *byte == 0).any(|variable| {
                variable.starts_with(b"FLOTT_WORKER=")
                    && String::from_utf8_lossy(variable).contains(&format!(":{}\"", self.rpc))
            });
            let is_ours = String::from_utf8_lossy(&environment).contains(&folder);
            let name = line.split(|byte| *byte == 0).nth(1).unwrap_or_default();
            let name = if is_worker { "worker".into() } else { String::from_utf8_lossy(name) };
            !line.is_empty() && (is_ours || is_worker) && kind.is_none_or(|kind| name == kind)
        };
        let entries = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
        let pids = entries.filter_map(|name| name.to_string_lossy().parse().ok());
        let mut pids: Vec<i32> = pids.filter(|pid| own(*pid)).collect();
        pids.sort_unstable();
        pids
    }

    /// Starts another TaskManager.
    pub(crate) fn add_taskmanager(&mut self) {
        self.add("taskmanager", &[]);
    }

    /// Starts another JobManager.
    pub(crate) fn add_jobmanager(&mut self) {
        self.add("jobmanager", &[]);
    }

    /// Starts another process of this kind, with more arguments.
    pub(crate) fn add(&mut self, kind: &'static str, arguments: &[&str]) {
        self.add_on(1, kind, arguments);
    }

    /// Starts another process on a host, if there are several.
    pub(crate) fn add_on(&mut self, host: u32, kind: &'static str, arguments: &[&str]) {
        let number = self.children.len();
        let log = |extension| {
            File::create(self.path("log").join(format!("added-{number}.{extension}"))).unwrap()
        };
        let mut command = self.command_on(host, &[&[kind], arguments].concat());
        let command = command.stdin(Stdio::null()).stdout(log("out")).stderr(log("log"));
        let child = command.spawn().unwrap();
        self.children.push((kind, child));
    }
}

impl Cluster {
    /// Ends all processes.
    pub(crate) fn end(&mut self) {
        for (_, child) in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = self.command(&["cluster", "stop"]).output();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "{}", self.logs());
        }
    }
}

pub(crate) fn kill(pid: i32, signal: &str) {
    let killed = Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    assert!(killed.success());
}

/// Whether a process is there, and no zombie.
pub(crate) fn is_running(pid: i32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "a test that hangs must end")]
fn now() -> Instant {
    Instant::now()
}
