//! The stable hash. What it returns is part of the persisted format: it decides in which key group
//! a key lives. `docs/formats/key-hash.md` describes it; golden values below hold it fixed.
//!
//! A value is hashed through its serde data model, so no bytes are written: every primitive is
//! widened to 64 bits and mixed in with one folded multiplication (the "mum" of wyhash, by
//! Wang Yi); strings and bytes go in as their length followed by little-endian words.

use std::fmt;

use serde::ser::{self, Serialize};

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const MULTIPLIER: u64 = 0xa076_1d64_78bd_642f;
const FINISH: u64 = 0xe703_7ed1_a0b4_28db;

/// Hashes a value, the same in every process, build and version.
///
/// # Errors
/// If the value's `Serialize` implementation fails, or if it has no stable form (floating-point
/// numbers, which have no equality to partition by).
#[inline]
pub fn stable_hash<T: Serialize + ?Sized>(value: &T) -> Result<u64, HashError> {
    let mut state = State(SEED);
    value.serialize(&mut state)?;
    Ok(fold(state.0, FINISH))
}

/// Hashes bytes to 64 bits; another `seed` is another hash function.
#[inline]
pub fn hash64(seed: u64, bytes: &[u8]) -> u64 {
    let mut state = State(seed);
    state.bytes(bytes);
    fold(state.0, FINISH)
}

/// Hashes bytes to 128 bits: two stable hashes with different seeds.
pub fn hash128(bytes: &[u8]) -> u128 {
    let mut high = State(SEED);
    high.bytes(bytes);
    let mut low = State(FINISH);
    low.bytes(bytes);
    (u128::from(fold(high.0, FINISH)) << 64) | u128::from(fold(low.0, SEED))
}

/// A 64-bit mixing function (splitmix64, by Sebastiano Vigna): every index gets its own
/// pseudo-random number, so that generators need no state.
#[inline]
pub fn mix(index: u64) -> u64 {
    let mut z = index.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Why a value could not be hashed.
#[derive(Debug)]
pub struct HashError(String);

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot hash the key: {}", self.0)
    }
}

impl std::error::Error for HashError {}

impl ser::Error for HashError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

struct State(u64);

impl State {
    #[inline]
    fn word(&mut self, word: u64) {
        self.0 = fold(self.0 ^ word, MULTIPLIER).wrapping_add(SEED);
    }

    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        if rest.is_empty() {
            return;
        }
        // What is before the rest is read with it and shifted out: a copy of so few bytes would take longer.
        self.word(match bytes.last_chunk::<8>() {
            Some(last) => u64::from_le_bytes(*last) >> (8 * (8 - rest.len())),
            None => short_word(rest),
        });
    }
}

/// Less than eight bytes as a word. Some are read twice.
#[inline]
fn short_word(bytes: &[u8]) -> u64 {
    let length = bytes.len();
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let last = u64::from(u32::from_le_bytes(*last));
        return u64::from(u32::from_le_bytes(*first)) | last << (8 * (length - 4));
    }
    let byte = |at: usize| bytes.get(at).map_or(0, |byte| u64::from(*byte) << (8 * at));
    byte(0) | byte(1) | byte(2)
}

macro_rules! words {
    ($($method:ident($ty:ty)),*) => {
        $(#[inline]
        fn $method(self, value: $ty) -> Result<(), HashError> {
            self.word(value as u64);
            Ok(())
        })*
    };
}

impl<'a> ser::Serializer for &'a mut State {
    type Ok = ();
    type Error = HashError;
    type SerializeSeq = &'a mut State;
    type SerializeTuple = &'a mut State;
    type SerializeTupleStruct = &'a mut State;
    type SerializeTupleVariant = &'a mut State;
    type SerializeMap = &'a mut State;
    type SerializeStruct = &'a mut State;
    type SerializeStructVariant = &'a mut State;

    words!(
        serialize_bool(bool),
        serialize_i8(i8),
        serialize_i16(i16),
        serialize_i32(i32),
        serialize_i64(i64),
        serialize_u8(u8),
        serialize_u16(u16),
        serialize_u32(u32),
        serialize_u64(u64),
        serialize_char(char)
    );

    fn serialize_i128(self, value: i128) -> Result<(), HashError> {
        self.serialize_u128(value as u128)
    }

    fn serialize_u128(self, value: u128) -> Result<(), HashError> {
        self.word(value as u64);
        self.word((value >> 64) as u64);
        Ok(())
    }

    fn serialize_f32(self, _: f32) -> Result<(), HashError> {
        Err(HashError("floating-point numbers cannot be keys".into()))
    }

    fn serialize_f64(self, _: f64) -> Result<(), HashError> {
        Err(HashError("floating-point numbers cannot be keys".into()))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), HashError> {
        self.bytes(value.as_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Result<(), HashError> {
        self.bytes(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), HashError> {
        self.word(0);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), HashError> {
        self.word(1);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), HashError> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), HashError> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
    ) -> Result<(), HashError> {
        self.word(u64::from(index));
        Ok(())
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), HashError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), HashError> {
        self.word(u64::from(index));
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self, HashError> {
        let length = length.ok_or_else(|| HashError("a sequence of unknown length".into()))?;
        self.word(length as u64);
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, HashError> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, HashError> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, HashError> {
        self.word(u64::from(index));
        Ok(self)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self, HashError> {
        self.serialize_seq(length)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, HashError> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, HashError> {
        self.word(u64::from(index));
        Ok(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

macro_rules! compound {
    ($($trait:ident :: $method:ident ( $($name:ident : $ty:ty)? )),*) => {
        $(impl ser::$trait for &mut State {
            type Ok = ();
            type Error = HashError;

            #[inline]
            fn $method<T: Serialize + ?Sized>(
                &mut self, $($name: $ty,)? value: &T,
            ) -> Result<(), HashError> {
                $(let _ = $name;)?
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), HashError> {
                Ok(())
            }
        })*
    };
}

compound!(
    SerializeSeq::serialize_element(),
    SerializeTuple::serialize_element(),
    SerializeTupleStruct::serialize_field(),
    SerializeTupleVariant::serialize_field(),
    SerializeStruct::serialize_field(name: &'static str),
    SerializeStructVariant::serialize_field(name: &'static str)
);

impl ser::SerializeMap for &mut State {
    type Ok = ();
    type Error = HashError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), HashError> {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), HashError> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), HashError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_a_persisted_format_and_does_not_change() {
        let golden: [(u64, u64); 7] = [
            (stable_hash(&0u64).unwrap(), GOLDEN[0]),
            (stable_hash(&1u64).unwrap(), GOLDEN[1]),
            (stable_hash(&-1i64).unwrap(), GOLDEN[2]),
            (stable_hash("hello").unwrap(), GOLDEN[3]),
            (stable_hash(&("hello", 7u32)).unwrap(), GOLDEN[4]),
            (stable_hash(&Some(vec![1u8, 2, 3])).unwrap(), GOLDEN[5]),
            (stable_hash("exactly eight bytes, and then some").unwrap(), GOLDEN[6]),
        ];
        for (index, (found, expected)) in golden.into_iter().enumerate() {
            assert_eq!(found, expected, "golden value {index}: found {found:#x}");
        }
        assert_eq!(format!("{:032x}", hash128(b"word-totals")), GOLDEN_128);
    }

    const GOLDEN: [u64; 7] = [
        0x46c089c4f3f44586,
        0x88f11020d6cf84b5,
        0x45e7a3231d03a06e,
        0x2cccb58e7a82e9f4,
        0x74a471d0623e9ec2,
        0x99ac01bc289a62ce,
        0x85691398ccc78044,
    ];
    const GOLDEN_128: &str = "52bc2e550544603a2e42222b92dbdf50";

    #[test]
    fn bytes_of_every_length_are_words_that_end_with_zeros() {
        let bytes: Vec<u8> = (1..=40).collect();
        for length in 0..bytes.len() {
            let mut state = State(7);
            state.word(length as u64);
            for word in bytes[..length].chunks(8) {
                let mut padded = [0; 8];
                padded[..word.len()].copy_from_slice(word);
                state.word(u64::from_le_bytes(padded));
            }
            assert_eq!(hash64(7, &bytes[..length]), fold(state.0, FINISH), "{length}");
        }
    }

    #[test]
    fn integers_hash_by_value_whatever_their_width() {
        assert_eq!(stable_hash(&5u8).unwrap(), stable_hash(&5u64).unwrap());
        assert_eq!(stable_hash(&-5i8).unwrap(), stable_hash(&-5i64).unwrap());
    }

    #[test]
    fn a_float_key_is_refused() {
        assert!(stable_hash(&1.5f64).unwrap_err().to_string().contains("floating-point"));
    }

    #[test]
    fn the_high_bits_of_small_keys_are_spread_evenly() {
        let mut counts = [0u32; 64];
        for key in 0..64_000u64 {
            counts[(stable_hash(&key).unwrap() >> 58) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
