//! The words that every room of Flott shares, and nothing else.
//!
//! Identifiers ([`id`]), time ([`time`]), errors ([`error`]), the stable hash and the key
//! groups that derive from it ([`hash`], [`key_group`]), the codec of records and state
//! ([`codec`]), the table of options ([`config`]), metric handles ([`metrics`]),
//! accumulators ([`accumulator`]) and the control elements that travel between tasks ([`element`]).
//!
//! This crate may depend on serialization and checksums only. It knows no clock, no thread, no
//! socket and no file, and it does not know what a task, a checkpoint or a job does.

pub mod accumulator;
pub mod codec;
pub mod config;
pub mod element;
pub mod error;
pub mod hash;
pub mod id;
pub mod key_group;
pub mod metrics;
pub mod mutant;
pub mod time;

pub use error::{Error, ErrorKind, Result};
pub use id::{AttemptNumber, CheckpointId, JobId, OperatorId, TaskId, VertexId};
pub use key_group::{KeyGroup, KeyGroupRange, MaxParallelism};
pub use time::{MonoTime, Now, Timestamp, WallTime};
