//! What people can ask of the processes of a cluster: what they log, how much they take, what their threads do.
//! Implemented by whoever runs them, called by whoever listens to people.

use std::time::Duration;

use flott_core::{Result, WallTime};
use serde::{Deserialize, Serialize};

/// Which process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessName {
    /// The one that is asked.
    JobManager,
    /// The TaskManager that people call so.
    TaskManager(String),
}

/// The processes of a cluster. Calls may block.
pub trait Processes: Send + Sync {
    /// The options of the JobManager that were set, by key, without secrets.
    fn options(&self) -> Vec<(String, String)>;

    /// Asks a process.
    ///
    /// # Errors
    /// If there is none, or it does not answer, or cannot.
    fn ask(&self, process: &ProcessName, question: Question) -> Result<Answer>;
}

/// What a process can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// What it logs to.
    Logs,
    /// The end of one of those files: at most so many bytes.
    Log {
        /// Its name, as [`Answer::Logs`] has it.
        name: String,
        /// How many.
        last: u64,
    },
    /// What its threads do.
    Threads,
    /// How much it takes of its machine.
    Load,
}

/// What a process answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Question::Logs`].
    Logs(Vec<LogFile>),
    /// To [`Question::Log`].
    Log(Vec<u8>),
    /// To [`Question::Threads`].
    Threads(Vec<ThreadView>),
    /// To [`Question::Load`]: the process itself, and the workers that it has started, together.
    Load {
        /// The process.
        own: Load,
        /// Its workers; nothing if it starts none.
        workers: Option<Load>,
    },
}

/// A file that a process logs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFile {
    /// Its name, without its folder.
    pub name: String,
    /// How many bytes it has.
    pub size: u64,
    /// When it was last written.
    pub modified: WallTime,
}

/// A thread at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadView {
    /// Its number in the system.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// What it does, in a word.
    pub state: String,
    /// How long it has had a processor.
    pub cpu: Duration,
}

/// How much one process or several take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// How many processes.
    pub processes: u64,
    /// The memory that they have in use, in bytes.
    pub memory: u64,
    /// How long they have had processors.
    pub cpu: Duration,
    /// How many threads they have.
    pub threads: u64,
    /// How many files and connections they have open.
    pub files: u64,
}

impl Load {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            processes: self.processes + other.processes,
            memory: self.memory + other.memory,
            cpu: self.cpu + other.cpu,
            threads: self.threads + other.threads,
            files: self.files + other.files,
        }
    }
}
