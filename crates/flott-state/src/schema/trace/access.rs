//! How an implementation gets at the parts of what it reads.

use std::any::type_name;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::super::Schema;
use super::node::{Content, EnumNode, Node, Retry};
use super::{Cut, Probe, Tracer, identify, show_fields};

/// What no variant of an enum is called.
const NO_VARIANT: u32 = u32::MAX;

/// A fixed number of values: the fields of a struct or a tuple.
pub(super) struct Fields<'a> {
    pub(super) tracer: &'a mut Tracer,
    pub(super) items: Option<&'a mut [Node]>,
    pub(super) depth: usize,
    pub(super) next: &'a mut usize,
    pub(super) length: usize,
}

impl<'de> SeqAccess<'de> for Fields<'_> {
    type Error = Cut;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Cut> {
        if *self.next == self.length {
            return Ok(None);
        }
        let node = self.items.as_deref_mut().and_then(|items| items.get_mut(*self.next));
        *self.next += 1;
        let probe = Probe { tracer: &mut *self.tracer, node, depth: self.depth + 1 };
        seed.deserialize(probe).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.length - *self.next)
    }
}

/// A field that is given twice.
pub(super) struct Twice<'a> {
    pub(super) tracer: &'a mut Tracer,
    pub(super) name: &'static str,
    pub(super) left: usize,
    pub(super) depth: usize,
}

impl<'de> MapAccess<'de> for Twice<'_> {
    type Error = Cut;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Cut> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let name: StrDeserializer<'_, Cut> = self.name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Cut> {
        seed.deserialize(Probe { tracer: &mut *self.tracer, node: None, depth: self.depth + 1 })
    }
}

/// A list: one element if that is still to be found out, else none.
pub(super) struct Elements<'a> {
    tracer: &'a mut Tracer,
    element: Option<&'a mut (Node, Retry)>,
    depth: usize,
}

impl<'a> Elements<'a> {
    pub(super) fn new(
        tracer: &'a mut Tracer,
        element: Option<&'a mut (Node, Retry)>,
        depth: usize,
    ) -> Self {
        let element = element.filter(|(node, retry)| !node.is_known() && retry.is_ready(tracer));
        Self { tracer, element, depth }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Cut;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Cut> {
        let Some((node, retry)) = self.element.take() else { return Ok(None) };
        visit(self.tracer, node, retry, self.depth, seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(usize::from(self.element.is_some()))
    }
}

/// A map: one entry if that is still to be found out, else none.
pub(super) struct Entries<'a> {
    tracer: &'a mut Tracer,
    entry: Option<&'a mut (Node, Node, Retry)>,
    keyed: bool,
    depth: usize,
}

impl<'a> Entries<'a> {
    pub(super) fn new(
        tracer: &'a mut Tracer,
        entry: Option<&'a mut (Node, Node, Retry)>,
        depth: usize,
    ) -> Self {
        let entry = entry.filter(|(key, value, retry)| {
            !(key.is_known() && value.is_known()) && retry.is_ready(tracer)
        });
        Self { tracer, entry, keyed: false, depth }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Cut;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Cut> {
        let Some((key, _, retry)) = self.entry.as_deref_mut().filter(|_| !self.keyed) else {
            return Ok(None);
        };
        self.keyed = true;
        visit(self.tracer, key, retry, self.depth, seed).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Cut> {
        let (_, value, retry) = self.entry.take().ok_or(Cut::Here)?;
        visit(self.tracer, value, retry, self.depth, seed)
    }
}

/// Visits a part that can be skipped, and gives it up if it fails too often.
fn visit<'de, S: DeserializeSeed<'de>>(
    tracer: &mut Tracer,
    node: &mut Node,
    retry: &mut Retry,
    depth: usize,
    seed: S,
) -> Result<S::Value, Cut> {
    let probe = Probe { tracer: &mut *tracer, node: Some(&mut *node), depth: depth + 1 };
    let value = seed.deserialize(probe);
    if value.is_err() && retry.failed(tracer) {
        *node = std::mem::take(node).give_up(type_name::<S::Value>());
    }
    value
}

/// Shows an enum: a variant that is still to be found out, else one that is known to work.
pub(super) fn visit_enum<'de, V: Visitor<'de>>(
    probe: Probe<'_>,
    full_name: &'static str,
    variants: usize,
    visitor: V,
) -> Result<V::Value, Cut> {
    let Probe { tracer, node, depth } = probe;
    let good = tracer.good.get(full_name).copied();
    let Some(node) = node else {
        let index = match good {
            Some(good) => good,
            None if tracer.stack.contains(&full_name) => return Err(Cut::Here),
            None => (tracer.sample % variants.max(1)) as u32,
        };
        let content = None;
        return visitor.visit_enum(Choice { tracer, content, index, depth, full_name });
    };
    let Node::Enum(_, EnumNode { variants: nodes, is_strict }) = node else {
        return Err(Cut::Here);
    };
    if !*is_strict {
        *is_strict = true;
        tracer.changed = true;
        let (content, index) = (None, NO_VARIANT);
        let choice = Choice { tracer: &mut *tracer, content, index, depth, full_name };
        let cut = visitor.visit_enum(choice).err().unwrap_or(Cut::Here);
        if std::mem::take(&mut tracer.takes_any_variant) {
            // Of its numbers, which are names' own and which are aliases' cannot be told.
            *node = std::mem::take(node).give_up(full_name);
        }
        return Err(cut);
    }
    let open = nodes.iter().enumerate().filter(|(_, variant)| !variant.content.is_known());
    let ready = open.clone().filter(|(_, variant)| variant.retry.is_ready(tracer));
    let fewest = |(_, variant): &(usize, &super::node::VariantNode)| variant.retry.tries();
    let chosen = match (ready.min_by_key(fewest), good) {
        (Some((index, _)), _) => index,
        (None, Some(good)) => good as usize,
        (None, None) => open.min_by_key(fewest).ok_or(Cut::Here)?.0,
    };
    let variant = nodes.get_mut(chosen).ok_or(Cut::Here)?;
    let index = chosen as u32;
    let content = Some(&mut variant.content);
    let value =
        visitor.visit_enum(Choice { tracer: &mut *tracer, content, index, depth, full_name });
    match value {
        Ok(_) => {
            tracer.good.entry(full_name).or_insert(index);
        }
        Err(_) if std::mem::take(&mut tracer.lacks_variant) => {
            // Which names are aliases cannot be told.
            *node =
                Node::Known(Schema::Opaque(format!("{full_name}, which has aliases of variants")));
            tracer.changed = true;
        }
        Err(_) => {
            if variant.retry.failed(tracer) {
                let name = format!("a variant of {full_name}");
                variant.content = Content::Tuple(vec![Node::Known(Schema::Opaque(name))]);
            }
        }
    }
    value
}

/// One variant, chosen.
struct Choice<'a> {
    tracer: &'a mut Tracer,
    content: Option<&'a mut Content>,
    index: u32,
    depth: usize,
    full_name: &'static str,
}

impl<'de> EnumAccess<'de> for Choice<'_> {
    type Error = Cut;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Cut> {
        match identify(seed, self.index) {
            Ok(_) if self.index == NO_VARIANT => {
                self.tracer.takes_any_variant = true;
                Err(Cut::Here)
            }
            Ok(value) => Ok((value, self)),
            Err(cut) => {
                self.tracer.lacks_variant = self.content.is_some();
                Err(cut)
            }
        }
    }
}

impl Choice<'_> {
    fn note(&mut self, content: impl FnOnce() -> Content) {
        if let Some(known) = self.content.as_deref_mut()
            && matches!(known, Content::Unknown)
        {
            *known = content();
            self.tracer.changed = true;
        }
    }

    fn fields<'de, V: Visitor<'de>>(mut self, length: usize, visitor: V) -> Result<V::Value, Cut> {
        let items = match self.content.as_deref_mut() {
            Some(Content::Tuple(items) | Content::Struct(_, items)) => Some(items),
            Some(_) | None => None,
        };
        let (value, read) =
            show_fields(self.tracer, items, self.depth, self.full_name, length, visitor)?;
        if let Some(content) = self.content.filter(|_| read < length) {
            // Which names are aliases cannot be told.
            let name = format!("a variant of {}, which has aliases of fields", self.full_name);
            let known = match std::mem::replace(content, Content::Unknown) {
                Content::Struct(fields, _) => {
                    Node::Known(Schema::Opaque(format!("{name}: {}", fields.join(", "))))
                }
                Content::Unknown | Content::Unit | Content::Tuple(_) => {
                    Node::Known(Schema::Opaque(name))
                }
            };
            *content = Content::Tuple(vec![known]);
        }
        Ok(value)
    }
}

impl<'de> VariantAccess<'de> for Choice<'_> {
    type Error = Cut;

    fn unit_variant(mut self) -> Result<(), Cut> {
        self.note(|| Content::Unit);
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<S::Value, Cut> {
        self.note(|| Content::Tuple(Node::unknown(1)));
        let node = match self.content {
            Some(Content::Tuple(items)) => items.first_mut(),
            Some(_) | None => None,
        };
        self.tracer.stack.push(self.full_name);
        let probe = Probe { tracer: &mut *self.tracer, node, depth: self.depth + 1 };
        let value = seed.deserialize(probe)?;
        self.tracer.stack.pop();
        Ok(value)
    }

    fn tuple_variant<V: Visitor<'de>>(
        mut self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Cut> {
        self.note(|| Content::Tuple(Node::unknown(length)));
        self.fields(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Cut> {
        self.note(|| Content::Struct(fields, Node::unknown(fields.len())));
        self.fields(fields.len(), visitor)
    }
}
