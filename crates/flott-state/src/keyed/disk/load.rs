//! From what a checkpoint has of a state to a store that has it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use flott_checkpoint::snapshot::{GroupRange, KeyedStateHandle};
use flott_core::codec::{Key, decode};
use flott_core::hash::stable_hash;
use flott_core::{Error, ErrorKind, KeyGroup, KeyGroupRange, Result};

use super::{Beginning, Disk, PREFIX, entry_hash, prefix};
use crate::inspect::entries;
use crate::keyed::shape::{Age, Shape};
use crate::restore::{KeyedData, RestoredKeyedState, corrupt, read_layers, unreadable};
use crate::schema::Layout;
use crate::snapshot::Totals;
use crate::store::{DiskBackend, StateStore};
use crate::table::PagedTable;

/// A store that has what was written of a state, as it was written.
#[derive(Clone)]
pub struct Loaded {
    store: Arc<dyn StateStore>,
    totals: Arc<BTreeMap<KeyGroup, Totals>>,
}

impl Loaded {
    /// To be used for these key groups, of which others have no entries.
    pub(in crate::keyed) fn begin(&self, range: KeyGroupRange) -> Beginning {
        let totals = range.iter().map(|group| self.totals.get(&group).copied().unwrap_or_default());
        Beginning { store: self.store.clone(), totals: totals.collect(), log: Arc::default() }
    }
}

/// What a state in a store begins with that is restored in these parts; nothing if they are to be on the heap.
pub(in crate::keyed) fn begin(
    what: &str,
    backend: &DiskBackend,
    parts: &[RestoredKeyedState],
    owned: KeyGroupRange,
) -> Result<Option<Beginning>> {
    let store = parts.iter().find_map(|part| match &part.data {
        KeyedData::Store(loaded) => Some(loaded),
        KeyedData::Bytes(_) | KeyedData::Memory(_) | KeyedData::Later(_) => None,
    });
    if let Some(loaded) = store {
        return Ok(Some(loaded.begin(owned)));
    }
    let kept = parts.iter().find_map(|part| match &part.data {
        KeyedData::Memory(memory) => memory.disk(),
        KeyedData::Bytes(_) | KeyedData::Store(_) | KeyedData::Later(_) => None,
    });
    if let Some(kept) = kept {
        if !kept.fits(owned) {
            let problem = "what was kept of the state on disk does not fit any more";
            return Err(Error::new(ErrorKind::Io, problem));
        }
        return kept.begin_again().map(Some);
    }
    if parts.iter().any(|part| matches!(part.data, KeyedData::Later(_))) {
        return Err(Error::internal("state that is read later is restored to a store"));
    }
    let is_read = parts.iter().all(|part| matches!(part.data, KeyedData::Bytes(_)));
    let handles = || parts.iter().map(|part| (&part.handle, part.range));
    if parts.is_empty() || !is_read || backend.has_room_for(handles(), 1) {
        return Ok(None);
    }
    let loaded = backend.load(what, &handles().collect::<Vec<_>>(), |part, piece, span| {
        parts[part].bytes(piece, span).map(<[u8]>::to_vec)
    })?;
    Ok(Some(loaded.begin(owned)))
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").field("groups", &self.totals.len()).finish_non_exhaustive()
    }
}

impl DiskBackend {
    /// Loads key groups of a state, each of one part, into a store; `what` describes the state. `read` reads from a
    /// piece of a part: one key group at a time is in memory.
    ///
    /// # Errors
    /// [`flott_core::ErrorKind::Corrupt`] if a group is not what the record says, and those of `read` and of the
    /// store.
    pub fn load(
        &self,
        what: &str,
        parts: &[(&KeyedStateHandle, KeyGroupRange)],
        read: impl FnMut(usize, usize, Range<u64>) -> Result<Vec<u8>>,
    ) -> Result<Loaded> {
        load(self.create(what)?, parts, read)
    }
}

fn load(
    store: Arc<dyn StateStore>,
    parts: &[(&KeyedStateHandle, KeyGroupRange)],
    mut read: impl FnMut(usize, usize, Range<u64>) -> Result<Vec<u8>>,
) -> Result<Loaded> {
    let mut groups: Vec<(KeyGroup, usize, &[GroupRange])> = Vec::new();
    for (part, (handle, range)) in parts.iter().enumerate() {
        let layers = handle.layers().map(|layers| (layers[0].group, part, layers));
        groups.extend(layers.filter(|(group, ..)| range.contains(*group)));
    }
    groups.sort_by_key(|(group, ..)| *group);
    if let Some(twice) = groups.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(corrupt(format!("key group {} comes twice", twice[0].0.0)));
    }
    let mut totals = BTreeMap::new();
    store.fill(&mut |put| {
        for (group, part, layers) in &groups {
            let (handle, _) = parts[*part];
            let mut load = || {
                let pieces = read_layers(handle, layers, |piece, span| read(*part, piece, span))?;
                let (entries, digest) = entries(handle, &pieces, layers)?;
                totals.insert(*group, Totals { live: entries.len() as u64, digest });
                let mut at = prefix(*group).to_vec();
                for (key, value) in entries {
                    at.truncate(PREFIX);
                    at.extend_from_slice(key);
                    put(&at, value)?;
                }
                Ok(())
            };
            load().map_err(|error: Error| {
                let name = &handle.name;
                error.context(format!("state \"{name}\", key group {}", group.0))
            })?;
        }
        Ok(())
    })?;
    Ok(Loaded { store, totals: Arc::new(totals) })
}

impl<K: Key> Disk<K> {
    /// Reads what the store was loaded with in other layouts than the program's, and writes it anew.
    pub(in crate::keyed) fn rewrite<S: Shape>(
        &mut self,
        table: &mut PagedTable<K, S::Cell>,
        layouts: Vec<(KeyGroupRange, Layout)>,
        age: Age,
    ) -> Result<()> {
        let own = self.layout.has_stamps();
        let differs = |layout: &Layout| layout.is_evolved() || layout.has_stamps() != own;
        if !layouts.iter().any(|(_, layout)| differs(layout)) {
            return Ok(());
        }
        self.is_rewriting = true;
        for group in self.range.iter() {
            let layout = layouts.iter().find(|(range, _)| range.contains(group));
            if let Some((_, layout)) = layout.filter(|(_, layout)| differs(layout)) {
                self.rewrite_group::<S>(table, group, layout, age)?;
            }
        }
        self.write_back::<S>(table, age)?;
        self.is_rewriting = false;
        Ok(())
    }

    /// With a snapshot of its own: as long as there is one, the store has what was written since in memory.
    fn rewrite_group<S: Shape>(
        &mut self,
        table: &mut PagedTable<K, S::Cell>,
        group: KeyGroup,
        layout: &Layout,
        age: Age,
    ) -> Result<()> {
        let prefix = prefix(group);
        self.store.snapshot().scan(&prefix, &mut |at, value| {
            if !at.starts_with(&prefix) {
                return Ok(false);
            }
            let key: K = decode(&at[PREFIX..])?;
            let hash = stable_hash(&key)?;
            let cell = S::decode(value, layout, age).map_err(unreadable)?;
            self.prepare::<S>(table, age, 1)?;
            table.upsert(hash, key.clone(), || cell);
            self.admit(hash, &key, Some(entry_hash(self.seed, &at[PREFIX..], value)?), true);
            Ok(true)
        })
    }
}
