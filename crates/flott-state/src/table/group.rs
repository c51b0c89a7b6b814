//! One key group: pages that grow in number by linear hashing.
//!
//! When the pages are too full on average, the next one in line is split in two, whichever key
//! came: the group grows one page at a time, and no write ever waits for all of it to be rehashed.

use flott_core::codec::Key;

use super::page::{Entry, Epoch, Page, Place};
use super::prefetch::prefetch;

/// The hash bits from here on choose the page; the bits below it choose the slot.
pub(super) const PAGE_SHIFT: u32 = 12;

/// How many hash bits there are for pages: up to the 32 that choose the group. A group with all of
/// its pages (some 59 million entries) grows by larger pages.
const PAGES_MAX: usize = 1 << (32 - PAGE_SHIFT);

/// How many entries a page has on average when the next page is split. Pages that are not yet
/// split in this round have up to twice as many: 112 in 256 slots.
const PAGE_ENTRIES: usize = 90;

/// The entries of one key group.
pub(super) struct Group<K, V> {
    pages: Vec<Page<K, V>>,
    /// The number of pages, rounded up to a power of two, minus one.
    mask: u64,
    len: usize,
    epoch: Epoch,
}

/// Where [`Group::find`] found a key.
#[derive(Clone, Copy)]
pub(super) struct Position {
    page: usize,
    slot: usize,
}

impl<K, V> Group<K, V> {
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
        self.pages.iter().flat_map(Page::iter)
    }

    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        if let Some(page) = self.pages.get(self.page_of(hash)) {
            page.prefetch(hash);
        }
    }

    /// Asks for what [`Group::prefetch`] must read to know where the slot is.
    #[inline]
    pub(super) fn prefetch_page(&self, hash: u64) {
        if let Some(page) = self.pages.get(self.page_of(hash)) {
            prefetch(page);
        }
    }

    pub(super) fn page(&self, page: usize) -> Option<&[Option<Entry<K, V>>]> {
        self.pages.get(page).map(Page::slots)
    }

    /// The page of a hash. Pages at and after the split point do not exist yet: their entries are
    /// still with the page that will be split.
    #[inline]
    fn page_of(&self, hash: u64) -> usize {
        let wanted = (hash >> PAGE_SHIFT) & self.mask;
        let index =
            if (wanted as usize) < self.pages.len() { wanted } else { wanted & (self.mask >> 1) };
        index as usize
    }
}

impl<K: Key, V: Clone> Group<K, V> {
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &K) -> Option<Position> {
        let page = self.page_of(hash);
        let slot = self.pages.get(page)?.find(hash, key)?;
        Some(Position { page, slot })
    }

    #[inline]
    pub(super) fn value(&self, at: Position) -> Option<&V> {
        self.pages[at.page].value(at.slot)
    }

    #[inline]
    pub(super) fn value_mut(&mut self, at: Position) -> Option<&mut V> {
        self.pages[at.page].value_mut(at.slot, self.epoch)
    }

    /// The place where `key` is or belongs, with room made for it.
    #[inline]
    pub(super) fn place(&mut self, hash: u64, key: &K) -> Place<'_, K, V> {
        // Most keys are there already: only a new one may need room.
        let mut page = self.page_of(hash);
        let found = self.pages.get(page).and_then(|page| page.find(hash, key));
        let slot = match found {
            Some(slot) => slot,
            None => {
                page = self.make_room(hash);
                self.pages[page].free_slot(hash, key)
            }
        };
        self.pages[page].place(slot, self.epoch, &mut self.len)
    }

    /// Makes room for an entry with this hash, and says in which page.
    #[cold]
    fn make_room(&mut self, hash: u64) -> usize {
        if self.len >= self.pages.len() * PAGE_ENTRIES {
            self.add_page();
        }
        let page = self.page_of(hash);
        self.pages[page].make_room(self.epoch);
        page
    }

    pub(super) fn remove(&mut self, at: Position) -> Option<V> {
        let value = self.pages[at.page].remove(at.slot, self.epoch)?;
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
        }
        Some(value)
    }

    /// Splits the next page in line.
    #[cold]
    fn add_page(&mut self) {
        let new = self.pages.len();
        if new == 0 {
            self.pages.push(Page::default());
            return;
        }
        if new == PAGES_MAX {
            return;
        }
        if new as u64 > self.mask {
            self.mask = self.mask * 2 + 1;
        }
        let mask = self.mask;
        let old = new & (mask >> 1) as usize;
        let goes = |hash: u64| ((hash >> PAGE_SHIFT) & mask) as usize == new;
        let page = self.pages[old].split(self.epoch, goes);
        self.pages.push(page);
    }
}

impl<K, V> Default for Group<K, V> {
    fn default() -> Self {
        Self { pages: Vec::new(), mask: 0, len: 0, epoch: Epoch::default() }
    }
}

impl<K, V> Clone for Group<K, V> {
    fn clone(&self) -> Self {
        Self { pages: self.pages.clone(), mask: self.mask, len: self.len, epoch: self.epoch }
    }
}
