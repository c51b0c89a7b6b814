//! How records and state become bytes, and how stored bytes are checked.
//!
//! The encoding is postcard: compact, with a published and stable wire format, not
//! self-describing. What is stored carries its schema beside it (see `flott-state`).

mod encoder;

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::encoder::{Encoder, append_number};
use crate::error::{Error, ErrorKind, Result};

/// What a record can be: any owned serde type that can be copied and sent between threads.
pub trait Data: Clone + Send + Serialize + DeserializeOwned + 'static {}

impl<T: Clone + Send + Serialize + DeserializeOwned + 'static> Data for T {}

/// What state can hold: a record that can be read by the thread that writes a snapshot while the
/// task goes on.
pub trait StateData: Data + Sync {}

impl<T: Data + Sync> StateData for T {}

/// What a key can be.
pub trait Key: StateData + Eq {}

impl<T: StateData + Eq> Key for T {}

/// Appends the encoding of `value` to `out`.
///
/// # Errors
/// If the value's `Serialize` implementation fails; nothing is appended then.
#[inline]
pub fn encode_into<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    value.serialize(&mut Encoder(out)).map_err(|error| {
        out.truncate(start);
        Error::with_source(ErrorKind::User, "cannot encode a value", error)
    })
}

/// Appends a value, and before it the length of its encoding: readers that do not know the type
/// can pass over it. `append` encodes the value, or says that there is none; nothing is appended
/// then.
///
/// # Errors
/// That of `append`; what `out` has then is unspecified.
#[inline]
pub fn append_sized(
    out: &mut Vec<u8>,
    append: impl FnOnce(&mut Vec<u8>) -> Result<bool>,
) -> Result<bool> {
    let start = out.len();
    // Nearly every length takes one byte; a longer one moves the value.
    out.push(0);
    if !append(out)? {
        out.truncate(start);
        return Ok(false);
    }
    let length = out.len() - start - 1;
    match out.get_mut(start) {
        Some(place) if length < 0x80 => *place = length as u8,
        _ => make_room_for_length(out, start, length),
    }
    Ok(true)
}

#[cold]
fn make_room_for_length(out: &mut Vec<u8>, start: usize, length: usize) {
    let mut encoded = Vec::new();
    append_number(&mut encoded, length as u64);
    out.splice(start..=start, encoded);
}

/// The encoding of `value`.
///
/// # Errors
/// As [`encode_into`].
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    encode_into(value, &mut out)?;
    Ok(out)
}

/// Decodes one value from the front of `bytes` and returns what follows it.
///
/// # Errors
/// [`ErrorKind::Corrupt`] if the bytes are no value of this type.
pub fn decode_prefix<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8])> {
    postcard::take_from_bytes(bytes).map_err(|e| {
        Error::with_source(
            ErrorKind::Corrupt,
            format!("cannot decode a {}", std::any::type_name::<T>()),
            e,
        )
    })
}

/// Decodes a value that takes up all of `bytes`.
///
/// # Errors
/// [`ErrorKind::Corrupt`] if the bytes are no value of this type or go on after it.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let (value, rest) = decode_prefix(bytes)?;
    if rest.is_empty() {
        return Ok(value);
    }
    Err(Error::new(
        ErrorKind::Corrupt,
        format!("{} bytes follow a {}", rest.len(), std::any::type_name::<T>()),
    ))
}

/// How many bytes the encoding of `value` takes; 0 if it cannot be encoded.
pub fn encoded_len<T: Serialize + ?Sized>(value: &T) -> usize {
    postcard::experimental::serialized_size(value).unwrap_or(0)
}

/// The checksum of everything that is persisted: CRC-32C.
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_decodes(value: (String, i64, Option<Vec<u16>>)) {
            let bytes = encode(&value).unwrap();
            prop_assert_eq!(bytes.len(), encoded_len(&value));
            prop_assert_eq!(decode::<(String, i64, Option<Vec<u16>>)>(&bytes).unwrap(), value);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode::<(String, Option<Vec<u16>>)>(&bytes);
        }
    }

    #[test]
    fn what_is_long_has_its_length_before_it_too() {
        for length in [0, 1, 0x7f, 0x80, 0x4000] {
            let mut out = vec![9];
            let value = vec![7u8; length];
            let append = |is_there| {
                let value = &value;
                move |out: &mut Vec<u8>| {
                    out.extend(value);
                    Ok(is_there)
                }
            };
            assert!(append_sized(&mut out, append(true)).unwrap());
            assert_eq!(out.split_off(1), encode(&value).unwrap(), "{length}");
            assert!(!append_sized(&mut out, append(false)).unwrap());
            assert_eq!(out, [9]);
        }
    }

    #[test]
    fn trailing_bytes_are_an_error() {
        let mut bytes = encode(&7u8).unwrap();
        bytes.push(0);
        assert_eq!(decode::<u8>(&bytes).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn the_checksum_is_crc32c() {
        assert_eq!(checksum(b"123456789"), 0xe306_9283);
    }
}
