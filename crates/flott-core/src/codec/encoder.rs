//! Postcard's format, written for many small values: a number costs one branch and one store, whatever its length.
//! Decoding is postcard's own; a property test holds both together.

use std::fmt::{self, Write as _};

use serde::ser::{self, Serialize};

/// Why a value could not be encoded.
#[derive(Debug)]
pub(super) struct EncodeError(String);

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EncodeError {}

impl ser::Error for EncodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

type Result<T = ()> = std::result::Result<T, EncodeError>;

/// Appends to a buffer.
pub(super) struct Encoder<'a>(pub(super) &'a mut Vec<u8>);

/// Numbers below this fit into eight bytes of seven bits each.
const EIGHT_BYTES: u64 = 1 << 56;

/// Appends a number in groups of seven bits, the lowest first; in each byte but the last the highest bit is set.
#[inline]
pub(super) fn append_number(out: &mut Vec<u8>, number: u64) {
    if number < 0x80 {
        out.push(number as u8);
    } else if number < EIGHT_BYTES {
        // Seven bits into each byte: halves, quarters and eighths move apart.
        let halves = (number & 0x0fff_ffff) | ((number & 0x00ff_ffff_f000_0000) << 4);
        let quarters = (halves & 0x0000_3fff_0000_3fff) | ((halves & 0x0fff_c000_0fff_c000) << 2);
        let eighths =
            (quarters & 0x007f_007f_007f_007f) | ((quarters & 0x3f80_3f80_3f80_3f80) << 1);
        let last = (63 - eighths.leading_zeros()) & !7;
        let goes_on = 0x8080_8080_8080_8080 & ((1 << last) - 1);
        let length = out.len() + last as usize / 8 + 1;
        out.extend_from_slice(&(eighths | goes_on).to_le_bytes());
        out.truncate(length);
    } else {
        append_large(out, u128::from(number));
    }
}

#[cold]
fn append_large(out: &mut Vec<u8>, mut number: u128) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

impl Encoder<'_> {
    #[inline]
    fn length(&mut self, length: Option<usize>) -> Result {
        let Some(length) = length else {
            return Err(EncodeError(
                "the number of elements must be known before the first".into(),
            ));
        };
        append_number(self.0, length as u64);
        Ok(())
    }
}

macro_rules! unsigned {
    ($($method:ident($ty:ty)),*) => {
        $(#[inline]
        fn $method(self, value: $ty) -> Result {
            append_number(self.0, u64::from(value));
            Ok(())
        })*
    };
}

/// Zigzag: numbers near zero are short, also negative ones.
macro_rules! signed {
    ($($method:ident($ty:ty)),*) => {
        $(#[inline]
        fn $method(self, value: $ty) -> Result {
            let value = i64::from(value);
            append_number(self.0, ((value << 1) ^ (value >> 63)) as u64);
            Ok(())
        })*
    };
}

impl<'e, 'a> ser::Serializer for &'e mut Encoder<'a> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    unsigned!(serialize_u16(u16), serialize_u32(u32), serialize_u64(u64));
    signed!(serialize_i16(i16), serialize_i32(i32), serialize_i64(i64));

    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Result {
        self.serialize_u8(u8::from(value))
    }

    #[inline]
    fn serialize_u8(self, value: u8) -> Result {
        self.0.push(value);
        Ok(())
    }

    #[inline]
    fn serialize_i8(self, value: i8) -> Result {
        self.serialize_u8(value as u8)
    }

    fn serialize_u128(self, value: u128) -> Result {
        append_large(self.0, value);
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result {
        self.serialize_u128(((value << 1) ^ (value >> 127)) as u128)
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result {
        self.0.extend_from_slice(&value.to_bits().to_le_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result {
        self.0.extend_from_slice(&value.to_bits().to_le_bytes());
        Ok(())
    }

    /// An error, where the way of the trait panics.
    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result {
        let mut text = String::new();
        let shown = write!(text, "{value}");
        shown.map_err(|_| EncodeError("a value that is to be text cannot be shown".into()))?;
        self.serialize_str(&text)
    }

    fn serialize_char(self, value: char) -> Result {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result {
        self.serialize_bytes(value.as_bytes())
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Result {
        append_number(self.0, value.len() as u64);
        self.0.extend_from_slice(value);
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Result {
        self.serialize_u8(0)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        self.0.push(1);
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result {
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result {
        Ok(())
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Result {
        self.serialize_u32(index)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result {
        append_number(self.0, u64::from(index));
        value.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, length: Option<usize>) -> Result<Self> {
        self.length(length)?;
        Ok(self)
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Self> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self> {
        append_number(self.0, u64::from(index));
        Ok(self)
    }

    #[inline]
    fn serialize_map(self, length: Option<usize>) -> Result<Self> {
        self.length(length)?;
        Ok(self)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self> {
        Ok(self)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self> {
        append_number(self.0, u64::from(index));
        Ok(self)
    }
}

/// What has parts is its parts, one after the other.
macro_rules! parts {
    ($($kind:ident: $method:ident($($name:ty)?)),*) => {
        $(impl ser::$kind for &mut Encoder<'_> {
            type Ok = ();
            type Error = EncodeError;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, $(_: $name,)? value: &T) -> Result {
                value.serialize(&mut **self)
            }

            #[inline]
            fn end(self) -> Result {
                Ok(())
            }
        })*
    };
}

parts! {
    SerializeSeq: serialize_element(),
    SerializeTuple: serialize_element(),
    SerializeTupleStruct: serialize_field(),
    SerializeTupleVariant: serialize_field(),
    SerializeStruct: serialize_field(&'static str),
    SerializeStructVariant: serialize_field(&'static str)
}

impl ser::SerializeMap for &mut Encoder<'_> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result {
        key.serialize(&mut **self)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        value.serialize(&mut **self)
    }

    #[inline]
    fn end(self) -> Result {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Unit,
        New(i128),
        Tuple(u16, Option<f32>),
        Struct { map: BTreeMap<String, i64>, list: Vec<(bool, i8, i16, i32)> },
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct All {
        numbers: (u8, u16, u32, u64, u128),
        texts: (String, char, Vec<u8>),
        float: f64,
        unit: (),
        shapes: Vec<Shape>,
    }

    fn encoded(value: &impl Serialize) -> Vec<u8> {
        let mut out = Vec::new();
        value.serialize(&mut Encoder(&mut out)).unwrap();
        out
    }

    fn shape() -> impl Strategy<Value = Shape> {
        let list = proptest::collection::vec(any::<(bool, i8, i16, i32)>(), 0..4);
        let map = proptest::collection::btree_map(any::<String>(), any::<i64>(), 0..4);
        prop_oneof![
            Just(Shape::Unit),
            any::<i128>().prop_map(Shape::New),
            (any::<u16>(), proptest::option::of(any::<u32>()))
                .prop_map(|(a, b)| Shape::Tuple(a, b.map(|bits| bits as f32))),
            (map, list).prop_map(|(map, list)| Shape::Struct { map, list }),
        ]
    }

    proptest! {
        #[test]
        fn it_is_postcard(
            numbers: (u8, u16, u32, u64, u128),
            texts: (String, char, Vec<u8>),
            float in -1e9f64..1e9,
            shapes in proptest::collection::vec(shape(), 0..4),
        ) {
            let all = All { numbers, texts, float, unit: (), shapes };
            prop_assert_eq!(encoded(&all), postcard::to_stdvec(&all).unwrap());
        }

        #[test]
        fn numbers_of_every_length_are_postcards(number: u64, shift in 0u32..64) {
            let number = number >> shift;
            prop_assert_eq!(encoded(&number), postcard::to_stdvec(&number).unwrap());
            prop_assert_eq!(encoded(&(number as i64)), postcard::to_stdvec(&(number as i64)).unwrap());
        }
    }

    #[test]
    fn numbers_where_the_length_changes_are_postcards() {
        let around = (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        for number in around.chain([u64::MAX]) {
            assert_eq!(encoded(&number), postcard::to_stdvec(&number).unwrap(), "{number}");
        }
    }

    #[test]
    fn what_is_shown_as_text_is_text_or_an_error() {
        struct Shown(Option<&'static str>);
        impl fmt::Display for Shown {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0.ok_or(fmt::Error)?)
            }
        }
        impl Serialize for Shown {
            fn serialize<S: ser::Serializer>(
                &self,
                serializer: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        assert_eq!(encoded(&Shown(Some("word"))), postcard::to_stdvec("word").unwrap());
        let refused = Shown(None).serialize(&mut Encoder(&mut Vec::new())).unwrap_err();
        assert!(refused.to_string().contains("cannot be shown"));
    }

    #[test]
    fn a_list_of_unknown_length_is_refused() {
        struct Endless;
        impl Serialize for Endless {
            fn serialize<S: ser::Serializer>(
                &self,
                serializer: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                serializer.serialize_seq(None).and_then(ser::SerializeSeq::end)
            }
        }
        let refused = Endless.serialize(&mut Encoder(&mut Vec::new())).unwrap_err();
        assert!(refused.to_string().contains("must be known"));
    }
}
