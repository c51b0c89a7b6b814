//! The jobs that run here, for those who want something of them.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flott_control::JobInput;
use flott_core::{CheckpointId, JobId};

/// Whom to tell how a checkpoint went that somebody asked for.
type Answer = Box<dyn FnOnce(Result<CheckpointId, String>) + Send>;

/// The jobs that run in this process. Clones reach the same.
#[derive(Clone, Default)]
pub struct Jobs {
    running: Arc<Mutex<BTreeMap<JobId, Running>>>,
}

struct Running {
    inputs: Sender<JobInput>,
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

    pub(crate) fn started(&self, job: JobId, inputs: Sender<JobInput>) {
        let running = Running { inputs, answers: BTreeMap::new(), next_request: 0 };
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
