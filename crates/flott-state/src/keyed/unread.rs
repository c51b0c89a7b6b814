//! A state of which some key groups are still to be read.

use std::sync::Arc;

use flott_core::codec::Key;
use flott_core::mutant::Mutant;
use flott_core::{KeyGroupRange, MaxParallelism, Result};

use super::shape::{Age, Shape};
use super::{Beyond, ShapedTable};
use crate::restore::{LaterGroup, LaterPart, StateReader, corrupt, refused};
use crate::table::{PagedTable, TableSnapshot};

/// Key groups that a snapshot reads itself.
pub(super) type LaterGroups<K, V> = Vec<Arc<LaterGroup<K, V>>>;

/// The key groups that are not in the table yet.
pub(super) struct UnreadTable<K, V> {
    range: KeyGroupRange,
    max: MaxParallelism,
    /// By key group, from the first that the table has; nothing of those that are in it, or have no entries.
    groups: Vec<Option<Arc<LaterGroup<K, V>>>>,
    left: usize,
}

impl<K: Key, V: Clone + Send + Sync + 'static> UnreadTable<K, V> {
    /// Of the parts of a state that are read later; nothing if these have no entries.
    pub(super) fn new<S: Shape<Cell = V>>(
        (operator, name): (&str, &str),
        parts: Vec<LaterPart>,
        (range, max): (KeyGroupRange, MaxParallelism),
        age: Age,
    ) -> Result<Option<Self>> {
        let reader = Arc::new(StateReader {
            operator: operator.to_owned(),
            max,
            decode: Box::new(move |bytes, layout| S::decode(bytes, layout, age)),
            parts,
        });
        let mut groups = vec![None; range.len()];
        let mut left = 0;
        for (group, later) in reader.groups(range) {
            let index = (u32::from(group.0) - range.start) as usize;
            if groups[index].replace(later).is_some() {
                let problem = corrupt(format!("key group {} comes twice", group.0));
                return Err(refused(operator, name, &problem.to_string()));
            }
            left += 1;
        }
        Ok((left > 0).then_some(Self { range, max, groups, left }))
    }

    /// Sees to it that the table has the key group of a hash.
    #[inline]
    fn bring(&mut self, hash: u64, table: &mut PagedTable<K, V>) -> Result<()> {
        let group = u32::from(self.max.key_group(hash).0);
        let index = group.wrapping_sub(self.range.start) as usize;
        match self.groups.get(index) {
            Some(Some(_)) => self.bring_group(index, table),
            Some(None) | None => Ok(()),
        }
    }

    /// Waits for storage, if nobody has read the key group yet.
    #[cold]
    fn bring_group(&mut self, index: usize, table: &mut PagedTable<K, V>) -> Result<()> {
        let Some(group) = &self.groups[index] else { return Ok(()) };
        table.adopt(&group.read()?);
        // If no snapshot wants it, the table has its pages for itself now.
        self.groups[index] = None;
        self.left -= 1;
        Ok(())
    }

    fn bring_all(&mut self, table: &mut PagedTable<K, V>) -> Result<()> {
        (0..self.groups.len()).try_for_each(|index| self.bring_group(index, table))
    }
}

impl<K: Key, S: Shape> ShapedTable<K, S> {
    /// Sees to it that the table has the key groups of these hashes.
    pub(super) fn bring(&mut self, mut hashes: impl Iterator<Item = u64>) -> Result<()> {
        let Self { beyond: Beyond::Unread(unread), table, .. } = self else { return Ok(()) };
        hashes.try_for_each(|hash| unread.bring(hash, table))?;
        self.forget_if_read();
        Ok(())
    }

    /// Sees to it that the table has all there is.
    pub(super) fn bring_all(&mut self) -> Result<()> {
        let Self { beyond: Beyond::Unread(unread), table, .. } = self else { return Ok(()) };
        unread.bring_all(table)?;
        self.forget_if_read();
        Ok(())
    }

    fn forget_if_read(&mut self) {
        if matches!(&self.beyond, Beyond::Unread(unread) if unread.left == 0) {
            self.beyond = Beyond::Nothing;
        }
    }

    /// The key groups that a snapshot has to read itself. Fails if one of the task's is known to be damaged.
    pub(super) fn unread(&self) -> Result<LaterGroups<K, S::Cell>> {
        let Beyond::Unread(unread) = &self.beyond else { return Ok(Vec::new()) };
        let groups: Vec<_> = unread.groups.iter().flatten().cloned().collect();
        groups.iter().try_for_each(|group| group.check())?;
        Ok(groups)
    }
}

/// Reads what a snapshot has of key groups that its task had not read.
pub(super) fn complete<K: Key, V: Clone + Send + Sync + 'static>(
    table: &mut TableSnapshot<K, V>,
    unread: &mut LaterGroups<K, V>,
) -> Result<()> {
    if Mutant::ForgetUnread.is_on() {
        unread.clear();
    }
    while let Some(group) = unread.last() {
        table.adopt(&group.read()?);
        unread.pop();
    }
    Ok(())
}
