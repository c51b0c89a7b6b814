//! What a table was at one moment, to be read while the table goes on.

use std::fmt;
use std::sync::Arc;

use flott_core::codec::Key;
use flott_core::{KeyGroup, KeyGroupRange, Result};

use super::group::Group;

/// The entries of a table at the moment of [`PagedTable::snapshot`](super::PagedTable::snapshot).
/// It can be sent to another thread; a clone is as cheap as the snapshot.
pub struct TableSnapshot<K, V> {
    range: KeyGroupRange,
    groups: Vec<Option<Arc<Group<K, V>>>>,
}

impl<K, V> TableSnapshot<K, V> {
    pub(super) fn new(range: KeyGroupRange, groups: Vec<Option<Arc<Group<K, V>>>>) -> Self {
        Self { range, groups }
    }

    pub(super) fn shared(&self) -> impl Iterator<Item = Option<&Arc<Group<K, V>>>> {
        self.groups.iter().map(Option::as_ref)
    }

    /// Takes over the key groups that another snapshot has entries of.
    pub(crate) fn adopt(&mut self, other: &Self) {
        for (group, entries) in other.range.iter().zip(&other.groups) {
            let index = usize::from(group.0).wrapping_sub(self.range.start as usize);
            if let (Some(place), Some(entries)) = (self.groups.get_mut(index), entries) {
                *place = Some(entries.clone());
            }
        }
    }

    /// The key groups that the table held.
    pub fn range(&self) -> KeyGroupRange {
        self.range
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.groups.iter().flatten().map(|group| group.len()).sum()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key groups that have entries, in order.
    pub fn groups(&self) -> impl Iterator<Item = GroupSnapshot<'_, K, V>> {
        self.range.iter().zip(&self.groups).filter_map(|(group, entries)| {
            let entries = entries.as_deref().filter(|entries| !entries.is_empty())?;
            Some(GroupSnapshot { group, entries })
        })
    }

    /// A key group, if it has entries.
    pub fn group(&self, group: KeyGroup) -> Option<GroupSnapshot<'_, K, V>> {
        let index = usize::from(group.0).checked_sub(self.range.start as usize)?;
        let entries = self.groups.get(index)?.as_deref().filter(|entries| !entries.is_empty())?;
        Some(GroupSnapshot { group, entries })
    }

    /// All entries, key group by key group.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.groups.iter().flatten().flat_map(|group| group.iter())
    }
}

impl<K, V> Clone for TableSnapshot<K, V> {
    fn clone(&self) -> Self {
        Self { range: self.range, groups: self.groups.clone() }
    }
}

impl<K, V> fmt::Debug for TableSnapshot<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableSnapshot")
            .field("range", &self.range)
            .field("entries", &self.len())
            .finish_non_exhaustive()
    }
}

/// One key group of a [`TableSnapshot`].
pub struct GroupSnapshot<'a, K, V> {
    group: KeyGroup,
    entries: &'a Group<K, V>,
}

impl<'a, K, V> GroupSnapshot<'a, K, V> {
    /// Which key group it is.
    pub fn group(&self) -> KeyGroup {
        self.group
    }

    /// How many entries it has.
    #[expect(clippy::len_without_is_empty, reason = "a snapshot shows no empty groups")]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Its entries.
    pub fn iter(&self) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V> {
        self.entries.iter()
    }
}

impl<'a, K: Key, V: Clone> GroupSnapshot<'a, K, V> {
    /// Whether nothing was written since this group was `before`.
    pub fn is_same(&self, before: &Self) -> bool {
        std::ptr::eq(self.entries, before.entries)
    }

    /// Of how many of some entries the values are not the `same` as when this group was `before`, and how many these
    /// are.
    pub(crate) fn sample_changes(
        &self,
        before: &Self,
        same: impl Fn(&V, &V) -> bool,
    ) -> (usize, usize) {
        self.entries.sample_changes(before.entries, same)
    }

    /// Shows what may have changed since this group was `before`: a key, its value, its value then. What lies in
    /// pages that were not written, and what is `surely_same`, is left out.
    ///
    /// # Errors
    /// Those of `each`.
    pub fn changes_since(
        &self,
        before: &Self,
        surely_same: impl Fn(&V, &V) -> bool,
        each: impl FnMut(&'a K, Option<&'a V>, Option<&'a V>) -> Result<()>,
    ) -> Result<()> {
        self.entries.changes_since(before.entries, surely_same, each)
    }
}

impl<K, V> fmt::Debug for GroupSnapshot<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupSnapshot")
            .field("group", &self.group)
            .field("entries", &self.len())
            .finish()
    }
}
