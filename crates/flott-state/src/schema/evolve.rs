//! Reads values that were stored in another shape.
//!
//! The bytes are read by the schema that was stored with them, and shown to the type's own `Deserialize`
//! implementation as a format that names fields and variants would. So the type decides by the means that
//! serde's users know: a field that is new has a default (`#[serde(default)]`, or it is an `Option`), one that
//! has another name an alias (`#[serde(alias = "…")]`), one that is gone is passed over, and the order does not
//! matter.

mod access;

use std::fmt;

use flott_core::codec::decode_prefix;
use flott_core::{Error, ErrorKind, Result};
use serde::Deserializer;
use serde::de::{self, DeserializeOwned, Visitor};

use super::difference::widens;
use super::text::print;
use super::{Schema, Variant};

use self::access::{Chosen, Elements, Entries, Fields, Items};

/// How deep values may nest: the stack of a thread must hold it.
const DEPTH_MAX: usize = 512;

/// Decodes a value that takes up all of `bytes`, which were written as `stored`.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] with what the type lacks, [`ErrorKind::Corrupt`] if the bytes are no value of
/// the stored shape.
pub(crate) fn decode_stored<T: DeserializeOwned>(stored: &Schema, bytes: &[u8]) -> Result<T> {
    Stored::whole(stored, bytes, |value| T::deserialize(value))
}

/// A part of a schema, and what it is inside.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    schema: &'a Schema,
    parent: Option<&'a Place<'a>>,
}

impl<'a> Place<'a> {
    /// The place of the enclosing type with this name.
    fn enclosing(&self, name: &str) -> Option<&Self> {
        let own = match self.schema {
            Schema::Struct(own, _) | Schema::Enum(own, _) | Schema::Tuple(Some(own), _) => {
                Some(own)
            }
            Schema::Primitive(_)
            | Schema::Option(_)
            | Schema::Sequence(_)
            | Schema::Map(..)
            | Schema::Tuple(None, _)
            | Schema::Recursive(_)
            | Schema::Opaque(_) => None,
        };
        if own.is_some_and(|own| own == name) { Some(self) } else { self.parent?.enclosing(name) }
    }

    fn described(&self, name: &str) -> Outcome<Self> {
        let found = self.enclosing(name).copied();
        let other = found.and_then(|found| found.parent).and_then(|parent| parent.enclosing(name));
        let found = found.filter(|_| other.is_none());
        found.ok_or_else(|| {
            let message = format!("which of the stored types {name} is meant is not known");
            Refused(Error::invalid(message))
        })
    }
}

/// The deserializer of one value.
pub(super) struct Stored<'p, 'de, 'r> {
    place: &'p Place<'p>,
    rest: &'r mut &'de [u8],
    depth: usize,
}

/// Why a value cannot be read.
#[derive(Debug)]
pub(super) struct Refused(Error);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Refused {}

impl de::Error for Refused {
    /// What the type says.
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(Error::invalid(message.to_string()))
    }
}

fn corrupt(message: &str) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

pub(super) type Outcome<T> = std::result::Result<T, Refused>;

impl<'p, 'de> Stored<'p, 'de, '_> {
    /// Reads the value in all of `bytes`.
    pub(super) fn whole<T>(
        schema: &Schema,
        bytes: &'de [u8],
        read: impl FnOnce(Stored<'_, 'de, '_>) -> Outcome<T>,
    ) -> Result<T> {
        let mut rest = bytes;
        let place = Place { schema, parent: None };
        let value = read(Stored { place: &place, rest: &mut rest, depth: 0 });
        let value = value.map_err(|Refused(error)| error)?;
        if rest.is_empty() { Ok(value) } else { Err(corrupt("bytes follow the value")) }
    }

    /// The shape of the value.
    pub(super) fn schema(&self) -> &'p Schema {
        self.place.schema
    }

    /// The value, as a type reads it.
    pub(super) fn read<T: DeserializeOwned>(self) -> Outcome<T> {
        T::deserialize(self)
    }

    /// The place of the enclosing type with this name.
    pub(super) fn described(&self, name: &str) -> Outcome<Place<'p>> {
        self.place.described(name)
    }

    /// The same bytes, at a place that has a name.
    pub(super) fn at<'s>(&'s mut self, place: &'s Place<'s>) -> Outcome<Stored<'s, 'de, 's>> {
        self.deeper()?;
        Ok(Stored { place, rest: self.rest, depth: self.depth + 1 })
    }

    pub(super) fn take<T: DeserializeOwned>(&mut self) -> Outcome<T> {
        let (value, rest) = decode_prefix::<T>(self.rest).map_err(Refused)?;
        *self.rest = rest;
        Ok(value)
    }

    pub(super) fn take_length(&mut self) -> Outcome<usize> {
        let length = usize::try_from(self.take::<u64>()?).ok();
        length.ok_or_else(|| Refused(corrupt("a length is too large")))
    }

    pub(super) fn take_bytes(&mut self) -> Outcome<&'de [u8]> {
        let length = self.take_length()?;
        let split = self.rest.split_at_checked(length);
        let (bytes, rest) = split.ok_or_else(|| Refused(corrupt("the bytes end too early")))?;
        *self.rest = rest;
        Ok(bytes)
    }

    /// Shows a part of this value to `body`.
    pub(super) fn part<R>(
        &mut self,
        schema: &Schema,
        body: impl FnOnce(Stored<'_, 'de, '_>) -> Outcome<R>,
    ) -> Outcome<R> {
        self.deeper()?;
        let place = Place { schema, parent: Some(self.place) };
        body(Stored { place: &place, rest: self.rest, depth: self.depth + 1 })
    }

    fn deeper(&self) -> Outcome<()> {
        if self.depth < DEPTH_MAX {
            return Ok(());
        }
        Err(Refused(Error::invalid(format!(
            "the value is nested more than {DEPTH_MAX} deep, which only its own type can read"
        ))))
    }

    pub(super) fn take_variant(
        &mut self,
        variants: &'p [(String, Variant)],
    ) -> Outcome<&'p (String, Variant)> {
        let index = self.take::<u32>()? as usize;
        variants.get(index).ok_or_else(|| Refused(corrupt("there is no such variant")))
    }

    fn show_items<V: Visitor<'de>>(self, items: &[Schema], visitor: V) -> Outcome<V::Value> {
        let mut items = Items { stored: self, items: items.iter() };
        let value = visitor.visit_seq(&mut items)?;
        used_up(items.items.len())?;
        Ok(value)
    }

    fn show_fields<V: Visitor<'de>>(
        self,
        fields: &[(String, Schema)],
        visitor: V,
    ) -> Outcome<V::Value> {
        let mut fields = Fields { stored: self, fields: fields.iter(), value: None };
        let value = visitor.visit_map(&mut fields)?;
        used_up(fields.fields.len())?;
        Ok(value)
    }

    /// Shows the value if its shape is one that is asked for. Most are compared before anything is read
    /// ([`super::difference::can_become`]); but not those of fields that are found by an alias.
    fn show_if<V: Visitor<'de>>(
        self,
        asked: &str,
        is_it: impl FnOnce(&Schema) -> bool,
        visitor: V,
    ) -> Outcome<V::Value> {
        let mut schema = self.place.schema;
        if let Schema::Recursive(name) = schema {
            schema = self.described(name)?.schema;
        }
        if is_it(schema) {
            return self.deserialize_any(visitor);
        }
        Err(Refused(Error::invalid(format!("a value was {}, is {asked}", print(schema)))))
    }

    fn show_primitive<V: Visitor<'de>>(self, asked: &str, visitor: V) -> Outcome<V::Value> {
        let is_it = |stored: &Schema| {
            let Schema::Primitive(stored) = stored else { return false };
            *stored == asked || widens(stored, asked)
        };
        self.show_if(asked, is_it, visitor)
    }

    /// Passes over the value.
    fn skip(mut self) -> Outcome<()> {
        match self.place.schema {
            Schema::Option(inner) => match self.take::<bool>()? {
                false => Ok(()),
                true => self.part(inner, |part| part.skip()),
            },
            Schema::Sequence(element) => {
                let count = self.take_length()?;
                (0..count).try_for_each(|_| self.part(element, |part| part.skip()))
            }
            Schema::Map(key, value) => {
                let count = self.take_length()?;
                (0..count).try_for_each(|_| {
                    self.part(key, |part| part.skip())?;
                    self.part(value, |part| part.skip())
                })
            }
            Schema::Tuple(_, items) => self.skip_all(items.iter()),
            Schema::Struct(_, fields) => self.skip_all(fields.iter().map(|(_, field)| field)),
            Schema::Enum(_, variants) => match &self.take_variant(variants)?.1 {
                Variant::Unit => Ok(()),
                Variant::Tuple(items) => self.skip_all(items.iter()),
                Variant::Struct(fields) => self.skip_all(fields.iter().map(|(_, field)| field)),
            },
            Schema::Recursive(name) => {
                let place = self.described(name)?;
                self.at(&place)?.skip()
            }
            Schema::Primitive(_) | Schema::Opaque(_) => {
                self.deserialize_any(de::IgnoredAny).map(drop)
            }
        }
    }

    fn skip_all<'s>(&mut self, mut parts: impl Iterator<Item = &'s Schema>) -> Outcome<()> {
        parts.try_for_each(|part| self.part(part, |part| part.skip()))
    }

    fn primitive<V: Visitor<'de>>(mut self, name: &str, visitor: V) -> Outcome<V::Value> {
        match name {
            "bool" => visitor.visit_bool(self.take()?),
            "i8" => visitor.visit_i8(self.take()?),
            "i16" => visitor.visit_i16(self.take()?),
            "i32" => visitor.visit_i32(self.take()?),
            "i64" => visitor.visit_i64(self.take()?),
            "i128" => visitor.visit_i128(self.take()?),
            "u8" => visitor.visit_u8(self.take()?),
            "u16" => visitor.visit_u16(self.take()?),
            "u32" => visitor.visit_u32(self.take()?),
            "u64" => visitor.visit_u64(self.take()?),
            "u128" => visitor.visit_u128(self.take()?),
            "f32" => visitor.visit_f32(self.take()?),
            "f64" => visitor.visit_f64(self.take()?),
            "char" => visitor.visit_char(self.take()?),
            "String" => visitor.visit_string(self.take()?),
            "Bytes" => visitor.visit_borrowed_bytes(self.take_bytes()?),
            "()" => visitor.visit_unit(),
            other => Err(Refused(corrupt(&format!("there is no type {other}")))),
        }
    }
}

macro_rules! primitives {
    ($($method:ident($asked:literal)),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
            self.show_primitive($asked, visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Stored<'_, 'de, '_> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Outcome<V::Value> {
        match self.place.schema {
            Schema::Primitive(name) => self.primitive(name, visitor),
            Schema::Option(_) => self.deserialize_option(visitor),
            Schema::Sequence(element) => {
                let left = self.take_length()?;
                let mut elements = Elements { stored: self, element, left };
                let value = visitor.visit_seq(&mut elements)?;
                used_up(elements.left)?;
                Ok(value)
            }
            Schema::Map(key, value) => {
                let left = self.take_length()?;
                let mut entries = Entries { stored: self, key, value, left };
                let value = visitor.visit_map(&mut entries)?;
                used_up(entries.left)?;
                Ok(value)
            }
            Schema::Tuple(_, items) => self.show_items(items, visitor),
            Schema::Struct(_, fields) => self.show_fields(fields, visitor),
            Schema::Enum(_, variants) => visitor.visit_enum(Chosen { stored: self, variants }),
            Schema::Recursive(name) => {
                let place = self.described(name)?;
                self.at(&place)?.deserialize_any(visitor)
            }
            Schema::Opaque(name) => Err(Refused(Error::invalid(format!(
                "the stored type {name} does not show its shape"
            )))),
        }
    }

    /// What was no option is one now.
    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Outcome<V::Value> {
        let Schema::Option(inner) = self.place.schema else { return visitor.visit_some(self) };
        match self.take::<u8>()? {
            0 => visitor.visit_none(),
            1 => self.part(inner, |inner| visitor.visit_some(inner)),
            _ => Err(Refused(corrupt("an option is neither there nor not"))),
        }
    }

    /// The bytes do not show it.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Outcome<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    primitives!(
        deserialize_bool("bool"),
        deserialize_char("char"),
        deserialize_str("String"),
        deserialize_string("String"),
        deserialize_bytes("Bytes"),
        deserialize_byte_buf("Bytes"),
        deserialize_unit("()"),
        deserialize_i8("i8"),
        deserialize_i16("i16"),
        deserialize_i32("i32"),
        deserialize_i64("i64"),
        deserialize_i128("i128"),
        deserialize_u8("u8"),
        deserialize_u16("u16"),
        deserialize_u32("u32"),
        deserialize_u64("u64"),
        deserialize_u128("u128"),
        deserialize_f32("f32"),
        deserialize_f64("f64")
    );

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Outcome<V::Value> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
        self.show_if("a list", |stored| matches!(stored, Schema::Sequence(_)), visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
        self.show_if("a map", |stored| matches!(stored, Schema::Map(..)), visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Outcome<V::Value> {
        let asked = format!("a tuple of {length}");
        let is_it =
            |stored: &Schema| matches!(stored, Schema::Tuple(_, items) if items.len() == length);
        self.show_if(&asked, is_it, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Outcome<V::Value> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Outcome<V::Value> {
        self.show_if(name, |stored| matches!(stored, Schema::Struct(..)), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Outcome<V::Value> {
        self.show_if(name, |stored| matches!(stored, Schema::Enum(..)), visitor)
    }

    /// Names are not read here.
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
        self.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
        self.skip()?;
        visitor.visit_unit()
    }
}

/// A type that takes less than there is would take the rest for something else.
fn used_up(left: usize) -> Outcome<()> {
    if left == 0 {
        return Ok(());
    }
    Err(Refused(Error::invalid(format!(
        "{left} parts of a value are left that the type does not take"
    ))))
}
