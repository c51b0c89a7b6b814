//! The answers, with Flink's names and types: what its clients and its dashboard read. No other file
//! of the engine knows these names.
//!
//! What is not measured is zero, never null: Flink's clients read primitives.

pub(crate) mod accumulators;
pub(crate) mod binaries;
pub(crate) mod checkpoint_details;
pub(crate) mod checkpoints;
pub(crate) mod cluster;
pub(crate) mod exceptions;
mod io_metrics;
mod java;
pub(crate) mod job;
pub(crate) mod live;
pub(crate) mod metrics;
pub(crate) mod operation;
pub(crate) mod overview;
pub(crate) mod plan;
pub(crate) mod processes;
pub(crate) mod subtasks;
mod summary;
pub(crate) mod task_managers;

#[cfg(test)]
mod tests;

use std::time::Duration;

use flott_core::WallTime;
use serde::Serialize;

/// What every error answers.
#[derive(Serialize)]
pub(crate) struct Errors {
    pub(crate) errors: Vec<String>,
}

/// A time that may not have come yet: Flink says −1 then.
fn time_or_minus_one(time: Option<WallTime>) -> i64 {
    time.map_or(-1, |time| time.0)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Numbers that only grow do not reach the sign.
fn long(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
