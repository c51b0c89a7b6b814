//! What went wrong: `/jobs/:jobid/exceptions`.

use std::collections::BTreeMap;

use flott_control::ExceptionEntry;
use flott_control::view::JobView;
use serde::Serialize;

use super::subtasks::{UNASSIGNED, endpoint};

/// How many entries are shown to who does not say how many.
pub(crate) const ENTRIES_DEFAULT: usize = 20;

/// `/jobs/:jobid/exceptions`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobExceptionsInfo {
    exception_history: History,
}

#[derive(Serialize)]
struct History {
    /// Newest first.
    entries: Vec<RootException>,
    truncated: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RootException {
    #[serde(flatten)]
    exception: Exception,
    concurrent_exceptions: Vec<Exception>,
}

/// A task's place is left out where it is the job that failed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Exception {
    exception_name: String,
    stacktrace: String,
    timestamp: i64,
    failure_labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_manager_id: Option<String>,
}

impl JobExceptionsInfo {
    /// The newest failures, at most `count`.
    pub(crate) fn of(job: &JobView, count: usize) -> Self {
        let entries = job.exceptions.entries();
        let truncated = job.exceptions.is_truncated() || entries.len() > count;
        let entries = entries.take(count).map(|entry| RootException {
            exception: Exception::of(entry),
            concurrent_exceptions: entry.concurrent.iter().map(Exception::of).collect(),
        });
        Self { exception_history: History { entries: entries.collect(), truncated } }
    }
}

impl Exception {
    fn of(entry: &ExceptionEntry) -> Self {
        let message = &entry.failure.message;
        let task_manager = entry.failure.endpoint.as_deref();
        Self {
            // There are no classes: the first line says what it is.
            exception_name: message.lines().next().unwrap_or_default().into(),
            stacktrace: message.clone(),
            timestamp: entry.at.0,
            failure_labels: BTreeMap::new(),
            task_name: entry.task_name.clone(),
            endpoint: entry.task.is_some().then(|| endpoint(task_manager)),
            task_manager_id: entry
                .task
                .is_some()
                .then(|| task_manager.unwrap_or(UNASSIGNED).into()),
        }
    }
}
