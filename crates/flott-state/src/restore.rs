//! Restored state on its way back: matched by name, checked, decoded.

mod pieces;
mod unread;

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use flott_checkpoint::snapshot::{
    DataRef, GroupRange, KeyedStateHandle, Redistribution, SchemaText, StateKind,
};
use flott_core::codec::{Key, checksum, decode, decode_prefix};
use flott_core::hash::stable_hash;
use flott_core::{Error, ErrorKind, KeyGroupRange, MaxParallelism, Result};

pub(crate) use self::pieces::read_layers;
pub use self::pieces::{PieceBytes, PieceReader};
pub use self::unread::{LaterData, UnreadGroup, UnreadStates};
pub(crate) use self::unread::{LaterGroup, LaterPart, StateReader};

use crate::keyed::{DiskMemory, Loaded, kind_name};
use crate::schema::difference;
use crate::snapshot::{MAGIC, VERSION};
use crate::table::{PagedTable, TableSnapshot};

/// A part of a keyed state that was written by one subtask.
#[derive(Clone, Debug)]
pub struct RestoredKeyedState {
    /// The state. The offsets of its groups count from the start of its bytes.
    pub handle: KeyedStateHandle,
    /// The key groups to take from it.
    pub range: KeyGroupRange,
    /// What the handle refers to.
    pub data: KeyedData,
}

/// What a handle refers to.
#[derive(Clone, Debug)]
pub enum KeyedData {
    /// What is needed of the bytes that were written: of each piece, if it is.
    Bytes(Vec<Option<PieceBytes>>),
    /// They are read when they are needed.
    Later(LaterData),
    /// The table that they were written from: the process that wrote them has kept it.
    Memory(StateMemory),
    /// A store that they were loaded into, together with all other parts of the state.
    Store(Loaded),
}

/// A keyed state as it was at a snapshot: a table, which shares its pages with whatever was begun from it, or a store
/// that can be put back to it.
#[derive(Clone)]
pub struct StateMemory(Arc<dyn Any + Send + Sync>);

impl StateMemory {
    pub(crate) fn new<K: Key, V: Clone + Send + Sync + 'static>(
        table: TableSnapshot<K, V>,
    ) -> Self {
        Self(Arc::new(table))
    }

    pub(crate) fn of_disk(memory: DiskMemory) -> Self {
        Self(Arc::new(memory))
    }

    /// The store, if it is one.
    pub(crate) fn disk(&self) -> Option<&DiskMemory> {
        self.0.downcast_ref()
    }

    /// Whether the subtask that owns these key groups can begin from it. From a table in memory any can.
    pub fn fits(&self, range: KeyGroupRange) -> bool {
        self.disk().is_none_or(|disk| disk.fits(range))
    }

    /// The table, if keys and values are of these types.
    pub(crate) fn table<K: Key, V: Clone + Send + Sync + 'static>(
        &self,
    ) -> Result<&TableSnapshot<K, V>> {
        let table = self.0.downcast_ref();
        table.ok_or_else(|| Error::internal("a table that was kept is of another type"))
    }
}

impl fmt::Debug for StateMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateMemory")
    }
}

/// An operator state as it was dealt out to one subtask, with its bytes.
#[derive(Clone, Debug)]
pub struct RestoredOperatorState {
    /// Its name.
    pub name: String,
    /// How it was dealt out.
    pub redistribution: Redistribution,
    /// The shape of its elements.
    pub schema: SchemaText,
    /// The elements, in order.
    pub chunks: Vec<RestoredChunk>,
}

/// Elements that were written by one subtask.
#[derive(Clone, Debug)]
pub struct RestoredChunk {
    /// All the bytes that the subtask wrote for the state.
    pub bytes: Vec<u8>,
    /// Where the elements to take lie in them.
    pub elements: Vec<Range<u64>>,
    /// The CRC-32C of `bytes`.
    pub checksum: u32,
}

/// Checks a whole state file against its header: nothing of it is missing or changed.
///
/// # Errors
/// [`ErrorKind::Corrupt`], with what is wrong.
pub fn check_file(bytes: &[u8]) -> Result<()> {
    let Some(rest) = bytes.strip_prefix(&MAGIC) else {
        return Err(corrupt("it does not begin as a state file does"));
    };
    let (version, rest) = rest.split_first_chunk().ok_or_else(short)?;
    let (checksum, rest) = rest.split_first_chunk().ok_or_else(short)?;
    let (length, body) = rest.split_first_chunk().ok_or_else(short)?;
    let version = u32::from_le_bytes(*version);
    if version != VERSION {
        return Err(corrupt(format!("its format is {version}, this program reads {VERSION}")));
    }
    let length = u64::from_le_bytes(*length);
    if body.len() as u64 != length {
        return Err(corrupt(format!("it holds {} bytes of state and not {length}", body.len())));
    }
    check(body, u32::from_le_bytes(*checksum))
}

/// What a registration expects of restored state.
pub(crate) struct Claim<'a> {
    pub(crate) operator: &'a str,
    pub(crate) name: &'a str,
    pub(crate) kind: StateKind,
    pub(crate) key_schema: &'a SchemaText,
    /// If no other one will do.
    pub(crate) value_schema: Option<&'a SchemaText>,
}

/// Takes the parts of a state out of what was restored, if they are what is expected.
pub(crate) fn claim(
    restored: &mut Vec<RestoredKeyedState>,
    claim: &Claim<'_>,
) -> Result<Vec<RestoredKeyedState>> {
    for state in restored.iter().filter(|state| state.handle.name == claim.name) {
        let stored = &state.handle;
        let problem = if stored.kind != claim.kind {
            let (was, is) = (kind_name(stored.kind), kind_name(claim.kind));
            format!("it was a {was} state, is a {is} state")
        } else if let Some(change) = difference(&stored.key_schema, claim.key_schema) {
            format!("in its key, {change}")
        } else if let Some(change) =
            claim.value_schema.and_then(|own| difference(&stored.value_schema, own))
        {
            change
        } else {
            continue;
        };
        return Err(refused(claim.operator, claim.name, &problem));
    }
    let claimed = restored.extract_if(.., |state| state.handle.name == claim.name);
    Ok(claimed.collect())
}

pub(crate) fn refused(operator: &str, name: &str, problem: &str) -> Error {
    Error::invalid(format!(
        "operator \"{operator}\": state \"{name}\" cannot be restored: {problem}; change the type \
         so that it can read what was stored, or give the state another name and start with \
         --allow-non-restored-state (-n) to drop it"
    ))
}

impl RestoredKeyedState {
    /// Fills a table with the entries of the key groups that are asked for and owned by it, from memory or
    /// decoded by `decode`.
    pub(crate) fn fill<K: Key, V: Clone + Send + Sync + 'static>(
        &self,
        operator: &str,
        table: &mut PagedTable<K, V>,
        max: MaxParallelism,
        decode: impl Fn(&[u8]) -> Result<V>,
    ) -> Result<()> {
        let (range, owned) = (self.range, table.range());
        match &self.data {
            KeyedData::Bytes(bytes) => self.read(bytes, operator, table, max, decode),
            KeyedData::Memory(memory) => {
                let kept = memory.table::<K, V>()?;
                if kept.range() == owned && range == owned && table.is_empty() {
                    *table = PagedTable::from_snapshot(kept, max);
                    return Ok(());
                }
                let groups = kept
                    .groups()
                    .filter(|group| range.contains(group.group()) && owned.contains(group.group()));
                for (key, value) in groups.flat_map(|group| group.iter()) {
                    table.upsert(stable_hash(key)?, key.clone(), || value.clone());
                }
                Ok(())
            }
            KeyedData::Later(_) => Err(Error::internal("state that is read later is read at once")),
            KeyedData::Store(_) => Err(Error::internal("state in a store is restored to the heap")),
        }
    }

    /// Some bytes of a piece.
    pub(crate) fn bytes(&self, piece: usize, span: Range<u64>) -> Result<&[u8]> {
        let KeyedData::Bytes(pieces) = &self.data else { return Err(short()) };
        let piece = pieces.get(piece).and_then(Option::as_ref);
        piece.and_then(|piece| piece.get(&span)).ok_or_else(short)
    }

    /// Decodes the entries of the key groups that are asked for and owned.
    fn read<K: Key, V: Clone>(
        &self,
        pieces: &[Option<PieceBytes>],
        operator: &str,
        table: &mut PagedTable<K, V>,
        max: MaxParallelism,
        decode: impl Fn(&[u8]) -> Result<V>,
    ) -> Result<()> {
        let mut layers = self.layers_in(table.range());
        layers.try_for_each(|layers| self.read_group(pieces, layers, operator, table, max, &decode))
    }

    /// The ranges of each key group that is asked for and owned.
    fn layers_in(&self, owned: KeyGroupRange) -> impl Iterator<Item = &[GroupRange]> {
        let is_wanted = move |group| self.range.contains(group) && owned.contains(group);
        self.handle.layers().filter(move |layers| is_wanted(layers[0].group))
    }

    /// Decodes the entries of one key group from its ranges.
    fn read_group<K: Key, V: Clone>(
        &self,
        pieces: &[Option<PieceBytes>],
        layers: &[GroupRange],
        operator: &str,
        table: &mut PagedTable<K, V>,
        max: MaxParallelism,
        decode: impl Fn(&[u8]) -> Result<V>,
    ) -> Result<()> {
        for (index, range) in layers.iter().enumerate() {
            read_range(pieces, range, index == 0, table, max, &decode)
                .map_err(|error| self.explained(error, operator, range))?;
        }
        let newest = layers[layers.len() - 1];
        let found = table.group_len(newest.group) as u64;
        if found != newest.live {
            let error = corrupt(format!("it has {found} entries and not {}", newest.live));
            return Err(self.explained(error, operator, &newest));
        }
        Ok(())
    }

    fn explained(&self, error: Error, operator: &str, range: &GroupRange) -> Error {
        let file = match self.handle.pieces.get(range.piece as usize) {
            Some(DataRef::File { path, .. }) => format!(" from \"{path}\""),
            Some(DataRef::Inline(_)) | None => String::new(),
        };
        error.context(format!(
            "operator \"{operator}\": state \"{}\", key group {} cannot be restored{file}",
            self.handle.name, range.group.0
        ))
    }
}

/// Says how a type can be made to read what was stored in another shape.
pub(crate) fn unreadable(error: Error) -> Error {
    if error.kind() != ErrorKind::InvalidInput {
        return error;
    }
    error.context(
        "the type has changed, and does not say how to read what was stored: give a field that is new a default \
         (#[serde(default)], or make it an Option), one that has another name an alias \
         (#[serde(alias = \"...\")])",
    )
}

/// Puts into the table what a range has of its group, and takes out what it says is gone.
fn read_range<K: Key, V: Clone>(
    pieces: &[Option<PieceBytes>],
    range: &GroupRange,
    is_whole: bool,
    table: &mut PagedTable<K, V>,
    max: MaxParallelism,
    decode_value: impl Fn(&[u8]) -> Result<V>,
) -> Result<()> {
    let mut bytes = RangeBytes::new(pieces, range)?;
    let decode_key = |key: &[u8]| -> Result<(u64, K)> {
        let key: K = decode(key)?;
        let hash = stable_hash(&key)?;
        if max.key_group(hash) != range.group {
            return Err(corrupt(format!("a key belongs to key group {}", max.key_group(hash).0)));
        }
        Ok((hash, key))
    };
    // An entry takes two bytes at least: a wrong number must not become a huge allocation.
    table.reserve(range.group, (range.entries as usize).min(range.length as usize / 2));
    for _ in 0..range.entries {
        let (_, key, value) = bytes.entry()?;
        let (hash, key) = decode_key(key)?;
        let value = decode_value(value).map_err(unreadable)?;
        // A key is in a group once: where all of it is, none needs to be looked for.
        match if is_whole { None } else { table.get_mut(hash, &key) } {
            Some(stored) => *stored = value,
            None => {
                table.upsert(hash, key, || value);
            }
        }
    }
    for _ in 0..range.removed {
        let (hash, key) = decode_key(bytes.part()?)?;
        if table.remove(hash, &key).is_none() {
            return Err(corrupt("a key is removed that is not there"));
        }
    }
    bytes.end()
}

/// The bytes of a range, as they are taken from the front.
pub(crate) struct RangeBytes<'a>(&'a [u8]);

impl<'a> RangeBytes<'a> {
    /// Those of a range, checked.
    pub(crate) fn new(pieces: &'a [Option<PieceBytes>], range: &GroupRange) -> Result<Self> {
        let piece = pieces.get(range.piece as usize).and_then(Option::as_ref);
        let span = range.offset..range.offset.saturating_add(range.length);
        let bytes = piece.and_then(|piece| piece.get(&span)).ok_or_else(short)?;
        check(bytes, range.checksum)?;
        Ok(Self(bytes))
    }

    /// Those of entries that need not be checked.
    pub(crate) fn whole(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Splits off an entry: all of it, its key, its value.
    pub(crate) fn entry(&mut self) -> Result<(&'a [u8], &'a [u8], &'a [u8])> {
        let whole = self.0;
        let (key, value) = (self.part()?, self.part()?);
        Ok((&whole[..whole.len() - self.0.len()], key, value))
    }

    /// Splits off what a length in front of it delimits.
    pub(crate) fn part(&mut self) -> Result<&'a [u8]> {
        let (length, rest) = decode_prefix::<u64>(self.0)?;
        let length = usize::try_from(length).ok();
        let split = length.and_then(|length| rest.split_at_checked(length));
        let (part, rest) = split.ok_or_else(short)?;
        self.0 = rest;
        Ok(part)
    }

    /// Nothing must be left.
    pub(crate) fn end(self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(corrupt(format!("{} bytes follow the last entry", self.0.len())))
    }
}

impl RestoredOperatorState {
    /// Shows the bytes of each element.
    pub(crate) fn read(
        &self,
        operator: &str,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut read = |chunk: &RestoredChunk| {
            check(&chunk.bytes, chunk.checksum)?;
            let mut elements = chunk.elements.iter();
            elements.try_for_each(|element| each(slice(&chunk.bytes, element.clone())?))
        };
        self.chunks.iter().try_for_each(&mut read).map_err(|error| {
            error.context(format!(
                "operator \"{operator}\": state \"{}\" cannot be restored",
                self.name
            ))
        })
    }
}

pub(crate) fn slice(bytes: &[u8], range: Range<u64>) -> Result<&[u8]> {
    let start = usize::try_from(range.start).map_err(|_| short())?;
    let end = usize::try_from(range.end).map_err(|_| short())?;
    bytes.get(start..end).ok_or_else(short)
}

pub(crate) fn check(bytes: &[u8], expected: u32) -> Result<()> {
    let found = checksum(bytes);
    if found == expected {
        return Ok(());
    }
    Err(corrupt(format!("the checksum is {found:08x} and not {expected:08x}")))
}

fn short() -> Error {
    corrupt("the bytes end too early")
}

pub(crate) fn corrupt(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}
