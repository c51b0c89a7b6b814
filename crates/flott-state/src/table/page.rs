//! One page: a few entries without order, and a byte of each one's hash to find them by. A page is
//! copied as a whole when a snapshot shares it.

use std::sync::Arc;

use flott_core::codec::Key;
use flott_core::hash::stable_hash;

use super::cpu::{BYTES, positions_of, prefetch};

/// How many entries a page has before it is split.
pub(super) const PAGE_ENTRIES: usize = BYTES;

/// How many hash bits a tag takes: the lowest.
pub(super) const TAG_BITS: u32 = u8::BITS;

/// The number of slots that a page begins with.
const SLOTS_MIN: usize = 4;

/// A key and its value.
#[derive(Clone)]
pub(super) struct Entry<K, V> {
    pub(super) key: K,
    pub(super) value: V,
}

type Slots<K, V> = Arc<[Option<Entry<K, V>>]>;

/// What a look-up needs of a page but the entry itself is here, in one cache line; the slots lie
/// directly behind the `Arc`.
///
/// Whether a snapshot shares the slots is known without a look at their reference count, which
/// would be a cache miss and a locked instruction per write: see [`slots_mut`].
#[repr(align(64))]
pub(super) struct Page<K, V> {
    /// The entries, then free slots. Cloned by [`Page::clone`] alone.
    slots: Slots<K, V>,
    /// Those of the first entries. The bytes after them mean nothing.
    tags: [u8; PAGE_ENTRIES],
    /// More than [`PAGE_ENTRIES`] only if the hashes agree in too many bits to split the page.
    len: u32,
    /// In this epoch of the group the slots are known not to be shared.
    owned_in: Epoch,
    /// By how many hash bits it has been split from others.
    depth: u8,
}

/// Counts how often pages of a group may have been cloned. A page is cloned with its whole group
/// only, and a group begins a new epoch whenever that may have happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Epoch(u32);

impl Epoch {
    /// The epoch after this one.
    pub(super) fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl<K, V> Page<K, V> {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) fn depth(&self) -> u8 {
        self.depth
    }

    pub(super) fn slots(&self) -> &[Option<Entry<K, V>>] {
        &self.slots
    }

    /// Whether both have the same entries, because neither was written since one was the other.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.slots, &other.slots)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.slots.iter().flatten().map(|entry| (&entry.key, &entry.value))
    }

    /// The slot of the entry with this hash, as far as tags tell, or the one that a new one would get.
    #[inline]
    pub(super) fn likely_slot(&self, hash: u64) -> usize {
        match self.candidates(hash) {
            0 => self.len(),
            candidates => candidates.trailing_zeros() as usize,
        }
    }

    /// Asks for the entry with this hash, or for the slot that a new one would get; says which one that is.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) -> usize {
        let slot = self.likely_slot(hash);
        if let Some(slot) = self.slots.get(slot) {
            prefetch(slot);
        }
        slot
    }

    /// Asks for all of the entries.
    pub(super) fn prefetch_slots(&self) {
        let apart = (64 / size_of::<Option<Entry<K, V>>>().max(1)).max(1);
        self.slots.iter().step_by(apart).for_each(prefetch);
    }

    /// A bit for each of the first entries that may have this hash.
    #[inline]
    fn candidates(&self, hash: u64) -> u32 {
        let present = (1u64 << self.len().min(PAGE_ENTRIES)) - 1;
        positions_of(hash as u8, &self.tags) & present as u32
    }

    pub(super) fn empty(slots: usize, depth: u8, epoch: Epoch) -> Self {
        Self {
            slots: (0..slots).map(|_| None).collect(),
            tags: [0; PAGE_ENTRIES],
            len: 0,
            owned_in: epoch,
            depth,
        }
    }
}

/// The slots of a page, to be written: a copy if a snapshot shares them.
#[inline]
#[expect(unsafe_code, reason = "skips the reference count where it is known to be one")]
fn slots_mut<'a, K: Clone, V: Clone>(
    slots: &'a mut Slots<K, V>,
    owned_in: &mut Epoch,
    epoch: Epoch,
) -> &'a mut [Option<Entry<K, V>>] {
    if *owned_in != epoch {
        own(slots, owned_in, epoch);
    }
    // SAFETY: there is no other reference to the slots, so this one may be exclusive for as long
    // as `slots` is borrowed. `owned_in == epoch` holds only after `own`, which makes the count
    // one, and for slots that were created in this epoch of the group. The `Arc` is cloned by
    // `Page::clone` alone, which happens only with a clone of the whole group; and whoever gets a
    // group, or keeps one, after it may have been cloned moves it on to its next epoch first
    // (`Group::begin_epoch`). There are no weak references.
    unsafe { &mut *Arc::as_ptr(slots).cast_mut() }
}

#[cold]
fn own<K: Clone, V: Clone>(slots: &mut Slots<K, V>, owned_in: &mut Epoch, epoch: Epoch) {
    Arc::make_mut(slots);
    *owned_in = epoch;
}

impl<K: Key, V: Clone> Page<K, V> {
    /// The slot of a key.
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &K) -> Option<usize> {
        let is = |slot: &usize| {
            self.slots.get(*slot).is_some_and(|entry| entry.as_ref().is_some_and(|e| e.key == *key))
        };
        let mut candidates = self.candidates(hash);
        while candidates != 0 {
            let slot = candidates.trailing_zeros() as usize;
            if is(&slot) {
                return Some(slot);
            }
            candidates &= candidates - 1;
        }
        if self.len() > PAGE_ENTRIES { (PAGE_ENTRIES..self.len()).find(is) } else { None }
    }

    #[inline]
    pub(super) fn key(&self, slot: usize) -> Option<&K> {
        self.slots.get(slot)?.as_ref().map(|entry| &entry.key)
    }

    #[inline]
    pub(super) fn value(&self, slot: usize) -> Option<&V> {
        self.slots.get(slot)?.as_ref().map(|entry| &entry.value)
    }

    #[inline]
    pub(super) fn value_mut(&mut self, slot: usize, epoch: Epoch) -> Option<&mut V> {
        let slots = slots_mut(&mut self.slots, &mut self.owned_in, epoch);
        slots.get_mut(slot)?.as_mut().map(|entry| &mut entry.value)
    }

    /// The next free slot; there is one afterwards.
    pub(super) fn free_slot(&mut self, epoch: Epoch) -> usize {
        let len = self.len();
        if len == self.slots.len() {
            let wanted = len + (len / 2).max(SLOTS_MIN);
            let enough = if len < PAGE_ENTRIES { PAGE_ENTRIES } else { usize::MAX };
            self.resize(wanted.min(enough), epoch);
        }
        len
    }

    /// The value in a slot; `entry` makes it if the slot is free.
    #[inline]
    pub(super) fn fill(
        &mut self,
        slot: usize,
        hash: u64,
        epoch: Epoch,
        group_len: &mut usize,
        entry: impl FnOnce() -> Entry<K, V>,
    ) -> &mut V {
        let Self { slots, tags, len, owned_in, .. } = self;
        let entry = slots_mut(slots, owned_in, epoch)[slot].get_or_insert_with(|| {
            let entry = entry();
            if let Some(tag) = tags.get_mut(slot) {
                *tag = hash as u8;
            }
            *len += 1;
            *group_len += 1;
            entry
        });
        &mut entry.value
    }

    /// Empties a slot. The last entry moves into it.
    pub(super) fn remove(&mut self, slot: usize, epoch: Epoch) -> Option<V> {
        let slots = slots_mut(&mut self.slots, &mut self.owned_in, epoch);
        let removed = slots.get_mut(slot)?.take()?;
        let last = self.len as usize - 1;
        slots.swap(slot, last);
        if let Some(moved) = slots.get(slot).and_then(Option::as_ref)
            && let Some(tag) = self.tags.get_mut(slot)
        {
            *tag = hash_of(&moved.key) as u8;
        }
        self.len -= 1;
        if last <= self.slots.len() / 4 {
            self.resize(last, epoch);
        }
        Some(removed.value)
    }

    /// Moves the entries whose hash `goes` into a new page. Both are a hash bit deeper.
    pub(super) fn split(&mut self, epoch: Epoch, goes: impl Fn(u64) -> bool) -> Self {
        let (depth, slots) = (self.depth + 1, PAGE_ENTRIES * 5 / 8);
        let old = std::mem::replace(self, Self::empty(slots, depth, epoch));
        let mut new = Self::empty(slots, depth, epoch);
        old.drain(|hash, entry| {
            let page = if goes(hash) { &mut new } else { &mut *self };
            page.push(hash, epoch, entry);
        });
        new
    }

    /// Gives the page another number of slots.
    #[cold]
    fn resize(&mut self, slots: usize, epoch: Epoch) {
        let new = Self::empty(slots, self.depth, epoch);
        std::mem::replace(self, new).drain(|hash, entry| self.push(hash, epoch, entry));
    }

    fn push(&mut self, hash: u64, epoch: Epoch, entry: Entry<K, V>) {
        let slot = self.free_slot(epoch);
        self.fill(slot, hash, epoch, &mut 0, || entry);
    }

    /// Takes all entries out, by copy if a snapshot shares them.
    fn drain(mut self, mut each: impl FnMut(u64, Entry<K, V>)) {
        match Arc::get_mut(&mut self.slots) {
            Some(slots) => {
                for entry in slots.iter_mut().filter_map(Option::take) {
                    each(hash_of(&entry.key), entry);
                }
            }
            None => {
                for entry in self.slots.iter().flatten() {
                    each(hash_of(&entry.key), entry.clone());
                }
            }
        }
    }
}

impl<K, V> Default for Page<K, V> {
    fn default() -> Self {
        Self::empty(0, 0, Epoch::default())
    }
}

impl<K, V> Clone for Page<K, V> {
    fn clone(&self) -> Self {
        Self { slots: Arc::clone(&self.slots), ..*self }
    }
}

pub(super) fn hash_of<K: Key>(key: &K) -> u64 {
    stable_hash(key).expect("a key in the table was hashed before it came in")
}
