//! All that is measured, for Prometheus: its text format, version 0.0.4.

use std::fmt::{Display, Write};

use flott_control::processes::Load;
use flott_control::view::{ClusterView, JobView, SubtaskView};
use flott_core::Now;
use flott_plan::JobVertex;

use crate::dto::cluster::ClusterOverview;
use crate::dto::job::tasks_of;
use crate::rates::counts;

/// A text in the making: samples of one metric must stand together.
#[derive(Default)]
struct Text(String);

impl Text {
    /// Begins a metric; a counter's name ends with `_total`.
    fn metric(&mut self, name: &str, help: &str) {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        // Writing to a text does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }
}

/// A label, with its value as the format wants it.
fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

type OfTask = fn(Now, &SubtaskView) -> f64;
type OfJob = fn(&JobView) -> f64;

const TASK_METRICS: [(&str, &str, OfTask); 7] = [
    ("flott_task_records_in_total", "Records that came in.", |_, task| {
        task.metrics.records_in.get() as f64
    }),
    ("flott_task_records_out_total", "Records that went out.", |_, task| {
        task.metrics.records_out.get() as f64
    }),
    ("flott_task_bytes_in_total", "Bytes that came in through channels.", |_, task| {
        task.metrics.bytes_in.get() as f64
    }),
    ("flott_task_bytes_out_total", "Bytes that went out through channels.", |_, task| {
        task.metrics.bytes_out.get() as f64
    }),
    (
        "flott_task_busy_seconds_total",
        "Time spent on work, or waiting for a thread.",
        |now, task| task.metrics.times.spent(now.mono).busy.as_secs_f64(),
    ),
    (
        "flott_task_backpressured_seconds_total",
        "Time spent waiting for full outputs.",
        |now, task| task.metrics.times.spent(now.mono).backpressured.as_secs_f64(),
    ),
    ("flott_task_input_watermark_seconds", "The watermark of the input.", |_, task| {
        task.metrics.input_watermark.get() as f64 / 1e3
    }),
];

const JOB_METRICS: [(&str, &str, OfJob); 6] = [
    ("flott_job_restarts_total", "How often it was restarted.", |job| job.num_restarts as f64),
    ("flott_job_checkpoints_completed_total", "Checkpoints that completed.", |job| {
        job.checkpoints.counts.completed as f64
    }),
    ("flott_job_checkpoints_failed_total", "Checkpoints that failed.", |job| {
        job.checkpoints.counts.failed as f64
    }),
    ("flott_job_checkpoints_in_progress", "Checkpoints under way.", |job| {
        job.checkpoints.counts.in_progress as f64
    }),
    ("flott_job_last_checkpoint_duration_seconds", "From its trigger to its last part.", |job| {
        let last = job.checkpoints.latest_completed.as_ref();
        last.map_or(f64::NAN, |last| last.duration.as_secs_f64())
    }),
    ("flott_job_last_checkpoint_size_bytes", "All that it refers to.", |job| {
        let last = job.checkpoints.latest_completed.as_ref();
        last.map_or(f64::NAN, |last| last.state_bytes as f64)
    }),
];

type OfProcess = fn(&Load) -> f64;

const PROCESS_METRICS: [(&str, &str, OfProcess); 4] = [
    ("flott_process_resident_memory_bytes", "Memory in use.", |load| load.memory as f64),
    ("flott_process_cpu_seconds_total", "Time on processors.", |load| load.cpu.as_secs_f64()),
    ("flott_process_threads", "Threads.", |load| load.threads as f64),
    ("flott_process_open_files", "Files and connections.", |load| load.files as f64),
];

/// What a process takes, or the workers of a TaskManager together.
pub(crate) struct Process {
    /// `jobmanager`, `taskmanager` or `workers`.
    pub(crate) kind: &'static str,
    /// The TaskManager, or nothing.
    pub(crate) name: String,
    pub(crate) load: Load,
}

/// Of the cluster and its processes, of all jobs that are not over, and of their tasks.
pub(crate) fn text(view: &ClusterView, processes: &[Process]) -> String {
    let mut text = Text::default();
    for (name, help, value) in PROCESS_METRICS {
        text.metric(name, help);
        for process in processes {
            let labels = format!(
                "{},{}",
                label("process", process.kind),
                label("taskmanager", &process.name)
            );
            text.sample(name, &labels, value(&process.load));
        }
    }
    let overview = ClusterOverview::of(view);
    for (name, help, value) in [
        ("flott_taskmanagers", "TaskManagers that are there.", overview.taskmanagers as f64),
        ("flott_slots", "Slots of all of them.", f64::from(overview.slots_total)),
        ("flott_slots_free", "Slots that no job has.", f64::from(overview.slots_available)),
        ("flott_jobs_running", "Jobs that are not over.", overview.jobs_running as f64),
        (
            "flott_jobs_finished",
            "Jobs that have finished, of those that are remembered.",
            overview.jobs_finished as f64,
        ),
        (
            "flott_jobs_canceled",
            "Jobs that were cancelled, of those that are remembered.",
            overview.jobs_cancelled as f64,
        ),
        (
            "flott_jobs_failed",
            "Jobs that have failed, of those that are remembered.",
            overview.jobs_failed as f64,
        ),
    ] {
        text.metric(name, help);
        text.sample(name, "", value);
    }
    let jobs: Vec<&JobView> =
        view.jobs.iter().map(|job| &**job).filter(|job| counts(job)).collect();
    text.metric("flott_job_status", "1 for the status that it has.");
    for job in &jobs {
        let labels = format!("{},{}", of_job(job), label("status", &job.status.to_string()));
        text.sample("flott_job_status", &labels, 1);
    }
    for (name, help, value) in JOB_METRICS {
        text.metric(name, help);
        jobs.iter().for_each(|job| text.sample(name, &of_job(job), value(job)));
    }
    let tasks: Vec<(String, &SubtaskView)> = jobs.iter().flat_map(|job| of_tasks(job)).collect();
    for (name, help, value) in TASK_METRICS {
        text.metric(name, help);
        for (labels, task) in &tasks {
            let has_come = !name.ends_with("watermark_seconds")
                || task.metrics.input_watermark.get() > i64::MIN;
            if has_come {
                text.sample(name, labels, value(view.now, task));
            }
        }
    }
    text.0
}

fn of_job(job: &JobView) -> String {
    let description = &job.description;
    format!("{},{}", label("job_id", &description.job.to_string()), label("job", &description.name))
}

fn of_tasks(job: &JobView) -> Vec<(String, &SubtaskView)> {
    let of_vertex = |vertex: &JobVertex| {
        let labels = format!(
            "{},{},{}",
            of_job(job),
            label("vertex_id", &vertex.id.to_string()),
            label("vertex", &vertex.name)
        );
        let tasks: Vec<_> = (0..).zip(tasks_of(job, vertex)).collect();
        tasks.into_iter().map(move |(index, task): (u32, _)| {
            (format!("{labels},{}", label("subtask", &index.to_string())), task)
        })
    };
    job.description.graph.vertices.iter().flat_map(of_vertex).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn every_metric_is_told_once_and_every_line_is_well_formed() {
        let load = Load { processes: 1, memory: 4096, ..Load::default() };
        let own = Process { kind: "jobmanager", name: String::new(), load };
        let text = text(&testing::view(), &[own]);
        let mut names = std::collections::BTreeSet::new();
        for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
            assert!(names.insert(line), "twice: {line}");
        }
        let known = PROCESS_METRICS.len() + JOB_METRICS.len() + TASK_METRICS.len();
        assert_eq!(names.len(), 7 + 1 + known);
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let name = sample.split('{').next().unwrap();
            assert!(names.iter().any(|known| known.contains(&format!(" {name} "))), "{line}");
        }
        assert!(text.contains("flott_jobs_running 1\n"), "{text}");
        assert!(text.contains("flott_jobs_failed 0\n"), "{text}");
        let memory =
            r#"flott_process_resident_memory_bytes{process="jobmanager",taskmanager=""} 4096"#;
        assert!(text.contains(memory), "{text}");
        assert!(text.contains("subtask=\"1\"} 40\n"), "{text}");
        assert!(
            text.contains("flott_job_restarts_total{job_id=\"000000000000000000000000000000ab\"")
        );
        assert!(!text.contains("flott_task_input_watermark_seconds{"), "none has come");
    }

    /// The dashboard for Grafana asks for nothing that there is not.
    #[test]
    fn what_grafana_shows_is_told() {
        let text = text(&testing::view(), &[]);
        let dashboard = include_str!("../../../docs/grafana.json");
        let _: serde_json::Value = serde_json::from_str(dashboard).unwrap();
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        let mut asked = 0;
        for part in dashboard.split("flott_").skip(1) {
            let name: String = part.chars().take_while(|c| is_name(*c)).collect();
            assert!(text.contains(&format!("# TYPE flott_{name} ")), "flott_{name}");
            asked += 1;
        }
        assert!(asked > 15, "{asked}");
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(label("job", "a\"b\\c\nd"), r#"job="a\"b\\c\nd""#);
    }
}
