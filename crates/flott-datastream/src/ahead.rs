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
        let Self { wanted } = self;
        wanted.clear();
        let is_small = table.is_small();
        if !is_small {
            wanted.extend(batch.records().iter().map(|record| (record.hash, Hint::default())));
            wanted.iter_mut().take(2 * AHEAD).for_each(|(hash, hint)| *hint = table.hint(*hash));
            wanted.iter_mut().take(AHEAD).for_each(|(hash, hint)| table.refine(hint, *hash));
        }
        let mut index = 0;
        batch.try_drain(|record, timestamp| {
            let hint = if is_small {
                table.locate(record.hash)
            } else {
                if let Some((hash, hint)) = wanted.get_mut(index + 2 * AHEAD) {
                    *hint = table.hint(*hash);
                }
                if let Some((hash, hint)) = wanted.get_mut(index + AHEAD) {
                    table.refine(hint, *hash);
                }
                index += 1;
                wanted.get(index - 1).map_or_else(Hint::default, |(_, hint)| *hint)
            };
            f(table, hint, record, timestamp)
        })
    }
}
