//! From a job binary to a job that runs.

use std::ffi::OsString;
use std::sync::Arc;
use std::thread::Builder;

use flott_control::actions::{Binary, Submission, Submissions, Upload};
use flott_control::view::ClusterView;
use flott_control::{Placement, WorkerId};
use flott_core::config::options;
use flott_core::{Error, ErrorKind, JobId, Result};
use flott_plan::{JobGraph, fingerprint};
use tracing::{error, info};

use super::workers::Workers;
use super::{JobManagerHandle, Shared, binaries};
use crate::extract::{JobPlan, Outcome, describe};
use crate::job::{Input, Inputs, JobRunner, Surroundings};
use crate::prepare::{configuration, new_job_id, prepare, settings};
use crate::rpc::messages::{WorkerJob, WorkerStart};
use crate::storage::savepoint::Savepoints;

/// The command line of a binary, without its name.
fn command_line(submission: &Submission, job: &str) -> Vec<String> {
    let mut line = Vec::new();
    for (key, value) in &submission.options {
        line.extend(["-D".to_owned(), format!("{key}={value}")]);
    }
    if let Some(parallelism) = submission.parallelism {
        line.extend(["-p".to_owned(), parallelism.to_string()]);
    }
    if let Some(place) = &submission.savepoint {
        line.extend(["-s".to_owned(), place.clone()]);
    }
    line.extend(submission.allow_non_restored_state.then(|| "-n".to_owned()));
    line.push(job.to_owned());
    line.extend(submission.arguments.iter().cloned());
    line
}

impl Submissions for JobManagerHandle {
    fn upload(&self, name: &str) -> Result<Box<dyn Upload>> {
        binaries::upload(&self.shared, name)
    }

    fn binaries(&self) -> Vec<Binary> {
        self.shared.binaries.list()
    }

    fn delete(&self, id: &str) -> Result<()> {
        self.shared.binaries.delete(id)
    }

    fn plan(&self, submission: &Submission) -> Result<(String, JobGraph)> {
        let (_, _, plan) = self.describe(submission)?;
        Ok((plan.name, plan.graph))
    }

    fn submit(&self, submission: &Submission) -> Result<JobId> {
        let shared = &self.shared;
        let (binary, arguments, plan) = self.describe(submission)?;
        let config = configuration(&plan.settings)?;
        let job = new_job_id(&*shared.clock);
        let planned = prepare(job, &plan.program, &config)?;
        info!(
            "Job {} ({job}) is submitted: {}, plan {:032x}.",
            planned.spec.name,
            binary.name,
            fingerprint(&planned.plan.graph)
        );
        let inputs = Inputs::new();
        let start = WorkerStart {
            job,
            worker: WorkerId(0),
            ticket: shared.new_ticket(),
            binary: binary.sha256().to_owned(),
            arguments,
            settings: settings(&shared.config.settings),
        };
        let graph = planned.plan.graph.clone();
        let worker_job = move || WorkerJob {
            program: plan.program.clone(),
            graph: graph.clone(),
            settings: plan.settings.clone(),
        };
        let placement = Placement::new(&planned.plan.graph);
        let sender = inputs.sender.clone();
        shared.began(job, start.ticket, sender.clone());
        let savepoint_directory = config.get(&options::SAVEPOINT_DIR)?;
        let savepoints = Savepoints::default();
        let report = sender.clone();
        shared.jobs.started(
            job,
            Arc::new(move |input| drop(report.send(Input::Job(input)))),
            savepoints.clone(),
            savepoint_directory,
        );
        let workers = Workers::new(shared.clone(), placement, start, worker_job, sender);
        let surroundings = Surroundings {
            clock: shared.clock.clone(),
            jobs: shared.jobs.clone(),
            views: Some(shared.views.clone()),
            io: shared.io.clone(),
            savepoints,
        };
        let mut runner = JobRunner::new(planned, workers, inputs, surroundings);
        runner.publish_first();
        let shared = shared.clone();
        let run = move || {
            if let Err(error) = runner.run() {
                error!("Job {job} failed: {}", error.report());
            }
            shared.jobs.ended(job);
        };
        Builder::new().name(format!("job-{job}")).spawn(run).map_err(|e| {
            Error::with_source(ErrorKind::Io, "cannot start the thread of a job", e)
        })?;
        Ok(job)
    }
}

impl JobManagerHandle {
    /// The binary of a submission, its command line, and what it says of the job.
    fn describe(&self, submission: &Submission) -> Result<(Binary, Vec<String>, JobPlan)> {
        let Shared { binaries, config, .. } = &*self.shared;
        let binary = binaries.get(&submission.binary)?;
        let names: Vec<&str> = binary.jobs.iter().map(|(name, _)| name.as_str()).collect();
        let job = crate::extract::choose(&names, submission.job.as_deref(), &binary.name)?;
        let arguments = command_line(submission, job);
        let line: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let settings = settings(&config.settings);
        let path = binaries.path(&binary);
        match describe(&path, &line, &settings, config.plan_timeout)?.outcome {
            Outcome::Plan(plan) => Ok((binary, arguments, *plan)),
            Outcome::Error(text) => Err(Error::invalid(text.trim().to_owned())),
            Outcome::Nothing => Err(Error::internal("the binary gave no plan")),
        }
    }

    /// What the cluster looks like now.
    pub fn view(&self) -> ClusterView {
        ClusterView {
            task_managers: Some(self.shared.task_managers()),
            ..self.shared.views.latest()
        }
    }
}
