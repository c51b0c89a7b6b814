//! StateStores that are log-structured merge trees: of the crate `lsm-tree`, which is the heart of fjall.
//!
//! What is written waits in memory until there is enough for a table, a sorted file that never changes; tables are
//! merged by a thread of this process. A snapshot is a number: what was written later has greater ones. As long as
//! there is one, everything that was in memory then and since stays there, so that old ones have to go when
//! that becomes too much. Nothing is logged: a store that is lost is loaded again.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use flott_core::{Error, ErrorKind, Result};
use flott_runtime::panic_message;
use flott_state::store::{Batch, Put, StateStore, StateStores, StoreSnapshot, Visit};
use lsm_tree::compaction::Leveled;
use lsm_tree::config::{PartitioningPolicy, RestartIntervalPolicy};
use lsm_tree::{
    AbstractTree, AnyTree, Cache, Config, DescriptorTable, Guard, SeqNo, SequenceNumberCounter,
};
use tracing::error;

use crate::work_folder::WorkFolder;

/// The longest key that a tree takes.
const KEY_MAX: usize = u16::MAX as usize;

/// Of a tree's memory one part in so many is gathered before it is written to a file: others wait for that, or for a
/// snapshot to go.
const MEMTABLES: usize = 4;

/// However little memory there is, a tree gathers so many bytes before it writes them to a file.
const MEMTABLE_MIN: usize = 1 << 20;

/// So many such heaps may wait to be written to files; then whoever writes waits, too.
const WAITING_MAX: usize = 3;

/// Each so many entries of a block one has its whole key: between them a search looks at one after the other.
const RESTART_INTERVAL: u8 = 4;

/// With so many runs of tables at the first level, whoever writes waits for them to be merged.
const RUNS_MAX: usize = 24;

/// How many files are kept open.
const OPEN_FILES: usize = 256;

/// Makes stores in a folder of this process.
pub struct LsmStores {
    folder: Arc<WorkFolder>,
    cache: Arc<Cache>,
    files: Arc<DescriptorTable>,
    memory: Arc<Memory>,
    next: AtomicU64,
    /// Trees that have something to be written to files.
    full: Sender<Weak<Tree>>,
}

/// What trees may have in memory that is not in files yet.
struct Memory {
    bytes: usize,
    trees: AtomicUsize,
}

impl Memory {
    /// The part of one tree.
    fn share(&self) -> usize {
        self.bytes / self.trees.load(Ordering::Relaxed).max(1)
    }

    /// How much is gathered before it is written.
    fn memtable(&self) -> usize {
        (self.share() / MEMTABLES).max(MEMTABLE_MIN)
    }
}

impl LsmStores {
    /// StateStores in a folder in `parent`, or else where the system has such folders. They use about so many bytes of
    /// memory, all of them together; more while snapshots are old, or there are very many trees.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn new(parent: Option<&str>, memory: usize) -> Result<Self> {
        let folder = Arc::new(WorkFolder::new(parent, "flott-state-")?);
        let (full, receiver) = channel();
        let merging = thread::Builder::new().name("flott-state-merge".into());
        merging.spawn(move || merge(&receiver)).map_err(|e| {
            Error::with_source(ErrorKind::Io, "cannot start a thread for state on disk", e)
        })?;
        Ok(Self {
            folder,
            cache: Arc::new(Cache::with_capacity_bytes((memory / 2) as u64)),
            files: Arc::new(DescriptorTable::new(OPEN_FILES)),
            memory: Arc::new(Memory { bytes: memory / 2, trees: AtomicUsize::new(0) }),
            next: AtomicU64::new(0),
            full,
        })
    }
}

impl StateStores for LsmStores {
    fn create(&self, label: &str) -> Result<Arc<dyn StateStore>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.path().join(number.to_string());
        let (next, visible) = (SequenceNumberCounter::default(), SequenceNumberCounter::default());
        let config = Config::new(&path, next.clone(), visible.clone())
            .use_cache(self.cache.clone())
            // As one block each, indexes and filters of large tables would be larger than what the cache takes. Those of
            // the first level are small; every key is looked for in all of them.
            .index_block_partitioning_policy(PartitioningPolicy::new([false, true]))
            .filter_block_partitioning_policy(PartitioningPolicy::new([false, true]))
            .data_block_restart_interval_policy(RestartIntervalPolicy::all(RESTART_INTERVAL))
            // Keys that are asked for are nearly always there, at the last level: no filter is kept for that.
            .expect_point_read_hits(true)
            .use_descriptor_table(Some(self.files.clone()));
        let tree = config.open().map_err(|e| failed(&format!("cannot begin ({label})"), e))?;
        self.memory.trees.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(Handle {
            tree: Arc::new(Tree {
                tree,
                next,
                visible,
                open: Mutex::default(),
                is_queued: AtomicBool::new(false),
                failure: Mutex::default(),
                worked: Condvar::new(),
                memory: self.memory.clone(),
                path,
                _folder: self.folder.clone(),
            }),
            full: self.full.clone(),
        }))
    }
}

/// Writes what has gathered to files, and merges these.
fn merge(full: &Receiver<Weak<Tree>>) {
    while let Ok(tree) = full.recv() {
        let Some(tree) = tree.upgrade() else { continue };
        tree.is_queued.store(false, Ordering::Release);
        // A tree that panics must not stop the others.
        let done = catch_unwind(AssertUnwindSafe(|| tree.tidy()));
        let problem = match done {
            Ok(Ok(())) => None,
            Ok(Err(e)) => Some(format!("{e:?}")),
            Err(panic) => Some(panic_message(&*panic)),
        };
        if let Some(problem) = &problem {
            error!("State on disk in {} cannot be written: {problem}", tree.path.display());
        }
        let mut failure = tree.failure();
        *failure = problem.or(failure.take());
        tree.worked.notify_all();
    }
}

struct Tree {
    tree: AnyTree,
    /// The number of the next write.
    next: SequenceNumberCounter,
    /// What is read has a smaller number.
    visible: SequenceNumberCounter,
    /// The snapshots that there are, by number.
    open: Mutex<BTreeMap<SeqNo, usize>>,
    is_queued: AtomicBool,
    /// Why nothing can be written any more.
    failure: Mutex<Option<String>>,
    /// Something was written to files.
    worked: Condvar,
    memory: Arc<Memory>,
    path: PathBuf,
    _folder: Arc<WorkFolder>,
}

impl Tree {
    fn failure(&self) -> MutexGuard<'_, Option<String>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<SeqNo, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has a smaller number and was written over is of no use, and no snapshot is ever taken with a smaller one.
    /// (A tree merges such entries away even if what they were written over with is newer than this: whoever reads by
    /// an older number reads the files and memory of then, which stay for it.)
    fn watermark(&self) -> SeqNo {
        let open = self.open();
        open.first_key_value().map_or_else(|| self.visible.get(), |(oldest, _)| *oldest)
    }

    fn tidy(&self) -> lsm_tree::Result<()> {
        {
            let lock = self.tree.get_flush_lock();
            self.tree.flush(&lock, self.watermark())?;
        }
        self.worked.notify_all();
        self.tree.compact(Arc::new(Leveled::default()), self.watermark())
    }

    fn get(&self, key: &[u8], number: SeqNo) -> Result<Option<Vec<u8>>> {
        let found = self.tree.get(key, number).map_err(|e| self.unreadable(e))?;
        Ok(found.map(|value| value.to_vec()))
    }

    fn unreadable(&self, error: lsm_tree::Error) -> Error {
        failed(&format!("cannot read in {}", self.path.display()), error)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.memory.trees.fetch_sub(1, Ordering::Relaxed);
        // What is left goes with the folder around it.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn check_length(key: &[u8]) -> Result<()> {
    if key.len() <= KEY_MAX {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "a key of {} bytes is too long for state on disk, where it has at most {KEY_MAX}: use state.backend.type: \
         hashmap, or a hash of the key",
        key.len()
    )))
}

fn failed(what: &str, error: lsm_tree::Error) -> Error {
    Error::with_source(ErrorKind::Io, format!("state on disk: {what}"), error)
}

/// A tree, and who to tell that it is full.
struct Handle {
    tree: Arc<Tree>,
    full: Sender<Weak<Tree>>,
}

impl Handle {
    /// Has what was gathered written to files if it is enough; waits if too much is waiting already.
    fn make_room(&self) -> Result<()> {
        let Tree { tree, memory, is_queued, worked, path, .. } = &*self.tree;
        if (tree.active_memtable().size() as usize) < memory.memtable() {
            return Ok(());
        }
        tree.rotate_memtable();
        let mut failure = self.tree.failure();
        loop {
            if let Some(problem) = &*failure {
                let message =
                    format!("state on disk: cannot write in {}: {problem}", path.display());
                return Err(Error::new(ErrorKind::Io, message));
            }
            if !is_queued.swap(true, Ordering::AcqRel) {
                let gone = || Error::internal("the thread that merges state on disk is gone");
                self.full.send(Arc::downgrade(&self.tree)).map_err(|_| gone())?;
            }
            if tree.sealed_memtable_count() <= WAITING_MAX && tree.l0_run_count() <= RUNS_MAX {
                return Ok(());
            }
            failure = worked.wait(failure).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl StateStore for Handle {
    fn write(&self, batch: &Batch) -> Result<()> {
        let Tree { tree, next, visible, .. } = &*self.tree;
        let number = next.next();
        for (key, value) in batch.iter() {
            check_length(key)?;
            match value {
                Some(value) => drop(tree.insert(key, value, number)),
                None => drop(tree.remove(key, number)),
            }
        }
        visible.fetch_max(number + 1);
        self.make_room()
    }

    fn fill(&self, entries: &mut dyn FnMut(&mut Put<'_>) -> Result<()>) -> Result<()> {
        let unwritable = |e| failed("cannot be loaded", e);
        let mut ingestion = self.tree.tree.ingestion().map_err(unwritable)?;
        entries(&mut |key, value| {
            check_length(key)?;
            ingestion.write(key, value).map_err(unwritable)
        })?;
        ingestion.finish().map_err(unwritable)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        check_length(key)?;
        // A number could be too old before it is used: nobody would know of it.
        self.tree.get(key, SeqNo::MAX)
    }

    fn is_strained(&self) -> bool {
        let held = self.tree.tree.version_memtable_size_sum() as usize;
        held > MEMTABLES * self.tree.memory.memtable()
    }

    fn snapshot(&self) -> Arc<dyn StoreSnapshot> {
        let mut open = self.tree.open();
        let number = self.tree.visible.get();
        *open.entry(number).or_default() += 1;
        drop(open);
        Arc::new(Snapshot { tree: self.tree.clone(), number })
    }
}

struct Snapshot {
    tree: Arc<Tree>,
    number: SeqNo,
}

impl StoreSnapshot for Snapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.tree.get(key, self.number)
    }

    fn scan(&self, from: &[u8], each: &mut Visit<'_>) -> Result<()> {
        for entry in self.tree.tree.range(from.., self.number, None) {
            let (key, value) = entry.into_inner().map_err(|e| self.tree.unreadable(e))?;
            if !each(&key, &value)? {
                break;
            }
        }
        Ok(())
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let mut open = self.tree.open();
        if let Some(count) = open.get_mut(&self.number) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.number);
            }
        }
    }
}

#[cfg(test)]
mod tests;
