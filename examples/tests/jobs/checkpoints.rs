//! Checkpoints as they lie in their directory: `<directory>/<job>/chk-<n>`.

use std::path::{Path, PathBuf};

use crate::support::{Ended, files};

/// A completed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Checkpoint {
    /// Its number: larger is newer, also across the jobs of a chain of restarts.
    pub(crate) number: u64,
    /// Its folder.
    pub(crate) path: PathBuf,
}

impl Checkpoint {
    #[track_caller]
    pub(crate) fn at(path: &Path) -> Self {
        let number = number(path).unwrap_or_else(|| panic!("{path:?} is no checkpoint"));
        Self { number, path: path.to_owned() }
    }

    /// The checkpoint that a line of the log reports as completed.
    #[track_caller]
    pub(crate) fn reported(line: &str) -> Self {
        Self::at(Path::new(line.rsplit(" at ").next().unwrap_or_default()))
    }

    /// Its record.
    pub(crate) fn metadata(&self) -> PathBuf {
        self.path.join("_metadata")
    }

    /// The folder of the job that took it.
    pub(crate) fn job_folder(&self) -> &Path {
        self.path.parent().expect("a checkpoint lies in the folder of its job")
    }
}

fn number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix("chk-")?.parse().ok()
}

/// The completed checkpoints of all jobs, oldest first.
pub(crate) fn completed(directory: &Path) -> Vec<Checkpoint> {
    let jobs = files(directory).into_iter();
    let folders = jobs.flat_map(|job| files(&job)).filter(|path| number(path).is_some());
    let mut all: Vec<Checkpoint> = folders
        .filter(|path| path.join("_metadata").exists())
        .map(|path| Checkpoint::at(&path))
        .collect();
    all.sort();
    all
}

/// The newest completed checkpoint.
pub(crate) fn newest(directory: &Path) -> Option<Checkpoint> {
    completed(directory).pop()
}

/// The largest number of a checkpoint that has been begun, whether or not it was completed; 0 if
/// there is none.
pub(crate) fn begun(directory: &Path) -> u64 {
    let jobs = files(directory).into_iter();
    jobs.flat_map(|job| files(&job)).filter_map(|path| number(&path)).max().unwrap_or(0)
}

/// What a job says when a checkpoint is complete.
pub(crate) const COMPLETED: &str = "Completed checkpoint ";

/// Whether a job that was killed had finished. It deletes its checkpoints before it says so: with
/// them goes the need to go on.
pub(crate) fn had_finished(ended: &Ended, directory: &Path) -> bool {
    let last = ended.logged.lines().rfind(|line| line.contains(COMPLETED));
    let last = last.map(Checkpoint::reported);
    let are_deleted = last.is_some_and(|last| newest(directory).is_none_or(|newest| newest < last));
    are_deleted || ended.logged.contains("to FINISHED")
}
