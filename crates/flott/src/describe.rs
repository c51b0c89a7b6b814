//! A job binary that is asked about itself: it names its jobs and plans one, and runs nothing.

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use flott_cluster::disk_state::check_backend;
use flott_cluster::extract::{JobBinary, JobEntry, JobPlan, Outcome, cluster_settings};
use flott_cluster::{configuration, settings};
use flott_core::config::{Configuration, options};
use flott_core::{Error, ErrorKind, Result};
use flott_datastream::{Executor, JobExecutionResult, StreamExecutionEnvironment};
use flott_plan::JobGraph;
use flott_runtime::{Program, panic_message};

use crate::cli::{self, Job};

/// Writes the description of this binary, and of the job that `arguments` name, to `file`.
///
/// # Errors
/// If that cannot be written. What is wrong with the job is written there.
pub(crate) fn describe(jobs: &[Job], arguments: &[OsString], file: &Path) -> Result<()> {
    let outcome = if arguments.len() <= 1 {
        Outcome::Nothing
    } else {
        let planned = catch_unwind(AssertUnwindSafe(|| plan(jobs, arguments)));
        let planned = planned.unwrap_or_else(|panic| {
            let text = panic_message(&*panic);
            Err(Error::new(ErrorKind::User, format!("the job function panicked: {text}")))
        });
        match planned {
            Ok(plan) => Outcome::Plan(Box::new(plan)),
            Err(error) => Outcome::Error(error.report()),
        }
    };
    let entry = |job: &Job| JobEntry { name: job.name().to_owned(), about: job.about() };
    JobBinary::new(jobs.iter().map(entry).collect(), outcome).write(file)
}

fn plan(jobs: &[Job], arguments: &[OsString]) -> Result<JobPlan> {
    let parsed = cli::parse(jobs, arguments);
    let chosen = parsed.map_err(|error| Error::invalid(error.render().to_string()))?;
    let config = chosen.configure(configuration(&cluster_settings()?)?)?;
    let planner = Arc::new(Planner::default());
    let env = StreamExecutionEnvironment::new(config, planner.clone());
    let executed = chosen.execute(&env);
    let planned = planner.planned.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (planned, executed) {
        (Some(planned), _) => planned,
        (None, Err(error)) => Err(error),
        (None, Ok(())) => Err(Error::invalid("the job function builds no program")),
    }
}

/// Plans the first program that is to be executed, and ends the job function.
#[derive(Default)]
struct Planner {
    planned: Mutex<Option<Result<JobPlan>>>,
}

impl Executor for Planner {
    fn execute(&self, program: Arc<Program>, config: &Configuration) -> Result<JobExecutionResult> {
        let plan = || {
            check_backend(config)?;
            Ok(JobPlan {
                name: config.get(&options::JOB_NAME)?.unwrap_or_default(),
                program: program.graph.clone(),
                graph: JobGraph::build(&program.graph, config)?,
                settings: settings(config),
            })
        };
        self.planned.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(plan);
        Err(Error::new(ErrorKind::Cancelled, "only the plan was wanted"))
    }
}
