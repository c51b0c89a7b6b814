//! Stored state, to be looked at without the program that wrote it.

use std::collections::BTreeMap;

use flott_checkpoint::snapshot::{
    GroupRange, KeyedStateHandle, OperatorStateHandle, SchemaText, StateKind,
};
use flott_core::hash::{hash64, stable_hash};
use flott_core::{Error, KeyGroup, MaxParallelism, Result};

use crate::restore::{PieceBytes, RangeBytes, check, corrupt, slice};
use crate::schema::{Schema, Shown, Stamps, TIME, Typed, show, stamped};
use crate::snapshot::{EntriesByGroup, entry_seed};

/// The entries of one key group, as they are after all of its ranges: the encoded values by encoded keys.
pub type GroupEntries<'a> = BTreeMap<&'a [u8], &'a [u8]>;

/// The keyed state of one subtask, with its bytes.
pub struct KeyedReader<'a> {
    handle: &'a KeyedStateHandle,
    pieces: &'a [Option<PieceBytes>],
}

impl<'a> KeyedReader<'a> {
    /// A reader of a state, with what its ranges need of each of its pieces.
    pub fn new(handle: &'a KeyedStateHandle, pieces: &'a [Option<PieceBytes>]) -> Self {
        Self { handle, pieces }
    }

    /// The entries of each key group, which are checked against the record.
    ///
    /// # Errors
    /// [`flott_core::ErrorKind::Corrupt`], with the key group, if they are not what the record says.
    pub fn groups(&self) -> impl Iterator<Item = Result<(KeyGroup, GroupEntries<'a>)>> + use<'a> {
        let (handle, pieces) = (self.handle, self.pieces);
        handle.layers().map(move |layers| {
            let group = layers[0].group;
            let (entries, _) = entries(handle, pieces, layers).map_err(|error| {
                error.context(format!("state \"{}\", key group {}", handle.name, group.0))
            })?;
            Ok((group, entries))
        })
    }
}

/// All entries of a keyed state of one subtask, and the sum of their hashes.
///
/// # Errors
/// As [`KeyedReader::groups`].
pub fn entries_by_group(
    handle: &KeyedStateHandle,
    pieces: &[Option<PieceBytes>],
) -> Result<(EntriesByGroup, u64)> {
    let (mut all, mut sum) = (EntriesByGroup::new(), 0u64);
    for layers in handle.layers() {
        let group = layers[0].group;
        let (entries, digest) = entries(handle, pieces, layers).map_err(|error| {
            error.context(format!("state \"{}\", key group {}", handle.name, group.0))
        })?;
        let entries = entries.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec()));
        all.entry(group).or_default().extend(entries);
        sum = sum.wrapping_add(digest);
    }
    Ok((all, sum))
}

/// The same entries with another number of key groups, by the shape of their keys.
///
/// # Errors
/// [`flott_core::ErrorKind::InvalidInput`] if the shape does not say what the key's hash is.
pub fn regrouped(
    entries: EntriesByGroup,
    key_schema: &SchemaText,
    max: MaxParallelism,
) -> Result<EntriesByGroup> {
    let schema = parsed(key_schema)?;
    let mut all = EntriesByGroup::new();
    for (key, value) in entries.into_values().flatten() {
        let shown = show(&schema, &key)?;
        let hash = stable_hash(&Typed { schema: &schema, value: &shown })
            .map_err(|error| Error::invalid(error.to_string()))?;
        all.entry(max.key_group(hash)).or_default().push((key, value));
    }
    Ok(all)
}

/// The entries of a key group, and the sum of their hashes.
pub(crate) fn entries<'a>(
    handle: &KeyedStateHandle,
    pieces: &'a [Option<PieceBytes>],
    layers: &[GroupRange],
) -> Result<(GroupEntries<'a>, u64)> {
    let mut found = BTreeMap::new();
    for range in layers {
        let mut bytes = RangeBytes::new(pieces, range)?;
        for _ in 0..range.entries {
            let (entry, key, value) = bytes.entry()?;
            found.insert(key, (entry, value));
        }
        for _ in 0..range.removed {
            found.remove(bytes.part()?);
        }
        bytes.end()?;
    }
    let seed = entry_seed(&handle.name);
    let digests = found.values().map(|(entry, _)| hash64(seed, entry));
    let digest = digests.fold(0, u64::wrapping_add);
    // The first format has no digest of a group.
    if let Some(newest) = layers.last()
        && (found.len() as u64 != newest.live || (newest.digest != 0 && digest != newest.digest))
    {
        return Err(corrupt(format!(
            "it has {} entries with the digest {digest:016x} and not {} with {:016x}",
            found.len(),
            newest.live,
            newest.digest
        )));
    }
    Ok((found.into_iter().map(|(key, (_, value))| (key, value)).collect(), digest))
}

/// How to show what is stored under the keys of a state.
pub struct KeyedShapes {
    key: Schema,
    value: Schema,
}

impl KeyedShapes {
    /// Those of a state. With TTL, each value comes with the time of its last use, in milliseconds since the
    /// Unix epoch.
    ///
    /// # Errors
    /// [`flott_core::ErrorKind::InvalidInput`] if the record does not say them.
    pub fn of(handle: &KeyedStateHandle) -> Result<Self> {
        let KeyedStateHandle { kind, ttl, .. } = *handle;
        Self::new(&handle.key_schema, &handle.value_schema, kind, ttl)
    }

    pub(crate) fn new(
        key: &SchemaText,
        value: &SchemaText,
        kind: StateKind,
        ttl: bool,
    ) -> Result<Self> {
        let (key, value) = (parsed(key)?, parsed(value)?);
        let with_time = |value| {
            let fields = vec![("used".to_owned(), TIME), ("value".to_owned(), value)];
            Schema::Struct("stamped".to_owned(), fields)
        };
        Ok(Self { key, value: stamped(value, Stamps::of(kind, ttl), with_time) })
    }

    /// The shapes of the keys and of the values.
    pub fn into_schemas(self) -> (Schema, Schema) {
        (self.key, self.value)
    }

    /// Shows a key.
    ///
    /// # Errors
    /// As [`show`].
    pub fn key(&self, bytes: &[u8]) -> Result<Shown> {
        show(&self.key, bytes)
    }

    /// Shows a value.
    ///
    /// # Errors
    /// As [`show`].
    pub fn value(&self, bytes: &[u8]) -> Result<Shown> {
        show(&self.value, bytes)
    }
}

/// The shape of the elements of an operator state.
///
/// # Errors
/// [`flott_core::ErrorKind::InvalidInput`] if the record does not say it.
pub fn element_schema(handle: &OperatorStateHandle) -> Result<Schema> {
    parsed(&handle.schema)
}

/// Checks the bytes of an operator state.
///
/// # Errors
/// [`flott_core::ErrorKind::Corrupt`] if they are not what the record says.
pub fn check_elements(handle: &OperatorStateHandle, bytes: &[u8]) -> Result<()> {
    check(bytes, handle.checksum)
}

/// Shows the elements of an operator state, of which these are all the bytes.
///
/// # Errors
/// [`flott_core::ErrorKind::Corrupt`] if they are not what the record says.
pub fn show_elements(handle: &OperatorStateHandle, bytes: &[u8]) -> Result<Vec<Shown>> {
    check_elements(handle, bytes)?;
    let schema = element_schema(handle)?;
    let mut start = 0;
    let elements = handle.ends.iter().map(|end| {
        let range = std::mem::replace(&mut start, *end)..*end;
        show(&schema, slice(bytes, range)?)
    });
    elements.collect()
}

pub(crate) fn parsed(text: &SchemaText) -> Result<Schema> {
    Schema::parse(text)
        .ok_or_else(|| Error::invalid(format!("the shape \"{}\" is not understood", text.0)))
}
