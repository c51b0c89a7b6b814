//! What is written of a table in memory.

use std::any::Any;

use flott_checkpoint::snapshot::GroupRange;
use flott_core::codec::{Key, encode_into};
use flott_core::hash::hash64;
use flott_core::{KeyGroup, Result};

use super::entry::{append_entry, append_key};
use super::groups::{Changes, KeyedSource, Since, Totals};
use crate::restore::StateMemory;
use crate::table::{GroupSnapshot, TableSnapshot};

/// A guess at the bytes of an entry: a buffer that is reserved once is not moved as it grows.
const ENTRY_BYTES: usize = 16;

/// A table, and how its values are encoded.
pub(crate) struct TableSource<'a, K, V, F> {
    table: &'a TableSnapshot<K, V>,
    before: Option<TableSnapshot<K, V>>,
    /// Appends a value, or says that nothing of it is alive.
    encode: F,
}

impl<'a, K: Key, V: Clone + Send + Sync + 'static, F> TableSource<'a, K, V, F>
where
    F: Fn(&V, &mut Vec<u8>) -> Result<bool>,
{
    pub(crate) fn new(table: &'a TableSnapshot<K, V>, encode: F) -> Self {
        Self { table, before: None, encode }
    }

    #[inline]
    fn append(&self, out: &mut Vec<u8>, key: &K, value: &V) -> Result<bool> {
        append_entry(out, |out| encode_into(key, out), |out| (self.encode)(value, out))
    }

    fn before(&self, group: KeyGroup) -> Option<GroupSnapshot<'_, K, V>> {
        self.before.as_ref()?.group(group)
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static, F> KeyedSource for TableSource<'_, K, V, F>
where
    F: Fn(&V, &mut Vec<u8>) -> Result<bool>,
{
    fn build_upon(&mut self, base: &StateMemory) -> bool {
        let before = base.table::<K, V>().ok();
        self.before = before.filter(|before| before.range() == self.table.range()).cloned();
        self.before.is_some()
    }

    fn groups(&self) -> Vec<KeyGroup> {
        self.table.groups().map(|group| group.group()).collect()
    }

    fn since(&self, group: KeyGroup) -> Since {
        match (self.table.group(group), self.before(group)) {
            (Some(group), Some(before)) if group.is_same(&before) => Since::Same,
            (Some(_), Some(_)) => Since::Changed,
            (None, _) | (_, None) => Since::New,
        }
    }

    fn is_mostly_changed(&self, group: KeyGroup) -> bool {
        let (Some(new), Some(before)) = (self.table.group(group), self.before(group)) else {
            return false;
        };
        let encoded = |value: &V| {
            let mut bytes = Vec::new();
            (self.encode)(value, &mut bytes).ok().map(|_| bytes)
        };
        let (changed, seen) = new.sample_changes(&before, |new, old| {
            is_surely_same(new, old) || encoded(new) == encoded(old)
        });
        2 * changed > seen
    }

    fn append_all(&self, group: KeyGroup, seed: u64, out: &mut Vec<u8>) -> Result<Totals> {
        let mut totals = Totals::default();
        let Some(group) = self.table.group(group) else { return Ok(totals) };
        out.reserve(group.len() * ENTRY_BYTES);
        for (key, value) in group.iter() {
            let start = out.len();
            if self.append(out, key, value)? {
                totals.add(hash64(seed, &out[start..]));
            }
        }
        Ok(totals)
    }

    fn append_changes(
        &self,
        group: KeyGroup,
        newest: &GroupRange,
        seed: u64,
        out: &mut Vec<u8>,
    ) -> Result<Changes> {
        let (live, digest) = (newest.live, newest.digest);
        let mut changes = Changes { entries: 0, removed: 0, live, digest };
        let (Some(new), Some(before)) = (self.table.group(group), self.before(group)) else {
            return Ok(changes);
        };
        let (mut gone, mut as_it_was) = (Vec::new(), Vec::new());
        new.changes_since(&before, is_surely_same, |key, value, old| {
            let start = out.len();
            let is_alive = match value {
                Some(value) => self.append(out, key, value)?,
                None => false,
            };
            as_it_was.clear();
            let was_alive = match old {
                Some(old) => self.append(&mut as_it_was, key, old)?,
                None => false,
            };
            if is_alive && was_alive && out[start..] == as_it_was[..] {
                out.truncate(start);
                return Ok(());
            }
            if was_alive {
                changes.live = changes.live.saturating_sub(1);
                changes.digest = changes.digest.wrapping_sub(hash64(seed, &as_it_was));
            }
            if is_alive {
                changes.entries += 1;
                changes.live += 1;
                changes.digest = changes.digest.wrapping_add(hash64(seed, &out[start..]));
            } else if was_alive {
                changes.removed += 1;
                append_key(&mut gone, |out| encode_into(key, out))?;
            }
            Ok(())
        })?;
        out.append(&mut gone);
        Ok(changes)
    }
}

/// Whether two values are the same, if that can be told without encoding them: for what many states are made
/// of. Of ten values in a page that was written, nine have not changed.
fn is_surely_same<V: 'static>(a: &V, b: &V) -> bool {
    fn are<T: PartialEq + 'static>(a: &dyn Any, b: &dyn Any) -> bool {
        match (a.downcast_ref::<T>(), b.downcast_ref::<T>()) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        }
    }
    are::<i64>(a, b)
        || are::<u64>(a, b)
        || are::<i32>(a, b)
        || are::<u32>(a, b)
        || are::<String>(a, b)
}
