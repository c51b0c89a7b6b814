//! `flott info`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use flott_cluster::extract::{JobPlan, Outcome, Settings, choose, describe};
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
    let none = Settings::new();
    let named = describe(&args.binary, &[], &none, PLAN_LIMIT)?;
    let names: Vec<&str> = named.jobs.iter().map(|job| job.name.as_str()).collect();
    let job = choose(&names, args.class.as_deref(), &args.binary.display().to_string())?;
    match describe(&args.binary, &args.command_line(job), &none, PLAN_LIMIT)?.outcome {
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

fn print(JobPlan { name, graph, .. }: &JobPlan, as_json: bool) {
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
