//! What a job says about its checkpoints.

use std::time::Duration;

use flott_core::config::Configuration;
use flott_core::config::options::{self, CheckpointRetention, CheckpointStorageKind, ClaimMode};
use flott_core::{Error, Result};

pub use flott_core::config::options::CheckpointingMode;

/// The least time-out that is accepted: below it no checkpoint could ever complete.
const TIMEOUT_MIN: Duration = Duration::from_millis(10);

/// How long barriers keep their place if nobody has said.
const ALIGNED_TIMEOUT: Duration = Duration::from_secs(5);

/// Where checkpoints are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageConfig {
    /// In memory.
    JobManager,
    /// In a directory.
    FileSystem {
        /// The directory: a path or a `file://` URL.
        dir: String,
        /// Whether the job has its own folder in it, named by its id.
        create_subdir: bool,
    },
}

/// The checkpoint options of a job, checked and resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointConfig {
    /// The time between two periodic checkpoints; `None` turns them off.
    pub interval: Option<Duration>,
    /// Whether channels wait for each other's barriers.
    pub mode: CheckpointingMode,
    /// How long barriers keep their place among the records before they overtake them; `None` means for ever.
    /// Those of savepoints always do.
    pub unaligned_after: Option<Duration>,
    /// How long a checkpoint may take before it is aborted.
    pub timeout: Duration,
    /// The least time between a completion and the next periodic trigger.
    pub min_pause: Duration,
    /// How many checkpoints may be under way at once; at least 1.
    pub max_concurrent: u32,
    /// How many counted failures in a row are tolerated.
    pub tolerable_failed: u32,
    /// What happens to completed checkpoints when the job ends.
    pub retention: CheckpointRetention,
    /// How many completed checkpoints are kept; at least 1.
    pub num_retained: u32,
    /// Whether checkpoints go on after some tasks have finished.
    pub after_tasks_finish: bool,
    /// Where checkpoints are kept.
    pub storage: StorageConfig,
    /// Whether the checkpoint of another job that this one starts from is this one's: it counts among those
    /// that are kept, and is deleted as they are.
    pub claims_restored: bool,
}

impl CheckpointConfig {
    /// Reads and checks the options.
    ///
    /// # Errors
    /// If `filesystem` storage is asked for without a directory, the time-out is below 10 ms, or unaligned
    /// checkpoints are asked for where there can be none.
    pub fn from_configuration(config: &Configuration) -> Result<Self> {
        let timeout = config.get(&options::CHECKPOINT_TIMEOUT)?;
        if timeout < TIMEOUT_MIN {
            return Err(Error::invalid(format!(
                "option execution.checkpointing.timeout: {timeout:?} is too short: it must be at \
                 least 10 ms"
            )));
        }
        let interval = config.get(&options::CHECKPOINT_INTERVAL)?;
        let mode = config.get(&options::CHECKPOINTING_MODE)?;
        let max_concurrent = config.get(&options::MAX_CONCURRENT)?.0;
        Ok(Self {
            interval: interval.map(|interval| interval.0).filter(|interval| !interval.is_zero()),
            mode,
            unaligned_after: unaligned_after(config, mode, max_concurrent)?,
            timeout,
            min_pause: config.get(&options::MIN_PAUSE)?,
            max_concurrent,
            tolerable_failed: config.get(&options::TOLERABLE_FAILED)?,
            retention: config.get(&options::CHECKPOINT_RETENTION)?,
            // The last completed checkpoint is what a restart begins from: there is always one.
            num_retained: config.get(&options::NUM_RETAINED)?.max(1),
            after_tasks_finish: config.get(&options::CHECKPOINTS_AFTER_TASKS_FINISH)?,
            storage: storage(config)?,
            claims_restored: config.get(&options::CLAIM_MODE)? == ClaimMode::Claim,
        })
    }
}

/// How long barriers keep their place. Which records they overtake is known only if all of them are waited for, and
/// those of one checkpoint at a time.
fn unaligned_after(
    config: &Configuration,
    mode: CheckpointingMode,
    max_concurrent: u32,
) -> Result<Option<Duration>> {
    let enabled = config.get(&options::UNALIGNED)?;
    let timeout = config.get(&options::ALIGNED_CHECKPOINT_TIMEOUT)?;
    let obstacle = match (mode, max_concurrent) {
        (CheckpointingMode::AtLeastOnce, _) => {
            Some("execution.checkpointing.mode is AT_LEAST_ONCE: set it to EXACTLY_ONCE".into())
        }
        (CheckpointingMode::ExactlyOnce, 2..) => Some(format!(
            "execution.checkpointing.max-concurrent-checkpoints is {max_concurrent}: set it to 1"
        )),
        (CheckpointingMode::ExactlyOnce, _) => None,
    };
    match (enabled, obstacle) {
        (Some(true), Some(obstacle)) => Err(Error::invalid(format!(
            "option execution.checkpointing.unaligned.enabled is true, but {obstacle}, or leave \
             barriers aligned"
        ))),
        (Some(true), None) => Ok(Some(timeout.unwrap_or_default())),
        (None, None) => Ok(Some(timeout.unwrap_or(ALIGNED_TIMEOUT))),
        (Some(false), _) | (None, Some(_)) => Ok(None),
    }
}

/// A directory means `filesystem` unless the storage is named.
fn storage(config: &Configuration) -> Result<StorageConfig> {
    let kind = config.get(&options::CHECKPOINT_STORAGE)?;
    let dir = config.get(&options::CHECKPOINT_DIR)?;
    let create_subdir = config.get(&options::CHECKPOINT_CREATE_SUBDIR)?;
    match (kind, dir) {
        (Some(CheckpointStorageKind::JobManager), _) | (None, None) => {
            Ok(StorageConfig::JobManager)
        }
        (Some(CheckpointStorageKind::FileSystem) | None, Some(dir)) => {
            Ok(StorageConfig::FileSystem { dir, create_subdir })
        }
        (Some(CheckpointStorageKind::FileSystem), None) => Err(Error::invalid(
            "option execution.checkpointing.storage is filesystem, but there is no directory: set \
             execution.checkpointing.dir",
        )),
    }
}

#[cfg(test)]
mod tests {
    use flott_core::config::Origin;

    use super::*;

    fn config(values: &[(&str, &str)]) -> Result<CheckpointConfig> {
        let mut config = Configuration::new();
        for (key, value) in values {
            config.set_text(&format!("execution.checkpointing.{key}"), value, Origin::File)?;
        }
        CheckpointConfig::from_configuration(&config)
    }

    #[test]
    fn without_options_there_are_no_periodic_checkpoints_and_memory_keeps_the_rest() {
        let config = config(&[]).unwrap();
        assert_eq!(config.interval, None);
        assert_eq!(config.timeout, Duration::from_secs(600));
        assert_eq!(config.storage, StorageConfig::JobManager);
        assert_eq!((config.max_concurrent, config.num_retained), (1, 1));
    }

    #[test]
    fn a_directory_means_filesystem_storage() {
        let config = config(&[("dir", "/tmp/c"), ("interval", "1 s")]).unwrap();
        assert_eq!(config.interval, Some(Duration::from_secs(1)));
        assert_eq!(
            config.storage,
            StorageConfig::FileSystem { dir: "/tmp/c".into(), create_subdir: true }
        );
    }

    #[test]
    fn an_interval_of_zero_turns_checkpoints_off() {
        assert_eq!(config(&[("interval", "0")]).unwrap().interval, None);
    }

    #[test]
    fn a_named_storage_wins_over_a_directory() {
        let config = config(&[("dir", "/tmp/c"), ("storage", "jobmanager")]).unwrap();
        assert_eq!(config.storage, StorageConfig::JobManager);
    }

    #[test]
    fn filesystem_storage_without_a_directory_says_what_to_set() {
        let error = config(&[("storage", "filesystem")]).unwrap_err().to_string();
        assert!(error.contains("execution.checkpointing.dir"), "{error}");
    }

    #[test]
    fn retaining_none_retains_one() {
        assert_eq!(config(&[("num-retained", "0")]).unwrap().num_retained, 1);
    }

    #[test]
    fn barriers_overtake_records_at_once_after_a_time_or_never() {
        let after = |values: &[(&str, &str)]| config(values).unwrap().unaligned_after;
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(after(&[]), seconds(5));
        assert_eq!(after(&[("unaligned.enabled", "true")]), seconds(0));
        assert_eq!(after(&[("unaligned", "false")]), None);
        let timeout = ("aligned-checkpoint-timeout", "2 s");
        assert_eq!(after(&[timeout]), seconds(2));
        assert_eq!(after(&[timeout, ("unaligned.enabled", "true")]), seconds(2));
        assert_eq!(after(&[timeout, ("unaligned.enabled", "false")]), None);
        assert_eq!(after(&[("mode", "AT_LEAST_ONCE")]), None);
        for obstacle in [("mode", "AT_LEAST_ONCE"), ("max-concurrent-checkpoints", "2")] {
            let error = config(&[("unaligned.enabled", "true"), obstacle]).unwrap_err().to_string();
            assert!(error.contains(obstacle.0), "{error}");
        }
    }

    #[test]
    fn a_timeout_that_nothing_can_meet_is_refused() {
        let error = config(&[("timeout", "9 ms")]).unwrap_err().to_string();
        assert!(error.contains("execution.checkpointing.timeout"), "{error}");
    }
}
