//! A cluster of the built command, and jobs on it.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use flott_testkit::processes;
pub(crate) use flott_testkit::processes::{is_running, kill};
use serde_json::Value;

/// The example `jobs` of this package; `cargo test` builds it.
pub(crate) fn jobs() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let jobs = test.parent().and_then(Path::parent).unwrap().join("examples/jobs");
    assert!(jobs.exists(), "{jobs:?} is missing: cargo build -p flott-cli --examples");
    jobs
}

/// A cluster that counts words.
pub(crate) struct Cluster(processes::Cluster);

impl Deref for Cluster {
    type Target = processes::Cluster;

    fn deref(&self) -> &processes::Cluster {
        &self.0
    }
}

impl DerefMut for Cluster {
    fn deref_mut(&mut self) -> &mut processes::Cluster {
        &mut self.0
    }
}

impl Cluster {
    /// Starts a JobManager and so many TaskManagers, with these options.
    pub(crate) fn start(taskmanagers: usize, options: &[&str]) -> Self {
        let cluster = Self::prepare(options);
        cluster.0.start(taskmanagers);
        cluster
    }

    /// Nothing runs yet.
    pub(crate) fn prepare(options: &[&str]) -> Self {
        Self(processes::Cluster::prepare(Path::new(env!("CARGO_BIN_EXE_flott")), options))
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

    /// Waits until a word has this total.
    pub(crate) fn wait_for_total(&self, word: &str, total: i64) {
        let wanted = format!("(\"{word}\", {total})");
        self.wait(&format!("{word} is {total}"), || {
            self.printed().iter().any(|line| line.ends_with(&wanted))
        });
    }

    /// An answer of the REST API.
    pub(crate) fn get(&self, path: &str) -> Value {
        self.try_get(path).unwrap_or_else(|| panic!("no answer to {path}\n{}", self.logs()))
    }

    /// An answer of the REST API, if there is one now.
    pub(crate) fn try_get(&self, path: &str) -> Option<Value> {
        let url = format!("http://{}{path}", self.address());
        let text = ureq::get(&url).call().ok()?.body_mut().read_to_string().ok()?;
        serde_json::from_str(&text).ok()
    }

    /// The status of a job.
    pub(crate) fn status(&self, job: &str) -> String {
        self.get(&format!("/jobs/{job}/status"))["status"].as_str().unwrap().to_owned()
    }

    /// Waits until every task of a job runs: before that, nothing can be asked of its checkpoints.
    pub(crate) fn wait_for_tasks(&self, job: &str) {
        self.wait("all tasks run", || {
            let details = self.get(&format!("/jobs/{job}"));
            let vertices = details["vertices"].as_array().unwrap();
            let runs = |vertex: &Value| vertex["tasks"]["RUNNING"] == vertex["parallelism"];
            details["state"] == "RUNNING" && !vertices.is_empty() && vertices.iter().all(runs)
        });
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

    /// Starts another TaskManager.
    pub(crate) fn add_taskmanager(&mut self) {
        self.add("taskmanager", &[]);
    }

    /// Starts another JobManager.
    pub(crate) fn add_jobmanager(&mut self) {
        self.add("jobmanager", &[]);
    }
}
