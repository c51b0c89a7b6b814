//! Which keys of a store were written between one snapshot and the next.

use std::collections::BTreeMap;
use std::mem::size_of;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::store::StoreSnapshot;

/// Keys as a store has them, in order, each with whether it had an entry before.
pub(super) type Keys = Vec<(Box<[u8]>, bool)>;

/// However little memory there is, so many bytes of keys are kept.
const BYTES_MIN: usize = 64 << 10;

/// What a key takes beside its bytes.
const KEY_OVERHEAD: usize = 2 * size_of::<(Box<[u8]>, bool)>();

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
    wanted: Vec<Weak<Kept>>,
    /// Snapshots of what was undone: nothing is known of those.
    undone: Vec<RangeInclusive<u64>>,
}

enum Written {
    /// As they were written, some of them again and again.
    Keys(Keys),
    /// Too many to be kept.
    Anything,
}

impl Written {
    fn len(&self) -> usize {
        match self {
            Self::Keys(keys) => keys.len(),
            Self::Anything => 0,
        }
    }
}

/// A snapshot that may be gone back to, or be built upon. As long as it is there, it is known what was written
/// since.
pub(super) struct Kept {
    number: u64,
    snapshot: Mutex<Option<Arc<dyn StoreSnapshot>>>,
}

impl Kept {
    /// What the store held, if that is still there.
    pub(super) fn snapshot(&self) -> Option<Arc<dyn StoreSnapshot>> {
        self.locked().clone()
    }

    /// The same, and it is let go of.
    pub(super) fn take_snapshot(&self) -> Option<Arc<dyn StoreSnapshot>> {
        self.locked().take()
    }

    fn locked(&self) -> MutexGuard<'_, Option<Arc<dyn StoreSnapshot>>> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChangeLog {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These keys are written, of which some had an entry before. About so many `bytes` of them are kept.
    pub(super) fn note<'a>(&self, keys: impl Iterator<Item = (&'a [u8], bool)>, bytes: usize) {
        let mut log = self.log();
        if log.wanted.iter().all(|wanted| wanted.strong_count() == 0) {
            // Nobody will ask.
            log.written.clear();
            return;
        }
        let newest = log.newest;
        let before = log.written.range(..newest).map(|(_, written)| written.len()).sum::<usize>();
        let written = log.written.entry(newest).or_insert_with(|| Written::Keys(Keys::new()));
        let Written::Keys(known) = written else { return };
        known.extend(keys.map(|(key, was_there)| (key.into(), was_there)));
        let key = known.first().map_or(0, |(key, _)| key.len() + KEY_OVERHEAD);
        let most = bytes.max(BYTES_MIN) / key.max(1);
        if before + known.len() > most {
            put_in_order(known);
            // Or else the same would soon be tried again.
            if before + known.len() > most / 2 {
                *written = Written::Anything;
            }
        }
    }

    /// A snapshot is taken.
    pub(super) fn keep(&self, snapshot: Arc<dyn StoreSnapshot>) -> Arc<Kept> {
        let mut log = self.log();
        log.newest += 1;
        let number = log.newest;
        log.wanted.retain(|wanted| wanted.strong_count() > 0);
        let oldest = log.wanted.iter().filter_map(Weak::upgrade).map(|kept| kept.number).min();
        let oldest = oldest.unwrap_or(number);
        log.written = log.written.split_off(&oldest);
        log.undone.retain(|undone| *undone.end() >= oldest);
        let kept = Arc::new(Kept { number, snapshot: Mutex::new(Some(snapshot)) });
        log.wanted.push(Arc::downgrade(&kept));
        kept
    }

    /// What was written between two snapshots, or since one; nothing if that is not known.
    pub(super) fn between(&self, from: &Kept, to: Option<&Kept>) -> Option<Keys> {
        let log = self.log();
        let end = to.map_or(u64::MAX, |to| to.number);
        let is_undone = |number| log.undone.iter().any(|undone| undone.contains(&number));
        if from.number > end || is_undone(from.number) || is_undone(end) {
            return None;
        }
        let mut keys = Keys::new();
        for written in log.written.range(from.number..end).map(|(_, written)| written) {
            let Written::Keys(some) = written else { return None };
            keys.extend_from_slice(some);
        }
        drop(log);
        put_in_order(&mut keys);
        Some(keys)
    }

    /// Whether it is known what was written since a snapshot.
    pub(super) fn knows_since(&self, kept: &Kept) -> bool {
        let log = self.log();
        let mut since = log.written.range(kept.number..);
        !log.undone.iter().any(|undone| undone.contains(&kept.number))
            && since.all(|(_, written)| matches!(written, Written::Keys(_)))
    }

    /// The store is again what it was at a snapshot, which can be gone back to once more: what was written since is
    /// undone.
    pub(super) fn return_to(&self, kept: &Kept, snapshot: Arc<dyn StoreSnapshot>) {
        *kept.locked() = Some(snapshot);
        let mut log = self.log();
        log.written.split_off(&kept.number);
        let undone = kept.number + 1..=log.newest;
        log.undone.push(undone);
        // Numbers are not used again.
        log.newest += 1;
    }

    /// Lets go of what is only there to be gone back to: the store has not the memory for it.
    pub(super) fn forget_snapshots(&self) {
        for kept in self.log().wanted.iter().filter_map(Weak::upgrade) {
            *kept.locked() = None;
        }
    }
}

/// Sorts keys of which the same comes several times: the first one says what there was before.
fn put_in_order(keys: &mut Keys) {
    keys.sort_by(|(a, _), (b, _)| a.cmp(b));
    keys.dedup_by(|(later, _), (first, _)| later == first);
}
