//! The jobs that run here, for those who want something of them.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Builder;

use flott_control::JobInput;
use flott_control::actions::{
    Actions, CheckpointAnswer, DisposalAnswer, RescaleAnswer, Rescaled, SavepointAnswer,
    StateAnswer, StateKey,
};
use flott_core::config::Configuration;
use flott_core::{CheckpointId, Error, ErrorKind, JobId};

use crate::job::{JobLookUp, SendLookUp};
use crate::storage::savepoint::Savepoints;
use crate::storage::{Stores, dispose_savepoint};
use crate::tasks::Report;

/// The jobs that run in this process. Clones reach the same.
#[derive(Clone, Default)]
pub struct Jobs {
    stores: Arc<OnceLock<Stores>>,
    running: Arc<Mutex<BTreeMap<JobId, Running>>>,
}

/// Runs a job once more, from a savepoint. Calls block.
pub(crate) trait RunAgain: Send + Sync {
    /// Whether it could have this parallelism.
    ///
    /// # Errors
    /// If not; or if its binary is not there any more.
    fn check(&self, parallelism: u32) -> flott_core::Result<()>;

    /// Runs it.
    ///
    /// # Errors
    /// If it cannot begin.
    fn run(&self, parallelism: u32, savepoint: &str) -> flott_core::Result<JobId>;
}

struct Running {
    report: Report,
    look_up: SendLookUp,
    again: Option<Arc<dyn RunAgain>>,
    savepoints: Savepoints,
    /// Where savepoints go that name no directory.
    savepoint_directory: Option<String>,
    /// By the number of the request.
    answers: BTreeMap<u64, CheckpointAnswer>,
    next_request: u64,
}

impl Actions for Jobs {
    fn cancel(&self, job: JobId) -> bool {
        self.lock().get(&job).map(|job| (job.report)(JobInput::Cancel)).is_some()
    }

    fn checkpoint(&self, job: JobId, answer: CheckpointAnswer) {
        let mut running = self.lock();
        let Some(found) = running.get_mut(&job) else {
            drop(running);
            return answer(Err(format!("Job {job} is not running.")));
        };
        let request = found.next_request;
        found.next_request += 1;
        found.answers.insert(request, answer);
        // If the job is ending, its end answers.
        (found.report)(JobInput::CheckpointRequested { request });
    }

    fn savepoint(
        &self,
        job: JobId,
        directory: Option<&str>,
        answer: SavepointAnswer,
    ) -> flott_core::Result<()> {
        let input = |request, _: String| JobInput::SavepointRequested { request };
        self.want_savepoint(job, directory, "target-directory", answer, input)
    }

    fn stop(
        &self,
        job: JobId,
        directory: Option<&str>,
        drain: bool,
        answer: SavepointAnswer,
    ) -> flott_core::Result<()> {
        let input = |request, folder| JobInput::StopRequested { request, drain, folder };
        self.want_savepoint(job, directory, "targetDirectory", answer, input)
    }

    fn rescale(
        &self,
        job: JobId,
        parallelism: u32,
        directory: Option<&str>,
        answer: RescaleAnswer,
    ) -> flott_core::Result<()> {
        let again = self.lock().get(&job).map(|running| running.again.clone());
        let again = match again {
            None => {
                answer(Err(format!("Job {job} is not running.")));
                return Ok(());
            }
            Some(None) => {
                let why = "This job is all that its process does: only a cluster can run it again.";
                answer(Err(why.into()));
                return Ok(());
            }
            Some(Some(again)) => again,
        };
        let (jobs, directory) = (self.clone(), directory.map(str::to_owned));
        // The binary is started twice, and the savepoint takes its time.
        let work = move || {
            let done = jobs.run_again(job, parallelism, directory.as_deref(), &*again);
            answer(done.map_err(|error| error.report()));
        };
        Builder::new().name("rescale".into()).spawn(work).map(drop).map_err(|e| {
            Error::with_source(ErrorKind::Io, "cannot start the thread \"rescale\"", e)
        })
    }

    fn look_up(&self, job: JobId, key: StateKey, answer: StateAnswer) {
        let look_up = self.lock().get(&job).map(|running| running.look_up.clone());
        // Without it, that nobody answers says that the job has ended.
        if let Some(look_up) = look_up {
            look_up(JobLookUp::new(key, answer));
        }
    }

    fn dispose(&self, place: &str, answer: DisposalAnswer) {
        let stores = self.stores.get_or_init(|| Stores::new(&Configuration::new()));
        let disposed = stores.place(place).and_then(|place| dispose_savepoint(&place));
        answer(disposed.map_err(|error| error.report()));
    }
}

impl Jobs {
    /// What is deleted for its users is in these stores, the first that are given.
    pub(crate) fn reach(&self, stores: &Stores) {
        self.stores.get_or_init(|| stores.clone());
    }

    fn run_again(
        &self,
        job: JobId,
        parallelism: u32,
        directory: Option<&str>,
        again: &dyn RunAgain,
    ) -> flott_core::Result<Rescaled> {
        again.check(parallelism)?;
        let (sender, receiver) = channel();
        let answer = move |stopped| drop(sender.send(stopped));
        self.stop(job, directory, false, Box::new(answer))?;
        // Whoever ends the job answers.
        let stopped = receiver.recv().unwrap_or_else(|_| Err("The job has ended.".into()));
        let savepoint = stopped.map_err(Error::invalid)?;
        let job = again.run(parallelism, &savepoint).map_err(|error| {
            error.context(format!(
                "the job has stopped with the savepoint {savepoint}, and could not be started from there"
            ))
        })?;
        Ok(Rescaled { job, savepoint })
    }

    /// Asks for a savepoint; `property` is what a client calls the directory that is missing.
    fn want_savepoint(
        &self,
        job: JobId,
        directory: Option<&str>,
        property: &str,
        answer: SavepointAnswer,
        input: impl FnOnce(u64, String) -> JobInput,
    ) -> flott_core::Result<()> {
        let mut running = self.lock();
        let Some(found) = running.get_mut(&job) else {
            drop(running);
            answer(Err(format!("Job {job} is not running.")));
            return Ok(());
        };
        let directory = directory.or(found.savepoint_directory.as_deref()).ok_or_else(|| {
            Error::invalid(format!(
                "Config key [execution.checkpointing.savepoint-dir] is not set. Property \
                 [{property}] must be provided."
            ))
        })?;
        let folder = found.savepoints.new_folder(directory, job)?;
        let request = found.next_request;
        found.next_request += 1;
        let path = folder.to_string();
        let location = found.savepoints.want(request, folder);
        let answer = move |result: Result<CheckpointId, String>| answer(result.map(|_| location));
        found.answers.insert(request, Box::new(answer));
        // If the job is ending, its end answers.
        (found.report)(input(request, path));
        Ok(())
    }

    pub(crate) fn started(
        &self,
        job: JobId,
        report: Report,
        look_up: SendLookUp,
        again: Option<Arc<dyn RunAgain>>,
        savepoints: Savepoints,
        savepoint_directory: Option<String>,
    ) {
        let (answers, next_request) = (BTreeMap::new(), 0);
        let running = Running {
            report,
            look_up,
            again,
            savepoints,
            savepoint_directory,
            answers,
            next_request,
        };
        self.lock().insert(job, running);
    }

    pub(crate) fn answer(&self, job: JobId, request: u64, result: Result<CheckpointId, String>) {
        let answer = self.lock().get_mut(&job).and_then(|job| job.answers.remove(&request));
        if let Some(answer) = answer {
            answer(result);
        }
    }

    pub(crate) fn ended(&self, job: JobId) {
        let ended = self.lock().remove(&job);
        for answer in ended.into_iter().flat_map(|ended| ended.answers.into_values()) {
            answer(Err(format!("Job {job} has ended.")));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
