//! Our answers have the names and the types of Flink's.

mod recorded;
mod vertices;

use serde_json::Value;

use super::checkpoints::{Checkpoint, CheckpointConfigInfo, CheckpointingStatistics};
use super::cluster::{ClusterOverview, DashboardConfiguration};
use super::exceptions::{ENTRIES_DEFAULT, JobExceptionsInfo};
use super::job::{JobConfig, JobDetailsInfo};
use super::overview::{JobIdsWithStatus, MultipleJobsDetails};
use super::plan::JobPlanInfo;
use crate::testing;

/// What may be null in Flink's answers: objects and texts, never numbers.
const NULLABLE: [&str; 5] = ["savepointFormat", "completed", "savepoint", "failed", "restored"];

/// Asserts that our answer has the shape of the recorded one, and returns it.
fn assert_shape(ours: impl serde::Serialize, recorded: &str) -> Value {
    let ours = serde_json::to_value(ours).unwrap();
    compare("", &ours, &serde_json::from_str(recorded).unwrap());
    ours
}

fn compare(path: &str, ours: &Value, recorded: &Value) {
    match (ours, recorded) {
        // The options of a job.
        (Value::Object(_), Value::Object(_)) if path.ends_with("user-config") => {}
        (Value::Object(ours), Value::Object(recorded)) => {
            let is_id = |key: &String| key.len() == 32;
            if ours.keys().chain(recorded.keys()).all(is_id) {
                let example = recorded.values().next();
                let pairs = ours.values().flat_map(|value| example.map(|example| (value, example)));
                return pairs.for_each(|(ours, recorded)| compare(path, ours, recorded));
            }
            let names: Vec<_> = ours.keys().collect();
            let expected: Vec<_> = recorded.keys().collect();
            assert_eq!(names, expected, "the names in {path}");
            for (name, value) in ours {
                compare(&format!("{path}/{name}"), value, &recorded[name]);
            }
        }
        (Value::Array(ours), Value::Array(recorded)) => {
            for (index, value) in ours.iter().enumerate() {
                // Elements of several kinds say which: compare with one of the same kind.
                let kind = value.get("className").or(value.get("inputs").map(|_| &Value::Null));
                let other = recorded.iter().find(|other| {
                    let other =
                        other.get("className").or(other.get("inputs").map(|_| &Value::Null));
                    kind == other
                });
                if let Some(other) = other {
                    compare(&format!("{path}/{index}"), value, other);
                }
            }
        }
        (Value::Null, _) | (_, Value::Null) => {
            assert!(NULLABLE.iter().any(|name| path.ends_with(name)), "{path} is null");
        }
        (ours, recorded) => assert_eq!(kind(ours), kind(recorded), "{path}: {ours}, {recorded}"),
    }
}

/// Java tells whole numbers from others.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "double",
        Value::Number(_) => "long",
        Value::String(_) => "text",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[test]
fn the_cluster_has_flinks_shape() {
    let view = testing::view();
    assert_shape(DashboardConfiguration::new(true), recorded::CONFIG);
    let overview = assert_shape(ClusterOverview::of(&view), recorded::OVERVIEW);
    assert_eq!(overview["jobs-running"], 1);
    assert_eq!((&overview["slots-total"], &overview["slots-available"]), (&2.into(), &0.into()));
}

#[test]
fn the_lists_of_jobs_have_flinks_shape() {
    let view = testing::view();
    let jobs = assert_shape(JobIdsWithStatus::of(&view), recorded::JOBS);
    assert_eq!(jobs["jobs"][0]["id"], testing::JOB);
    let jobs = assert_shape(MultipleJobsDetails::of(&view), recorded::JOBS_OVERVIEW);
    let job = &jobs["jobs"][0];
    assert_eq!((&job["state"], &job["end-time"]), (&"RUNNING".into(), &(-1).into()));
    assert_eq!((&job["tasks"]["running"], &job["tasks"]["total"]), (&4.into(), &4.into()));
}

#[test]
fn a_job_has_flinks_shape_and_counts_records_as_flink_does() {
    let view = testing::view();
    let job = assert_shape(JobDetailsInfo::of(view.now, &view.jobs[0]), recorded::JOB);
    assert_eq!(job["status-counts"]["RUNNING"], 2);
    assert_eq!(job["timestamps"]["SUSPENDED"], 0);
    let records = |vertex: usize| {
        let metrics = &job["vertices"][vertex]["metrics"];
        (metrics["read-records"].as_i64(), metrics["write-records"].as_i64())
    };
    assert_eq!((records(0), records(1)), ((Some(0), Some(80)), (Some(60), Some(0))));
}

#[test]
fn the_plan_and_the_config_of_a_job_have_flinks_shape() {
    let view = testing::view();
    let plan = assert_shape(JobPlanInfo::of(view.now, &view.jobs[0]), recorded::PLAN);
    let nodes = &plan["plan"]["nodes"];
    assert_eq!(nodes[0]["description"], "counter<br/>:- Sink: discard<br/>+- Sink: discard 2<br/>");
    assert_eq!(
        nodes[1]["description"],
        "Source: numbers<br/>+- &lt;img src=x onerror=alert(1)&gt;<br/>"
    );
    assert_eq!(nodes[0]["inputs"][0]["ship_strategy"], "HASH");
    let config = assert_shape(JobConfig::of(view.now, &view.jobs[0]), recorded::JOB_CONFIG);
    assert_eq!(
        config["execution-config"]["user-config"].to_string(),
        r#"{"execution.checkpointing.timeout":"5 min"}"#,
        "what the cluster's file says is not for everybody"
    );
    assert_eq!(
        config["execution-config"]["restart-strategy"],
        "Restart with fixed delay (PT2S). #5 restart attempts."
    );
}

#[test]
fn checkpoints_have_flinks_shape() {
    let view = testing::view();
    let (now, job) = (view.now, &view.jobs[0]);
    let stats = assert_shape(CheckpointingStatistics::of(now, job), recorded::CHECKPOINTS);
    let ids =
        stats["history"].as_array().unwrap().iter().map(|entry| entry["id"].as_u64().unwrap());
    assert_eq!(ids.collect::<Vec<_>>(), [4, 3, 2, 1]);
    assert_eq!(stats["counts"]["failed"], 2);
    assert_eq!(stats["latest"]["restored"]["id"], 1);
    let path = stats["latest"]["completed"]["external_path"].as_str().unwrap();
    assert!(path.ends_with("/chk-1"), "{path}");
    let failed = &stats["history"][2];
    assert_eq!(failed["className"], "failed");
    assert!(failed["failure_message"].as_str().unwrap().contains("the disk is full"), "{failed}");
    assert!(failed["failure_timestamp"].is_i64() && failed.get("external_path").is_none());
    assert_shape(CheckpointConfigInfo::of(now, job), recorded::CHECKPOINT_CONFIG);
}

#[test]
fn a_checkpoints_details_have_its_vertices() {
    let view = testing::view();
    let details = assert_shape(Checkpoint::details(&view.jobs[0], 1).unwrap(), recorded::DETAILS);
    let tasks = details["tasks"].as_object().unwrap();
    assert_eq!(tasks.len(), 2);
    assert!(tasks.values().all(|vertex| vertex["checkpointed_size"] == 200), "{details}");
    let under_way = serde_json::to_value(Checkpoint::details(&view.jobs[0], 4)).unwrap();
    let parts = under_way["tasks"].as_object().unwrap().values();
    let mut acks: Vec<_> = parts.map(|vertex| vertex["latest_ack_timestamp"] == -1).collect();
    acks.sort_unstable();
    assert_eq!(acks, [false, true]);
    assert!(Checkpoint::details(&view.jobs[0], 99).is_none());
}

#[test]
fn exceptions_have_flinks_shape_and_can_be_cut() {
    let view = testing::view();
    let of = |count| JobExceptionsInfo::of(&view.jobs[0], count);
    let history = assert_shape(of(ENTRIES_DEFAULT), recorded::EXCEPTIONS);
    let entry = &history["exceptionHistory"]["entries"][0];
    assert_eq!(entry["exceptionName"], "<img src=x onerror=alert(1)>");
    assert_eq!(entry["concurrentExceptions"].as_array().unwrap().len(), 1);
    let none = serde_json::to_value(of(0)).unwrap();
    assert_eq!(none["exceptionHistory"]["entries"].as_array().unwrap().len(), 0);
    assert_eq!(none["exceptionHistory"]["truncated"], true);
}
