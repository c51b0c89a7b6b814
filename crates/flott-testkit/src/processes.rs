//! A cluster of processes in a folder of its own: the built `flott` command, its JobManagers and
//! TaskManagers, and what their logs say. For tests and benchmarks: whatever goes wrong, panics.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a failed test")]

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Whatever takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a command has led to.
#[derive(Debug)]
pub struct Output {
    /// Its exit code.
    pub code: i32,
    /// What it has printed.
    pub text: String,
    /// And to stderr.
    pub error: String,
}

/// A cluster; its processes end when this is dropped.
pub struct Cluster {
    flott: PathBuf,
    folder: TempDir,
    rest: u16,
    rpc: u16,
    /// What runs a command on a host, if there are several.
    hosts: Option<PathBuf>,
    /// Processes that were started by hand.
    children: Vec<(&'static str, Child)>,
}

impl Cluster {
    /// Nothing runs yet. `flott` is the command; each of `options` is a line of the configuration, in which
    /// `{folder}` is the cluster's folder.
    pub fn prepare(flott: &Path, options: &[&str]) -> Self {
        // Both are free now; nobody else is likely to take them.
        let listeners = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
        let [rest, rpc] = listeners.each_ref().map(|l| l.local_addr().unwrap().port());
        let folder = tempfile::tempdir().unwrap();
        for name in ["conf", "feed", "log"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mut text = format!(
            "rest.port: {rest}\njobmanager:\n  rpc.port: {rpc}\nrestart-strategy.type: fixed-delay\n\
             restart-strategy.fixed-delay.attempts: 1000\nrestart-strategy.fixed-delay.delay: 0 s\n"
        );
        for option in options {
            text.push_str(&option.replace("{folder}", &folder.path().display().to_string()));
            text.push('\n');
        }
        // Once, before any process reads it.
        fs::write(folder.path().join("conf/config.yaml"), text).unwrap();
        let flott = flott.to_path_buf();
        Self { flott, folder, rest, rpc, hosts: None, children: Vec::new() }
    }

    /// The processes are on hosts, where `script` runs them (`script on HOST COMMAND`); clients on the
    /// first.
    pub fn put_on_hosts(&mut self, script: &Path) {
        self.hosts = Some(script.to_path_buf());
    }

    /// A port that is free now; nobody else is likely to take it.
    pub fn free_port(&self) -> u16 {
        TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
    }

    /// From now on, the REST API is at this port.
    pub fn answer_at(&mut self, port: u16) {
        self.rest = port;
    }

    /// Runs `flott cluster start`.
    pub fn start(&self, taskmanagers: usize) {
        self.done(&["cluster", "start", "--taskmanagers", &taskmanagers.to_string()]);
    }

    /// A file in the cluster's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the REST API is: host and port.
    pub fn address(&self) -> String {
        format!("localhost:{}", self.rest)
    }

    fn command_on(&self, host: u32, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.hosts.as_ref().unwrap_or(&self.flott));
        if self.hosts.is_some() {
            command.args(["on", &host.to_string()]).arg(&self.flott);
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
        self.command_on(1, &[&["-m", &self.address()], arguments].concat())
    }

    /// Starts a command.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.client(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs a command to its end.
    pub fn flott(&self, arguments: &[&str]) -> Output {
        self.flott_as("", arguments)
    }

    /// Runs a command to its end, with a token.
    pub fn flott_as(&self, token: &str, arguments: &[&str]) -> Output {
        let mut command = self.client(arguments);
        if !token.is_empty() {
            command.env("FLOTT_TOKEN", token.trim());
        }
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        Output { code, text: text(output.stdout), error: text(output.stderr) }
    }

    /// Runs a command that must succeed; returns what it prints.
    pub fn done(&self, arguments: &[&str]) -> String {
        let Output { code, text, error } = self.flott(arguments);
        assert_eq!(code, 0, "{arguments:?}: {text}{error}\n{}", self.logs());
        text
    }

    /// Submits a job, detached; returns its id.
    pub fn submit(&self, arguments: &[&str]) -> String {
        let text = self.done(&[&["run", "-d"], arguments].concat());
        let id = text.trim().strip_prefix("Job has been submitted with JobID ");
        id.unwrap_or_else(|| panic!("{text}")).to_owned()
    }

    /// What the jobs have printed, on all TaskManagers.
    pub fn printed(&self) -> Vec<String> {
        let files = self.logs_with("out").into_iter();
        files.flat_map(|(_, text)| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// Everything that was logged.
    pub fn logs(&self) -> String {
        let files = self.logs_with("log").into_iter();
        files.map(|(path, text)| format!("== {}\n{text}\n", path.display())).collect()
    }

    fn logs_with(&self, extension: &str) -> Vec<(PathBuf, String)> {
        let entries = fs::read_dir(self.path("log")).unwrap().map(|entry| entry.unwrap().path());
        let files = entries.filter(|path| path.extension().is_some_and(|own| own == extension));
        files.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
    }

    /// How often something was logged.
    pub fn logged(&self, text: &str) -> usize {
        self.logs().matches(text).count()
    }

    /// Waits until something is so.
    pub fn wait(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let end = now() + PATIENCE;
        while !is_so() {
            assert!(now() < end, "{what}: never\n{}\n{:?}", self.logs(), self.printed());
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// The processes of the workers, in the order in which they were started.
    pub fn workers(&self) -> Vec<i32> {
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
    pub fn taskmanagers(&self) -> Vec<i32> {
        self.pids("-taskmanager.pid")
    }

    /// The process of the JobManager that leads: of those that run, the one that was started first.
    pub fn jobmanager(&self) -> i32 {
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
    pub fn running(&self, kind: Option<&str>) -> Vec<i32> {
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

    /// Starts another process of this kind, with more arguments.
    pub fn add(&mut self, kind: &'static str, arguments: &[&str]) {
        self.add_on(1, kind, arguments);
    }

    /// Starts another process on a host, if there are several.
    pub fn add_on(&mut self, host: u32, kind: &'static str, arguments: &[&str]) {
        let number = self.children.len();
        let log = |extension| {
            File::create(self.path("log").join(format!("added-{number}.{extension}"))).unwrap()
        };
        let mut command = self.command_on(host, &[&[kind], arguments].concat());
        let command = command.stdin(Stdio::null()).stdout(log("out")).stderr(log("log"));
        let child = command.spawn().unwrap();
        self.children.push((kind, child));
    }

    /// Ends all processes.
    pub fn end(&mut self) {
        for (_, child) in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = self.command_on(1, &["cluster", "stop"]).output();
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

/// Sends a signal to a process: `-KILL`, `-STOP`, `-CONT`, `-INT`.
pub fn kill(pid: i32, signal: &str) {
    let killed = Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    assert!(killed.success());
}

/// Whether a process is there, and no zombie.
pub fn is_running(pid: i32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "a test that hangs must end")]
fn now() -> Instant {
    Instant::now()
}
