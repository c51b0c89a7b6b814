//! Which keys of a store were written between one snapshot and the next.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::size_of;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Keys as a store has them.
pub(super) type Keys = BTreeSet<Box<[u8]>>;

/// The keys that were written since each snapshot of a store that may still be of use.
#[derive(Default)]
pub(crate) struct ChangeLog(Mutex<Log>);

#[derive(Default)]
struct Log {
    /// What was written since each snapshot, until the next one.
    written: BTreeMap<u64, Written>,
    /// The newest snapshot; before the first one it is 0.
    newest: u64,
    /// Snapshots that somebody may ask about.
    wanted: Vec<Weak<SnapshotId>>,
    /// Snapshots of what was undone: nothing is known of those.
    undone: Vec<RangeInclusive<u64>>,
}

#[derive(Clone)]
enum Written {
    Keys(Keys),
    /// Too many to be kept.
    Anything,
}

/// A snapshot of a store. As long as it is there, it is known what was written since.
#[derive(Debug)]
pub(super) struct SnapshotId(u64);

impl ChangeLog {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These keys are written. About so many `bytes` of them are kept.
    pub(super) fn note<'a>(&self, keys: impl Iterator<Item = &'a [u8]>, bytes: usize) {
        let mut log = self.log();
        let newest = log.newest;
        let written = log.written.entry(newest).or_insert_with(|| Written::Keys(Keys::new()));
        let Written::Keys(known) = written else { return };
        known.extend(keys.map(Box::from));
        let key = known.first().map_or(0, |key| key.len() + 2 * size_of::<Box<[u8]>>());
        if known.len() * key > bytes.max(1 << 20) {
            *written = Written::Anything;
        }
    }

    /// A snapshot is taken.
    pub(super) fn begin(&self) -> Arc<SnapshotId> {
        let mut log = self.log();
        log.newest += 1;
        let id = Arc::new(SnapshotId(log.newest));
        log.wanted.retain(|wanted| wanted.strong_count() > 0);
        let oldest = log.wanted.iter().filter_map(Weak::upgrade).map(|id| id.0).min();
        let oldest = oldest.unwrap_or(log.newest);
        log.written = log.written.split_off(&oldest);
        log.wanted.push(Arc::downgrade(&id));
        id
    }

    /// What was written between two snapshots, or since one; nothing if that is not known.
    pub(super) fn between(&self, from: &SnapshotId, to: Option<&SnapshotId>) -> Option<Keys> {
        let log = self.log();
        let end = to.map_or(u64::MAX, |to| to.0);
        if from.0 > end || log.undone.iter().any(|undone| undone.contains(&from.0)) {
            return None;
        }
        let mut keys = Keys::new();
        for written in log.written.range(from.0..end).map(|(_, written)| written) {
            match written {
                Written::Keys(some) => keys.extend(some.iter().cloned()),
                Written::Anything => return None,
            }
        }
        Some(keys)
    }

    /// The store is again what it was at a snapshot: what was written since is undone.
    pub(super) fn return_to(&self, id: &SnapshotId) {
        let mut log = self.log();
        log.written.split_off(&id.0);
        let undone = id.0 + 1..=log.newest;
        log.undone.push(undone);
        // Numbers are not used again.
        log.newest += 1;
    }
}
