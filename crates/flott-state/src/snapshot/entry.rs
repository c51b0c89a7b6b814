//! An entry of a keyed state as bytes: the length of the key, the key, the length of the value, the value.

use flott_core::Result;
use flott_core::codec::append_sized;
use flott_core::hash::hash64;

/// Appends an entry; false, and nothing is appended, if `value` says that nothing of it is alive.
pub(crate) fn append_entry(
    out: &mut Vec<u8>,
    key: impl FnOnce(Vec<u8>) -> Result<Vec<u8>>,
    value: impl FnOnce(Vec<u8>) -> Result<(Vec<u8>, bool)>,
) -> Result<bool> {
    let start = out.len();
    let with_key = append_key(std::mem::take(out), key)?;
    let is_alive;
    (*out, is_alive) = append_sized(with_key, value)?;
    if !is_alive {
        out.truncate(start);
    }
    Ok(is_alive)
}

/// Appends a key without a value.
pub(crate) fn append_key(
    out: Vec<u8>,
    key: impl FnOnce(Vec<u8>) -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    append_sized(out, |out| Ok((key(out)?, true))).map(|(out, _)| out)
}

/// Appends bytes that are encoded already.
pub(crate) fn append_bytes(mut out: Vec<u8>, bytes: &[u8]) -> Vec<u8> {
    out.extend_from_slice(bytes);
    out
}

/// The seed of the hashes of a state's entries.
pub(crate) fn entry_seed(state: &str) -> u64 {
    hash64(0, state.as_bytes())
}
