//! A state that is in a store at one moment: what a checkpoint writes of it, and the way back to it.

use std::ops::Bound;
use std::sync::Arc;

use flott_checkpoint::snapshot::GroupRange;
use flott_core::codec::{append_sized, encode_into};
use flott_core::{KeyGroup, KeyGroupRange, Result};

use super::changes::{ChangeLog, Keys, SnapshotId};
use super::{Beginning, Totals, append_encoded, store_key};
use crate::restore::StateMemory;
use crate::snapshot::{Changes, KeyedSource, Since};
use crate::store::{Batch, Store, StoreSnapshot};

/// When so much has to be put back, it is done bit by bit.
const BATCH: usize = 16 << 10;

/// A store as it was at a snapshot, and all that was known of it.
#[derive(Clone)]
pub(crate) struct DiskMemory {
    store: Arc<dyn Store>,
    snapshot: Arc<dyn StoreSnapshot>,
    range: KeyGroupRange,
    totals: Arc<[Totals]>,
    log: Arc<ChangeLog>,
    id: Arc<SnapshotId>,
}

impl DiskMemory {
    /// What the store holds now.
    pub(super) fn new(
        store: &Arc<dyn Store>,
        range: KeyGroupRange,
        totals: &[Totals],
        log: &Arc<ChangeLog>,
    ) -> Self {
        Self {
            store: store.clone(),
            snapshot: store.snapshot(),
            range,
            totals: totals.into(),
            log: log.clone(),
            id: log.begin(),
        }
    }

    /// The key groups that it has.
    pub(crate) fn range(&self) -> KeyGroupRange {
        self.range
    }

    fn totals(&self, group: KeyGroup) -> Totals {
        let index = u32::from(group.0).checked_sub(self.range.start);
        index.and_then(|index| self.totals.get(index as usize)).copied().unwrap_or_default()
    }

    /// Makes the store what it was. Nobody else uses it any more.
    pub(in crate::keyed) fn begin_again(&self) -> Result<Beginning> {
        let written = match self.log.between(&self.id, None) {
            Some(written) => written,
            None => self.all_keys()?,
        };
        let mut batch = Batch::default();
        for key in written {
            match self.snapshot.get(&key)? {
                Some(value) => batch.put(&key, &value),
                None => batch.remove(&key),
            }
            if batch.len() == BATCH {
                self.store.write(&batch)?;
                batch.clear();
            }
        }
        self.store.write(&batch)?;
        self.log.return_to(&self.id);
        let (store, totals, log) = (self.store.clone(), self.totals.to_vec(), self.log.clone());
        Ok(Beginning { store, totals, log })
    }

    /// Those that the store has now, and those that it had.
    fn all_keys(&self) -> Result<Keys> {
        let mut keys = Keys::new();
        for snapshot in [&self.store.snapshot(), &self.snapshot] {
            snapshot.scan(&[], &mut |key, _| {
                keys.insert(key.into());
                Ok(true)
            })?;
        }
        Ok(keys)
    }
}

/// What is written of a store.
pub(crate) struct StoreSource<'a, F> {
    now: &'a DiskMemory,
    base: Option<(DiskMemory, Keys)>,
    /// Appends what is alive of an encoded value, or says that nothing is.
    alive: F,
}

impl<'a, F: Fn(&[u8], Vec<u8>) -> Result<(Vec<u8>, bool)>> StoreSource<'a, F> {
    pub(crate) fn new(now: &'a DiskMemory, alive: F) -> Self {
        Self { now, base: None, alive }
    }

    fn written(&self, group: KeyGroup) -> impl Iterator<Item = &[u8]> {
        let prefix = store_key(group);
        let from = (Bound::Included(&prefix[..]), Bound::Unbounded);
        let keys = self.base.as_ref().map(|(_, keys)| keys.range::<[u8], _>(from));
        let keys = keys.into_iter().flatten().map(|key| &**key);
        keys.take_while(move |key| key.starts_with(&prefix))
    }
}

impl<F: Fn(&[u8], Vec<u8>) -> Result<(Vec<u8>, bool)>> KeyedSource for StoreSource<'_, F> {
    fn build_upon(&mut self, base: &StateMemory) -> bool {
        let own = base.disk().filter(|base| Arc::ptr_eq(&base.log, &self.now.log));
        self.base = own.and_then(|base| {
            let written = base.log.between(&base.id, Some(&self.now.id))?;
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

    fn append_all(
        &self,
        group: KeyGroup,
        mut out: Vec<u8>,
        show: &mut dyn FnMut(&[u8]),
    ) -> Result<Vec<u8>> {
        let prefix = store_key(group);
        self.now.snapshot.scan(&prefix, &mut |at, value| {
            let Some(key) = at.strip_prefix(&prefix[..]) else { return Ok(false) };
            let start = out.len();
            let mut entry = encode_into(&(key.len() as u64), std::mem::take(&mut out))?;
            entry.extend_from_slice(key);
            let is_alive;
            (out, is_alive) = append_sized(entry, |out| (self.alive)(value, out))?;
            if is_alive {
                show(&out[start..]);
            } else {
                out.truncate(start);
            }
            Ok(true)
        })?;
        Ok(out)
    }

    fn append_changes(
        &self,
        group: KeyGroup,
        _: &GroupRange,
        _: u64,
        mut out: Vec<u8>,
    ) -> Result<(Vec<u8>, Changes)> {
        let Totals { live, digest } = self.now.totals(group);
        let mut changes = Changes { entries: 0, removed: 0, live, digest };
        let Some((base, _)) = &self.base else { return Ok((out, changes)) };
        let mut gone = Vec::new();
        for at in self.written(group) {
            let key = &at[2..];
            if let Some(value) = self.now.snapshot.get(at)? {
                out = append_encoded(out, key, &value)?;
                changes.entries += 1;
            } else if base.snapshot.get(at)?.is_some() {
                gone = encode_into(&(key.len() as u64), gone)?;
                gone.extend_from_slice(key);
                changes.removed += 1;
            }
        }
        out.append(&mut gone);
        Ok((out, changes))
    }
}
