//! The way back from a value that anybody can look at to the bytes, and the hash, that its type would give.

use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeTuple, SerializeTupleVariant, Serializer,
};

use super::{Schema, Shown, Variant};

/// A value of the type that a schema describes: serialized, it is what that type's would be, but for names, which
/// neither the codec nor the stable hash look at.
///
/// # Errors
/// On serialization, if the value is none of that type, or if the type is recursive, not known, or an option of an
/// option: of these a shown value does not say enough.
#[derive(Clone, Copy, Debug)]
pub struct Typed<'a> {
    /// The shape of the type.
    pub schema: &'a Schema,
    /// The value.
    pub value: &'a Shown,
}

impl<'a> Typed<'a> {
    fn part(schema: &'a Schema, value: &'a Shown) -> Self {
        Self { schema, value }
    }

    fn primitive<S: Serializer>(&self, name: &str, serializer: S) -> Result<S::Ok, S::Error> {
        match (name, self.value) {
            ("()", Shown::Null) => serializer.serialize_unit(),
            ("bool", Shown::Bool(value)) => serializer.serialize_bool(*value),
            ("i8", number) => serializer.serialize_i8(whole(number)?),
            ("i16", number) => serializer.serialize_i16(whole(number)?),
            ("i32", number) => serializer.serialize_i32(whole(number)?),
            ("i64", number) => serializer.serialize_i64(whole(number)?),
            ("i128", number) => serializer.serialize_i128(whole(number)?),
            ("u8", number) => serializer.serialize_u8(whole(number)?),
            ("u16", number) => serializer.serialize_u16(whole(number)?),
            ("u32", number) => serializer.serialize_u32(whole(number)?),
            ("u64", number) => serializer.serialize_u64(whole(number)?),
            ("u128", number) => serializer.serialize_u128(whole(number)?),
            ("f32", Shown::Float(value)) => serializer.serialize_f32(*value as f32),
            ("f64", Shown::Float(value)) => serializer.serialize_f64(*value),
            ("String", Shown::Text(text)) => serializer.serialize_str(text),
            ("char", Shown::Text(text)) => {
                let mut letters = text.chars();
                match (letters.next(), letters.next()) {
                    (Some(letter), None) => serializer.serialize_char(letter),
                    _ => Err(Error::custom(format!("{text:?} is not one character"))),
                }
            }
            ("Bytes", Shown::List(bytes)) => {
                let bytes: Result<Vec<u8>, S::Error> = bytes.iter().map(whole).collect();
                serializer.serialize_bytes(&bytes?)
            }
            (name, value) => Err(Error::custom(format!("{value:?} is no {name}"))),
        }
    }

    fn variant<S: Serializer>(
        &self,
        variants: &'a [(String, Variant)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let (name, content) = match self.value {
            Shown::Text(name) => (name, None),
            Shown::Map(entries) => match entries.as_slice() {
                [(Shown::Text(name), content)] => (name, Some(content)),
                _ => return Err(self.wrong()),
            },
            Shown::Null
            | Shown::Bool(_)
            | Shown::Signed(_)
            | Shown::Unsigned(_)
            | Shown::Float(_)
            | Shown::List(_) => return Err(self.wrong()),
        };
        let index = variants.iter().position(|(own, _)| own == name).ok_or_else(|| self.wrong())?;
        let number = u32::try_from(index).map_err(Error::custom)?;
        match (&variants[index].1, content) {
            (Variant::Unit, None) => serializer.serialize_unit_variant("", number, ""),
            (Variant::Tuple(items), Some(content)) if items.len() == 1 => {
                let content = Self::part(&items[0], content);
                serializer.serialize_newtype_variant("", number, "", &content)
            }
            (Variant::Tuple(items), Some(Shown::List(values))) if items.len() == values.len() => {
                let parts = items.iter().zip(values);
                fields(serializer, number, parts.map(|(item, value)| Self::part(item, value)))
            }
            (Variant::Struct(items), Some(Shown::Map(values))) => {
                fields(serializer, number, self.members(items, values)?.into_iter())
            }
            _ => Err(self.wrong()),
        }
    }

    /// The fields of a struct, in its order.
    fn members<E: Error>(
        &self,
        fields: &'a [(String, Schema)],
        values: &'a [(Shown, Shown)],
    ) -> Result<Vec<Self>, E> {
        if fields.len() != values.len() {
            return Err(self.wrong());
        }
        let member = |(name, schema): &'a (String, Schema)| {
            let is_it = |(own, _): &&(Shown, Shown)| *own == Shown::Text(name.clone());
            let (_, value) = values.iter().find(is_it).ok_or_else(|| self.wrong())?;
            Ok(Self::part(schema, value))
        };
        fields.iter().map(member).collect()
    }

    #[cold]
    fn wrong<E: Error>(&self) -> E {
        E::custom(format!("{:?} is no {}", self.value, self.schema.to_text().0))
    }
}

impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.schema, self.value) {
            (Schema::Primitive(name), _) => self.primitive(name, serializer),
            (Schema::Option(inner), _) if matches!(**inner, Schema::Option(_)) => Err(self.wrong()),
            (Schema::Option(_), Shown::Null) => serializer.serialize_none(),
            (Schema::Option(inner), value) => serializer.serialize_some(&Self::part(inner, value)),
            (Schema::Sequence(element), Shown::List(values)) => {
                let mut all = serializer.serialize_seq(Some(values.len()))?;
                values.iter().try_for_each(|v| all.serialize_element(&Self::part(element, v)))?;
                all.end()
            }
            (Schema::Map(key, value), Shown::Map(entries)) => {
                let mut all = serializer.serialize_map(Some(entries.len()))?;
                for (own, its) in entries {
                    all.serialize_entry(&Self::part(key, own), &Self::part(value, its))?;
                }
                all.end()
            }
            (Schema::Tuple(_, items), Shown::List(values)) if items.len() == values.len() => {
                let parts = items.iter().zip(values);
                tuple(serializer, parts.map(|(item, value)| Self::part(item, value)))
            }
            (Schema::Struct(_, fields), Shown::Map(values)) => {
                tuple(serializer, self.members(fields, values)?.into_iter())
            }
            (Schema::Enum(_, variants), _) => self.variant(variants, serializer),
            (
                Schema::Sequence(_)
                | Schema::Map(..)
                | Schema::Tuple(..)
                | Schema::Struct(..)
                | Schema::Recursive(_)
                | Schema::Opaque(_),
                _,
            ) => Err(self.wrong()),
        }
    }
}

fn tuple<'a, S: Serializer>(
    serializer: S,
    mut parts: impl ExactSizeIterator<Item = Typed<'a>>,
) -> Result<S::Ok, S::Error> {
    let mut all = serializer.serialize_tuple(parts.len())?;
    parts.try_for_each(|part| all.serialize_element(&part))?;
    all.end()
}

fn fields<'a, S: Serializer>(
    serializer: S,
    number: u32,
    mut parts: impl ExactSizeIterator<Item = Typed<'a>>,
) -> Result<S::Ok, S::Error> {
    let mut all = serializer.serialize_tuple_variant("", number, "", parts.len())?;
    parts.try_for_each(|part| all.serialize_field(&part))?;
    all.end()
}

fn whole<T: TryFrom<i128> + TryFrom<u128>, E: Error>(number: &Shown) -> Result<T, E> {
    let found = match number {
        Shown::Signed(number) => T::try_from(*number).ok(),
        Shown::Unsigned(number) => T::try_from(*number).ok(),
        Shown::Null
        | Shown::Bool(_)
        | Shown::Float(_)
        | Shown::Text(_)
        | Shown::List(_)
        | Shown::Map(_) => None,
    };
    found.ok_or_else(|| E::custom(format!("{number:?} is no such number")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flott_core::codec::{decode, encode};
    use flott_core::hash::stable_hash;
    use proptest::prelude::*;
    use serde::de::DeserializeOwned;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::schema::show;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Id(u32);

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Key {
        Nobody,
        Person(Id),
        Place(i16, String),
        Device { serial: u128, port: Option<u8>, is_new: bool },
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct All {
        key: Key,
        names: Vec<(char, i64)>,
        counts: BTreeMap<String, i8>,
        unit: (),
    }

    fn key() -> impl Strategy<Value = Key> {
        prop_oneof![
            Just(Key::Nobody),
            any::<u32>().prop_map(|id| Key::Person(Id(id))),
            (any::<i16>(), ".{0,6}").prop_map(|(a, b)| Key::Place(a, b)),
            (any::<u128>(), any::<Option<u8>>(), any::<bool>())
                .prop_map(|(serial, port, is_new)| Key::Device { serial, port, is_new }),
        ]
    }

    fn all() -> impl Strategy<Value = All> {
        let names = proptest::collection::vec(any::<(char, i64)>(), 0..4);
        let counts = proptest::collection::btree_map(".{0,3}", any::<i8>(), 0..4);
        (key(), names, counts).prop_map(|(key, names, counts)| All { key, names, counts, unit: () })
    }

    /// Shown, and back: the same bytes, and the same hash.
    fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
        let schema = Schema::of::<T>();
        let bytes = encode(value).unwrap();
        let shown = show(&schema, &bytes).unwrap();
        let typed = Typed { schema: &schema, value: &shown };
        assert_eq!(encode(&typed).unwrap(), bytes);
        assert_eq!(stable_hash(&typed).unwrap(), stable_hash(value).unwrap());
        assert_eq!(decode::<T>(&encode(&typed).unwrap()).unwrap(), *value);
    }

    proptest! {
        #[test]
        fn a_shown_value_has_the_bytes_and_the_hash_of_its_type(value in all()) {
            check(&value);
        }
    }

    #[test]
    fn keys_as_they_are_common_go_both_ways() {
        check(&7u64);
        check(&-7i32);
        check(&"hello".to_owned());
        check(&("hello".to_owned(), 7u8, Some(Id(3))));
    }

    #[test]
    fn a_value_of_another_type_is_refused() {
        // The codec does not say what a value says of itself.
        let refused = |schema: &Schema, value: &Shown| {
            assert!(encode(&Typed { schema, value }).is_err());
            stable_hash(&Typed { schema, value }).unwrap_err().to_string()
        };
        let error = refused(&Schema::Primitive("u8"), &Shown::Unsigned(300));
        assert!(error.contains("Unsigned(300) is no such number"), "{error}");
        refused(&Schema::Primitive("u64"), &Shown::Signed(-1));
        refused(&Schema::of::<(u8, u8)>(), &Shown::List(vec![Shown::Unsigned(1)]));
        refused(&Schema::of::<Key>(), &Shown::Text("Person".into()));
        refused(&Schema::of::<Option<Option<u8>>>(), &Shown::Null);
    }
}
