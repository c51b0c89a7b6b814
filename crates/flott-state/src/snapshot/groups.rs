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

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};

use flott_checkpoint::snapshot::{DataRef, GroupRange, KeyedStateHandle};
use flott_core::codec::{Key, append_sized, checksum, encode_into};
use flott_core::hash::hash64;
use flott_core::{OperatorId, Result};

use crate::restore::StateMemory;
use crate::table::{GroupSnapshot, TableSnapshot};

/// In so many checkpoints each group that changes is written whole once: 3 % of the state each time.
const PERIOD: u64 = 32;

/// A group with so many ranges is written whole, if its turn did not come.
const RANGES_MAX: usize = 2 * PERIOD as usize;

/// A piece of which less than one part in so many is needed is let go of, also by groups that do not change.
const SPARSE: u64 = 4;

/// The piece that is being written, until its number is known.
const NEW_PIECE: u32 = u32::MAX;

/// A guess at the bytes of an entry: a buffer that is reserved once is not moved as it grows.
const ENTRY_BYTES: usize = 16;

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

/// Where a state is, as far as it is known before its file is written.
#[derive(Debug)]
pub(super) struct Written {
    /// Pieces of earlier checkpoints.
    pub(super) pieces: Vec<DataRef>,
    /// The ranges. The new bytes are the piece after the others, once there is one.
    pub(super) groups: Vec<GroupRange>,
}

impl Written {
    /// The new bytes are there.
    pub(super) fn add_piece(&mut self, data: DataRef) {
        let number = self.pieces.len() as u32;
        self.pieces.push(data);
        for range in self.groups.iter_mut().filter(|range| range.piece == NEW_PIECE) {
            range.piece = number;
        }
    }

    /// The sum of the hashes of all entries.
    pub(super) fn digest(&self) -> u64 {
        let layers = self.groups.chunk_by(|a, b| a.group == b.group);
        let digests = layers.filter_map(<[GroupRange]>::last).map(|newest| newest.digest);
        digests.fold(0, u64::wrapping_add)
    }
}

/// Encodes the groups of one state.
pub(super) struct GroupWriter<F> {
    /// The hash of the state's name: the seed of its entries' hashes.
    seed: u64,
    out: Vec<u8>,
    /// Where the state begins in `out`.
    start: usize,
    /// Appends a value, or says that nothing of it is alive.
    encode: F,
    groups: Vec<GroupRange>,
    /// An entry as it was.
    old: Vec<u8>,
}

impl<F> GroupWriter<F> {
    pub(super) fn new(name: &str, out: Vec<u8>, encode: F) -> Self {
        let (seed, start) = (hash64(0, name.as_bytes()), out.len());
        Self { seed, out, start, encode, groups: Vec::new(), old: Vec::new() }
    }

    /// Writes all of a state.
    pub(super) fn write_all<K: Key, V: Clone + 'static>(
        mut self,
        table: &TableSnapshot<K, V>,
    ) -> Result<(Vec<u8>, Written)>
    where
        F: Fn(&V, Vec<u8>) -> Result<(Vec<u8>, bool)>,
    {
        self.out.reserve(table.len() * ENTRY_BYTES);
        for group in table.groups() {
            self.write_whole(&group)?;
        }
        Ok((self.out, Written { pieces: Vec::new(), groups: self.groups }))
    }

    /// Writes what has changed since `base`, whose table was `before`. `turn` says whose turn it is to be
    /// written whole: the number of the checkpoint.
    pub(super) fn write_changes<K: Key, V: Clone + 'static>(
        mut self,
        table: &TableSnapshot<K, V>,
        base: &KeyedStateHandle,
        before: &TableSnapshot<K, V>,
        turn: u64,
    ) -> Result<(Vec<u8>, Written)>
    where
        F: Fn(&V, Vec<u8>) -> Result<(Vec<u8>, bool)>,
    {
        let sparse = sparse_pieces(base);
        let mut layers = base.layers().peekable();
        for group in table.groups() {
            while layers.next_if(|layers| layers[0].group < group.group()).is_some() {}
            let layers = layers.next_if(|layers| layers[0].group == group.group());
            let (Some(layers), Some(before)) = (layers, before.group(group.group())) else {
                self.write_whole(&group)?;
                continue;
            };
            let is_due = (turn + u64::from(group.group().0)).is_multiple_of(PERIOD);
            let is_sparse = || layers.iter().any(|range| sparse.contains(&range.piece));
            if group.is_same(&before) && !(is_due && is_sparse()) {
                self.groups.extend(layers);
            } else if is_due
                || layers.len() >= RANGES_MAX
                || !self.write_group_changes(&group, &before, layers)?
            {
                self.write_whole(&group)?;
            }
        }
        Ok((self.out, keep_needed(&base.pieces, self.groups)))
    }

    fn write_whole<K: Key, V: Clone + 'static>(
        &mut self,
        group: &GroupSnapshot<'_, K, V>,
    ) -> Result<()>
    where
        F: Fn(&V, Vec<u8>) -> Result<(Vec<u8>, bool)>,
    {
        let (start, mut entries, mut digest) = (self.out.len(), 0, 0u64);
        for (key, value) in group.iter() {
            let entry = self.out.len();
            if self.append(key, value)? {
                digest = digest.wrapping_add(hash64(self.seed, &self.out[entry..]));
                entries += 1;
            }
        }
        if entries > 0 {
            let range = GroupRange {
                group: group.group(),
                piece: NEW_PIECE,
                offset: (start - self.start) as u64,
                length: (self.out.len() - start) as u64,
                entries,
                removed: 0,
                live: entries,
                digest,
                checksum: checksum(&self.out[start..]),
            };
            self.groups.push(range);
        }
        Ok(())
    }

    /// Writes what has changed of a group; false, and nothing is written, if it had better be written whole.
    fn write_group_changes<K: Key, V: Clone + 'static>(
        &mut self,
        group: &GroupSnapshot<'_, K, V>,
        before: &GroupSnapshot<'_, K, V>,
        layers: &[GroupRange],
    ) -> Result<bool>
    where
        F: Fn(&V, Vec<u8>) -> Result<(Vec<u8>, bool)>,
    {
        let (Some(first), Some(newest)) = (layers.first(), layers.last()) else { return Ok(false) };
        let changes_before: u64 = layers[1..].iter().map(|range| range.length).sum();
        let start = self.out.len();
        let mut range = GroupRange {
            group: group.group(),
            piece: NEW_PIECE,
            offset: (start - self.start) as u64,
            length: 0,
            entries: 0,
            removed: 0,
            live: newest.live,
            digest: newest.digest,
            checksum: 0,
        };
        let mut gone = Vec::new();
        group.changes_since(before, is_surely_same, |key, value, old| {
            let start = self.out.len();
            let is_alive = value.map_or(Ok(false), |value| self.append(key, value))?;
            let was_alive = old.map_or(Ok(false), |old| self.encode_old(key, old))?;
            if is_alive && was_alive && self.out[start..] == self.old[..] {
                self.out.truncate(start);
                return Ok(());
            }
            if was_alive {
                range.live = range.live.saturating_sub(1);
                range.digest = range.digest.wrapping_sub(hash64(self.seed, &self.old));
            }
            if is_alive {
                range.entries += 1;
                range.live += 1;
                range.digest = range.digest.wrapping_add(hash64(self.seed, &self.out[start..]));
            } else if was_alive {
                range.removed += 1;
                let keys = std::mem::take(&mut gone);
                (gone, _) = append_sized(keys, |out| Ok((encode_into(key, out)?, true)))?;
            }
            Ok(())
        })?;
        self.out.append(&mut gone);
        range.length = (self.out.len() - start) as u64;
        if changes_before + range.length > first.length / 2 || range.live == 0 {
            self.out.truncate(start);
            return Ok(false);
        }
        self.groups.extend(layers);
        if range.entries + range.removed > 0 {
            range.checksum = checksum(&self.out[start..]);
            self.groups.push(range);
        }
        Ok(true)
    }

    /// Appends an entry; false, and nothing is appended, if nothing of it is alive.
    fn append<K: Key, V>(&mut self, key: &K, value: &V) -> Result<bool>
    where
        F: Fn(&V, Vec<u8>) -> Result<(Vec<u8>, bool)>,
    {
        let start = self.out.len();
        let (out, alive) = entry(key, value, &self.encode, std::mem::take(&mut self.out))?;
        self.out = out;
        if !alive {
            self.out.truncate(start);
        }
        Ok(alive)
    }

    /// Encodes an entry as it was, aside; false if nothing of it was alive.
    fn encode_old<K: Key, V>(&mut self, key: &K, value: &V) -> Result<bool>
    where
        F: Fn(&V, Vec<u8>) -> Result<(Vec<u8>, bool)>,
    {
        let mut old = std::mem::take(&mut self.old);
        old.clear();
        let alive;
        (self.old, alive) = entry(key, value, &self.encode, old)?;
        Ok(alive)
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

/// The length of the key, the key, the length of the value, the value; and whether anything is alive.
fn entry<K: Key, V>(
    key: &K,
    value: &V,
    encode: impl Fn(&V, Vec<u8>) -> Result<(Vec<u8>, bool)>,
    out: Vec<u8>,
) -> Result<(Vec<u8>, bool)> {
    let (out, _) = append_sized(out, |out| Ok((encode_into(key, out)?, true)))?;
    append_sized(out, |out| encode(value, out))
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

/// Leaves out pieces that no range is in, and numbers the others anew.
fn keep_needed(pieces: &[DataRef], mut groups: Vec<GroupRange>) -> Written {
    let needed: BTreeSet<u32> =
        groups.iter().map(|range| range.piece).filter(|piece| *piece != NEW_PIECE).collect();
    let numbers: BTreeMap<u32, u32> = needed.iter().copied().zip(0..).collect();
    for range in &mut groups {
        if let Some(number) = numbers.get(&range.piece) {
            range.piece = *number;
        }
    }
    let kept = needed.iter().filter_map(|piece| pieces.get(*piece as usize).cloned());
    Written { pieces: kept.collect(), groups }
}
