//! Stored values as anybody can look at them, without the types of the job.

use serde::de::IgnoredAny;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::evolve::{Outcome, Place, Stored};
use super::{Schema, Variant};

/// A stored value. It is serialized as JSON would have it: structs and maps as objects, an enum's variant as its
/// name, or as an object with its name and content.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// Nothing: the unit, or an option that is not there.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number below zero, or of a signed type.
    Signed(i128),
    /// A number of an unsigned type.
    Unsigned(u128),
    /// A floating-point number.
    Float(f64),
    /// Text.
    Text(String),
    /// Any number of values: a list, a tuple, bytes.
    List(Vec<Shown>),
    /// Names or keys with their values, in order.
    Map(Vec<(Shown, Shown)>),
}

impl Shown {
    /// As the key of an object.
    fn to_key(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Signed(number) => number.to_string(),
            Self::Unsigned(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::to_key).collect();
                format!("({})", items.join(", "))
            }
            Self::Map(entries) => {
                let entries = entries.iter();
                let entries: Vec<String> = entries
                    .map(|(key, value)| format!("{}: {}", key.to_key(), value.to_key()))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Signed(number) => match i64::try_from(*number) {
                Ok(number) => serializer.serialize_i64(number),
                // JSON's readers know no greater numbers.
                Err(_) => serializer.collect_str(number),
            },
            Self::Unsigned(number) => match u64::try_from(*number) {
                Ok(number) => serializer.serialize_u64(number),
                Err(_) => serializer.collect_str(number),
            },
            Self::Float(number) if number.is_finite() => serializer.serialize_f64(*number),
            Self::Float(number) => serializer.collect_str(number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(&key.to_key(), value)?;
                }
                map.end()
            }
        }
    }
}

/// The value in all of `bytes`, which were written as `schema`.
///
/// # Errors
/// [`flott_core::ErrorKind::Corrupt`] if the bytes are no such value,
/// [`flott_core::ErrorKind::InvalidInput`] if the schema does not say what they are.
pub fn show(schema: &Schema, bytes: &[u8]) -> flott_core::Result<Shown> {
    Stored::whole(schema, bytes, |stored| shown(stored))
}

fn shown(mut stored: Stored<'_, '_, '_>) -> Outcome<Shown> {
    Ok(match stored.schema() {
        Schema::Primitive(name) => primitive(stored, name)?,
        Schema::Option(inner) => match stored.take::<bool>()? {
            false => Shown::Null,
            true => stored.part(inner, shown_part)?,
        },
        Schema::Sequence(element) => {
            let count = stored.take_length()?;
            let items = (0..count).map(|_| stored.part(element, shown_part));
            Shown::List(items.collect::<Outcome<_>>()?)
        }
        Schema::Map(key, value) => {
            let count = stored.take_length()?;
            let entries = (0..count).map(|_| {
                let key = stored.part(key, shown_part)?;
                Ok((key, stored.part(value, shown_part)?))
            });
            Shown::Map(entries.collect::<Outcome<_>>()?)
        }
        Schema::Tuple(_, items) => tuple(&mut stored, items)?,
        Schema::Struct(_, fields) => structure(&mut stored, fields)?,
        Schema::Enum(_, variants) => {
            let (name, content) = stored.take_variant(variants)?;
            let name = Shown::Text(name.clone());
            let content = match content {
                Variant::Unit => return Ok(name),
                Variant::Tuple(items) if items.len() == 1 => stored.part(&items[0], shown_part)?,
                Variant::Tuple(items) => tuple(&mut stored, items)?,
                Variant::Struct(fields) => structure(&mut stored, fields)?,
            };
            Shown::Map(vec![(name, content)])
        }
        Schema::Recursive(name) => {
            let place: Place<'_> = stored.described(name)?;
            shown(stored.at(&place)?)?
        }
        // Refused, with the name of the type.
        Schema::Opaque(_) => {
            stored.read::<IgnoredAny>()?;
            Shown::Null
        }
    })
}

fn shown_part(stored: Stored<'_, '_, '_>) -> Outcome<Shown> {
    shown(stored)
}

fn tuple(stored: &mut Stored<'_, '_, '_>, items: &[Schema]) -> Outcome<Shown> {
    let items = items.iter().map(|item| stored.part(item, shown_part));
    Ok(Shown::List(items.collect::<Outcome<_>>()?))
}

fn structure(stored: &mut Stored<'_, '_, '_>, fields: &[(String, Schema)]) -> Outcome<Shown> {
    let fields = fields
        .iter()
        .map(|(name, field)| Ok((Shown::Text(name.clone()), stored.part(field, shown_part)?)));
    Ok(Shown::Map(fields.collect::<Outcome<_>>()?))
}

fn primitive(mut stored: Stored<'_, '_, '_>, name: &str) -> Outcome<Shown> {
    Ok(match name {
        "bool" => Shown::Bool(stored.take()?),
        "i8" => Shown::Signed(stored.take::<i8>()?.into()),
        "u8" => Shown::Unsigned(stored.take::<u8>()?.into()),
        "i16" | "i32" | "i64" | "i128" => Shown::Signed(stored.take()?),
        "u16" | "u32" | "u64" | "u128" => Shown::Unsigned(stored.take()?),
        "f32" => Shown::Float(stored.take::<f32>()?.into()),
        "f64" => Shown::Float(stored.take()?),
        "char" | "String" => Shown::Text(stored.take()?),
        "Bytes" => {
            let bytes = stored.take_bytes()?.iter();
            Shown::List(bytes.map(|byte| Shown::Unsigned((*byte).into())).collect())
        }
        _ => {
            stored.read::<IgnoredAny>()?;
            Shown::Null
        }
    })
}
