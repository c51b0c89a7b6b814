//! A cluster of release binaries, and what its logs say.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails says so")]

use std::fs::{self, OpenOptions};
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::Command;

use flott_testkit::processes;
pub(super) use flott_testkit::processes::kill;

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

/// What is logged of every complete checkpoint.
pub(super) const COMPLETED: &str = "Completed checkpoint";

/// A cluster to measure.
pub(super) struct Cluster(processes::Cluster);

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
    /// Nothing runs yet.
    pub(super) fn prepare(options: &[&str]) -> Self {
        let checkpoints = "execution.checkpointing.dir: {folder}/checkpoints";
        Self(processes::Cluster::prepare(&flott(), &[options, &[checkpoints]].concat()))
    }

    /// A job binary of at least so many bytes: this program, filled up.
    pub(super) fn binary(&self, bytes: u64) -> String {
        let path = self.path("job");
        fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(file.metadata().unwrap().len().max(bytes)).unwrap();
        path.display().to_string()
    }

    /// Waits until something was logged so often.
    pub(super) fn wait_for(&self, text: &str, count: usize) {
        self.wait(text, || self.logged(text) >= count);
    }

    /// Waits until a checkpoint is complete that began after this call.
    pub(super) fn wait_for_checkpoint(&self) {
        self.wait_for(COMPLETED, self.logged(COMPLETED) + 2);
    }

    /// How many bytes there are in the files of a folder, and in those below it.
    pub(super) fn bytes_below(&self, folder: &str) -> u64 {
        let (mut folders, mut bytes) = (vec![self.path(folder)], 0);
        while let Some(folder) = folders.pop() {
            // What is deleted meanwhile does not count.
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.metadata() {
                    Ok(found) if found.is_dir() => folders.push(entry.path()),
                    Ok(found) => bytes += found.len(),
                    Err(_) => {}
                }
            }
        }
        bytes
    }

    pub(super) fn wait_for_taskmanagers(&self, count: usize) {
        let status = format!("{count} TaskManagers");
        self.wait(&status, || self.flott(&["cluster", "status"]).text.contains(&status));
    }

    /// The process of a kind of which there is one.
    pub(super) fn pid(&self, kind: &str) -> i32 {
        self.running(Some(kind))[0]
    }

    /// The worker that was started last.
    pub(super) fn newest_worker(&self) -> i32 {
        *self.workers().last().unwrap()
    }

    /// A TaskManager with a worker.
    pub(super) fn busy_taskmanager(&self) -> i32 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.newest_worker())).unwrap();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        after_name.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}
