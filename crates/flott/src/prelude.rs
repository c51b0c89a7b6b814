//! What a program needs: `use flott::prelude::*;`.

use std::time::Duration;

pub use clap;
pub use flott_connectors::*;
pub use flott_core::codec::{Data, Key, StateData};
pub use flott_core::config::options::{
    CheckpointRetention, CheckpointingMode, RuntimeExecutionMode,
};
pub use flott_core::{Timestamp, WallTime};
pub use flott_datastream::*;

pub use crate::environment::ExecutionEnvironment;

/// So many milliseconds.
pub const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// So many seconds.
pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// So many minutes.
pub const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}
