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

use flott_core::Result;

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

/// What the states of a process that are in stores share.
#[derive(Clone)]
pub struct DiskBackend {
    stores: Arc<dyn StateStores>,
    budget: Arc<Budget>,
}

impl DiskBackend {
    /// States are in `stores`; what they have in memory takes about `bytes`, all of them together.
    pub fn new(stores: Arc<dyn StateStores>, bytes: usize) -> Self {
        Self { stores, budget: Arc::new(Budget { bytes, states: AtomicUsize::new(0) }) }
    }

    /// An empty store, as [`StateStores::create`].
    pub(crate) fn create(&self, label: &str) -> Result<Arc<dyn StateStore>> {
        self.stores.create(label)
    }

    /// A share of the memory for one more state.
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

/// The memory of all states of a process.
struct Budget {
    bytes: usize,
    states: AtomicUsize,
}

/// The part of one state, which gets smaller the more states there are.
pub(crate) struct Share(Arc<Budget>);

impl Share {
    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes / self.0.states.load(Ordering::Relaxed).max(1)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.states.fetch_sub(1, Ordering::Relaxed);
    }
}
