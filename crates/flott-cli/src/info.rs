//! `flott info`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use flott_cluster::extract::{JobBinary, JobPlan, Outcome, describe};
use flott_core::{Error, ErrorKind, Result};
use flott_plan::{JobVertex, explain, fingerprint};
use serde_json::{Value, json};

/// How long a job function may take to build its program.
const PLAN_LIMIT: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(crate) struct InfoArgs {
    /// The job binary.
    binary: PathBuf,
    /// Which of its jobs; needed if there are several.
    #[arg(short, long = "class", value_name = "JOB")]
    class: Option<String>,
    /// How many subtasks operators have that do not say otherwise.
    #[arg(short, long, value_name = "N")]
    parallelism: Option<String>,
    /// Sets an option.
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    property: Vec<String>,
    /// Prints the plan as JSON.
    #[arg(long)]
    json: bool,
    /// The arguments of the job.
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

impl InfoArgs {
    /// The command line of the binary, without its name.
    fn command_line(&self, job: &str) -> Vec<OsString> {
        let properties = self.property.iter().flat_map(|property| ["-D", property]);
        let parallelism = self.parallelism.iter().flat_map(|number| ["-p", number]);
        let engine = properties.chain(parallelism).chain([job]).map(OsString::from);
        engine.chain(self.arguments.iter().cloned()).collect()
    }
}

/// Prints the plan of a job.
pub(crate) fn info(args: &InfoArgs) -> Result<()> {
    let named = describe(&args.binary, &[], PLAN_LIMIT)?;
    let job = choose(&named, args)?;
    match describe(&args.binary, &args.command_line(&job), PLAN_LIMIT)?.outcome {
        Outcome::Plan(plan) => {
            print(&plan, args.json);
            Ok(())
        }
        Outcome::Error(text) => {
            Err(Error::invalid(format!("there is no plan of the job {job}: {}", text.trim())))
        }
        Outcome::Nothing => Err(Error::new(ErrorKind::Internal, "the binary gave no plan")),
    }
}

fn choose(binary: &JobBinary, args: &InfoArgs) -> Result<String> {
    let names: Vec<&str> = binary.jobs.iter().map(|job| job.name.as_str()).collect();
    match (&args.class, names.as_slice()) {
        (Some(class), _) if names.contains(&class.as_str()) => Ok(class.clone()),
        (None, [only]) => Ok((*only).to_owned()),
        (Some(class), _) => Err(Error::invalid(format!(
            "\"{}\" has no job \"{class}\"; its jobs are {}",
            args.binary.display(),
            names.join(", ")
        ))),
        (None, _) => Err(Error::invalid(format!(
            "\"{}\" has several jobs, name one with -c: {}",
            args.binary.display(),
            names.join(", ")
        ))),
    }
}

fn print(JobPlan { name, graph }: &JobPlan, as_json: bool) {
    if as_json {
        let vertices: Vec<Value> = graph.vertices.iter().map(vertex).collect();
        println!(
            "{:#}",
            json!({
                "name": name,
                "type": graph.job_type.to_string(),
                "fingerprint": format!("{:032x}", fingerprint(graph)),
                "vertices": vertices,
            })
        );
        return;
    }
    println!("----------------------- Execution Plan -----------------------");
    print!("{}", explain(graph));
    println!("--------------------------------------------------------------");
}

fn vertex(vertex: &JobVertex) -> Value {
    let operators = vertex.operators.iter().map(|operator| {
        json!({
            "id": operator.id.to_string(),
            "uid": operator.uid,
            "name": operator.name,
            "stateful": operator.stateful,
        })
    });
    json!({
        "id": vertex.id.to_string(),
        "name": vertex.name,
        "parallelism": vertex.parallelism,
        "max-parallelism": vertex.max_parallelism.get(),
        "operators": operators.collect::<Vec<_>>(),
    })
}
