//! A cluster of the built binaries: one JobManager, TaskManagers, workers, and the command line.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a failed test")]

mod backends;
mod failures;
mod flink_client;
mod hosts;
mod increments;
mod limits;
mod rescale;
mod setup;
mod soak;
mod storages;
mod story;
mod tokens;
mod unaligned;
mod upgrades;
