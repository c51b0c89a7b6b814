//! StateStores that are RocksDB databases: one for each state, all with one cache, and one budget for what is not in
//! files yet.
//!
//! Nothing is logged or flushed to disk for good: a store that is lost is loaded again.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flott_core::{Error, ErrorKind, Result};
use flott_state::store::{Batch, Put, StateStore, StateStores, StoreSnapshot, Visit};
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DB, DBCompressionType, DBIterator, Direction,
    IngestExternalFileOptions, IteratorMode, Options, SnapshotWithThreadMode, SstFileWriter,
    WriteBatch, WriteBufferManager,
};
use self_cell::self_cell;

use crate::work_folder::WorkFolder;

/// How many files a database keeps open.
const OPEN_FILES: i32 = 256;

/// What is loaded goes to files of this size.
const FILE_BYTES: usize = 64 << 20;

/// Makes stores in a folder of this process.
pub struct RocksStores {
    folder: Arc<WorkFolder>,
    cache: Cache,
    buffers: WriteBufferManager,
    next: AtomicU64,
}

impl RocksStores {
    /// StateStores in a folder in `parent`, or else where the system has such folders. They use about so many bytes of
    /// memory, all of them together.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn new(parent: Option<&str>, memory: usize) -> Result<Self> {
        Ok(Self {
            folder: Arc::new(WorkFolder::new(parent, "flott-state-")?),
            cache: Cache::new_lru_cache(memory / 2),
            buffers: WriteBufferManager::new_write_buffer_manager(memory / 2, true),
            next: AtomicU64::new(0),
        })
    }

    fn options(&self) -> Options {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&self.cache);
        // In parts, which are in the cache as all else is: as one block each they may be larger than it.
        blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        blocks.set_cache_index_and_filter_blocks(true);
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&blocks);
        options.set_write_buffer_manager(&self.buffers);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_max_open_files(OPEN_FILES);
        options.set_max_background_jobs(2);
        options.set_keep_log_file_num(1);
        options.set_avoid_unnecessary_blocking_io(true);
        options
    }
}

impl StateStores for RocksStores {
    fn create(&self, label: &str) -> Result<Arc<dyn StateStore>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.path().join(number.to_string());
        let options = self.options();
        let db = DB::open(&options, &path);
        let db = db.map_err(|e| failed(&format!("cannot begin ({label})"), e))?;
        let files = Files { path, _folder: self.folder.clone() };
        Ok(Arc::new(Handle(Arc::new(Database { db, options, files }))))
    }
}

struct Database {
    // Closed before its files go.
    db: DB,
    options: Options,
    files: Files,
}

struct Files {
    path: PathBuf,
    _folder: Arc<WorkFolder>,
}

impl Drop for Files {
    fn drop(&mut self) {
        // What is left goes with the folder around it.
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl Database {
    fn unreadable(&self, error: rocksdb::Error) -> Error {
        failed(&format!("cannot read in {}", self.files.path.display()), error)
    }
}

fn failed(what: &str, error: rocksdb::Error) -> Error {
    Error::with_source(ErrorKind::Io, format!("state on disk: {what}"), error)
}

struct Handle(Arc<Database>);

impl StateStore for Handle {
    fn write(&self, batch: &Batch) -> Result<()> {
        let mut changes = WriteBatch::default();
        for (key, value) in batch.iter() {
            match value {
                Some(value) => changes.put(key, value),
                None => changes.delete(key),
            }
        }
        let written = self.0.db.write_without_wal(changes);
        let place = self.0.files.path.display();
        written.map_err(|e| failed(&format!("cannot write in {place}"), e))
    }

    fn fill(&self, entries: &mut dyn FnMut(&mut Put<'_>) -> Result<()>) -> Result<()> {
        let unwritable = |e| failed("cannot be loaded", e);
        let Database { db, options, files } = &*self.0;
        let mut written: Vec<PathBuf> = Vec::new();
        let mut open: Option<SstFileWriter<'_>> = None;
        let mut bytes = 0;
        entries(&mut |key, value| {
            let writer = match &mut open {
                Some(writer) => writer,
                None => {
                    let path = files.path.join(format!("loaded-{}", written.len()));
                    let writer = SstFileWriter::create(options);
                    writer.open(&path).map_err(unwritable)?;
                    written.push(path);
                    open.insert(writer)
                }
            };
            writer.put(key, value).map_err(unwritable)?;
            bytes += key.len() + value.len();
            if bytes >= FILE_BYTES {
                writer.finish().map_err(unwritable)?;
                (open, bytes) = (None, 0);
            }
            Ok(())
        })?;
        if let Some(mut writer) = open {
            writer.finish().map_err(unwritable)?;
        }
        if written.is_empty() {
            return Ok(());
        }
        let mut moved = IngestExternalFileOptions::default();
        moved.set_move_files(true);
        db.ingest_external_file_opts(&moved, written).map_err(unwritable)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.0.db.get(key).map_err(|e| self.0.unreadable(e))
    }

    fn is_strained(&self) -> bool {
        // What a snapshot keeps is in files as soon as there is no room for it.
        false
    }

    fn snapshot(&self) -> Arc<dyn StoreSnapshot> {
        Arc::new(Snapshot::new(self.0.clone(), |database| database.db.snapshot()))
    }
}

type Moment<'a> = SnapshotWithThreadMode<'a, DB>;

self_cell!(
    struct Snapshot {
        owner: Arc<Database>,

        #[covariant]
        dependent: Moment,
    }
);

impl StoreSnapshot for Snapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.borrow_dependent().get(key).map_err(|e| self.borrow_owner().unreadable(e))
    }

    fn scan(&self, from: &[u8], each: &mut Visit<'_>) -> Result<()> {
        let mode = IteratorMode::From(from, Direction::Forward);
        let all: DBIterator<'_> = self.borrow_dependent().iterator(mode);
        for entry in all {
            let (key, value) = entry.map_err(|e| self.borrow_owner().unreadable(e))?;
            if !each(&key, &value)? {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk_state::tests;

    #[test]
    fn a_database_is_a_map_and_snapshots_stay_what_they_were() {
        tests::is_a_map_with_snapshots(&RocksStores::new(None, 1 << 20).unwrap());
    }

    #[test]
    fn folders_go_with_what_uses_them_last() {
        let stores = RocksStores::new(None, 1 << 20).unwrap();
        let folder = stores.folder.path().to_owned();
        let store = stores.create("test").unwrap();
        let snapshot = store.snapshot();
        drop(stores);
        drop(store);
        assert!(folder.exists(), "it is in use");
        drop(snapshot);
        assert!(!folder.exists());
    }

    #[test]
    fn what_is_loaded_goes_to_several_files_and_nothing_to_none() {
        let stores = RocksStores::new(None, 1 << 20).unwrap();
        let store = stores.create("test").unwrap();
        store.fill(&mut |_| Ok(())).unwrap();
        let value = vec![7; 1 << 20];
        store
            .fill(&mut |put| (0..150u64).try_for_each(|key| put(&key.to_be_bytes(), &value)))
            .unwrap();
        assert!(
            (0..150u64).all(|key| store.get(&key.to_be_bytes()).unwrap() == Some(value.clone()))
        );
        assert_eq!(store.get(b"another").unwrap(), None);
    }
}
