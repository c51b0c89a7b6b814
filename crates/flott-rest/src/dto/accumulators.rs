//! Accumulators, by Flink's names.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flott_control::view::JobView;
use flott_core::Now;
use flott_core::accumulator::{AccumulatorValue, merged};
use flott_plan::JobVertex;
use serde::Serialize;

use super::java;
use super::job::tasks_of;

/// `/jobs/:jobid/accumulators`.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct JobAccumulatorsInfo {
    /// Flink has none of these, either.
    job_accumulators: [(); 0],
    user_task_accumulators: Vec<UserAccumulator>,
    serialized_user_task_accumulators: BTreeMap<String, String>,
}

#[derive(Serialize)]
pub(super) struct UserAccumulator {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    value: String,
}

impl UserAccumulator {
    pub(super) fn all_of(all: &BTreeMap<String, AccumulatorValue>) -> Vec<Self> {
        let one = |(name, value): (&String, &AccumulatorValue)| Self {
            name: name.clone(),
            kind: value.kind(),
            value: value.to_string(),
        };
        all.iter().map(one).collect()
    }
}

/// `/jobs/:jobid/vertices/:vertexid/accumulators`.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct VertexAccumulatorsInfo {
    id: String,
    user_accumulators: Vec<UserAccumulator>,
}

impl VertexAccumulatorsInfo {
    pub(crate) fn of(_: Now, job: &JobView, vertex: &JobVertex) -> Self {
        let all = merged(tasks_of(job, vertex).map(|task| &task.metrics.accumulators));
        Self { id: vertex.id.to_string(), user_accumulators: UserAccumulator::all_of(&all) }
    }
}

impl JobAccumulatorsInfo {
    pub(crate) fn of(job: &JobView, with_serialized: bool) -> Self {
        let all = of_job(job);
        Self {
            job_accumulators: [],
            user_task_accumulators: UserAccumulator::all_of(&all),
            serialized_user_task_accumulators: if with_serialized {
                serialized(&all)
            } else {
                BTreeMap::new()
            },
        }
    }
}

/// What the subtasks of a job have come to together.
pub(super) fn of_job(job: &JobView) -> BTreeMap<String, AccumulatorValue> {
    merged(job.tasks.values().map(|task| &task.metrics.accumulators))
}

/// The values as Flink's clients read them: each an `OptionalFailure` of a boxed number, in Java's
/// serialization.
pub(super) fn serialized(all: &BTreeMap<String, AccumulatorValue>) -> BTreeMap<String, String> {
    all.iter()
        .map(|(name, value)| (name.clone(), BASE64_STANDARD.encode(java::number(*value))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_is_serialized_as_flink_does_it() {
        // What Flink 2.3 answered for 41,465.
        let expected = "rO0ABXNyACVvcmcuYXBhY2hlLmZsaW5rLnV0aWwuT3B0aW9uYWxGYWlsdXJlAAAAAAAAAAEDAAFMAAxm\
            YWlsdXJlQ2F1c2V0ABVMamF2YS9sYW5nL1Rocm93YWJsZTt4cHBzcgAOamF2YS5sYW5nLkxvbmc7i+SQzI8j3wIA\
            AUoABXZhbHVleHIAEGphdmEubGFuZy5OdW1iZXKGrJUdC5TgiwIAAHhwAAAAAAAAofl4";
        let all = BTreeMap::from([("seen".to_owned(), AccumulatorValue::LongCounter(41_465))]);
        assert_eq!(serialized(&all)["seen"], expected);
    }

    #[test]
    fn accumulators_have_the_recorded_form() {
        let view = crate::testing::view();
        let job = &view.jobs[0];
        for task in job.tasks.values() {
            task.metrics.accumulators.long_counter("seen").unwrap().add(2);
        }
        let count = 2 * job.tasks.len();
        let ours = serde_json::to_value(JobAccumulatorsInfo::of(job, false)).unwrap();
        assert_eq!(
            ours,
            serde_json::json!({
                "job-accumulators": [],
                "user-task-accumulators":
                    [{ "name": "seen", "type": "LongCounter", "value": count.to_string() }],
                "serialized-user-task-accumulators": {}
            })
        );
        let with = serde_json::to_value(JobAccumulatorsInfo::of(job, true)).unwrap();
        assert!(with["serialized-user-task-accumulators"]["seen"].is_string());
    }
}
