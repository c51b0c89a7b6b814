//! What every task of a job is told about how to run, and the clock that it is given.

use std::time::Duration;

use flott_core::Now;
use flott_core::config::options::CheckpointingMode;
use flott_state::StateBackend;

/// Tells the time. Tasks measure their own pauses with it.
pub trait Clock: Send + Sync {
    /// The time.
    fn now(&self) -> Now;
}

/// What every task of a job is told about how to run.
#[derive(Clone, Debug)]
pub struct TaskSettings {
    /// Whether only final results are wanted.
    pub batch: bool,
    /// Whether checkpoints are taken.
    pub checkpointing: bool,
    /// Whether channels wait for each other's barriers.
    pub mode: CheckpointingMode,
    /// How long barriers wait before they overtake records; `None` is for ever.
    pub unaligned_after: Option<Duration>,
    /// Whether a task that has seen all its data waits for a checkpoint of that before it ends.
    pub await_final_checkpoint: bool,
    /// Whether restored state that no operator asks for is left out instead of refused.
    pub allow_non_restored_state: bool,
    /// Where keyed state is kept.
    pub state_backend: StateBackend,
    /// How many bytes a channel holds.
    pub channel_bytes: usize,
    /// With how many records a batch is sent, at the latest; the last of what is added to it may make it longer.
    pub batch_records: usize,
    /// How many of them go through a chain at once, at most: fewer do if they take long.
    pub records_at_once: usize,
    /// How long records may wait in a sender.
    pub buffer_timeout: Duration,
}
