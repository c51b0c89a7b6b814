//! A state that is to be on disk, and is on the heap as long as it fits into memory.

use std::mem::size_of;
use std::sync::Arc;

use flott_core::codec::{Key, encode_into};
use flott_core::hash::hash64;
use flott_core::{Error, MaxParallelism, Result};

use super::{Beginning, Disk, prefix};
use crate::keyed::shape::{Age, Shape};
use crate::keyed::{Beyond, ShapedTable};
use crate::restore::RangeBytes;
use crate::schema::{Layout, Stamps};
use crate::snapshot::{Totals, append_entry, entry_seed};
use crate::store::{DiskBackend, Held};
use crate::table::{PagedTable, TableSnapshot};

/// So many entries tell how large all of them are.
const SAMPLE: usize = 64;

/// How many accesses there are until the next look: a quarter of the entries, but no fewer and no more than this.
const LOOK_AFTER: (usize, usize) = (256, 16 << 10);

/// What an entry takes beside keys and values: tags, allocations.
const ENTRY_OVERHEAD: usize = 16;

/// How a state goes to disk, and when it is seen whether it must.
pub(in crate::keyed) struct Small {
    operator: String,
    name: String,
    max: MaxParallelism,
    stamps: Stamps,
    backend: DiskBackend,
    /// The memory that it takes.
    held: Held,
    /// So many accesses until the next look.
    left: usize,
}

impl Small {
    pub(in crate::keyed) fn new(
        (operator, name): (&str, &str),
        backend: &DiskBackend,
        max: MaxParallelism,
        stamps: Stamps,
    ) -> Self {
        Self {
            operator: operator.to_owned(),
            name: name.to_owned(),
            max,
            stamps,
            backend: backend.clone(),
            held: backend.hold(),
            left: 0,
        }
    }

    /// A store that has what the table has.
    fn spill<K: Key, S: Shape>(
        &self,
        table: &TableSnapshot<K, S::Cell>,
        age: Age,
    ) -> Result<Disk<K>> {
        let what = format!("{}, {}", self.operator, self.name);
        let store = self.backend.create(&what)?;
        let (range, seed) = (table.range(), entry_seed(&self.name));
        let mut totals = vec![Totals::default(); range.iter().count()];
        store.fill(&mut |put| {
            for group in table.groups() {
                let at = prefix(group.group());
                let own = &mut totals[usize::from(group.group().0) - range.start as usize];
                let mut entries: Vec<(Vec<u8>, Vec<u8>)> = Vec::with_capacity(group.len());
                let mut entry = Vec::new();
                for (key, cell) in group.iter() {
                    entry.clear();
                    let key = |out: &mut Vec<u8>| encode_into(key, out);
                    if append_entry(&mut entry, key, |out| S::encode(cell, age, out))? {
                        own.add(hash64(seed, &entry));
                        let (_, key, value) = RangeBytes::whole(&entry).entry()?;
                        entries.push(([&at[..], key].concat(), value.to_vec()));
                    }
                }
                entries.sort_unstable();
                entries.iter().try_for_each(|(key, value)| put(key, value))?;
            }
            Ok(())
        })?;
        let begin = Beginning { store, totals, log: Arc::default() };
        let (owns, own) = ((range, self.max), Layout::own(self.stamps));
        Ok(Disk::new((&what, &self.name), &self.backend, owns, own, begin))
    }
}

impl<K: Key, S: Shape> ShapedTable<K, S> {
    /// Before so many accesses: goes to disk if there is too much for memory.
    #[inline]
    pub(super) fn stay_small(&mut self, age: Age, accesses: usize) -> Result<()> {
        let Beyond::Small(small) = &mut self.beyond else { return Ok(()) };
        match small.left.checked_sub(accesses) {
            Some(left) => {
                small.left = left;
                Ok(())
            }
            None => self.look(age, accesses),
        }
    }

    #[cold]
    fn look(&mut self, age: Age, accesses: usize) -> Result<()> {
        let Beyond::Small(small) = &mut self.beyond else { return Ok(()) };
        let entries = self.table.len();
        let left = (entries / 4).clamp(LOOK_AFTER.0, LOOK_AFTER.1).max(accesses);
        let (mut sample, mut encoded) = (0, Vec::new());
        for (key, cell) in self.table.iter().take(SAMPLE) {
            let key = |out: &mut Vec<u8>| encode_into(key, out);
            append_entry(&mut encoded, key, |out| S::encode(cell, age, out))?;
            sample += 1;
        }
        let encoded = encoded.len().checked_div(sample).unwrap_or(0);
        // There are slots that are free. What is encoded may be in allocations of its own, too.
        let entry = 2 * (size_of::<K>() + size_of::<S::Cell>() + encoded) + ENTRY_OVERHEAD;
        if small.held.set((entries + left) * entry) {
            small.left = left - accesses;
            return Ok(());
        }
        // If that fails, it stays where it is, and the next access tries again.
        let disk = small.spill::<K, S>(&self.table.snapshot(), age).map_err(|error: Error| {
            error.context(format!(
                "operator \"{}\": state \"{}\" does not fit into memory, and cannot go to disk",
                small.operator, small.name
            ))
        })?;
        self.table = PagedTable::new(self.table.range(), small.max);
        self.beyond = Beyond::Disk(Box::new(disk));
        Ok(())
    }
}
