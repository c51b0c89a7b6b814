//! Asking for the memory of keys before they are used: the hashes of a whole batch are known. What a cache holds is
//! found faster without.

use flott_core::codec::Key;
use flott_core::{Result, Timestamp};
use flott_runtime::Batch;
use flott_state::{Hint, PagedTable};

use crate::keyed::Keyed;

/// How many records ahead the memory of a key is asked for: enough for a cache miss to pass, few
/// enough for the lines to stay.
pub(crate) const AHEAD: usize = 24;

/// The hashes of the batch at hand, and where their entries are.
#[derive(Default)]
pub(crate) struct Ahead {
    wanted: Vec<(u64, Hint)>,
}

impl Ahead {
    /// Calls `f` with each record of a batch, and the table in which its key is or belongs: where, the hint says.
    pub(crate) fn drain<K: Key, V: Clone, T>(
        &mut self,
        table: &mut PagedTable<K, V>,
        batch: &mut Batch<Keyed<K, T>>,
        mut f: impl FnMut(&mut PagedTable<K, V>, Hint, Keyed<K, T>, Timestamp) -> Result<()>,
    ) -> Result<()> {
        if table.is_small() {
            return batch.try_drain(|record, timestamp| {
                let hint = table.locate(record.hash);
                f(table, hint, record, timestamp)
            });
        }
        let Self { wanted } = self;
        wanted.clear();
        wanted.extend(batch.records().iter().map(|record| (record.hash, Hint::default())));
        wanted.iter_mut().take(2 * AHEAD).for_each(|(hash, hint)| *hint = table.hint(*hash));
        wanted.iter_mut().take(AHEAD).for_each(|(hash, hint)| table.refine(hint, *hash));
        let mut index = 0;
        batch.try_drain(|record, timestamp| {
            if let Some((hash, hint)) = wanted.get_mut(index + 2 * AHEAD) {
                *hint = table.hint(*hash);
            }
            if let Some((hash, hint)) = wanted.get_mut(index + AHEAD) {
                table.refine(hint, *hash);
            }
            let hint = wanted.get(index).map_or_else(Hint::default, |(_, hint)| *hint);
            index += 1;
            f(table, hint, record, timestamp)
        })
    }
}
