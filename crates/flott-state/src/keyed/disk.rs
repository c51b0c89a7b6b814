//! A state that is in a store: its table holds what is in use, and is written back now and then.
//!
//! An entry that is asked for is decoded into the table and stays there, so that handles work in place as they do on
//! the heap; what was written is noted, and goes to the store in batches. When the table has become too large, what has
//! not been used for longest leaves it. The keys in a store are the key group, two bytes, the first one the
//! higher, and the encoded key: each group is a range of its own.
//!
//! Of each key group it is known at any time how many entries the store has, and the sum of their hashes. So a
//! checkpoint that writes what has changed needs to read nothing but that.

mod changes;
mod load;
mod memory;

use std::mem::size_of;
use std::sync::Arc;

use flott_core::codec::{Key, decode, encode_into};
use flott_core::hash::{hash64, stable_hash};
use flott_core::mutant::Mutant;
use flott_core::{Error, KeyGroup, KeyGroupRange, MaxParallelism, Result};

use super::ShapedTable;
use super::shape::{Age, Shape};
use crate::restore::RangeBytes;
use crate::schema::Layout;
use crate::snapshot::append_entry;
use crate::store::{Batch, DiskBackend, Share, Store};
use crate::table::PagedTable;

use changes::ChangeLog;

pub use load::Loaded;

pub(super) use load::begin;
pub(crate) use memory::DiskMemory;
pub(super) use memory::StoreSource;

/// So many entries may have been written and not yet be in the store: the most that a snapshot writes while the
/// task waits.
const DIRTY_MAX: usize = 16 << 10;

/// How many entries ahead the memory of one is asked for.
const AHEAD: usize = 16;

/// However little memory there is, a table may have so many entries.
const ENTRIES_MIN: usize = 4;

/// What one resident entry takes beside key and value, in both tables: tags, slots that are free, allocations.
const ENTRY_OVERHEAD: usize = 64;

/// After so many entries written to the store, as many of it are looked at for what has expired, and again as many.
const SWEEP_PER_WRITE: usize = 2;

/// The store of a state, and what is known of it.
pub(super) struct Disk<K> {
    /// For messages.
    what: String,
    store: Arc<dyn Store>,
    share: Share,
    /// How this program reads what it writes.
    layout: Layout,
    range: KeyGroupRange,
    max: MaxParallelism,
    /// The seed of the entries' hashes.
    seed: u64,
    /// What is known of the keys that the table may have entries of.
    residents: PagedTable<K, Resident>,
    count: usize,
    /// Those that were written to since they were last in the store.
    dirty: Vec<(u64, K)>,
    /// The number of the next eviction.
    generation: u32,
    totals: Vec<Totals>,
    log: Arc<ChangeLog>,
    /// What an entry takes encoded, about.
    entry_bytes: usize,
    batch: Batch,
    /// Where the search for expired entries goes on.
    swept: Vec<u8>,
    /// Whether the store has entries in other layouts.
    is_rewriting: bool,
}

/// A key that the table may have an entry of.
#[derive(Clone)]
struct Resident {
    /// The hash of its entry in the store, if there is one.
    stored: Option<u64>,
    is_dirty: bool,
    /// When it was last used, in evictions.
    used: u32,
}

/// What the store has of a key group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) live: u64,
    /// The sum of the entries' hashes.
    pub(crate) digest: u64,
}

impl Totals {
    fn replace(&mut self, old: Option<u64>, new: Option<u64>) {
        self.live = (self.live + u64::from(new.is_some())).saturating_sub(u64::from(old.is_some()));
        self.digest = self.digest.wrapping_sub(old.unwrap_or(0)).wrapping_add(new.unwrap_or(0));
    }
}

/// What a state's store begins with.
pub(super) struct Beginning {
    pub(super) store: Arc<dyn Store>,
    pub(super) totals: Vec<Totals>,
    pub(super) log: Arc<ChangeLog>,
}

impl<K: Key> Disk<K> {
    /// The store of the state `name`, which `what` describes.
    pub(super) fn new(
        (what, name): (&str, &str),
        backend: &DiskBackend,
        (range, max): (KeyGroupRange, MaxParallelism),
        layout: Layout,
        begin: Option<Beginning>,
    ) -> Result<Self> {
        let begin = match begin {
            Some(begin) => begin,
            None => Beginning {
                store: backend.create(what)?,
                totals: vec![Totals::default(); range.iter().count()],
                log: Arc::default(),
            },
        };
        Ok(Self {
            what: what.to_owned(),
            store: begin.store,
            share: backend.share(),
            layout,
            range,
            max,
            seed: hash64(0, name.as_bytes()),
            residents: PagedTable::new(range, max),
            count: 0,
            dirty: Vec::new(),
            generation: 0,
            totals: begin.totals,
            log: begin.log,
            entry_bytes: 0,
            batch: Batch::default(),
            swept: Vec::new(),
            is_rewriting: false,
        })
    }

    /// Brings what the store has of a key into the table, and notes that it may be written to.
    fn load<S: Shape>(
        &mut self,
        table: &mut PagedTable<K, S::Cell>,
        hash: u64,
        key: &K,
        age: Age,
        writes: bool,
    ) -> Result<()> {
        let generation = self.generation;
        if let Some(resident) = self.residents.get_mut(hash, key) {
            resident.used = generation;
            if writes && !resident.is_dirty {
                resident.is_dirty = true;
                self.dirty.push((hash, key.clone()));
            }
            return Ok(());
        }
        let mut at = store_key(self.max.key_group(hash));
        at = encode_into(key, at)?;
        let found = self.store.get(&at).map_err(|error| self.explained(error))?;
        let stored = match found {
            Some(value) => {
                let cell = S::decode(&value, &self.layout, age)?;
                table.upsert(hash, key.clone(), || cell);
                Some(entry_hash(self.seed, &at[2..], &value)?)
            }
            None => None,
        };
        self.admit(hash, key, stored, writes);
        Ok(())
    }

    fn admit(&mut self, hash: u64, key: &K, stored: Option<u64>, is_dirty: bool) {
        let used = self.generation;
        self.residents.upsert(hash, key.clone(), || Resident { stored, is_dirty, used });
        self.count += 1;
        if is_dirty {
            self.dirty.push((hash, key.clone()));
        }
    }

    /// Makes room for so many keys that are about to be loaded: what was written goes to the store, what is not in use
    /// leaves the table.
    fn prepare<S: Shape>(
        &mut self,
        table: &mut PagedTable<K, S::Cell>,
        age: Age,
        coming: usize,
    ) -> Result<()> {
        if self.dirty.len() + coming > DIRTY_MAX && !self.dirty.is_empty() {
            self.flush::<S>(table, age)?;
        }
        let entry = 2 * size_of::<K>() + size_of::<S::Cell>() + size_of::<Resident>();
        let entry = entry + ENTRY_OVERHEAD + 2 * self.entry_bytes;
        // The other half is for the store's own memory.
        let room = (self.share.bytes() / 2 / entry).max(ENTRIES_MIN);
        if self.count > 0 && self.count + coming > room {
            self.flush::<S>(table, age)?;
            self.evict::<S>(table, room / 2)?;
        }
        Ok(())
    }

    /// Brings the store up to date.
    fn flush<S: Shape>(&mut self, table: &mut PagedTable<K, S::Cell>, age: Age) -> Result<()> {
        let written = self.write_back::<S>(table, age)?;
        if age.has_ttl() && written > 0 && !self.is_rewriting {
            self.sweep::<S>(table, age, written * SWEEP_PER_WRITE)?;
            self.write_back::<S>(table, age)?;
        }
        Ok(())
    }

    /// Writes what is dirty to the store; says how many entries that were.
    fn write_back<S: Shape>(
        &mut self,
        table: &mut PagedTable<K, S::Cell>,
        age: Age,
    ) -> Result<usize> {
        self.batch.clear();
        let mut entry = Vec::new();
        let mut encoded = 0;
        let mut were_there = Vec::new();
        let mut dirty = std::mem::take(&mut self.dirty);
        for (index, (hash, key)) in dirty.iter().enumerate() {
            if let Some((ahead, _)) = dirty.get(index + AHEAD) {
                self.residents.prefetch(*ahead);
                table.prefetch(*ahead);
            }
            let hash = *hash;
            let Some(resident) = self.residents.get_mut(hash, key) else { continue };
            resident.is_dirty = false;
            entry.clear();
            let is_alive = match table.get(hash, key) {
                Some(cell) => {
                    append_entry(&mut entry, key, cell, |cell, out| S::encode(cell, age, out))?
                }
                None => false,
            };
            let new = is_alive.then(|| hash64(self.seed, &entry));
            if new == resident.stored {
                continue;
            }
            let group = self.max.key_group(hash);
            let mut at = store_key(group);
            if is_alive {
                let (_, key, value) = RangeBytes::whole(&entry).entry()?;
                at.extend_from_slice(key);
                self.batch.put(&at, value);
                encoded += entry.len();
            } else {
                at = encode_into(key, at)?;
                self.batch.remove(&at);
            }
            were_there.push(resident.stored.is_some());
            let index = (u32::from(group.0) - self.range.start) as usize;
            self.totals[index].replace(resident.stored, new);
            resident.stored = new;
        }
        dirty.clear();
        self.dirty = dirty;
        let written = self.batch.len();
        if written > 0 {
            let keys = self.batch.iter().map(|(key, _)| key).zip(were_there);
            self.log.note(keys, self.share.bytes() / 8);
            self.batch.sort();
            self.store.write(&self.batch).map_err(|error| self.explained(error))?;
            if self.store.is_strained() {
                self.log.forget_snapshots();
            }
        }
        if let Some(average) = encoded.checked_div(written) {
            // Slowly, so that a few large ones do not drive out all others.
            self.entry_bytes = (7 * self.entry_bytes + average).div_ceil(8);
        }
        Ok(written)
    }

    /// Lets go of what has not been used for longest, until at most about so many entries are left. All are in the
    /// store.
    #[cold]
    fn evict<S: Shape>(&mut self, table: &mut PagedTable<K, S::Cell>, keep: usize) -> Result<()> {
        let is_old = |resident: &Resident| resident.used != self.generation;
        let old = self.residents.iter().filter(|(_, resident)| is_old(resident)).count();
        if self.count - old > keep {
            // Nearly everything was used.
            *table = PagedTable::new(self.range, self.max);
            self.residents = PagedTable::new(self.range, self.max);
            self.count = 0;
            return Ok(());
        }
        let leaving = self.residents.iter().filter(|(_, resident)| is_old(resident));
        let leaving: Vec<K> = leaving.map(|(key, _)| key.clone()).collect();
        for key in &leaving {
            let hash = stable_hash(key)?;
            self.residents.remove(hash, key);
            table.remove(hash, key);
        }
        self.count -= leaving.len();
        self.generation = self.generation.wrapping_add(1);
        Ok(())
    }

    /// Looks at some entries of the store, whichever keys they belong to, and brings in those of which something has
    /// expired, to be written back without it.
    fn sweep<S: Shape>(
        &mut self,
        table: &mut PagedTable<K, S::Cell>,
        age: Age,
        mut entries: usize,
    ) -> Result<()> {
        let snapshot = self.store.snapshot();
        let mut next = Vec::new();
        let mut expired = Vec::new();
        snapshot.scan(&self.swept, &mut |at, value| {
            if entries == 0 {
                next = at.to_vec();
                return Ok(false);
            }
            entries -= 1;
            if S::has_expired(&S::decode(value, &self.layout, age)?, age) {
                expired.push(decode::<K>(&at[2..])?);
            }
            Ok(true)
        })?;
        self.swept = next;
        for key in expired {
            let hash = stable_hash(&key)?;
            self.load::<S>(table, hash, &key, age, true)?;
            super::purge::<K, S>(table, hash, &key, age);
        }
        Ok(())
    }

    fn explained(&self, error: Error) -> Error {
        error.context(format!("the state on disk cannot be used ({})", self.what))
    }
}

/// The first bytes of the keys of a group.
pub(crate) fn store_key(group: KeyGroup) -> Vec<u8> {
    group.0.to_be_bytes().to_vec()
}

/// The key group that a key in a store belongs to.
fn group_of(at: &[u8]) -> Option<KeyGroup> {
    at.first_chunk().map(|group| KeyGroup(u16::from_be_bytes(*group)))
}

/// Appends an entry whose parts are encoded.
fn append_encoded(out: Vec<u8>, key: &[u8], value: &[u8]) -> Result<Vec<u8>> {
    let mut out = encode_into(&(key.len() as u64), out)?;
    out.extend_from_slice(key);
    let mut out = encode_into(&(value.len() as u64), out)?;
    out.extend_from_slice(value);
    Ok(out)
}

fn entry_hash(seed: u64, key: &[u8], value: &[u8]) -> Result<u64> {
    let entry = Vec::with_capacity(key.len() + value.len() + 8);
    Ok(hash64(seed, &append_encoded(entry, key, value)?))
}

impl<K: Key, S: Shape> ShapedTable<K, S> {
    /// What is there now, if it is in a store.
    pub(super) fn disk_memory(&mut self, age: Age) -> Result<Option<DiskMemory>> {
        let Some(disk) = &mut self.disk else { return Ok(None) };
        if !Mutant::SnapshotBeforeWriteBack.is_on() {
            disk.flush::<S>(&mut self.table, age)?;
        }
        Ok(Some(DiskMemory::new(&disk.store, disk.range, &disk.totals, &disk.log)))
    }

    /// Sees to it that the table has what there is of a key, and that what is written to it there is kept.
    #[inline]
    pub(super) fn load(&mut self, hash: u64, key: &K, age: Age, writes: bool) -> Result<()> {
        if self.disk.is_some() { self.load_from_disk(hash, key, age, writes) } else { Ok(()) }
    }

    fn load_from_disk(&mut self, hash: u64, key: &K, age: Age, writes: bool) -> Result<()> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        disk.prepare::<S>(&mut self.table, age, 1)?;
        disk.load::<S>(&mut self.table, hash, key, age, writes)
    }

    /// The same, for keys that will be written to together.
    pub(super) fn load_all<'k>(
        &mut self,
        keys: impl ExactSizeIterator<Item = (u64, &'k K)>,
        age: Age,
    ) -> Result<()> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        disk.prepare::<S>(&mut self.table, age, keys.len())?;
        for (hash, key) in keys {
            disk.load::<S>(&mut self.table, hash, key, age, true)?;
        }
        Ok(())
    }

    /// Shows every value.
    pub(super) fn for_each(
        &mut self,
        age: Age,
        mut each: impl FnMut(&S::Cell) -> Result<()>,
    ) -> Result<()> {
        let Some(disk) = &mut self.disk else {
            return self.table.iter().try_for_each(|(_, cell)| each(cell));
        };
        disk.flush::<S>(&mut self.table, age)?;
        let layout = &disk.layout;
        disk.store.snapshot().scan(&[], &mut |_, value| {
            each(&S::decode(value, layout, age)?)?;
            Ok(true)
        })
    }
}
