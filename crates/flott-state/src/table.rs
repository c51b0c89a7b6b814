//! The heap backend's table: a paged copy-on-write hash map, by key group.
//!
//! A snapshot must cost the same whatever the state's size, and the task must go on writing at
//! once. So the entries lie in small pages behind `Arc`s, the pages of a key group in a vector
//! behind another, and a snapshot is one reference per key group. The first write to a group
//! after a snapshot copies its vector of page references, the first write to a page copies that
//! page; what is not written is never copied.
//!
//! A hash is used three times: its high 32 bits choose the key group
//! ([`MaxParallelism::key_group`]), those from bit 8 up the page, and the lowest eight are kept
//! with the page, to find the entry among its few.

mod cpu;
mod group;
mod hint;
mod page;
mod snapshot;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use flott_core::codec::Key;
use flott_core::{KeyGroup, KeyGroupRange, MaxParallelism};

pub use self::hint::Hint;
pub use self::snapshot::{GroupSnapshot, TableSnapshot};

use self::group::Group;
use self::page::Entry;

/// A hash table of one keyed state for a range of key groups, with snapshots that cost one
/// reference per key group.
///
/// Every access takes the key's [`stable_hash`](flott_core::hash::stable_hash), which the record
/// carries anyway; a wrong hash loses the entry.
///
/// # Panics
/// Every access panics if the hash belongs to a key group outside the table's range: a record
/// that was sent to the wrong subtask must not be written down.
pub struct PagedTable<K, V> {
    range: KeyGroupRange,
    max: MaxParallelism,
    groups: Vec<Shareable<K, V>>,
}

/// A group that this table alone can reach, or one that snapshots may see too. Telling them apart
/// here spares every write an atomic operation.
struct Shareable<K, V> {
    own: Group<K, V>,
    /// If this is there, it is the group, and `own` is empty.
    shared: Option<Arc<Group<K, V>>>,
    /// An empty group for the next snapshot: allocated when the group was written, so that the
    /// snapshot need not.
    spare: Option<Arc<Group<K, V>>>,
}

impl<K, V> Shareable<K, V> {
    #[inline]
    fn get(&self) -> &Group<K, V> {
        match &self.shared {
            Some(shared) => shared,
            None => &self.own,
        }
    }

    #[inline]
    fn get_mut(&mut self) -> &mut Group<K, V> {
        if self.shared.is_some() {
            self.unshare();
        }
        &mut self.own
    }

    #[cold]
    fn unshare(&mut self) {
        if let Some(shared) = self.shared.take() {
            self.own = Arc::unwrap_or_clone(shared);
            self.own.begin_epoch();
            self.spare = Some(Arc::default());
        }
    }

    /// Allocates nothing, if it can: a task stands still for this.
    fn share(&mut self) -> Option<Arc<Group<K, V>>> {
        if self.shared.is_none() && !self.own.is_empty() {
            let mut shared = self.spare.take().unwrap_or_default();
            match Arc::get_mut(&mut shared) {
                Some(group) => std::mem::swap(group, &mut self.own),
                None => shared = Arc::new(std::mem::take(&mut self.own)),
            }
            self.shared = Some(shared);
        }
        self.shared.clone()
    }
}

impl<K: Key, V: Clone> PagedTable<K, V> {
    /// An empty table for the key groups of `range`. It allocates nothing per group.
    pub fn new(range: KeyGroupRange, max: MaxParallelism) -> Self {
        let groups = range
            .iter()
            .map(|_| Shareable { own: Group::default(), shared: None, spare: None })
            .collect();
        Self { range, max, groups }
    }

    /// A table that begins with what `snapshot` holds, and shares its pages until they are written.
    pub fn from_snapshot(snapshot: &TableSnapshot<K, V>, max: MaxParallelism) -> Self {
        let groups = snapshot
            .shared()
            .map(|shared| Shareable { own: Group::default(), shared: shared.cloned(), spare: None })
            .collect();
        Self { range: snapshot.range(), max, groups }
    }

    /// Takes over the key groups that a snapshot of another table has entries of.
    pub(crate) fn adopt(&mut self, snapshot: &TableSnapshot<K, V>) {
        for (group, entries) in snapshot.range().iter().zip(snapshot.shared()) {
            let index = usize::from(group.0).wrapping_sub(self.range.start as usize);
            if let (Some(place), Some(entries)) = (self.groups.get_mut(index), entries) {
                place.shared = Some(entries.clone());
            }
        }
    }

    /// Makes room for so many entries in one of the table's key groups, if it is empty: faster
    /// than to let it grow when it is filled at once.
    pub(crate) fn reserve(&mut self, group: KeyGroup, entries: usize) {
        let index = usize::from(group.0).wrapping_sub(self.range.start as usize);
        if let Some(group) = self.groups.get_mut(index)
            && group.get().is_empty()
        {
            *group.get_mut() = Group::with_room(entries);
        }
    }

    /// The key groups that the table holds.
    pub fn range(&self) -> KeyGroupRange {
        self.range
    }

    /// How many entries there are. It adds up the key groups.
    pub fn len(&self) -> usize {
        self.groups.iter().map(|group| group.get().len()).sum()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries one of the table's key groups has.
    pub(crate) fn group_len(&self, group: KeyGroup) -> usize {
        let index = usize::from(group.0).wrapping_sub(self.range.start as usize);
        self.groups.get(index).map_or(0, |group| group.get().len())
    }

    /// The value of `key`.
    #[inline]
    pub fn get(&self, hash: u64, key: &K) -> Option<&V> {
        let group = self.groups[self.group_of(hash)].get();
        let at = group.find(hash, key)?;
        group.value(at)
    }

    /// The value of `key`, to be changed. An absent key copies nothing.
    #[inline]
    pub fn get_mut(&mut self, hash: u64, key: &K) -> Option<&mut V> {
        let index = self.group_of(hash);
        let group = &mut self.groups[index];
        let at = group.get().find(hash, key)?;
        group.get_mut().value_mut(at)
    }

    /// The value of `key`; if there is none, what `insert` returns is put there. The key is cloned
    /// only then.
    #[inline]
    pub fn entry_or_insert_with(
        &mut self,
        hash: u64,
        key: &K,
        insert: impl FnOnce() -> V,
    ) -> &mut V {
        let index = self.group_of(hash);
        let group = self.groups[index].get_mut();
        let at = group.position(hash, key);
        group.fill(at, hash, || Entry { key: key.clone(), value: insert() })
    }

    /// As [`Self::entry_or_insert_with`], for a key that the caller can give away.
    #[inline]
    pub fn upsert(&mut self, hash: u64, key: K, insert: impl FnOnce() -> V) -> &mut V {
        let index = self.group_of(hash);
        let group = self.groups[index].get_mut();
        let at = group.position(hash, &key);
        group.fill(at, hash, || Entry { key, value: insert() })
    }

    /// Removes `key` and returns its value. An absent key copies nothing.
    pub fn remove(&mut self, hash: u64, key: &K) -> Option<V> {
        let index = self.group_of(hash);
        let group = &mut self.groups[index];
        let at = group.get().find(hash, key)?;
        group.get_mut().remove(at)
    }

    /// Asks the processor to load the entry with this hash: some 16 to 256 keys ahead of the one that is looked up. It
    /// waits for the page; [`PagedTable::hint`] does not.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.groups[self.group_of(hash)].get().prefetch(hash);
    }

    /// The entries as they are now, whatever is written later. It costs one reference per key
    /// group.
    pub fn snapshot(&mut self) -> TableSnapshot<K, V> {
        let groups = self.groups.iter_mut().map(Shareable::share).collect();
        TableSnapshot::new(self.range, groups)
    }

    /// All entries, key group by key group. The order within a group follows from the history of
    /// the table, and from nothing else.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.groups.iter().flat_map(|group| group.get().iter())
    }

    /// Shows some entries to `visit`, at most `slots` slots full or empty from `cursor` on, and
    /// moves the cursor. Going round again and again it meets every entry that stays long enough;
    /// an entry that moves while the table grows or shrinks may be missed once.
    pub(crate) fn sweep(
        &self,
        cursor: &mut SweepCursor,
        slots: usize,
        mut visit: impl FnMut(&K, &V),
    ) {
        let mut left = slots;
        while left > 0 {
            let Some(group) = self.groups.get(cursor.group) else {
                *cursor = SweepCursor::default();
                return;
            };
            // An empty page or group costs a slot too: a call stays short in a sparse table.
            left -= 1;
            let Some(page) = group.get().page(cursor.page) else {
                *cursor = SweepCursor { group: cursor.group + 1, page: 0, slot: 0 };
                continue;
            };
            let rest = page.get(cursor.slot..).unwrap_or_default();
            let seen = rest.len().min(left);
            for entry in rest.iter().take(seen).flatten() {
                visit(&entry.key, &entry.value);
            }
            left -= seen;
            if seen < rest.len() {
                cursor.slot += seen;
            } else {
                *cursor = SweepCursor { group: cursor.group, page: cursor.page + 1, slot: 0 };
            }
        }
    }

    #[inline]
    fn group_of(&self, hash: u64) -> usize {
        // Below the range this wraps to an index that no vector has: the access panics.
        usize::from(self.max.key_group(hash).0).wrapping_sub(self.range.start as usize)
    }
}

impl<K, V> fmt::Debug for PagedTable<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: usize = self.groups.iter().map(|group| group.get().len()).sum();
        f.debug_struct("PagedTable")
            .field("range", &self.range)
            .field("entries", &entries)
            .finish_non_exhaustive()
    }
}

/// Where [`PagedTable::sweep`] goes on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SweepCursor {
    group: usize,
    page: usize,
    slot: usize,
}
