//! The key groups of a keyed state as bytes: whole, or what has changed since a base.
//!
//! A checkpoint need not write what an earlier one has written. What a key group was when its base was
//! taken is still there, in pages that are shared until they are written; so what has changed is found by
//! looking at the other pages alone, entry by entry. A range with the changes follows those before it, and
//! all of them together are the group.
//!
//! So that a group does not become a long list of changes, nor a file stay for the sake of a few of its bytes,
//! groups are written whole again: each in its turn, once in [`PERIOD`] checkpoints, so that no checkpoint
//! pays for all of them. In between a group is written whole if its changes are many.

use std::collections::{BTreeMap, BTreeSet};

use flott_checkpoint::snapshot::{DataRef, GroupRange, KeyedStateHandle};
use flott_core::codec::checksum;
use flott_core::{KeyGroup, OperatorId, Result};

use super::entry::entry_seed;
use super::files::StateFiles;
use crate::restore::StateMemory;

/// In so many checkpoints each group that changes is written whole once: 3 % of the state each time.
const PERIOD: u64 = 32;

/// A group with so many ranges is written whole, if its turn did not come.
const RANGES_MAX: usize = 2 * PERIOD as usize;

/// A piece of which less than one part in so many is needed is let go of, also by groups that do not change.
const SPARSE: u64 = 4;

/// The first piece that is written now, until its number is known; the others follow.
const NEW_PIECE: u32 = 1 << 31;

/// What a completed checkpoint has of a keyed state of a task, and the state as it was then.
#[derive(Clone, Debug)]
pub struct BaseState {
    /// Whose state it is.
    pub operator: OperatorId,
    /// Where it is.
    pub handle: KeyedStateHandle,
    /// The table from which that was written.
    pub memory: StateMemory,
}

/// A keyed state at one moment, as it is written: entries are bytes, the length of the key, the key, the length of
/// the value, the value.
pub(crate) trait KeyedSource {
    /// From now on this is the state that [`KeyedSource::since`] and [`KeyedSource::append_changes`] speak of. False,
    /// and nothing is, if it is not of the same key groups, or what has changed since is not known.
    fn build_upon(&mut self, base: &StateMemory) -> bool;

    /// The key groups that may have entries, in order.
    fn groups(&self) -> Vec<KeyGroup>;

    /// What has become of a key group since the base.
    fn since(&self, group: KeyGroup) -> Since;

    /// Whether so much of a key group has changed since the base that it had better be written whole, as far as that
    /// is seen without looking at all of it.
    fn is_mostly_changed(&self, _group: KeyGroup) -> bool {
        false
    }

    /// Appends the entries of a key group that are alive. `seed` is that of the entries' hashes.
    ///
    /// # Errors
    /// If one cannot be read or encoded.
    fn append_all(&self, group: KeyGroup, seed: u64, out: &mut Vec<u8>) -> Result<Totals>;

    /// Appends the entries of a key group that are new or have changed since the base, of which `newest` is the
    /// newest range, then the keys, each after its length, that are gone. `seed` is that of the entries' hashes.
    ///
    /// # Errors
    /// If one cannot be read or encoded.
    fn append_changes(
        &self,
        group: KeyGroup,
        newest: &GroupRange,
        seed: u64,
        out: &mut Vec<u8>,
    ) -> Result<Changes>;
}

/// What there is of a key group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// How many entries.
    pub(crate) live: u64,
    /// The sum of their hashes.
    pub(crate) digest: u64,
}

impl Totals {
    /// One more.
    #[inline]
    pub(crate) fn add(&mut self, hash: u64) {
        self.live += 1;
        self.digest = self.digest.wrapping_add(hash);
    }

    /// An entry with one hash, if it was there, is now one with another, if it is.
    pub(crate) fn replace(&mut self, old: Option<u64>, new: Option<u64>) {
        self.live = (self.live + u64::from(new.is_some())).saturating_sub(u64::from(old.is_some()));
        self.digest = self.digest.wrapping_sub(old.unwrap_or(0)).wrapping_add(new.unwrap_or(0));
    }
}

/// What has become of a key group since the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// The base had no entries of it.
    New,
    /// Nothing was written.
    Same,
    /// Something may have changed.
    Changed,
}

/// What was appended of a key group that has changed, and what the group is with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Changes {
    pub(crate) entries: u64,
    pub(crate) removed: u64,
    pub(crate) live: u64,
    pub(crate) digest: u64,
}

/// Where a state is.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) pieces: Vec<DataRef>,
    pub(super) groups: Vec<GroupRange>,
}

impl Written {
    /// The sum of the hashes of all entries.
    pub(super) fn digest(&self) -> u64 {
        let layers = self.groups.chunk_by(|a, b| a.group == b.group);
        let digests = layers.filter_map(<[GroupRange]>::last).map(|newest| newest.digest);
        digests.fold(0, u64::wrapping_add)
    }
}

/// Writes the groups of one state.
pub(super) struct GroupWriter<'a> {
    /// The hash of the state's name: the seed of its entries' hashes.
    seed: u64,
    files: &'a mut StateFiles,
    /// Where the state begins in the file at hand.
    start: usize,
    /// What is written of it in files before that.
    new_pieces: Vec<DataRef>,
    groups: Vec<GroupRange>,
}

impl<'a> GroupWriter<'a> {
    pub(super) fn new(name: &str, files: &'a mut StateFiles) -> Self {
        let (seed, start) = (entry_seed(name), files.end());
        Self { seed, files, start, new_pieces: Vec::new(), groups: Vec::new() }
    }

    /// Writes all of a state.
    pub(super) fn write_all(mut self, source: &dyn KeyedSource) -> Result<Written> {
        for group in source.groups() {
            self.write_whole(source, group)?;
        }
        Ok(self.finish(&[]))
    }

    /// Writes what has changed since `base`. `turn` says whose turn it is to be written whole: the number of the
    /// checkpoint.
    pub(super) fn write_changes(
        mut self,
        source: &dyn KeyedSource,
        base: &KeyedStateHandle,
        turn: u64,
    ) -> Result<Written> {
        let sparse = sparse_pieces(base);
        let mut layers = base.layers().peekable();
        for group in source.groups() {
            while layers.next_if(|layers| layers[0].group < group).is_some() {}
            let layers = layers.next_if(|layers| layers[0].group == group);
            let since = source.since(group);
            let (Some(layers), Since::Same | Since::Changed) = (layers, since) else {
                self.write_whole(source, group)?;
                continue;
            };
            let is_due = (turn + u64::from(group.0)).is_multiple_of(PERIOD);
            let is_sparse = || layers.iter().any(|range| sparse.contains(&range.piece));
            if since == Since::Same && !(is_due && is_sparse()) {
                self.groups.extend(layers);
            } else if is_due
                || layers.len() >= RANGES_MAX
                || source.is_mostly_changed(group)
                || !self.write_group_changes(source, group, layers)?
            {
                self.write_whole(source, group)?;
            }
        }
        Ok(self.finish(&base.pieces))
    }

    fn write_whole(&mut self, source: &dyn KeyedSource, group: KeyGroup) -> Result<()> {
        let (start, seed) = (self.files.end(), self.seed);
        let Totals { live, digest } = source.append_all(group, seed, self.files.buffer())?;
        if live > 0 {
            let all = Changes { entries: live, removed: 0, live, digest };
            self.groups.push(self.range(group, start, all));
            self.cut()?;
        }
        Ok(())
    }

    /// Writes what has changed of a group; false, and nothing is written, if it had better be written whole.
    fn write_group_changes(
        &mut self,
        source: &dyn KeyedSource,
        group: KeyGroup,
        layers: &[GroupRange],
    ) -> Result<bool> {
        let (Some(first), Some(newest)) = (layers.first(), layers.last()) else { return Ok(false) };
        let changes_before: u64 = layers[1..].iter().map(|range| range.length).sum();
        let (start, seed) = (self.files.end(), self.seed);
        let changes = source.append_changes(group, newest, seed, self.files.buffer())?;
        let length = (self.files.end() - start) as u64;
        if changes_before + length > first.length / 2 || changes.live == 0 {
            self.files.truncate(start);
            return Ok(false);
        }
        self.groups.extend(layers);
        if changes.entries + changes.removed > 0 {
            let range = self.range(group, start, changes);
            self.groups.push(range);
            self.cut()?;
        }
        Ok(true)
    }

    /// A range that reaches from `start` in the file at hand to its end.
    fn range(&self, group: KeyGroup, start: usize, changes: Changes) -> GroupRange {
        let Changes { entries, removed, live, digest } = changes;
        let bytes = self.files.bytes_from(start);
        GroupRange {
            group,
            piece: NEW_PIECE + self.new_pieces.len() as u32,
            offset: (start - self.start) as u64,
            length: bytes.len() as u64,
            entries,
            removed,
            live,
            digest,
            checksum: checksum(bytes),
        }
    }

    /// Goes on in another file if this one is full.
    fn cut(&mut self) -> Result<()> {
        let piece = self.files.promise(self.start);
        if self.files.cut_if_full()? {
            self.new_pieces.push(piece);
            self.start = self.files.end();
        }
        Ok(())
    }

    /// Leaves out pieces of the base that no range is in, and numbers all pieces.
    fn finish(self, base: &[DataRef]) -> Written {
        let Self { files, start, mut new_pieces, mut groups, .. } = self;
        if files.end() > start {
            new_pieces.push(files.promise(start));
        }
        let needed: BTreeSet<u32> =
            groups.iter().map(|range| range.piece).filter(|piece| *piece < NEW_PIECE).collect();
        let numbers: BTreeMap<u32, u32> = needed.iter().copied().zip(0..).collect();
        for range in &mut groups {
            range.piece = match numbers.get(&range.piece) {
                Some(number) => *number,
                None => needed.len() as u32 + (range.piece - NEW_PIECE),
            };
        }
        let kept = needed.iter().filter_map(|piece| base.get(*piece as usize).cloned());
        Written { pieces: kept.chain(new_pieces).collect(), groups }
    }
}

/// The pieces of which little is needed any more.
fn sparse_pieces(base: &KeyedStateHandle) -> BTreeSet<u32> {
    let mut needed = vec![0; base.pieces.len()];
    for range in &base.groups {
        if let Some(needed) = needed.get_mut(range.piece as usize) {
            *needed += range.length;
        }
    }
    let pieces = (0..).zip(base.pieces.iter().zip(needed));
    let sparse = pieces.filter(|(_, (piece, needed))| needed.saturating_mul(SPARSE) < piece.len());
    sparse.map(|(index, _)| index).collect()
}
