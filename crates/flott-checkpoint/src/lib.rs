//! Decides when the past is safe.
//!
//! What a snapshot is made of ([`snapshot`]), where it is kept ([`storage`], [`memory`]), when
//! checkpoints start, complete and die ([`coordinator`]), how a completed one is written down
//! ([`record`], [`metadata`]), which do not count ([`void`]), and who gets which part of it after a restore ([`assign`]).
//!
//! This crate performs nothing: the coordinator is a state machine whose effects a shell carries
//! out. It does not know what a task computes, how a state backend stores its entries, or how
//! messages travel. Start with [`coordinator::Coordinator`].

pub mod assign;
pub mod config;
pub mod coordinator;
pub mod memory;
pub mod metadata;
pub mod reason;
pub mod record;
pub mod snapshot;
pub mod storage;
pub mod void;

pub use config::{CheckpointConfig, StorageConfig};
pub use coordinator::{Coordinator, Effect, Input, TaskInfo, TerminalStatus};
pub use memory::MemoryStorage;
pub use reason::{DeclineReason, FailureReason};
pub use record::{CompletedCheckpoint, OperatorRecord};
pub use void::VoidIds;
