//! What people can do: to jobs that run, and with job binaries. Implemented by whoever runs jobs,
//! called by whoever listens to people.

use flott_core::{CheckpointId, JobId, KeyGroup, Result, WallTime};
use flott_plan::JobGraph;

/// Whom to tell how a checkpoint went.
pub type CheckpointAnswer = Box<dyn FnOnce(std::result::Result<CheckpointId, String>) + Send>;

/// Whom to tell where a savepoint is, or why there is none.
pub type SavepointAnswer = Box<dyn FnOnce(std::result::Result<String, String>) + Send>;

/// Whom to tell how the deletion of a savepoint went.
pub type DisposalAnswer = Box<dyn FnOnce(std::result::Result<(), String>) + Send>;

/// A job that goes on as another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescaled {
    /// The job that goes on.
    pub job: JobId,
    /// The savepoint that it has begun with.
    pub savepoint: String,
}

/// Whom to tell as which job one goes on, or why it does not.
pub type RescaleAnswer = Box<dyn FnOnce(std::result::Result<Rescaled, String>) + Send>;

/// What somebody wants to know of the keyed state of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateKey {
    /// The operator's uid, id or name.
    pub operator: String,
    /// The state's name.
    pub state: String,
    /// The key: text as it is, a number, or JSON.
    pub key: String,
}

/// What the state has for the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateValue {
    /// The operator's uid.
    pub uid: String,
    /// The subtask that has the key.
    pub subtask: u32,
    /// The key group that the key is in.
    pub key_group: KeyGroup,
    /// The shape of keys.
    pub key_schema: String,
    /// The shape of values.
    pub value_schema: String,
    /// The value, as JSON; nothing if there is none.
    pub value: Option<String>,
}

/// Whom to tell what a state has. Dropping it says that the job has ended.
pub type StateAnswer = Box<dyn FnOnce(Result<StateValue>) + Send>;

/// What can be done to the jobs that are shown. Calls return at once.
pub trait Actions: Send + Sync {
    /// Cancels a job. False if it does not run.
    fn cancel(&self, job: JobId) -> bool;

    /// Takes a checkpoint of a job now, and calls `answer` with its number or with the reason why
    /// there is none.
    fn checkpoint(&self, job: JobId, answer: CheckpointAnswer);

    /// Takes a savepoint of a job now, in a new folder in `directory` or in the one that the job's
    /// options name, and calls `answer` with its place or with the reason why there is none.
    ///
    /// # Errors
    /// If there is no such directory: then `answer` is not called.
    fn savepoint(&self, job: JobId, directory: Option<&str>, answer: SavepointAnswer)
    -> Result<()>;

    /// Stops a job with a savepoint in a new folder, as with [`Actions::savepoint`]. With `drain` its
    /// input ends for ever: event time goes to its end, and operators finish before the savepoint.
    /// `answer` is called with the savepoint's place when the job has ended.
    ///
    /// # Errors
    /// If there is no such directory: then `answer` is not called.
    fn stop(
        &self,
        job: JobId,
        directory: Option<&str>,
        drain: bool,
        answer: SavepointAnswer,
    ) -> Result<()>;

    /// Stops a job with a savepoint, as [`Actions::stop`] does, and runs it again from there with another parallelism, as
    /// a new job: with the binary, arguments and options that it has now. Before it is stopped, it is asked whether it
    /// could have that parallelism.
    ///
    /// # Errors
    /// If it cannot be begun: then `answer` is not called.
    fn rescale(
        &self,
        job: JobId,
        parallelism: u32,
        directory: Option<&str>,
        answer: RescaleAnswer,
    ) -> Result<()>;

    /// Looks up a key in the state of a job that runs, and calls `answer` with what is there. The task that has it goes
    /// on between two of its batches; nothing else waits.
    fn look_up(&self, job: JobId, key: StateKey, answer: StateAnswer);

    /// Deletes the savepoint in `place`, and calls `answer` with what became of that.
    fn dispose(&self, place: &str, answer: DisposalAnswer);
}

/// What can be done with job binaries. Calls may block.
pub trait Submissions: Send + Sync {
    /// Begins to take in a binary that is called `name`.
    ///
    /// # Errors
    /// If it cannot be kept.
    fn upload(&self, name: &str) -> Result<Box<dyn Upload>>;

    /// The binaries, the newest first.
    fn binaries(&self) -> Vec<Binary>;

    /// Forgets a binary.
    ///
    /// # Errors
    /// If there is none, or it cannot be deleted.
    fn delete(&self, id: &str) -> Result<()>;

    /// What a job is called, and its plan, without running it.
    ///
    /// # Errors
    /// If there is none: the job function or its arguments are wrong.
    fn plan(&self, submission: &Submission) -> Result<(String, JobGraph)>;

    /// Runs a job.
    ///
    /// # Errors
    /// If the job function or an option is wrong, or what it is to start from.
    fn submit(&self, submission: &Submission) -> Result<JobId>;
}

/// A binary that is on its way. Dropping it forgets it.
pub trait Upload: Send {
    /// Takes in the next piece.
    ///
    /// # Errors
    /// If there are too many bytes, or they cannot be written.
    fn write(&mut self, piece: &[u8]) -> Result<()>;

    /// Keeps the binary.
    ///
    /// # Errors
    /// If it is no job binary that can run here, or there is no room.
    fn finish(self: Box<Self>) -> Result<Binary>;
}

/// A job binary that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// Its SHA-256 in hex, an underscore, and its name.
    pub id: String,
    /// What it was called when it was uploaded.
    pub name: String,
    /// When that was.
    pub uploaded: WallTime,
    /// How many bytes it has.
    pub size: u64,
    /// Its jobs: the name of each, and what it does, if it says so.
    pub jobs: Vec<(String, Option<String>)>,
}

impl Binary {
    /// Its SHA-256, in hex.
    pub fn sha256(&self) -> &str {
        self.id.split('_').next().unwrap_or_default()
    }
}

/// What somebody wants to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Submission {
    /// The id of the binary.
    pub binary: String,
    /// Which of its jobs; needed if there are several.
    pub job: Option<String>,
    /// The job's arguments.
    pub arguments: Vec<String>,
    /// How many subtasks operators have that do not say otherwise.
    pub parallelism: Option<u32>,
    /// The checkpoint or savepoint to start from.
    pub savepoint: Option<String>,
    /// Whether state that matches no operator is left out.
    pub allow_non_restored_state: bool,
    /// Options, by key.
    pub options: Vec<(String, String)>,
}
