//! One key group: pages, and a directory of them by hash bits (extendible hashing, Fagin et al.
//! 1979).
//!
//! A full page is split in two by the next hash bit, whenever that happens: the group grows one
//! page at a time, and no write ever waits for all of it to be rehashed.

use flott_core::Result;
use flott_core::codec::Key;

use super::page::{Entry, Epoch, PAGE_ENTRIES, Page, TAG_BITS, hash_of};

/// How many hash bits there are for the directory: those between the tag and the 32 that choose
/// the group. A group with all of its pages (some 400 million entries) grows by larger pages.
const DEPTH_MAX: u8 = 32 - TAG_BITS as u8;

/// Beyond so many directory entries per page the directory is not doubled: only keys that were
/// chosen for their hashes need that. Their page grows instead.
const DIRECTORY_PER_PAGE: usize = 8;

/// How full on average the pages of [`Group::with_room`] are at most: few then get too full.
const PAGE_ENTRIES_EXPECTED: usize = PAGE_ENTRIES * 2 / 3;

/// So many pages ahead of the one that is looked at, the next one is asked for.
const PAGES_AHEAD: usize = 16;

/// The same where every page is looked at, one after the other.
const ITERATED_AHEAD: usize = 4;

/// So many pages tell how much of a group has changed.
const SAMPLED_PAGES: usize = 4;

/// The entries of one key group.
pub(super) struct Group<K, V> {
    /// The page of each value of the hash bits; a power of two of them, or none. Pages that were
    /// split less often than others stand here several times.
    directory: Vec<u32>,
    pages: Vec<Page<K, V>>,
    len: usize,
    epoch: Epoch,
}

/// Where an entry is or belongs.
#[derive(Clone, Copy)]
pub(super) struct Position {
    pub(super) page: usize,
    pub(super) slot: usize,
}

impl<K, V> Group<K, V> {
    /// An empty group with the pages that so many entries will need: filling it splits few of them.
    pub(super) fn with_room(entries: usize) -> Self {
        let wanted = entries.div_ceil(PAGE_ENTRIES_EXPECTED).max(1);
        let depth = (wanted.next_power_of_two().ilog2() as u8).min(DEPTH_MAX);
        let (pages, epoch) = (1u32 << depth, Epoch::default());
        let slots = (entries >> depth) * 5 / 4 + 1;
        Self {
            directory: (0..pages).collect(),
            pages: (0..pages).map(|_| Page::empty(slots.min(PAGE_ENTRIES), depth, epoch)).collect(),
            len: 0,
            epoch,
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// To be called before the first write to a group that may have been cloned, or is a clone:
    /// from here on no page counts as owned that was not looked at again.
    pub(super) fn begin_epoch(&mut self) {
        self.epoch = self.epoch.next();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.pages.iter().enumerate().flat_map(|(index, page)| {
            if let Some(next) = self.pages.get(index + ITERATED_AHEAD) {
                next.prefetch_slots();
            }
            page.iter()
        })
    }

    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        if let Some(page) = self.page_of(hash).and_then(|page| self.pages.get(page)) {
            page.prefetch(hash);
        }
    }

    pub(super) fn pages(&self) -> &[Page<K, V>] {
        &self.pages
    }

    #[cfg(test)]
    pub(super) fn directory_len(&self) -> usize {
        self.directory.len()
    }

    pub(super) fn page(&self, page: usize) -> Option<&[Option<Entry<K, V>>]> {
        self.pages.get(page).map(Page::slots)
    }

    #[inline]
    pub(super) fn page_of(&self, hash: u64) -> Option<usize> {
        let bits = directory_bits(hash) & self.directory.len().wrapping_sub(1);
        self.directory.get(bits).map(|page| *page as usize)
    }
}

/// The hash bits that the directory goes by, the lowest first.
#[inline]
fn directory_bits(hash: u64) -> usize {
    (hash as u32 >> TAG_BITS) as usize
}

impl<K: Key, V: Clone> Group<K, V> {
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &K) -> Option<Position> {
        let page = self.page_of(hash)?;
        let slot = self.pages.get(page)?.find(hash, key)?;
        Some(Position { page, slot })
    }

    #[inline]
    pub(super) fn key(&self, at: Position) -> Option<&K> {
        self.pages.get(at.page)?.key(at.slot)
    }

    #[inline]
    pub(super) fn value(&self, at: Position) -> Option<&V> {
        self.pages.get(at.page)?.value(at.slot)
    }

    #[inline]
    pub(super) fn value_mut(&mut self, at: Position) -> Option<&mut V> {
        self.pages.get_mut(at.page)?.value_mut(at.slot, self.epoch)
    }

    /// The position where `key` is, or one that was made free for it.
    #[inline]
    pub(super) fn position(&mut self, hash: u64, key: &K) -> Position {
        match self.find(hash, key) {
            Some(position) => position,
            None => self.make_room(hash),
        }
    }

    /// The value at a [`Group::position`]; `entry` makes it if there is none.
    #[inline]
    pub(super) fn fill(
        &mut self,
        at: Position,
        hash: u64,
        entry: impl FnOnce() -> Entry<K, V>,
    ) -> &mut V {
        self.pages[at.page].fill(at.slot, hash, self.epoch, &mut self.len, entry)
    }

    #[cold]
    fn make_room(&mut self, hash: u64) -> Position {
        let index = loop {
            let Some(index) = self.page_of(hash) else {
                self.directory.push(0);
                self.pages.push(Page::default());
                continue;
            };
            let page = &self.pages[index];
            if page.len() < PAGE_ENTRIES || !self.can_split(page.depth()) {
                break index;
            }
            self.split(index, directory_bits(hash));
        };
        Position { page: index, slot: self.pages[index].free_slot(self.epoch) }
    }

    fn can_split(&self, depth: u8) -> bool {
        let in_directory = 1 << depth < self.directory.len();
        let may_double = self.directory.len() <= self.pages.len() * DIRECTORY_PER_PAGE;
        depth < DEPTH_MAX && (in_directory || may_double)
    }

    pub(super) fn remove(&mut self, at: Position) -> Option<V> {
        let value = self.pages.get_mut(at.page)?.remove(at.slot, self.epoch)?;
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
        }
        Some(value)
    }

    /// Shows what may have changed since this group was `before`: a key, its value, its value then. What lies in
    /// pages that were not written, and what is `surely_same`, is left out.
    pub(super) fn changes_since<'a>(
        &'a self,
        before: &'a Self,
        surely_same: impl Fn(&V, &V) -> bool,
        mut each: impl FnMut(&'a K, Option<&'a V>, Option<&'a V>) -> Result<()>,
    ) -> Result<()> {
        let written = |index: usize| {
            let (new, old) = (self.pages.get(index), before.pages.get(index));
            let is_same = new.zip(old).is_some_and(|(new, old)| new.is_same(old));
            (!is_same).then_some((new, old))
        };
        for index in 0..self.pages.len().max(before.pages.len()) {
            if let Some((new, old)) = written(index + PAGES_AHEAD) {
                new.into_iter().chain(old).for_each(Page::prefetch_slots);
            }
            let Some((new, old)) = written(index) else { continue };
            let (new, old) = (new.map_or(&[][..], Page::slots), old.map_or(&[][..], Page::slots));
            for slot in 0..new.len().max(old.len()) {
                let new = new.get(slot).and_then(Option::as_ref);
                let old = old.get(slot).and_then(Option::as_ref);
                match (new, old) {
                    // Nearly always: the page was copied, and some of its values were changed.
                    (Some(new), Some(old)) if new.key == old.key => {
                        if !surely_same(&new.value, &old.value) {
                            each(&new.key, Some(&new.value), Some(&old.value))?;
                        }
                    }
                    (new, old) => {
                        if let Some(Entry { key, value }) = new {
                            each(key, Some(value), before.lookup(key))?;
                        }
                        if let Some(Entry { key, value }) = old
                            && self.lookup(key).is_none()
                        {
                            each(key, None, Some(value))?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Of how many of some entries the values are not the `same` as when this group was `before`, and how many these
    /// are.
    pub(super) fn sample_changes(
        &self,
        before: &Self,
        same: impl Fn(&V, &V) -> bool,
    ) -> (usize, usize) {
        let (mut changed, mut seen) = (0, 0);
        let every = self.pages.len().div_ceil(SAMPLED_PAGES).max(1);
        for (new, old) in self.pages.iter().zip(&before.pages).step_by(every) {
            let pairs = new.slots().iter().zip(old.slots());
            for (new, old) in pairs.filter_map(|(new, old)| new.as_ref().zip(old.as_ref())) {
                seen += 1;
                changed += usize::from(new.key != old.key || !same(&new.value, &old.value));
            }
        }
        (changed, seen)
    }

    fn lookup(&self, key: &K) -> Option<&V> {
        self.value(self.find(hash_of(key), key)?)
    }

    /// Splits the page to which hashes with these bits belong.
    fn split(&mut self, index: usize, bits: usize) {
        let page = &mut self.pages[index];
        let bit = 1 << page.depth();
        let new = page.split(self.epoch, |hash| directory_bits(hash) & bit != 0);
        if self.directory.len() == bit {
            self.directory.extend_from_within(..);
        }
        let first = (bits & (bit - 1)) | bit;
        for entry in self.directory.iter_mut().skip(first).step_by(2 * bit) {
            *entry = self.pages.len() as u32;
        }
        self.pages.push(new);
    }
}

impl<K, V> Default for Group<K, V> {
    fn default() -> Self {
        Self { directory: Vec::new(), pages: Vec::new(), len: 0, epoch: Epoch::default() }
    }
}

impl<K, V> Clone for Group<K, V> {
    fn clone(&self) -> Self {
        Self {
            directory: self.directory.clone(),
            pages: self.pages.clone(),
            len: self.len,
            epoch: self.epoch,
        }
    }
}
