//! From a job binary to a job that runs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::thread::Builder;

use flott_control::actions::{Binary, Submission, Submissions, Upload};
use flott_control::processes::{Answer, ProcessName, Processes, Question};
use flott_control::view::ClusterView;
use flott_core::config::{Configuration, options};
use flott_core::{Error, ErrorKind, JobId, OperatorId, Result};
use flott_plan::{JobGraph, JobVertex, fingerprint};
use tracing::{error, info};

use super::ha::{HaStore, JobRecord};
use super::workers::Workers;
use super::{JobManagerHandle, Shared, binaries};
use crate::extract::{JobPlan, Outcome, describe};
use crate::job::{Inputs, JobRunner, Surroundings};
use crate::jobs::RunAgain;
use crate::plan::PlannedJob;
use crate::prepare::{Before, configuration, new_job_id, prepare, prepare_again, settings};
use crate::process;
use crate::storage::Stores;
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
        let (binary, arguments, plan) = self.describe(submission)?;
        self.start(&binary, arguments, plan)
    }
}

impl JobManagerHandle {
    /// Starts a job.
    fn start(&self, binary: &Binary, arguments: Vec<String>, plan: JobPlan) -> Result<JobId> {
        let config = configuration(&plan.settings)?;
        let job = new_job_id(&*self.shared.clock);
        let planned = prepare(&self.shared.stores, job, &plan.program, &config)?;
        info!(
            "Job {} ({job}) is submitted: {}, plan {:032x}.",
            planned.spec.name,
            binary.name,
            fingerprint(&planned.plan.graph)
        );
        let sha256 = binary.sha256().to_owned();
        let ticket = self.shared.new_ticket();
        let record = JobRecord::new(job, ticket, sha256, arguments, plan.program, plan.settings);
        if let Some(ha) = &self.shared.ha {
            ha.put(&record)?;
        }
        self.launch(record, planned, &config)?;
        Ok(job)
    }

    /// The binary of a submission, its command line, and what it says of the job.
    fn describe(&self, submission: &Submission) -> Result<(Binary, Vec<String>, JobPlan)> {
        let binary = self.shared.binaries.get(&submission.binary)?;
        let names: Vec<&str> = binary.jobs.iter().map(|(name, _)| name.as_str()).collect();
        let job = crate::extract::choose(&names, submission.job.as_deref(), &binary.name)?;
        let arguments = command_line(submission, job);
        let plan = self.plan_of(&binary, &arguments)?;
        Ok((binary, arguments, plan))
    }

    /// What a binary says of the job that this command line is for.
    fn plan_of(&self, binary: &Binary, arguments: &[String]) -> Result<JobPlan> {
        let Shared { binaries, config, .. } = &*self.shared;
        let line: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let settings = settings(&config.settings);
        let path = binaries.path(binary);
        match describe(&path, &line, &settings, config.plan_timeout)?.outcome {
            Outcome::Plan(plan) => Ok(*plan),
            Outcome::Error(text) => Err(Error::invalid(text.trim().to_owned())),
            Outcome::Nothing => Err(Error::internal("the binary gave no plan")),
        }
    }

    /// Goes on with the jobs that another JobManager has left, with their tasks if these still run. What
    /// cannot be gone on with is logged, and its record stays.
    pub(super) fn recover(&self) -> Result<()> {
        let Some(ha) = &self.shared.ha else { return Ok(()) };
        let prepared =
            ha.take_jobs()?.into_iter().map(|record| take_over(ha, &self.shared.stores, record?));
        // The workers of all of them have their time to come back from when all can be called.
        let prepared: Vec<Result<_>> = prepared.collect();
        if prepared.iter().all(Result::is_ok) {
            ha.has_settled()?;
        }
        for job in prepared {
            let launched =
                job.and_then(|(record, planned, config)| self.launch(record, planned, &config));
            if let Err(error) = launched {
                error!("A job cannot be recovered: {}", error.report());
            }
        }
        Ok(())
    }

    /// Starts the thread of a job.
    fn launch(&self, record: JobRecord, planned: PlannedJob, config: &Configuration) -> Result<()> {
        let shared = &self.shared;
        let (job, inputs) = (record.job, Inputs::new());
        let sender = inputs.sender.clone();
        let ticket = record.ticket;
        let again = Again {
            jobmanager: self.clone(),
            binary: record.binary.clone(),
            arguments: record.arguments.clone(),
            graph: planned.plan.graph.clone(),
        };
        let workers = Workers::new(shared.clone(), &planned.plan.graph, record, sender.clone());
        shared.began(job, ticket, sender.clone(), workers.awaited());
        let savepoint_directory = config.get(&options::SAVEPOINT_DIR)?;
        let savepoints = Savepoints::new(shared.stores.clone());
        shared.jobs.started(
            job,
            inputs.report(),
            inputs.look_up(),
            Some(Arc::new(again)),
            savepoints.clone(),
            savepoint_directory,
        );
        let fenced = shared.clone();
        let surroundings = Surroundings {
            clock: shared.clock.clone(),
            jobs: shared.jobs.clone(),
            views: Some(shared.views.clone()),
            io: shared.io.clone(),
            savepoints,
            fence: Arc::new(move || fenced.still_leads()),
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
        Ok(())
    }

    /// What the cluster looks like now.
    pub fn view(&self) -> ClusterView {
        ClusterView {
            task_managers: Some(self.shared.task_managers()),
            ..self.shared.views.latest()
        }
    }
}

/// What it takes to run a job once more.
struct Again {
    jobmanager: JobManagerHandle,
    /// The SHA-256 of its binary.
    binary: String,
    arguments: Vec<String>,
    /// Its plan as it runs.
    graph: JobGraph,
}

impl Again {
    fn plan(
        &self,
        parallelism: u32,
        savepoint: Option<&str>,
    ) -> Result<(Binary, Vec<String>, JobPlan)> {
        let mut all = self.jobmanager.shared.binaries.list().into_iter();
        let binary = all.find(|own| own.sha256() == self.binary).ok_or_else(|| {
            Error::invalid(
                "the job's binary was deleted: upload it, stop the job, and run it from its savepoint",
            )
        })?;
        let arguments = rescaled(&self.arguments, parallelism, savepoint);
        let plan = self.jobmanager.plan_of(&binary, &arguments)?;
        Ok((binary, arguments, plan))
    }
}

impl RunAgain for Again {
    fn check(&self, parallelism: u32) -> Result<()> {
        let (_, _, plan) = self.plan(parallelism, None)?;
        fits(&self.graph, &plan.graph)
    }

    fn run(&self, parallelism: u32, savepoint: &str) -> Result<JobId> {
        let (binary, arguments, plan) = self.plan(parallelism, Some(savepoint))?;
        self.jobmanager.start(&binary, arguments, plan)
    }
}

/// Whether state of a job that runs by one plan can go to that by another: what an operator remembers is in as many key
/// groups as it had, however many it would have got.
fn fits(before: &JobGraph, after: &JobGraph) -> Result<()> {
    let of = |vertex: &JobVertex| {
        let max = vertex.max_parallelism.get();
        vertex.operators.iter().map(|own| (own.id, max)).collect::<Vec<_>>()
    };
    let had: BTreeMap<OperatorId, u32> = before.vertices.iter().flat_map(of).collect();
    for vertex in &after.vertices {
        for own in &vertex.operators {
            if let Some(max) = had.get(&own.id).filter(|max| vertex.parallelism > **max) {
                return Err(Error::invalid(format!(
                    "operator \"{}\" ({}) has {max} key groups, and cannot have {} subtasks: stop the job with a \
                     savepoint, give that more (flott state edit --max-parallelism), and run it from there",
                    own.name, own.uid, vertex.parallelism
                )));
            }
        }
    }
    Ok(())
}

/// The command line of a job, with another parallelism and another savepoint to start from.
fn rescaled(arguments: &[String], parallelism: u32, savepoint: Option<&str>) -> Vec<String> {
    let (mut line, mut rest) = (Vec::new(), arguments);
    loop {
        rest = match rest {
            [option, value, rest @ ..] if option == "-D" => {
                line.extend([option.clone(), value.clone()]);
                rest
            }
            [option, _, rest @ ..] if option == "-p" || option == "-s" => rest,
            [option, rest @ ..] if option == "-n" => rest,
            // The job, and what is its own.
            _ => break,
        };
    }
    line.extend(["-p".to_owned(), parallelism.to_string()]);
    line.extend(savepoint.into_iter().flat_map(|place| ["-s".to_owned(), place.to_owned()]));
    line.extend_from_slice(rest);
    line
}

/// What it takes to go on with a job that another JobManager has left.
fn take_over(
    ha: &HaStore,
    stores: &Stores,
    mut record: JobRecord,
) -> Result<(JobRecord, PlannedJob, Configuration)> {
    let config = configuration(&record.settings)?;
    let before = Before {
        attempt: record.attempt,
        attempts: record.tasks().into_iter().map(|(task, owner)| (task, owner.attempt)).collect(),
        void: record.void,
        is_gone: ha.is_clean(),
    };
    let (planned, void) = prepare_again(stores, record.job, &record.program, &config, before)?;
    record.leads += 1;
    record.void = void;
    ha.put(&record)?;
    let from = planned.spec.restored.as_ref().map(|restored| restored.checkpoint.0);
    let (name, job) = (&planned.spec.name, record.job);
    info!("Job {name} ({job}) is taken over; its newest checkpoint is {from:?}.");
    Ok((record, planned, config))
}

impl Processes for JobManagerHandle {
    fn options(&self) -> Vec<(String, String)> {
        let options = self.shared.config.settings.without_secrets();
        options.iter().map(|(key, value, _)| (key.to_owned(), value.to_owned())).collect()
    }

    fn ask(&self, process: &ProcessName, question: Question) -> Result<Answer> {
        match process {
            ProcessName::JobManager => process::answer(&question, false),
            ProcessName::TaskManager(name) => self.shared.ask(name, question),
        }
    }
}

#[cfg(test)]
mod tests {
    use flott_core::config::Origin;
    use flott_plan::{NodeKind, Partitioning, StreamEdge, StreamGraph, StreamNode};

    use super::*;

    #[test]
    fn nobody_gets_more_subtasks_than_there_are_key_groups() {
        let mut program = StreamGraph::new();
        let numbers = program.add_node(StreamNode::new("numbers", NodeKind::Source));
        let sums = program.add_node(StreamNode::new("sums", NodeKind::Sink));
        let partitioning = Some(Partitioning::Hash);
        program.add_edge(StreamEdge { partitioning, ..StreamEdge::new(numbers, sums) });
        let plan = |parallelism: &str| {
            let mut config = Configuration::new();
            config.set_text("parallelism.default", parallelism, Origin::CommandLine).unwrap();
            JobGraph::build(&program, &config).unwrap()
        };
        let two = plan("2");
        assert!(fits(&two, &plan("128")).is_ok());
        let error = fits(&two, &plan("129")).unwrap_err().to_string();
        let why = "(numbers) has 128 key groups, and cannot have 129 subtasks";
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn a_job_that_is_run_again_has_another_parallelism_and_savepoint_and_nothing_else() {
        let submission = Submission {
            arguments: ["-p", "9", "-n"].map(str::to_owned).to_vec(),
            parallelism: Some(2),
            savepoint: Some("file:/old".into()),
            allow_non_restored_state: true,
            options: vec![("a".into(), "-p".into()), ("b".into(), "1".into())],
            ..Submission::default()
        };
        let line = rescaled(&command_line(&submission, "totals"), 3, Some("file:/new"));
        let expected = "-D a=-p -D b=1 -p 3 -s file:/new totals -p 9 -n";
        assert_eq!(line.join(" "), expected);
        assert_eq!(rescaled(&line, 1, None).join(" "), "-D a=-p -D b=1 -p 1 totals -p 9 -n");
    }
}
