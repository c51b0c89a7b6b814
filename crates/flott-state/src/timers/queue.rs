//! Which timer of a kind is next.

use std::collections::BTreeMap;

use flott_core::Timestamp;
use smallvec::SmallVec;

/// A queue with fewer entries is not cleaned of deleted timers.
pub(super) const SPARE: usize = 64;

/// The timers of one kind by time: many keys often wait for the same one. The next one is never a deleted one.
pub(super) struct Queue<K> {
    times: BTreeMap<Timestamp, SmallVec<[(u64, K); 1]>>,
    /// How many entries there are, those of deleted timers too.
    entries: usize,
    /// How many timers there are.
    live: usize,
}

impl<K> Queue<K> {
    /// Adds a timer that was not there.
    pub(super) fn push(&mut self, time: Timestamp, hash: u64, key: K) {
        self.times.entry(time).or_default().push((hash, key));
        self.entries += 1;
        self.live += 1;
    }

    /// The next timer.
    pub(super) fn first(&self) -> Option<(Timestamp, u64, &K)> {
        let (time, keys) = self.times.first_key_value()?;
        keys.last().map(|(hash, key)| (*time, *hash, key))
    }

    /// The hash of the timer that comes after so many others of the same time.
    #[inline]
    pub(super) fn upcoming(&self, after: usize) -> Option<u64> {
        let (_, keys) = self.times.first_key_value()?;
        keys.len().checked_sub(1 + after).and_then(|at| keys.get(at)).map(|(hash, _)| *hash)
    }

    /// Takes out the entry of the next timer.
    pub(super) fn pop(&mut self) -> Option<(Timestamp, u64, K)> {
        let mut first = self.times.first_entry()?;
        let time = *first.key();
        let last = first.get_mut().pop();
        if first.get().is_empty() {
            first.remove();
        }
        let (hash, key) = last?;
        self.entries -= 1;
        Some((time, hash, key))
    }

    /// How many timers there are.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// A timer is no more: one that was popped, or one whose entry stays.
    pub(super) fn note_removal(&mut self) {
        self.live -= 1;
    }

    /// Removes entries of deleted timers from the front, and all of them when they are many.
    pub(super) fn tidy(&mut self, is_set: impl Fn(Timestamp, u64, &K) -> bool) {
        while self.entries > self.live
            && self.first().is_some_and(|(time, hash, key)| !is_set(time, hash, key))
        {
            self.pop();
        }
        if self.entries > 2 * self.live + SPARE {
            self.times.retain(|time, keys| {
                keys.retain(|(hash, key)| is_set(*time, *hash, key));
                !keys.is_empty()
            });
            self.entries = self.times.values().map(SmallVec::len).sum();
        }
    }
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self { times: BTreeMap::new(), entries: 0, live: 0 }
    }
}
