//! A state that is in a store: its table holds what is in use, and is written back now and then. As long as all of it
//! fits into memory it is not in a store, but on the heap ([`small`]).
//!
//! An entry that is asked for is decoded into the table and stays there, so that handles work in place as they do on
//! the heap; what was written is noted, and goes to the store in batches. When the table has become too large, what was
//! not used lately leaves it. The keys in a store are the key group, two bytes, the first one the
//! higher, and the encoded key: each group is a range of its own.
//!
//! Of each key group it is known at any time how many entries the store has, and the sum of their hashes. So a
//! checkpoint that writes what has changed needs to read nothing but that.

mod changes;
mod load;
mod memory;
mod small;

use std::mem::size_of;
use std::sync::Arc;

use flott_core::codec::{Key, decode, encode_into};
use flott_core::hash::{hash64, stable_hash};
use flott_core::mutant::Mutant;
use flott_core::{Error, ErrorKind, KeyGroup, KeyGroupRange, MaxParallelism, Result};

use super::shape::{Age, Shape};
use super::{Beyond, ShapedTable};
use crate::restore::RangeBytes;
use crate::schema::Layout;
use crate::snapshot::{Totals, append_encoded, append_entry, entry_seed};
use crate::store::{Batch, DiskBackend, Share, StateStore};
use crate::table::PagedTable;

use changes::ChangeLog;

pub use load::Loaded;

pub(super) use load::begin;
pub(crate) use memory::DiskMemory;
pub(super) use memory::StoreSource;
pub(super) use small::Small;

/// So many entries may have been written and not yet be in the store: the most that a snapshot writes while the
/// task waits.
const DIRTY_MAX: usize = 16 << 10;

/// How many entries ahead the memory of one is asked for.
const AHEAD: usize = 16;

/// However little memory there is, a table may have so many entries.
const ENTRIES_MIN: usize = 4;

/// How many bytes of a key in a store are its key group.
const PREFIX: usize = 2;

/// What one resident entry takes beside key and value, in both tables: tags, slots that are free, allocations.
const ENTRY_OVERHEAD: usize = 64;

/// What an entry takes is an average over about so many.
const WEIGHED_MAX: usize = 10_000;

/// For each entry that is written to the store so many of it are looked at, for what has expired.
const SWEEP_PER_WRITE: usize = 2;

/// The store of a state, and what is known of it.
pub(super) struct Disk<K> {
    /// For messages.
    what: String,
    store: Arc<dyn StateStore>,
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
    /// Of how many entries it is known how many bytes they take, encoded.
    weighed: (usize, usize),
    batch: Batch,
    /// Where the search for expired entries goes on.
    swept: Vec<u8>,
    /// Whether the store has entries in other layouts.
    is_rewriting: bool,
    /// Whether something that was written has not reached the store, and never will.
    is_broken: bool,
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

/// What a state's store begins with.
pub(super) struct Beginning {
    pub(super) store: Arc<dyn StateStore>,
    pub(super) totals: Vec<Totals>,
    pub(super) log: Arc<ChangeLog>,
}

impl<K: Key> Disk<K> {
    /// The state `name`, which `what` describes, in its store.
    pub(super) fn new(
        (what, name): (&str, &str),
        backend: &DiskBackend,
        (range, max): (KeyGroupRange, MaxParallelism),
        layout: Layout,
        begin: Beginning,
    ) -> Self {
        Self {
            what: what.to_owned(),
            store: begin.store,
            share: backend.share(),
            layout,
            range,
            max,
            seed: entry_seed(name),
            residents: PagedTable::new(range, max),
            count: 0,
            dirty: Vec::new(),
            generation: 0,
            totals: begin.totals,
            log: begin.log,
            weighed: (0, 0),
            batch: Batch::default(),
            swept: Vec::new(),
            is_rewriting: false,
            is_broken: false,
        }
    }

    /// Notes that a key is used, and may be written to, if the table has what there is of it.
    fn touch(&mut self, hash: u64, key: &K, writes: bool) -> bool {
        let Some(resident) = self.residents.get_mut(hash, key) else { return false };
        resident.used = self.generation;
        if writes && !resident.is_dirty {
            resident.is_dirty = true;
            self.dirty.push((hash, key.clone()));
        }
        true
    }

    /// The same; what is not there is brought in from the store.
    fn fetch<S: Shape>(
        &mut self,
        table: &mut PagedTable<K, S::Cell>,
        hash: u64,
        key: &K,
        age: Age,
        writes: bool,
    ) -> Result<()> {
        if self.touch(hash, key, writes) {
            return Ok(());
        }
        let mut at = prefix(self.max.key_group(hash)).to_vec();
        encode_into(key, &mut at)?;
        self.bring::<S>(table, hash, key, &at, age, writes)
    }

    /// The same, for keys that will be written to together. The store is asked in the order of its keys: neighbours share
    /// what it has to look at.
    fn fetch_all<'k, S: Shape>(
        &mut self,
        table: &mut PagedTable<K, S::Cell>,
        keys: impl Iterator<Item = (u64, &'k K)>,
        age: Age,
    ) -> Result<()>
    where
        K: 'k,
    {
        let (mut encoded, mut missing) = (Vec::new(), Vec::new());
        for (hash, key) in keys {
            if self.touch(hash, key, true) {
                continue;
            }
            let start = encoded.len();
            encoded.extend_from_slice(&prefix(self.max.key_group(hash)));
            encode_into(key, &mut encoded)?;
            missing.push((start..encoded.len(), hash, key));
        }
        missing.sort_unstable_by(|(a, ..), (b, ..)| encoded[a.clone()].cmp(&encoded[b.clone()]));
        missing.dedup_by(|(a, ..), (b, ..)| encoded[a.clone()] == encoded[b.clone()]);
        for (at, hash, key) in missing {
            self.bring::<S>(table, hash, key, &encoded[at], age, true)?;
        }
        Ok(())
    }

    /// Brings in what the store has of a key, which is `at` there.
    fn bring<S: Shape>(
        &mut self,
        table: &mut PagedTable<K, S::Cell>,
        hash: u64,
        key: &K,
        at: &[u8],
        age: Age,
        writes: bool,
    ) -> Result<()> {
        let found = self.store.get(at).map_err(|error| self.explained(error))?;
        let stored = match found {
            Some(value) => {
                let cell = S::decode(&value, &self.layout, age)?;
                table.upsert(hash, key.clone(), || cell);
                self.weigh(1, at.len() + value.len());
                Some(entry_hash(self.seed, &at[PREFIX..], &value)?)
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

    /// Makes room for so many keys that are about to be fetched: what was written goes to the store, what is not in use
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
        self.check()?;
        let encoded = self.weighed.1.checked_div(self.weighed.0).unwrap_or(0);
        let entry = 2 * size_of::<K>() + size_of::<S::Cell>() + size_of::<Resident>();
        let entry = entry + ENTRY_OVERHEAD + 2 * encoded;
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
        // Until the store has it all: a function may go on after an error that it was told of.
        self.is_broken = true;
        self.batch.clear();
        let (mut entry, mut at) = (Vec::new(), Vec::new());
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
                    let encoded = |out: &mut Vec<u8>| encode_into(key, out);
                    append_entry(&mut entry, encoded, |out| S::encode(cell, age, out))?
                }
                None => false,
            };
            let new = is_alive.then(|| hash64(self.seed, &entry));
            if new == resident.stored {
                continue;
            }
            let group = self.max.key_group(hash);
            at.clear();
            at.extend_from_slice(&prefix(group));
            if is_alive {
                let (_, key, value) = RangeBytes::whole(&entry).entry()?;
                at.extend_from_slice(key);
                self.batch.put(&at, value);
                encoded += entry.len();
            } else {
                encode_into(key, &mut at)?;
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
        self.weigh(written, encoded);
        self.is_broken = false;
        Ok(written)
    }

    /// Lets go of entries until so many are left: first of those that were not used since the last time, then of
    /// others. All are in the store.
    #[cold]
    fn evict<S: Shape>(&mut self, table: &mut PagedTable<K, S::Cell>, keep: usize) -> Result<()> {
        let (mut old, mut used) = (Vec::new(), Vec::new());
        for (key, resident) in self.residents.iter() {
            let is_old = resident.used != self.generation;
            if is_old { old.push(key.clone()) } else { used.push(key.clone()) }
        }
        let more = used.len().saturating_sub(keep);
        // From all key groups alike.
        let every = used.len().checked_div(more).unwrap_or(1).max(1);
        for key in old.into_iter().chain(used.into_iter().step_by(every).take(more)) {
            let hash = stable_hash(&key)?;
            self.residents.remove(hash, &key);
            table.remove(hash, &key);
            self.count -= 1;
        }
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
                expired.push(decode::<K>(&at[PREFIX..])?);
            }
            Ok(true)
        })?;
        self.swept = next;
        for key in expired {
            let hash = stable_hash(&key)?;
            self.fetch::<S>(table, hash, &key, age, true)?;
            super::purge::<K, S>(table, hash, &key, age);
        }
        Ok(())
    }

    /// So many entries have so many bytes. What was long ago counts less.
    fn weigh(&mut self, entries: usize, bytes: usize) {
        let (known, total) = &mut self.weighed;
        (*known, *total) = (*known + entries, *total + bytes);
        if *known > WEIGHED_MAX {
            (*known, *total) = (*known / 2, *total / 2);
        }
    }

    fn check(&self) -> Result<()> {
        if self.is_broken {
            let problem = Error::new(ErrorKind::Io, "what was written to it earlier is lost");
            return Err(self.explained(problem));
        }
        Ok(())
    }

    /// An error of the store, which nobody goes back to now.
    fn explained(&self, error: Error) -> Error {
        self.log.forget_snapshots();
        error.context(format!("the state on disk cannot be used ({})", self.what))
    }
}

/// What the keys of a group begin with.
fn prefix(group: KeyGroup) -> [u8; PREFIX] {
    group.0.to_be_bytes()
}

/// The hash of an entry whose parts are encoded.
fn entry_hash(seed: u64, key: &[u8], value: &[u8]) -> Result<u64> {
    let mut entry = Vec::with_capacity(key.len() + value.len() + 8);
    append_encoded(&mut entry, key, value)?;
    Ok(hash64(seed, &entry))
}

impl<K: Key, S: Shape> ShapedTable<K, S> {
    /// What is there now, if it is in a store.
    pub(super) fn disk_memory(&mut self, age: Age) -> Result<Option<DiskMemory>> {
        let Beyond::Disk(disk) = &mut self.beyond else { return Ok(None) };
        disk.check()?;
        if !Mutant::SnapshotBeforeWriteBack.is_on() {
            disk.write_back::<S>(&mut self.table, age)?;
        }
        Ok(Some(DiskMemory::new(&disk.store, disk.range, &disk.totals, &disk.log)))
    }

    /// Sees to it that the table has what there is of a key, and that what is written to it there is kept.
    #[inline]
    pub(super) fn fetch(&mut self, hash: u64, key: &K, age: Age, writes: bool) -> Result<()> {
        match self.beyond {
            Beyond::Nothing => Ok(()),
            Beyond::Small(_) => {
                self.stay_small(age, 1)?;
                self.fetch_from_disk(hash, key, age, writes)
            }
            Beyond::Disk(_) => self.fetch_from_disk(hash, key, age, writes),
            Beyond::Unread(_) => self.bring(std::iter::once(hash)),
        }
    }

    /// If it is there.
    fn fetch_from_disk(&mut self, hash: u64, key: &K, age: Age, writes: bool) -> Result<()> {
        let Beyond::Disk(disk) = &mut self.beyond else { return Ok(()) };
        // A key that is in use needs no room.
        if disk.dirty.len() < DIRTY_MAX && disk.touch(hash, key, writes) {
            return disk.check();
        }
        disk.prepare::<S>(&mut self.table, age, 1)?;
        disk.fetch::<S>(&mut self.table, hash, key, age, writes)
    }

    /// The same, for keys that will be written to together.
    pub(super) fn fetch_all<'k>(
        &mut self,
        keys: impl ExactSizeIterator<Item = (u64, &'k K)>,
        age: Age,
    ) -> Result<()> {
        self.stay_small(age, keys.len())?;
        let Beyond::Disk(disk) = &mut self.beyond else {
            return self.bring(keys.map(|(hash, _)| hash));
        };
        disk.prepare::<S>(&mut self.table, age, keys.len())?;
        disk.fetch_all::<S>(&mut self.table, keys, age)
    }

    /// Shows every value.
    pub(super) fn for_each(
        &mut self,
        age: Age,
        mut each: impl FnMut(&S::Cell) -> Result<()>,
    ) -> Result<()> {
        self.bring_all()?;
        let Beyond::Disk(disk) = &mut self.beyond else {
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
