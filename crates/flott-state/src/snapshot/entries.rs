//! Entries of a state whose types are not known, written as they are.

use std::collections::BTreeMap;

use flott_checkpoint::snapshot::{GroupRange, KeyedStateHandle};
use flott_core::hash::hash64;
use flott_core::{KeyGroup, OperatorId, Result};

use super::entry::append_encoded;
use super::groups::{Changes, KeyedSource, Since, Totals};
use super::{KeyedStateHead, SnapshotWriter};
use crate::restore::StateMemory;

/// Encoded keys and values, by key group.
pub type EntriesByGroup = BTreeMap<KeyGroup, Vec<(Vec<u8>, Vec<u8>)>>;

struct Entries<'a>(&'a EntriesByGroup);

impl KeyedSource for Entries<'_> {
    fn build_upon(&mut self, _: &StateMemory) -> bool {
        false
    }

    fn groups(&self) -> Vec<KeyGroup> {
        self.0.keys().copied().collect()
    }

    fn since(&self, _: KeyGroup) -> Since {
        Since::New
    }

    fn append_all(&self, group: KeyGroup, seed: u64, out: &mut Vec<u8>) -> Result<Totals> {
        let mut totals = Totals::default();
        for (key, value) in self.0.get(&group).into_iter().flatten() {
            let start = out.len();
            append_encoded(out, key, value)?;
            totals.add(hash64(seed, &out[start..]));
        }
        Ok(totals)
    }

    /// Nothing is ever built upon.
    fn append_changes(
        &self,
        _: KeyGroup,
        newest: &GroupRange,
        _: u64,
        _: &mut Vec<u8>,
    ) -> Result<Changes> {
        let (live, digest) = (newest.live, newest.digest);
        Ok(Changes { entries: 0, removed: 0, live, digest })
    }
}

impl SnapshotWriter {
    /// Writes the entries of a keyed state that is `like` another one: of its name, kind and shapes.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write_entries(
        &mut self,
        operator: OperatorId,
        like: &KeyedStateHandle,
        entries: &EntriesByGroup,
    ) -> Result<()> {
        let head = KeyedStateHead {
            name: like.name.clone(),
            kind: like.kind,
            ttl: like.ttl,
            key_schema: like.key_schema.clone(),
            value_schema: like.value_schema.clone(),
        };
        self.write_keyed(operator, head, &mut Entries(entries))
    }
}
