//! How a type gets at the parts of a stored value.

use flott_core::Error;
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::super::{Schema, Variant};
use super::{Outcome, Refused, Stored, corrupt};

pub(super) struct Elements<'p, 'de, 'r> {
    pub(super) stored: Stored<'p, 'de, 'r>,
    pub(super) element: &'p Schema,
    pub(super) left: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de, '_> {
    type Error = Refused;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Outcome<Option<S::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.stored.part(self.element, |element| seed.deserialize(element)).map(Some)
    }
}

pub(super) struct Items<'p, 'de, 'r> {
    pub(super) stored: Stored<'p, 'de, 'r>,
    pub(super) items: std::slice::Iter<'p, Schema>,
}

impl<'de> SeqAccess<'de> for Items<'_, 'de, '_> {
    type Error = Refused;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Outcome<Option<S::Value>> {
        let Some(item) = self.items.next() else { return Ok(None) };
        self.stored.part(item, |item| seed.deserialize(item)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

pub(super) struct Entries<'p, 'de, 'r> {
    pub(super) stored: Stored<'p, 'de, 'r>,
    pub(super) key: &'p Schema,
    pub(super) value: &'p Schema,
    pub(super) left: usize,
}

impl<'de> MapAccess<'de> for Entries<'_, 'de, '_> {
    type Error = Refused;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Outcome<Option<S::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.stored.part(self.key, |key| seed.deserialize(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Outcome<S::Value> {
        self.stored.part(self.value, |value| seed.deserialize(value))
    }
}

pub(super) struct Fields<'p, 'de, 'r> {
    pub(super) stored: Stored<'p, 'de, 'r>,
    pub(super) fields: std::slice::Iter<'p, (String, Schema)>,
    pub(super) value: Option<&'p Schema>,
}

impl<'de> MapAccess<'de> for Fields<'_, 'de, '_> {
    type Error = Refused;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Outcome<Option<S::Value>> {
        let Some((name, schema)) = self.fields.next() else { return Ok(None) };
        self.value = Some(schema);
        named(seed, name).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Outcome<S::Value> {
        let schema = self.value.take().ok_or_else(|| Refused(corrupt("a value without a name")))?;
        self.stored.part(schema, |value| seed.deserialize(value))
    }
}

pub(super) struct Chosen<'p, 'de, 'r> {
    pub(super) stored: Stored<'p, 'de, 'r>,
    pub(super) variants: &'p [(String, Variant)],
}

impl<'p, 'de, 'r> EnumAccess<'de> for Chosen<'p, 'de, 'r> {
    type Error = Refused;
    type Variant = Content<'p, 'de, 'r>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        mut self,
        seed: S,
    ) -> Outcome<(S::Value, Self::Variant)> {
        let (name, content) = self.stored.take_variant(self.variants)?;
        Ok((named(seed, name)?, Content { stored: self.stored, content }))
    }
}

pub(super) struct Content<'p, 'de, 'r> {
    stored: Stored<'p, 'de, 'r>,
    content: &'p Variant,
}

impl<'de> VariantAccess<'de> for Content<'_, 'de, '_> {
    type Error = Refused;

    fn unit_variant(self) -> Outcome<()> {
        match self.content {
            Variant::Unit => Ok(()),
            Variant::Tuple(_) | Variant::Struct(_) => Err(another_content()),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Outcome<S::Value> {
        match self.content {
            Variant::Tuple(items) if items.len() == 1 => {
                self.stored.part(&items[0], |item| seed.deserialize(item))
            }
            Variant::Unit | Variant::Tuple(_) | Variant::Struct(_) => Err(another_content()),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Outcome<V::Value> {
        match self.content {
            Variant::Tuple(items) => self.stored.show_items(items, visitor),
            Variant::Unit | Variant::Struct(_) => Err(another_content()),
        }
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Outcome<V::Value> {
        match self.content {
            Variant::Struct(fields) => self.stored.show_fields(fields, visitor),
            Variant::Unit | Variant::Tuple(_) => Err(another_content()),
        }
    }
}

fn another_content() -> Refused {
    Refused(Error::invalid("a variant holds another kind of content than was stored"))
}

/// Shows a name to a seed.
fn named<'de, S: DeserializeSeed<'de>>(seed: S, name: &str) -> Outcome<S::Value> {
    let name: StrDeserializer<'_, Refused> = name.into_deserializer();
    seed.deserialize(name)
}
