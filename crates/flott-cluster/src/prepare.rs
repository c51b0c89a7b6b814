//! From a program to a planned job: its place for checkpoints, and the checkpoint that it is to start
//! from, are looked at, so that what is wrong is said before anything runs.

use std::collections::BTreeMap;

use flott_checkpoint::{CheckpointConfig, CompletedCheckpoint, StorageConfig, VoidIds, metadata};
use flott_control::Reattach;
use flott_core::config::{Configuration, options};
use flott_core::hash::mix;
use flott_core::{AttemptNumber, CheckpointId, JobId, Result, TaskId};
use flott_plan::StreamGraph;
use flott_runtime::Clock;

use crate::plan::{PlannedJob, job_name};
use crate::rpc::messages::Settings;
use crate::storage::{self, Search, Stores};

/// Plans a job, and prepares its checkpoint storage.
///
/// # Errors
/// If the program, an option or the checkpoint to start from is wrong, or checkpoints cannot be
/// written.
pub(crate) fn prepare(
    stores: &Stores,
    job: JobId,
    program: &StreamGraph,
    config: &Configuration,
) -> Result<PlannedJob> {
    let checkpointing = CheckpointConfig::from_configuration(config)?;
    let restored = restored(stores, config, &checkpointing.storage)?;
    if checkpointing.interval.is_some() {
        let record = restored.as_ref().map(|(record, _)| record);
        storage::check_unused(stores, &checkpointing.storage, record)?;
    }
    plan(stores, job, program, config, restored)
}

/// What another process, which has had a job, has left.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    /// What it has deployed last.
    pub(crate) attempt: Option<AttemptNumber>,
    /// The attempt that each task began with.
    pub(crate) attempts: BTreeMap<TaskId, AttemptNumber>,
    /// Checkpoints that do not count.
    pub(crate) void: Option<VoidIds>,
    /// Whether it is known to be gone. If not, what it has begun may yet happen.
    pub(crate) is_gone: bool,
}

/// Plans a job that another process has had, to go on with its attempt, or after it from the job's newest
/// checkpoint; without one, it begins as it did there. Also says which checkpoints do not count from now on.
///
/// # Errors
/// As [`prepare`]; also if the newest checkpoint is damaged.
pub(crate) fn prepare_again(
    stores: &Stores,
    job: JobId,
    program: &StreamGraph,
    config: &Configuration,
    before: Before,
) -> Result<(PlannedJob, Option<VoidIds>)> {
    let checkpointing = CheckpointConfig::from_configuration(config)?;
    let Before { attempt, attempts, void, is_gone } = before;
    let restored = match storage::newest_of_job(stores, &checkpointing.storage, job, void)? {
        Some(own) => Some((own, None)),
        None => restored(stores, config, &checkpointing.storage)?,
    };
    let mut planned = plan(stores, job, program, config, restored)?;
    let void = if is_gone {
        void
    } else {
        let restored = planned.spec.restored.as_ref();
        let own = restored.filter(|record| record.job == job).map(|record| record.checkpoint);
        let used = [
            storage::highest_number(stores, &checkpointing.storage, job)?,
            restored.map_or(CheckpointId(0), |record| record.checkpoint),
            // Nobody has used that one yet; those before it are left out for ever.
            void.map_or(CheckpointId(0), VoidIds::end),
        ];
        let highest = used.into_iter().max().unwrap_or(CheckpointId(0));
        Some(VoidIds::after_takeover(own, highest))
    };
    if let Some(void) = void {
        planned.spec.first_checkpoint = void.end();
    }
    if let Some(attempt) = attempt {
        planned.spec.first_attempt = attempt;
        let wait = config.get(&options::REATTACH_TIMEOUT)?;
        planned.spec.reattach = Some(Reattach { wait, attempts });
    }
    Ok((planned, void))
}

fn plan(
    stores: &Stores,
    job: JobId,
    program: &StreamGraph,
    config: &Configuration,
    restored: Option<Restored>,
) -> Result<PlannedJob> {
    let (restored, started_from) = restored.unzip();
    let checkpointing = CheckpointConfig::from_configuration(config)?;
    let storage = storage::for_job(stores, &checkpointing.storage, job)?;
    let mut planned = PlannedJob::new(job, program, config, restored, storage)?;
    planned.started_from = started_from.flatten();
    if planned.plan.settings.checkpointing {
        planned.plan.storage.prepare().map_err(|error| {
            error.into_error().context("checkpoints cannot be written; the job is not started")
        })?;
    }
    Ok(planned)
}

/// The record of a checkpoint to start from; and its folder, if it was asked for.
type Restored = (CompletedCheckpoint, Option<String>);

/// The checkpoint that the job is to start from.
fn restored(
    stores: &Stores,
    config: &Configuration,
    storage: &StorageConfig,
) -> Result<Option<Restored>> {
    let Some(place) = config.get(&options::SAVEPOINT_PATH)? else { return Ok(None) };
    let dir = match storage {
        StorageConfig::FileSystem { dir, .. } => Some(dir.as_str()),
        StorageConfig::JobManager => None,
    };
    let job_name = job_name(config)?;
    let checkpoint =
        storage::open_checkpoint(stores, &place, &Search { dir, job_name: &job_name })?;
    let record = metadata::decode(&checkpoint.metadata, &checkpoint.file.to_string());
    let record = record.and_then(|record| {
        storage::check_files(stores, &record, &checkpoint.folder)?;
        Ok(record)
    });
    let record = record.map_err(|error| match storage::offer(stores, &checkpoint.file) {
        None => error,
        Some(other) => error.context(format!(
            "cannot start from \"{place}\"; the newest other intact checkpoint beside it is \"{other}\""
        )),
    })?;
    // The files stay where they are.
    let place = checkpoint.file.parent().absolute()?.to_string();
    let base = checkpoint.folder.absolute()?;
    Ok(Some((record.rebased(&base.to_string()), Some(place))))
}

/// An id that no other job has: time and process, mixed.
pub(crate) fn new_job_id(clock: &dyn Clock) -> JobId {
    let now = clock.now();
    let process = u64::from(std::process::id());
    let high = mix(now.wall.0.unsigned_abs() ^ process.rotate_left(40));
    let low = mix(high ^ now.mono.0 ^ std::ptr::from_ref(&now).addr() as u64);
    JobId::from_u128(u128::from(high) << 64 | u128::from(low))
}

/// Every value of a configuration that was set, except for secrets.
pub fn settings(config: &Configuration) -> Settings {
    settings_with_secrets(&config.without_secrets())
}

/// Every value of a configuration that was set: for processes that this one starts.
pub(crate) fn settings_with_secrets(config: &Configuration) -> Settings {
    config.iter().map(|(key, text, origin)| (key.to_owned(), text.to_owned(), origin)).collect()
}

/// The configuration with these values.
///
/// # Errors
/// If one is not known, or wrong: they come from another version of Flott.
pub fn configuration(settings: &Settings) -> Result<Configuration> {
    let mut config = Configuration::new();
    for (key, text, origin) in settings {
        config.set_text(key, text, *origin)?;
    }
    Ok(config)
}
