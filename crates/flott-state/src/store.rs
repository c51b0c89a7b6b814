//! Where the disk backend keeps entries: ordered maps of bytes that may be larger than memory.
//!
//! What is behind them, files and threads, is elsewhere: this crate knows these traits, and one store in memory, for
//! tests and the simulator. A store is working memory, not a place to recover from: it need not survive the
//! process, and what it loses is read again from the checkpoint.

mod batch;
mod memory;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flott_checkpoint::snapshot::KeyedStateHandle;
use flott_core::{KeyGroupRange, Result};

pub use batch::Batch;
pub use memory::MemoryStores;

/// Makes stores.
pub trait StateStores: Send + Sync {
    /// An empty store for a state, described by `label` for messages and the names of files. It goes away with the last
    /// reference to it.
    ///
    /// # Errors
    /// If there is no place for it.
    fn create(&self, label: &str) -> Result<Arc<dyn StateStore>>;
}

/// An ordered map from bytes to bytes.
pub trait StateStore: Send + Sync {
    /// Puts and removes what the batch says: all of it, or, after an error, an unknown part of it.
    ///
    /// # Errors
    /// If it cannot be written.
    fn write(&self, batch: &Batch) -> Result<()>;

    /// Fills the store, which is empty, with the entries that `entries` passes on, in ascending order of their keys.
    ///
    /// # Errors
    /// If they cannot be written, and those of `entries`.
    fn fill(&self, entries: &mut dyn FnMut(&mut Put<'_>) -> Result<()>) -> Result<()>;

    /// The value of a key.
    ///
    /// # Errors
    /// If it cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Whether old snapshots make it take more memory than it should.
    fn is_strained(&self) -> bool;

    /// What the store holds now, whatever is written to it later. It must cost little.
    fn snapshot(&self) -> Arc<dyn StoreSnapshot>;
}

/// Takes an entry: a key, and its value.
pub type Put<'a> = dyn FnMut(&[u8], &[u8]) -> Result<()> + 'a;

/// Looks at an entry, and says whether it wants another one.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<bool> + 'a;

/// What a store held at one moment.
pub trait StoreSnapshot: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// If it cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Shows the entries from the key `from` on, in ascending order, until `each` says false.
    ///
    /// # Errors
    /// If they cannot be read, and those of `each`.
    fn scan(&self, from: &[u8], each: &mut Visit<'_>) -> Result<()>;
}

/// Where keyed state is kept. Timers are always in memory.
#[derive(Clone, Debug, Default)]
pub enum StateBackend {
    /// In memory.
    #[default]
    Heap,
    /// In stores, of which a part is in memory.
    Disk(DiskBackend),
}

/// What the states of a process share that are in stores, or will be when they do not fit into memory.
#[derive(Clone)]
pub struct DiskBackend {
    stores: Arc<dyn StateStores>,
    budget: Arc<Budget>,
}

impl DiskBackend {
    /// States are in `stores`; what they have in memory takes about `bytes`, all of them together.
    pub fn new(stores: Arc<dyn StateStores>, bytes: usize) -> Self {
        let (states, held) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { stores, budget: Arc::new(Budget { bytes, states, held }) }
    }

    /// Whether what these parts of a state have of key groups fits into memory, where so many `states` begin.
    pub fn has_room_for<'a>(
        &self,
        parts: impl IntoIterator<Item = (&'a KeyedStateHandle, KeyGroupRange)>,
        states: usize,
    ) -> bool {
        let mut needed = 0u64;
        for (handle, range) in parts {
            let layers = handle.layers().filter(|layers| range.contains(layers[0].group));
            for layers in layers {
                let entries = layers.last().map_or(0, |newest| newest.live);
                let encoded = layers.iter().fold(0u64, |sum, own| sum.saturating_add(own.length));
                let entries = entries.saturating_mul(RESTORED_OVERHEAD);
                needed = needed.saturating_add(entries).saturating_add(encoded.saturating_mul(2));
            }
        }
        let held = self.budget.held.load(Ordering::Relaxed);
        let free = self.budget.room().saturating_sub(held) / states.max(1);
        usize::try_from(needed).is_ok_and(|needed| needed <= free)
    }

    /// Memory for a state that is not in a store yet: none so far.
    pub(crate) fn hold(&self) -> Held {
        Held { budget: self.budget.clone(), bytes: 0 }
    }

    /// An empty store, as [`StateStores::create`].
    pub(crate) fn create(&self, label: &str) -> Result<Arc<dyn StateStore>> {
        self.stores.create(label)
    }

    /// A share of the memory for one more state that is in a store.
    pub(crate) fn share(&self) -> Share {
        self.budget.states.fetch_add(1, Ordering::Relaxed);
        Share(self.budget.clone())
    }
}

impl fmt::Debug for DiskBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskBackend").field("bytes", &self.budget.bytes).finish_non_exhaustive()
    }
}

/// What an entry takes in memory beside twice its encoding, before it is known what it is.
const RESTORED_OVERHEAD: u64 = 64;

/// The memory of all states of a process.
struct Budget {
    bytes: usize,
    /// How many are in stores.
    states: AtomicUsize,
    /// What the others take.
    held: AtomicUsize,
}

impl Budget {
    /// What those may take that are not in stores. The other half is for the stores.
    fn room(&self) -> usize {
        self.bytes / 2
    }
}

/// The memory of a state that is not in a store.
pub(crate) struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Held {
    /// From now on it is so much. False, and nothing changes, if there is not so much left.
    pub(crate) fn set(&mut self, bytes: usize) -> bool {
        let room = self.budget.room();
        let change = |all: usize| Some(all - self.bytes + bytes).filter(|all| *all <= room);
        let order = Ordering::Relaxed;
        let is_changed = self.budget.held.fetch_update(order, order, change).is_ok();
        if is_changed {
            self.bytes = bytes;
        }
        is_changed
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The part of one state that is in a store. It gets smaller the more states there are.
pub(crate) struct Share(Arc<Budget>);

impl Share {
    pub(crate) fn bytes(&self) -> usize {
        let Budget { bytes, states, held } = &*self.0;
        // However much the others take, a quarter is left.
        let left = bytes.saturating_sub(2 * held.load(Ordering::Relaxed)).max(bytes / 4);
        left / states.load(Ordering::Relaxed).max(1)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.states.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_that_are_not_in_stores_take_half_of_the_memory_and_leave_a_quarter() {
        let backend = DiskBackend::new(Arc::new(MemoryStores), 1000);
        let in_store = backend.share();
        assert_eq!(in_store.bytes(), 1000);
        let (mut first, mut second) = (backend.hold(), backend.hold());
        assert!(first.set(300) && second.set(150) && !second.set(201));
        assert!(second.set(200) && second.set(100), "less is always possible");
        assert_eq!(in_store.bytes(), 250);
        drop(first);
        assert_eq!(in_store.bytes(), 800);
        assert!(second.set(500) && !second.set(501));
        let another = backend.share();
        assert_eq!((in_store.bytes(), another.bytes()), (125, 125));
    }
}
