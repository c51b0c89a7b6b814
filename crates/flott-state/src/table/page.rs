//! One page: a small open-addressing table with linear probing, copied as a whole when a snapshot
//! shares it.

use std::sync::Arc;

use flott_core::codec::Key;
use flott_core::hash::stable_hash;

use super::prefetch::prefetch;

/// The number of slots that a page begins with.
const SLOTS_MIN: usize = 4;

/// A key and its value.
#[derive(Clone)]
pub(super) struct Entry<K, V> {
    pub(super) key: K,
    pub(super) value: V,
}

type Slots<K, V> = Arc<[Option<Entry<K, V>>]>;

/// The slots lie directly behind the `Arc`, their number in the pointer: a look-up goes from the
/// group's vector to the slot without a stop at a header.
///
/// Whether a snapshot shares the slots is known without a look at their reference count, which
/// would be a cache miss and a locked instruction per write: see [`slots_mut`].
pub(super) struct Page<K, V> {
    /// A power of two of them, or none. Cloned by [`Page::clone`] alone.
    slots: Slots<K, V>,
    len: u32,
    /// In this epoch of the group the slots are known not to be shared.
    owned_in: Epoch,
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

/// The slot where a key is or belongs, and the counters that an insertion must raise.
pub(super) struct Place<'a, K, V> {
    slot: &'a mut Option<Entry<K, V>>,
    page_len: &'a mut u32,
    group_len: &'a mut usize,
}

impl<'a, K, V> Place<'a, K, V> {
    /// The value there; `entry` makes it if the slot is free.
    #[inline]
    pub(super) fn fill(self, entry: impl FnOnce() -> Entry<K, V>) -> &'a mut V {
        let Self { slot, page_len, group_len } = self;
        let entry = slot.get_or_insert_with(|| {
            let entry = entry();
            *page_len += 1;
            *group_len += 1;
            entry
        });
        &mut entry.value
    }
}

impl<K, V> Page<K, V> {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.slots.iter().flatten().map(|entry| (&entry.key, &entry.value))
    }

    pub(super) fn slots(&self) -> &[Option<Entry<K, V>>] {
        &self.slots
    }

    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        if let Some(slot) = self.slots.get(self.home(hash)) {
            prefetch(slot);
        }
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        hash as usize & self.slots.len().wrapping_sub(1)
    }

    /// Beyond this, probing takes too many steps that the processor cannot foresee.
    #[inline]
    fn is_full(&self) -> bool {
        self.len as usize * 4 >= self.slots.len() * 3
    }

    fn empty(slots: usize, epoch: Epoch) -> Self {
        Self { slots: (0..slots).map(|_| None).collect(), len: 0, owned_in: epoch }
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
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &K) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let slot = self.probe(hash, key);
        self.slots[slot].is_some().then_some(slot)
    }

    #[inline]
    pub(super) fn value(&self, slot: usize) -> Option<&V> {
        self.slots[slot].as_ref().map(|entry| &entry.value)
    }

    #[inline]
    pub(super) fn value_mut(&mut self, slot: usize, epoch: Epoch) -> Option<&mut V> {
        slots_mut(&mut self.slots, &mut self.owned_in, epoch)[slot]
            .as_mut()
            .map(|entry| &mut entry.value)
    }

    /// Makes sure that an entry fits in, and a free slot is left behind it.
    pub(super) fn make_room(&mut self, epoch: Epoch) {
        if self.is_full() {
            self.resize(self.slots.len() * 2, epoch);
        }
    }

    /// Where a key that is not there belongs, after [`Page::make_room`].
    pub(super) fn free_slot(&self, hash: u64, key: &K) -> usize {
        self.probe(hash, key)
    }

    /// The place in a slot, to be read, written or filled.
    #[inline]
    pub(super) fn place<'a>(
        &'a mut self,
        slot: usize,
        epoch: Epoch,
        group_len: &'a mut usize,
    ) -> Place<'a, K, V> {
        let Self { slots, len, owned_in } = self;
        let slots = slots_mut(slots, owned_in, epoch);
        Place { slot: &mut slots[slot], page_len: len, group_len }
    }

    /// Empties a slot, and moves up the entries after it that would not be found across the gap.
    pub(super) fn remove(&mut self, slot: usize, epoch: Epoch) -> Option<V> {
        let slots = slots_mut(&mut self.slots, &mut self.owned_in, epoch);
        let mask = slots.len() - 1;
        let removed = slots[slot].take()?;
        let mut gap = slot;
        let mut next = (gap + 1) & mask;
        while let Some(entry) = &slots[next] {
            let home = hash_of(&entry.key) as usize & mask;
            // An entry may move back to the gap unless that is before its home.
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(gap) & mask) {
                slots.swap(gap, next);
                gap = next;
            }
            next = (next + 1) & mask;
        }
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
        } else if self.len as usize <= self.slots.len() / 8 && self.slots.len() > SLOTS_MIN {
            self.resize(self.slots.len() / 4, epoch);
        }
        Some(removed.value)
    }

    /// Moves the entries whose hash `goes` into a new page. Both have room for all of them, so
    /// that they are about half full and grow once before they are split again.
    pub(super) fn split(&mut self, epoch: Epoch, goes: impl Fn(u64) -> bool) -> Self {
        let slots = slots_for(self.len as usize + 1);
        let old = std::mem::replace(self, Self::empty(slots, epoch));
        let mut new = Self::empty(slots, epoch);
        let (staying, going) = (Arc::make_mut(&mut self.slots), Arc::make_mut(&mut new.slots));
        let mut gone = 0;
        self.len = old.len;
        old.drain(|hash, entry| {
            if goes(hash) {
                gone += 1;
                put(going, hash, entry);
            } else {
                put(staying, hash, entry);
            }
        });
        self.len -= gone;
        new.len = gone;
        new
    }

    #[cold]
    fn resize(&mut self, slots: usize, epoch: Epoch) {
        let old = std::mem::replace(self, Self::empty(slots_for(slots), epoch));
        self.len = old.len;
        let slots = Arc::make_mut(&mut self.slots);
        old.drain(|hash, entry| put(slots, hash, entry));
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

    /// The slot of `key`, or the free slot where it belongs. There is always a free slot.
    #[inline]
    fn probe(&self, hash: u64, key: &K) -> usize {
        let slots = &*self.slots;
        let mask = slots.len() - 1;
        let mut slot = hash as usize & mask;
        while let Some(entry) = &slots[slot] {
            if entry.key == *key {
                break;
            }
            slot = (slot + 1) & mask;
        }
        slot
    }
}

impl<K, V> Default for Page<K, V> {
    fn default() -> Self {
        Self::empty(0, Epoch::default())
    }
}

impl<K, V> Clone for Page<K, V> {
    fn clone(&self) -> Self {
        Self { slots: Arc::clone(&self.slots), len: self.len, owned_in: self.owned_in }
    }
}

fn slots_for(wanted: usize) -> usize {
    wanted.next_power_of_two().max(SLOTS_MIN)
}

/// Puts an entry whose key is not there into a free slot, of which there is one.
fn put<K, V>(slots: &mut [Option<Entry<K, V>>], hash: u64, entry: Entry<K, V>) {
    let mask = slots.len() - 1;
    let mut slot = hash as usize & mask;
    while slots[slot].is_some() {
        slot = (slot + 1) & mask;
    }
    slots[slot] = Some(entry);
}

fn hash_of<K: Key>(key: &K) -> u64 {
    stable_hash(key).expect("a key in the table was hashed before it came in")
}
