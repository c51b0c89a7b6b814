//! An entry of a keyed state as bytes: the length of the key, the key, the length of the value, the value.

use flott_core::Result;
use flott_core::codec::append_sized;
use flott_core::hash::hash64;

/// Appends an entry; false, and nothing is appended, if `value` says that nothing of it is alive.
#[inline]
pub(crate) fn append_entry(
    out: &mut Vec<u8>,
    key: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    value: impl FnOnce(&mut Vec<u8>) -> Result<bool>,
) -> Result<bool> {
    let start = out.len();
    append_key(out, key)?;
    let is_alive = append_sized(out, value)?;
    if !is_alive {
        out.truncate(start);
    }
    Ok(is_alive)
}

/// Appends a key without a value.
#[inline]
pub(crate) fn append_key(
    out: &mut Vec<u8>,
    key: impl FnOnce(&mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    append_sized(out, |out| key(out).map(|()| true)).map(|_| ())
}

/// Appends an entry whose parts are encoded already.
pub(crate) fn append_encoded(out: &mut Vec<u8>, key: &[u8], value: &[u8]) -> Result<()> {
    let value = |out: &mut Vec<u8>| {
        out.extend_from_slice(value);
        Ok(true)
    };
    append_entry(out, |out| append_bytes(out, key), value).map(|_| ())
}

/// Appends bytes that are encoded already.
pub(crate) fn append_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    out.extend_from_slice(bytes);
    Ok(())
}

/// The seed of the hashes of a state's entries.
pub(crate) fn entry_seed(state: &str) -> u64 {
    hash64(0, state.as_bytes())
}
