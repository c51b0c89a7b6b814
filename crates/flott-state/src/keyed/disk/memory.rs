//! A state that is in a store at one moment: what a checkpoint writes of it, and the way back to it.

use std::sync::Arc;

use flott_checkpoint::snapshot::GroupRange;
use flott_core::hash::hash64;
use flott_core::mutant::Mutant;
use flott_core::{Error, ErrorKind, KeyGroup, KeyGroupRange, Result};

use super::changes::{ChangeLog, Kept, Keys};
use super::{Beginning, PREFIX, prefix};
use crate::restore::StateMemory;
use crate::snapshot::{
    Changes, KeyedSource, Since, Totals, append_bytes, append_encoded, append_entry, append_key,
};
use crate::store::{Batch, StateStore, StoreSnapshot};

/// When so much has to be put back, it is done bit by bit.
const BATCH: usize = 16 << 10;

/// A store as it was at a snapshot, and all that was known of it.
#[derive(Clone)]
pub(crate) struct DiskMemory {
    store: Arc<dyn StateStore>,
    range: KeyGroupRange,
    totals: Arc<[Totals]>,
    log: Arc<ChangeLog>,
    kept: Arc<Kept>,
}

impl DiskMemory {
    /// What the store holds now.
    pub(super) fn new(
        store: &Arc<dyn StateStore>,
        range: KeyGroupRange,
        totals: &[Totals],
        log: &Arc<ChangeLog>,
    ) -> Self {
        Self {
            store: store.clone(),
            range,
            totals: totals.into(),
            log: log.clone(),
            kept: log.keep(store.snapshot()),
        }
    }

    /// What the store held, to be read whatever is let go of.
    pub(in crate::keyed) fn snapshot(&self) -> Result<Arc<dyn StoreSnapshot>> {
        self.kept.snapshot().ok_or_else(gone)
    }

    /// Whether it can be gone back to, by the subtask that owns these key groups.
    pub(crate) fn fits(&self, range: KeyGroupRange) -> bool {
        self.range == range && self.kept.snapshot().is_some() && self.log.knows_since(&self.kept)
    }

    fn totals(&self, group: KeyGroup) -> Totals {
        let index = u32::from(group.0).checked_sub(self.range.start);
        index.and_then(|index| self.totals.get(index as usize)).copied().unwrap_or_default()
    }

    /// Makes the store what it was. Nobody else uses it any more.
    pub(in crate::keyed) fn begin_again(&self) -> Result<Beginning> {
        // If it does not come to an end, the store is not tried again.
        let before = self.kept.take_snapshot();
        let written = self.log.between(&self.kept, None);
        let (Some(before), Some(mut written)) = (before, written) else { return Err(gone()) };
        if Mutant::KeepUncommittedWrites.is_on() {
            written.clear();
        }
        let mut batch = Batch::default();
        for (key, _) in written {
            match before.get(&key)? {
                Some(value) => batch.put(&key, &value),
                None => batch.remove(&key),
            }
            if batch.len() == BATCH {
                self.store.write(&batch)?;
                batch.clear();
            }
        }
        self.store.write(&batch)?;
        self.log.return_to(&self.kept, before);
        let (store, totals, log) = (self.store.clone(), self.totals.to_vec(), self.log.clone());
        Ok(Beginning { store, totals, log })
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Io, "what the state on disk was is not there any more")
}

/// What is written of a store.
pub(crate) struct StoreSource<'a, F> {
    now: &'a DiskMemory,
    snapshot: Arc<dyn StoreSnapshot>,
    base: Option<(DiskMemory, Keys)>,
    /// Appends what is alive of an encoded value, or says that nothing is.
    alive: F,
}

impl<'a, F: Fn(&[u8], &mut Vec<u8>) -> Result<bool>> StoreSource<'a, F> {
    pub(crate) fn new(now: &'a DiskMemory, snapshot: Arc<dyn StoreSnapshot>, alive: F) -> Self {
        Self { now, snapshot, base: None, alive }
    }

    /// What was written of a key group since the base.
    fn written(&self, group: KeyGroup) -> impl Iterator<Item = (&[u8], bool)> {
        let prefix = prefix(group);
        let keys = self.base.as_ref().map_or(&[][..], |(_, keys)| keys);
        let from = keys.partition_point(|(key, _)| **key < prefix[..]);
        let keys = keys[from..].iter().map(|(key, was_there)| (&**key, *was_there));
        keys.take_while(move |(key, _)| key.starts_with(&prefix))
    }
}

impl<F: Fn(&[u8], &mut Vec<u8>) -> Result<bool>> KeyedSource for StoreSource<'_, F> {
    fn build_upon(&mut self, base: &StateMemory) -> bool {
        let own = base.disk().filter(|base| Arc::ptr_eq(&base.log, &self.now.log));
        self.base = own.and_then(|base| {
            let written = base.log.between(&base.kept, Some(&self.now.kept))?;
            Some((base.clone(), written))
        });
        self.base.is_some()
    }

    fn groups(&self) -> Vec<KeyGroup> {
        self.now.range.iter().filter(|group| self.now.totals(*group).live > 0).collect()
    }

    fn since(&self, group: KeyGroup) -> Since {
        match &self.base {
            Some((base, _)) if base.totals(group).live > 0 => {
                if self.written(group).next().is_some() { Since::Changed } else { Since::Same }
            }
            _ => Since::New,
        }
    }

    fn append_all(&self, group: KeyGroup, seed: u64, out: &mut Vec<u8>) -> Result<Totals> {
        let mut totals = Totals::default();
        let prefix = prefix(group);
        self.snapshot.scan(&prefix, &mut |at, value| {
            let Some(key) = at.strip_prefix(&prefix[..]) else { return Ok(false) };
            let start = out.len();
            if append_entry(out, |out| append_bytes(out, key), |out| (self.alive)(value, out))? {
                totals.add(hash64(seed, &out[start..]));
            }
            Ok(true)
        })?;
        Ok(totals)
    }

    fn append_changes(
        &self,
        group: KeyGroup,
        _: &GroupRange,
        _: u64,
        out: &mut Vec<u8>,
    ) -> Result<Changes> {
        let Totals { live, digest } = self.now.totals(group);
        let mut changes = Changes { entries: 0, removed: 0, live, digest };
        let mut gone = Vec::new();
        for (at, was_there) in self.written(group) {
            let key = &at[PREFIX..];
            if let Some(value) = self.snapshot.get(at)? {
                append_encoded(out, key, &value)?;
                changes.entries += 1;
            } else if was_there {
                append_key(&mut gone, |out| append_bytes(out, key))?;
                changes.removed += 1;
            }
        }
        out.append(&mut gone);
        Ok(changes)
    }
}
