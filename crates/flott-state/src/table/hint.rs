//! Looking an entry up in steps, for operators that know the hashes of a batch: each step asks the processor for the
//! memory that the next one reads, and is done some records before it.

use flott_core::codec::Key;

use super::PagedTable;
use super::cpu::prefetch;
use super::group::Position;
use super::page::Entry;

/// Where an entry probably is. It is looked at before it is believed: a wrong or outdated one costs time only.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hint {
    group: u32,
    page: u32,
    slot: u32,
}

/// A table whose entries have so many bytes needs no hints ahead of time: about what a core's own cache has room for.
const SMALL_BYTES: usize = 2 << 20;

impl<K: Key, V: Clone> PagedTable<K, V> {
    /// Whether the processor has the table at hand: then [`PagedTable::locate`] does for a hint. It adds up the key groups.
    pub fn is_small(&self) -> bool {
        self.len() * size_of::<Option<Entry<K, V>>>() <= SMALL_BYTES
    }

    /// A [refined](Self::refine) hint in one step, which waits for memory.
    #[inline]
    pub fn locate(&self, hash: u64) -> Hint {
        let index = self.group_of(hash);
        let group = self.groups[index].get();
        let page = group.page_of(hash).unwrap_or_default();
        let slot = group.pages().get(page).map_or(0, |page| page.likely_slot(hash));
        Hint { group: index as u32, page: page as u32, slot: slot as u32 }
    }

    /// In which page the entry with a hash is: asks for the memory of that. The first step.
    #[inline]
    pub fn hint(&self, hash: u64) -> Hint {
        let index = self.group_of(hash);
        let group = self.groups[index].get();
        // In an empty group there is no page of any number.
        let page = group.page_of(hash).unwrap_or_default();
        if let Some(page) = group.pages().get(page) {
            prefetch(page);
        }
        Hint { group: index as u32, page: page as u32, slot: 0 }
    }

    /// In which slot of the page the entry is: asks for the memory of that. The second step.
    #[inline]
    pub fn refine(&self, hint: &mut Hint, hash: u64) {
        let group = self.groups.get(hint.group as usize);
        if let Some(page) = group.and_then(|group| group.get().pages().get(hint.page as usize)) {
            hint.slot = page.prefetch(hash) as u32;
        }
    }

    /// As [`PagedTable::upsert`], with a [refined](Self::refine) hint. The last step.
    #[inline]
    pub fn upsert_at(
        &mut self,
        hint: Hint,
        hash: u64,
        key: K,
        insert: impl FnOnce() -> V,
    ) -> &mut V {
        let (group, at) = self.position_at(hint, hash, &key);
        self.groups[group].get_mut().fill(at, hash, || Entry { key, value: insert() })
    }

    /// As [`PagedTable::entry_or_insert_with`], with a [refined](Self::refine) hint. The last step. Out of
    /// line it takes 27 instructions more for each event of W4.
    #[inline(always)]
    pub fn entry_at(
        &mut self,
        hint: Hint,
        hash: u64,
        key: &K,
        insert: impl FnOnce() -> V,
    ) -> &mut V {
        let (group, at) = self.position_at(hint, hash, key);
        let entry = || Entry { key: key.clone(), value: insert() };
        self.groups[group].get_mut().fill(at, hash, entry)
    }

    /// As [`PagedTable::get_mut`], with a [refined](Self::refine) hint. The last step.
    #[inline]
    pub fn get_mut_at(&mut self, hint: Hint, hash: u64, key: &K) -> Option<&mut V> {
        if self.is_at(hint, key) {
            return self.groups[hint.group as usize].get_mut().value_mut(hint.position());
        }
        self.get_mut(hash, key)
    }

    /// Where a key is, or is to be put. Part of each step above, which take each event.
    #[inline(always)]
    fn position_at(&mut self, hint: Hint, hash: u64, key: &K) -> (usize, Position) {
        if self.is_at(hint, key) {
            return (hint.group as usize, hint.position());
        }
        let group = self.group_of(hash);
        (group, self.groups[group].get_mut().position(hash, key))
    }

    #[inline]
    fn is_at(&self, hint: Hint, key: &K) -> bool {
        let group = self.groups.get(hint.group as usize);
        group.is_some_and(|group| group.get().key(hint.position()) == Some(key))
    }
}

impl Hint {
    #[inline]
    fn position(self) -> Position {
        Position { page: self.page as usize, slot: self.slot as usize }
    }
}
