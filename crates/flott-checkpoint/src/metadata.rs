//! The file format of the completed record, `_metadata`.
//!
//! Magic bytes, the version (u16), the payload's length (u64), the payload (postcard), and the
//! CRC-32C of everything before it (u32); numbers are little-endian. `docs/formats/metadata.md`
//! describes it and golden files hold it fixed. Earlier versions are read, too.

mod v1;

use flott_core::codec;
use flott_core::{Error, ErrorKind, MaxParallelism, Result};

use crate::record::{CompletedCheckpoint, OperatorRecord};
use crate::snapshot::{DataRef, GroupRange, KeyedStateHandle, OperatorSnapshot};

/// The first bytes of every metadata file. The last two are a line end, so that a transfer that
/// rewrites line ends is noticed here.
pub const MAGIC: [u8; 8] = *b"FLOTT\x00\r\n";

/// The version that this program writes.
pub const VERSION: u16 = 3;

const HEADER_LEN: usize = MAGIC.len() + 2 + 8;
const CHECKSUM_LEN: usize = 4;

/// The bytes of a record. Equal records have equal bytes, so writing one again is idempotent.
///
/// # Errors
/// Never for a record that this program made; an encoder failure is a bug.
pub fn encode(record: &CompletedCheckpoint) -> Result<Vec<u8>> {
    let payload = codec::encode(record)?;
    let mut bytes = Vec::with_capacity(HEADER_LEN + payload.len() + CHECKSUM_LEN);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&payload);
    let checksum = codec::checksum(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

/// Reads a record. `place` is the file's name, for the error.
///
/// # Errors
/// [`ErrorKind::Corrupt`], with what is wrong and what to do: the file is no checkpoint, was
/// written by a newer version, is truncated, or is damaged.
pub fn decode(bytes: &[u8], place: &str) -> Result<CompletedCheckpoint> {
    let corrupt = |text: String| Error::new(ErrorKind::Corrupt, text);
    let truncated = || {
        corrupt(format!(
            "the checkpoint {place} is truncated ({} bytes): use an older checkpoint, or copy it \
             again if it was copied",
            bytes.len()
        ))
    };
    if !bytes.starts_with(&MAGIC) {
        if MAGIC.starts_with(bytes) {
            return Err(truncated());
        }
        return Err(corrupt(format!(
            "{place} is not a checkpoint of Flott: give the path of a chk-N folder or of the \
             _metadata file in it"
        )));
    }
    let rest = &bytes[MAGIC.len()..];
    let Some((version, rest)) = rest.split_first_chunk::<2>() else { return Err(truncated()) };
    let version = u16::from_le_bytes(*version);
    if version > VERSION {
        return Err(corrupt(format!(
            "the checkpoint {place} was written by a newer version of Flott: its format is \
             {version}, this program reads up to {VERSION}: use that version or a newer one"
        )));
    }
    let Some((length, rest)) = rest.split_first_chunk::<8>() else { return Err(truncated()) };
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if rest.len() < length.saturating_add(CHECKSUM_LEN) {
        return Err(truncated());
    }
    let damaged = |what: &str| {
        corrupt(format!(
            "the checkpoint {place} is damaged ({what}): use an older checkpoint, or copy it again \
             if it was copied"
        ))
    };
    let (payload, checksum) = rest.split_at(length);
    let stored = match <[u8; CHECKSUM_LEN]>::try_from(checksum) {
        Ok(stored) => u32::from_le_bytes(stored),
        Err(_) => return Err(damaged("bytes follow its end")),
    };
    if codec::checksum(&bytes[..HEADER_LEN + length]) != stored {
        return Err(damaged("its checksum does not match"));
    }
    let record = match version {
        0 => return Err(damaged("there is no format 0")),
        1 => codec::decode(payload).map(v1::Record::into_current),
        // In version 2 nothing was in flight; the rest is the same.
        _ => codec::decode(payload),
    };
    let record =
        record.map_err(|error| error.context(damaged("its content cannot be read").to_string()))?;
    match record.operators.iter().find_map(nonsense) {
        Some(what) => Err(damaged(&what)),
        None => Ok(record),
    }
}

/// What later code may rely on and a checksum does not prove.
fn nonsense(operator: &OperatorRecord) -> Option<String> {
    let info = &operator.info;
    if MaxParallelism::new(info.max_parallelism.get()).is_err() || info.parallelism == 0 {
        return Some(format!("operator \"{}\" has an impossible parallelism", info.name));
    }
    let mut subtasks = operator.subtasks.keys().chain(&operator.end_of_data);
    if subtasks.any(|subtask| *subtask >= info.parallelism) {
        return Some(format!("operator \"{}\" has too many subtasks", info.name));
    }
    let broken = |snapshot: &OperatorSnapshot| !is_sound(snapshot, info.max_parallelism);
    let broken = operator.subtasks.values().any(broken);
    broken.then(|| format!("state of operator \"{}\" is out of bounds", info.name))
}

/// Whether every range lies in its data and every group among the operator's.
fn is_sound(snapshot: &OperatorSnapshot, max: MaxParallelism) -> bool {
    let addressable = |data: &DataRef| match data {
        DataRef::Inline(_) => true,
        DataRef::File { offset, length, .. } => offset.checked_add(*length).is_some(),
    };
    let in_bounds = |state: &KeyedStateHandle, range: &GroupRange| {
        let piece = state.pieces.get(range.piece as usize);
        let end = range.offset.checked_add(range.length);
        u32::from(range.group.0) < max.get()
            && piece.is_some_and(|piece| end.is_some_and(|end| end <= piece.len()))
    };
    let keyed = snapshot.keyed.iter().all(|state| {
        state.pieces.iter().all(addressable)
            && state.groups.iter().all(|range| in_bounds(state, range))
            && state.groups.is_sorted_by_key(|range| range.group)
            && state.layers().all(|layers| layers[0].removed == 0)
    });
    let lists = snapshot.operator_states.iter().all(|state| {
        addressable(&state.data)
            && state.ends.is_sorted()
            && state.ends.last().is_none_or(|end| *end <= state.data.len())
    });
    keyed && lists
}

#[cfg(test)]
mod tests;
