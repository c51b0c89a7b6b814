//! A cluster of release binaries in a folder of its own, and what its logs say.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark that fails says so")]

use std::fs::{self, File, OpenOptions};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Where cargo has put the `flott` command.
fn flott() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    // target/release/deps/cluster-…
    own.ancestors().nth(2).unwrap().join("flott")
}

/// Builds the `flott` command.
pub(super) fn build() {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let built = cargo.args(["build", "--release", "-p", "flott-cli"]).status().unwrap();
    assert!(built.success(), "flott-cli cannot be built");
}

pub(super) struct Cluster {
    folder: TempDir,
    children: Vec<Child>,
}

impl Cluster {
    /// Nothing runs yet.
    pub(super) fn prepare(options: &[&str]) -> Self {
        let listeners = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
        let [rest, rpc] = listeners.each_ref().map(|l| l.local_addr().unwrap().port());
        let folder = tempfile::tempdir().unwrap();
        let conf = folder.path().join("conf");
        fs::create_dir(&conf).unwrap();
        let mut text = format!(
            "rest.port: {rest}\njobmanager.rpc.port: {rpc}\nrestart-strategy.type: fixed-delay\n\
             restart-strategy.fixed-delay.attempts: 1000\nrestart-strategy.fixed-delay.delay: 0 s\n\
             execution.checkpointing.dir: {}\n",
            folder.path().join("checkpoints").display()
        );
        for option in options {
            text.push_str(&option.replace(": ha", &format!(": {}/ha", folder.path().display())));
            text.push('\n');
        }
        fs::write(conf.join("config.yaml"), text).unwrap();
        Self { folder, children: Vec::new() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(flott());
        let folder = self.folder.path();
        command
            .env("FLOTT_PID_DIR", folder)
            .env("FLOTT_LOG_DIR", folder.join("log"))
            .env("FLOTT_CONF_DIR", folder.join("conf"))
            .args(arguments);
        command
    }

    /// Starts a JobManager and so many TaskManagers.
    pub(super) fn start(&self, taskmanagers: usize) {
        self.flott(&["cluster", "start", "--taskmanagers", &taskmanagers.to_string()]);
    }

    /// Runs a command that must succeed; returns what it prints.
    pub(super) fn flott(&self, arguments: &[&str]) -> String {
        let address = self.address();
        let output = self.command(&[&["-m", &address], arguments].concat()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (code, out) = (output.status.code(), text(output.stdout));
        assert_eq!(code, Some(0), "{arguments:?}: {out}{}\n{}", text(output.stderr), self.logs());
        out
    }

    /// A job binary of at least so many bytes: this program, filled up.
    pub(super) fn binary(&self, bytes: u64) -> String {
        let path = self.folder.path().join("job");
        fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(file.metadata().unwrap().len().max(bytes)).unwrap();
        path.display().to_string()
    }

    /// A file in the cluster's folder.
    pub(super) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Submits a job, detached; returns its id.
    pub(super) fn submit(&self, binary: &str, options: &[&str], arguments: &[&str]) -> String {
        let text = self.flott(&[&["run", "-d"], options, &[binary], arguments].concat());
        text.trim().rsplit(' ').next().unwrap_or_default().to_owned()
    }

    fn logs(&self) -> String {
        let mut all = String::new();
        for entry in fs::read_dir(self.folder.path().join("log")).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "log") {
                all.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
        all
    }

    /// How often something was logged.
    pub(super) fn count(&self, text: &str) -> usize {
        self.logs().matches(text).count()
    }

    /// Waits until something was logged so often.
    pub(super) fn wait_for(&self, text: &str, count: usize) {
        self.wait(text, || self.count(text) >= count);
    }

    /// Waits until a checkpoint is complete that began after this call.
    pub(super) fn wait_for_checkpoint(&self) {
        let completed = self.count("Completed checkpoint");
        self.wait_for("Completed checkpoint", completed + 2);
    }

    pub(super) fn wait_for_taskmanagers(&self, count: usize) {
        self.wait("TaskManagers", || {
            let status = self.command(&["cluster", "status", "-m", &self.address()]).output();
            String::from_utf8_lossy(&status.unwrap().stdout).contains(&format!("{count} TaskM"))
        });
    }

    fn address(&self) -> String {
        let config = fs::read_to_string(self.folder.path().join("conf/config.yaml")).unwrap();
        let port = config.lines().find_map(|line| line.strip_prefix("rest.port: ")).unwrap();
        format!("localhost:{port}")
    }

    fn wait(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        for _ in 0..60_000 {
            if is_so() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        panic!("{what}: never\n{}", self.logs());
    }

    /// The processes of a kind that run.
    pub(super) fn pids(&self, kind: &str) -> Vec<String> {
        let own = self.folder.path().to_string_lossy().into_owned();
        let entries = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
        let pids = entries.map(|name| name.to_string_lossy().into_owned());
        let is_one = |pid: &String| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            line.split(|byte| *byte == 0).nth(1) == Some(kind.as_bytes())
                && String::from_utf8_lossy(&environment).contains(&own)
        };
        pids.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit())).filter(is_one).collect()
    }

    /// The process of a kind of which there is one.
    pub(super) fn pid(&self, kind: &str) -> String {
        self.pids(kind).into_iter().next().unwrap()
    }

    /// The worker that was started last.
    pub(super) fn newest_worker(&self) -> String {
        let logs = self.logs();
        let mut started: Vec<&str> =
            logs.lines().filter(|line| line.contains("is started, with pid ")).collect();
        started.sort_unstable();
        let last = started.last().unwrap();
        last.rsplit("pid ").next().unwrap_or_default().trim_end_matches('.').to_owned()
    }

    /// A TaskManager with a worker.
    pub(super) fn busy_taskmanager(&self) -> String {
        let worker = self.newest_worker();
        let stat = fs::read_to_string(format!("/proc/{worker}/stat")).unwrap();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        after_name.split_whitespace().nth(1).unwrap_or_default().to_owned()
    }

    /// Starts another process of a kind.
    pub(super) fn add(&mut self, kind: &str) {
        let number = self.children.len();
        let log = self.folder.path().join("log").join(format!("added-{number}.log"));
        let mut command = self.command(&[kind]);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        self.children.push(command.stderr(File::create(log).unwrap()).spawn().unwrap());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = self.command(&["cluster", "stop"]).output();
    }
}

/// Kills a process.
pub(super) fn kill(pid: &str) {
    assert!(Command::new("kill").args(["-KILL", pid]).status().unwrap().success());
}
