//! The completed checkpoints that are kept, and the files of those that are not.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use flott_core::{CheckpointId, JobId};

use crate::record::{CompletedCheckpoint, is_relative};
use crate::storage::{METADATA_FILE, checkpoint_folder, checkpoint_of};

#[derive(Debug)]
pub(super) struct Store {
    num_retained: usize,
    /// The job's own, oldest first.
    retained: VecDeque<Arc<CompletedCheckpoint>>,
    /// Where the job was started from, if another job took it: the user's, unless it is claimed.
    foreign: Option<Arc<CompletedCheckpoint>>,
    is_claimed: bool,
    /// The oldest of the job's own that this process knows of.
    first: CheckpointId,
    /// Checkpoints that are gone, with their files. A newer checkpoint may refer to some of these
    /// files, so a folder goes when no reference is left.
    graves: BTreeMap<CheckpointId, BTreeSet<String>>,
}

impl Store {
    pub(super) fn new(
        job: JobId,
        num_retained: u32,
        restored: Option<Arc<CompletedCheckpoint>>,
        is_claimed: bool,
    ) -> Self {
        let (own, foreign): (Vec<_>, Vec<_>) =
            restored.into_iter().partition(|record| record.job == job);
        let first = own.first().map_or(CheckpointId(0), |record| record.checkpoint);
        Self {
            first,
            num_retained: num_retained.max(1) as usize,
            retained: own.into(),
            foreign: foreign.into_iter().next(),
            is_claimed,
            graves: BTreeMap::new(),
        }
    }

    pub(super) fn latest(&self) -> Option<&Arc<CompletedCheckpoint>> {
        self.retained.back().or(self.foreign.as_ref())
    }

    /// The checkpoint that the next one may build upon: not a savepoint that a job has stopped with, whose files
    /// are the user's.
    pub(super) fn base(&self) -> Option<Arc<CompletedCheckpoint>> {
        let latest = self.retained.back();
        latest.filter(|latest| latest.files().into_iter().all(is_relative)).cloned()
    }

    pub(super) fn retained(&self) -> impl DoubleEndedIterator<Item = &Arc<CompletedCheckpoint>> {
        self.retained.iter()
    }

    /// Adds the newest and drops the oldest beyond the number to keep; returns those dropped.
    pub(super) fn add(&mut self, record: Arc<CompletedCheckpoint>) -> Vec<CheckpointId> {
        self.retained.push_back(record);
        let surplus = self.retained.len().saturating_sub(self.num_retained);
        self.drop_oldest(surplus)
    }

    /// Lets go of what was claimed and is one too many now, or of all that was with `all`. What a kept
    /// checkpoint refers to stays.
    pub(super) fn drop_claimed(&mut self, all: bool) -> Option<Arc<CompletedCheckpoint>> {
        let is_surplus = all || self.retained.len() >= self.num_retained;
        let mut files = self.retained.iter().flat_map(|record| record.files());
        if !self.is_claimed || !is_surplus || files.any(|path| !is_relative(path)) {
            return None;
        }
        self.foreign.take()
    }

    pub(super) fn drop_all(&mut self) -> Vec<CheckpointId> {
        self.drop_oldest(self.retained.len())
    }

    fn drop_oldest(&mut self, count: usize) -> Vec<CheckpointId> {
        let dropped: Vec<_> = self.retained.drain(..count).collect();
        for record in &dropped {
            self.bury(record.checkpoint, record.files().into_iter().map(str::to_owned));
        }
        dropped.iter().map(|record| record.checkpoint).collect()
    }

    /// Marks a checkpoint's folder and files for deletion. What it has of an earlier one is marked there: the
    /// process that dropped that one may have been another.
    pub(super) fn bury(&mut self, checkpoint: CheckpointId, files: impl Iterator<Item = String>) {
        self.graves.entry(checkpoint).or_default().insert(metadata_path(checkpoint));
        for path in files {
            if is_relative(&path) && !self.may_be_of_others(&path) {
                let owner = checkpoint_of(&path).unwrap_or(checkpoint);
                self.graves.entry(owner).or_default().insert(path);
            }
        }
    }

    /// Whether records that another process has kept may refer to a file: it is not known which those are.
    pub(super) fn may_be_of_others(&self, path: &str) -> bool {
        self.num_retained > 1 && checkpoint_of(path).is_some_and(|owner| owner < self.first)
    }

    /// The paths of the job's folder that must stay, beside those that pending checkpoints need.
    pub(super) fn live(&self) -> BTreeSet<String> {
        let files = self.retained.iter().flat_map(|record| record.files()).map(str::to_owned);
        let records = self.retained.iter().map(|record| metadata_path(record.checkpoint));
        files.chain(records).collect()
    }

    /// What can be deleted now, in this order: whole folders where nothing in them is `live`, else single files.
    /// Whoever is killed in between leaves no record whose files are gone: a checkpoint's files are in its own folder
    /// and in older ones, so the newest go first, and of each its record.
    pub(super) fn sweep(&mut self, live: &BTreeSet<String>) -> Vec<String> {
        let mut dead = BTreeSet::new();
        let mut folders = BTreeSet::new();
        self.graves.retain(|checkpoint, files| {
            let prefix = format!("{}/", checkpoint_folder(*checkpoint));
            let is_needed = live.range(prefix.clone()..).next();
            let is_needed = is_needed.is_some_and(|path| path.starts_with(&prefix));
            if !is_needed {
                folders.insert(prefix);
            }
            files.retain(|path| live.contains(path) || !dead.insert(path.clone()));
            is_needed
        });
        dead.retain(|path| !folders.iter().any(|folder| path.starts_with(folder)));
        let folders = folders.iter().map(|folder| folder.trim_end_matches('/').to_owned());
        let mut all: Vec<String> = folders.chain(dead).collect();
        all.sort_by_cached_key(|path| {
            let (folder, file) = path.split_once('/').unwrap_or((path, METADATA_FILE));
            let checkpoint = checkpoint_of(&format!("{folder}/{METADATA_FILE}"));
            (Reverse(checkpoint), file != METADATA_FILE, path.clone())
        });
        all
    }
}

pub(super) fn metadata_path(checkpoint: CheckpointId) -> String {
    format!("{}/{METADATA_FILE}", checkpoint_folder(checkpoint))
}
