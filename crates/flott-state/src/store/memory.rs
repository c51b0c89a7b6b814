//! A store in memory, for tests and the simulator.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flott_core::Result;

use super::{Batch, Put, StateStore, StateStores, StoreSnapshot, Visit};

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// Makes stores in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryStores;

impl StateStores for MemoryStores {
    fn create(&self, _: &str) -> Result<Arc<dyn StateStore>> {
        Ok(Arc::new(MemoryStore::default()))
    }
}

/// Entries that snapshots share until the next write.
#[derive(Default)]
struct MemoryStore(Mutex<Arc<Entries>>);

impl MemoryStore {
    fn entries(&self) -> MutexGuard<'_, Arc<Entries>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for MemoryStore {
    fn write(&self, batch: &Batch) -> Result<()> {
        let mut entries = self.entries();
        let entries = Arc::make_mut(&mut entries);
        for (key, value) in batch.iter() {
            match value {
                Some(value) => drop(entries.insert(key.to_vec(), value.to_vec())),
                None => drop(entries.remove(key)),
            }
        }
        Ok(())
    }

    fn fill(&self, entries: &mut dyn FnMut(&mut Put<'_>) -> Result<()>) -> Result<()> {
        let mut filled = Entries::new();
        entries(&mut |key, value| {
            filled.insert(key.to_vec(), value.to_vec());
            Ok(())
        })?;
        *self.entries() = Arc::new(filled);
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.entries().get(key).cloned())
    }

    fn is_strained(&self) -> bool {
        false
    }

    fn snapshot(&self) -> Arc<dyn StoreSnapshot> {
        Arc::new(MemorySnapshot(self.entries().clone()))
    }
}

struct MemorySnapshot(Arc<Entries>);

impl StoreSnapshot for MemorySnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, from: &[u8], each: &mut Visit<'_>) -> Result<()> {
        for (key, value) in self.0.range::<[u8], _>((Bound::Included(from), Bound::Unbounded)) {
            if !each(key, value)? {
                break;
            }
        }
        Ok(())
    }
}
