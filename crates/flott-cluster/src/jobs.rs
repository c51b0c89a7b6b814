//! The jobs that run here, for those who want something of them.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flott_control::JobInput;
use flott_core::{CheckpointId, Error, JobId};

use crate::storage::savepoint::{self, Savepoints};

/// Whom to tell how a checkpoint went that somebody asked for.
type Answer = Box<dyn FnOnce(Result<CheckpointId, String>) + Send>;

/// The jobs that run in this process. Clones reach the same.
#[derive(Clone, Default)]
pub struct Jobs {
    running: Arc<Mutex<BTreeMap<JobId, Running>>>,
}

struct Running {
    inputs: Sender<JobInput>,
    savepoints: Savepoints,
    /// Where savepoints go that name no directory.
    savepoint_directory: Option<String>,
    /// By the number of the request.
    answers: BTreeMap<u64, Answer>,
    next_request: u64,
}

impl Jobs {
    /// Cancels a job. False if it does not run.
    pub fn cancel(&self, job: JobId) -> bool {
        self.lock().get(&job).is_some_and(|job| job.inputs.send(JobInput::Cancel).is_ok())
    }

    /// Takes a checkpoint of a job now. `answer` is called with its number once it is complete, or
    /// with the reason why there is none; also if the job ends before.
    pub fn checkpoint(
        &self,
        job: JobId,
        answer: impl FnOnce(Result<CheckpointId, String>) + Send + 'static,
    ) {
        let mut running = self.lock();
        let Some(found) = running.get_mut(&job) else {
            drop(running);
            return answer(Err(format!("Job {job} is not running.")));
        };
        let request = found.next_request;
        found.next_request += 1;
        found.answers.insert(request, Box::new(answer));
        // If the job is ending, its end answers.
        let _ = found.inputs.send(JobInput::CheckpointRequested { request });
    }

    /// Takes a savepoint of a job now, in a new folder in `directory`, or in that of the option
    /// `execution.checkpointing.savepoint-dir`. `answer` is called with the place of the savepoint
    /// once it is complete, or with the reason why there is none.
    ///
    /// # Errors
    /// If there is no directory, or it is none of this machine. A job that does not run is an
    /// answer.
    pub fn savepoint(
        &self,
        job: JobId,
        directory: Option<&str>,
        answer: impl FnOnce(Result<String, String>) + Send + 'static,
    ) -> flott_core::Result<()> {
        let mut running = self.lock();
        let Some(found) = running.get_mut(&job) else {
            drop(running);
            answer(Err(format!("Job {job} is not running.")));
            return Ok(());
        };
        let directory = directory.or(found.savepoint_directory.as_deref()).ok_or_else(|| {
            Error::invalid(
                "Config key [execution.checkpointing.savepoint-dir] is not set. Property \
                 [target-directory] must be provided.",
            )
        })?;
        let folder = savepoint::new_folder(directory, job)?;
        let request = found.next_request;
        found.next_request += 1;
        let location = found.savepoints.want(request, folder);
        let answer = move |result: Result<CheckpointId, String>| answer(result.map(|_| location));
        found.answers.insert(request, Box::new(answer));
        // If the job is ending, its end answers.
        let _ = found.inputs.send(JobInput::SavepointRequested { request });
        Ok(())
    }

    pub(crate) fn started(
        &self,
        job: JobId,
        inputs: Sender<JobInput>,
        savepoints: Savepoints,
        savepoint_directory: Option<String>,
    ) {
        let (answers, next_request) = (BTreeMap::new(), 0);
        let running = Running { inputs, savepoints, savepoint_directory, answers, next_request };
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
