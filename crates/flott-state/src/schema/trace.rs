//! Finds the shape of a type by running its `Deserialize` implementation on invented values.
//!
//! The implementation asks for what it needs ("a struct with these fields", "an i64"); the tracer
//! notes what was asked and makes something up. One pass sees one variant of each enum, so there
//! are many: each goes where something is still unknown, and takes the shortest way (`None`, an
//! empty list, a variant that worked) past what is known. A place that fails again and again is
//! left out as opaque. Everything is bounded, and nothing depends on chance.

mod access;
mod node;

use std::any::type_name;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserializer;
use serde::de::value::U32Deserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::Schema;

use self::access::{Elements, Entries, Fields, Twice};
use self::node::{Names, Node, Retry};

/// How deep types may nest before the rest is opaque.
const DEPTH_MAX: usize = 64;
/// How many places with parts a schema may have before the rest is opaque: some 100 kB of text.
const NODES_MAX: usize = 4096;
/// How often the implementation is run at most.
const PASSES_MAX: u32 = 4096;

/// Values to make up, in the order in which they are tried on an implementation that is choosy.
const NUMBERS: [u8; 7] = [1, 0, 2, 3, 10, 100, 64];
const BYTES: [usize; 7] = [0, 16, 4, 8, 32, 1, 64];
const STRINGS: [&str; 7] = [
    "",
    "1",
    "a",
    "127.0.0.1",
    "00000000-0000-0000-0000-000000000000",
    "1970-01-01T00:00:00Z",
    "http://a/",
];

pub(super) fn trace<T: DeserializeOwned>() -> Schema {
    let mut tracer = Tracer::default();
    let mut root = Node::Unknown;
    let mut retry = Retry::default();
    while tracer.pass < PASSES_MAX && !root.is_known() {
        tracer.pass += 1;
        tracer.changed = false;
        tracer.stack.clear();
        let probe = Probe { tracer: &mut tracer, node: Some(&mut root), depth: 0 };
        if T::deserialize(probe).is_err() && retry.failed(&mut tracer) {
            return root.give_up(type_name::<T>()).into_schema();
        }
    }
    root.into_schema()
}

/// What all places of one trace share.
#[derive(Default)]
struct Tracer {
    pass: u32,
    /// Whether this pass has found anything out.
    changed: bool,
    /// Which of the made-up values is next.
    sample: usize,
    nodes: usize,
    /// The types that enclose the current place.
    stack: Vec<&'static str>,
    /// A variant that an enum was said to have was refused.
    lacks_variant: bool,
    /// An enum takes any number for one of its variants.
    takes_any_variant: bool,
    /// For each enum a variant that could be made.
    good: BTreeMap<&'static str, u32>,
}

impl Tracer {
    fn pick<T: Copy>(&self, samples: &[T; 7]) -> T {
        samples[self.sample % samples.len()]
    }
}

/// The deserializer at one place. Without a node it only makes values up.
struct Probe<'a> {
    tracer: &'a mut Tracer,
    node: Option<&'a mut Node>,
    depth: usize,
}

impl<'a> Probe<'a> {
    fn leaf(&mut self, name: &'static str) -> u8 {
        if let Some(node) = self.node.as_deref_mut()
            && matches!(node, Node::Unknown)
        {
            *node = Node::Known(Schema::Primitive(name));
            self.tracer.changed = true;
        }
        self.tracer.pick(&NUMBERS)
    }

    /// Notes a type with parts, and goes on without a node if its parts are not to be noted.
    fn enter(
        mut self,
        full_name: &'static str,
        name: &str,
        blank: impl FnOnce() -> Node,
    ) -> Result<Self, Cut> {
        let Some(node) = self.node.take() else {
            return if self.depth > DEPTH_MAX { Err(Cut::Here) } else { Ok(self) };
        };
        if matches!(node, Node::Unknown) {
            self.tracer.changed = true;
            self.tracer.nodes += 1;
            *node = if self.tracer.stack.contains(&full_name) {
                Node::Known(Schema::Recursive(name.to_owned()))
            } else if self.depth > DEPTH_MAX || self.tracer.nodes > NODES_MAX {
                Node::Known(Schema::Opaque(full_name.to_owned()))
            } else {
                blank()
            };
        }
        self.node = if matches!(node, Node::Known(_)) { None } else { Some(node) };
        Ok(self)
    }

    /// Shows fields to the visitor, inside the type `full_name`: so many, if it is not known better.
    fn fields<'de, V: Visitor<'de>>(
        mut self,
        full_name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Cut> {
        let nodes = match self.node.as_deref_mut() {
            Some(Node::Tuple(_, items) | Node::Struct(_, _, items)) => Some(items),
            Some(_) | None => None,
        };
        let length = nodes.as_ref().map_or(length, |items| items.len());
        let (value, read) =
            show_fields(self.tracer, nodes, self.depth, full_name, length, visitor)?;
        if read < length
            && let Some(node) = self.node
            && let Node::Struct(name, Names { list, is_final: false }, _) = node
        {
            // Perhaps some names are aliases.
            let (name, all, found) = (*name, std::mem::take(list), Vec::new());
            *node = Node::Aliased { name, all, found };
            self.tracer.changed = true;
        }
        Ok(value)
    }

    /// Finds out which field has the next name: given twice, the visitor refuses it, and says what the field
    /// is called.
    fn ask_for_name<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cut> {
        let Probe { tracer, node: Some(node), depth } = self else { return Err(Cut::Here) };
        let Node::Aliased { name, all, found } = node else { return Err(Cut::Here) };
        let asked = *all.get(found.len()).ok_or(Cut::Here)?;
        let answer = visitor.visit_map(Twice { tracer: &mut *tracer, name: asked, left: 2, depth });
        tracer.changed = true;
        found.push(match answer {
            Err(Cut::Duplicate(own)) => own,
            Err(Cut::Here) | Ok(_) => asked,
        });
        if found.len() == all.len() {
            found.dedup();
            let (list, name) = (std::mem::take(found), *name);
            let nodes = Node::unknown(list.len());
            *node = Node::Struct(name, Names { list, is_final: true }, nodes);
        }
        Err(Cut::Here)
    }
}

/// Shows fields to a visitor, and says how many it has read; those that it has not are opaque.
fn show_fields<'de, V: Visitor<'de>>(
    tracer: &mut Tracer,
    mut nodes: Option<&mut Vec<Node>>,
    depth: usize,
    full_name: &'static str,
    length: usize,
    visitor: V,
) -> Result<(V::Value, usize), Cut> {
    tracer.stack.push(full_name);
    let items = nodes.as_deref_mut().map(Vec::as_mut_slice);
    let mut next = 0;
    let value = visitor.visit_seq(Fields { tracer, items, depth, next: &mut next, length })?;
    tracer.stack.pop();
    for node in nodes.into_iter().flatten().filter(|node| matches!(node, Node::Unknown)) {
        *node = Node::Known(Schema::Opaque("not read".to_owned()));
        tracer.changed = true;
    }
    Ok((value, next))
}

macro_rules! leaves {
    ($($method:ident => $visit:ident($name:literal)),*) => {
        $(fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Cut> {
            let sample = self.leaf($name);
            visitor.$visit(sample.into())
        })*
    };
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Cut;

    leaves!(
        deserialize_i8 => visit_i16("i8"),
        deserialize_i16 => visit_i16("i16"),
        deserialize_i32 => visit_i32("i32"),
        deserialize_i64 => visit_i64("i64"),
        deserialize_i128 => visit_i128("i128"),
        deserialize_u8 => visit_u8("u8"),
        deserialize_u16 => visit_u16("u16"),
        deserialize_u32 => visit_u32("u32"),
        deserialize_u64 => visit_u64("u64"),
        deserialize_u128 => visit_u128("u128"),
        deserialize_f32 => visit_f32("f32"),
        deserialize_f64 => visit_f64("f64")
    );

    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Cut> {
        let sample = self.leaf("bool");
        visitor.visit_bool(sample % 2 == 1)
    }

    fn deserialize_char<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Cut> {
        let sample = self.leaf("char");
        visitor.visit_char(char::from(b'a'.saturating_add(sample)))
    }

    fn deserialize_str<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Cut> {
        self.leaf("String");
        visitor.visit_str(self.tracer.pick(&STRINGS))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cut> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Cut> {
        self.leaf("Bytes");
        visitor.visit_bytes(&vec![0; self.tracer.pick(&BYTES)])
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cut> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Cut> {
        self.leaf("()");
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Cut> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Cut> {
        // The bytes do not show it; but a type may contain itself through it.
        let full_name = type_name::<V::Value>();
        let Self { tracer, mut node, depth } = self;
        if let Some(place) = node.as_deref_mut()
            && matches!(place, Node::Unknown)
            && tracer.stack.contains(&full_name)
        {
            *place = Node::Known(Schema::Recursive(name.to_owned()));
            tracer.changed = true;
        }
        if depth > DEPTH_MAX {
            return Err(Cut::Here);
        }
        tracer.stack.push(full_name);
        let inner = Probe { tracer: &mut *tracer, node, depth: depth + 1 };
        let value = visitor.visit_newtype_struct(inner)?;
        tracer.stack.pop();
        Ok(value)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cut> {
        let probe = self.enter("", "", || Node::Option(Box::default()))?;
        let Probe { tracer, node, depth } = probe;
        let Some(Node::Option(option)) = node else { return visitor.visit_none() };
        let (node, retry) = &mut **option;
        if node.is_known() || !retry.is_ready(tracer) {
            return visitor.visit_none();
        }
        let inner = Probe { tracer: &mut *tracer, node: Some(&mut *node), depth: depth + 1 };
        let value = visitor.visit_some(inner);
        if value.is_err() && retry.failed(tracer) {
            let name = type_name::<V::Value>();
            let inner = name.strip_prefix("core::option::Option<");
            let inner = inner.and_then(|name| name.strip_suffix('>')).unwrap_or(name);
            *node = std::mem::take(node).give_up(inner);
        }
        value
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cut> {
        let probe = self.enter("", "", || Node::Sequence(Box::default()))?;
        let Probe { tracer, node, depth } = probe;
        let element = match node {
            Some(Node::Sequence(element)) => Some(&mut **element),
            Some(_) | None => None,
        };
        visitor.visit_seq(Elements::new(tracer, element, depth))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Cut> {
        let probe = self.enter("", "", || Node::Map(Box::default()))?;
        let Probe { tracer, node, depth } = probe;
        let entry = match node {
            Some(Node::Map(entry)) => Some(&mut **entry),
            Some(_) | None => None,
        };
        visitor.visit_map(Entries::new(tracer, entry, depth))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Cut> {
        let probe = self.enter("", "", || Node::Tuple(None, Node::unknown(length)))?;
        probe.fields(type_name::<V::Value>(), length, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Cut> {
        let full_name = type_name::<V::Value>();
        let probe =
            self.enter(full_name, name, || Node::Tuple(Some(name), Node::unknown(length)))?;
        probe.fields(full_name, length, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Cut> {
        let full_name = type_name::<V::Value>();
        let blank = || {
            let names = Names { list: fields.to_vec(), is_final: false };
            Node::Struct(name, names, Node::unknown(fields.len()))
        };
        let probe = self.enter(full_name, name, blank)?;
        match probe.node {
            Some(Node::Aliased { .. }) => probe.ask_for_name(visitor),
            _ => probe.fields(full_name, fields.len(), visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Cut> {
        let full_name = type_name::<V::Value>();
        let probe = self.enter(full_name, name, || Node::enumeration(name, variants))?;
        access::visit_enum(probe, full_name, variants.len(), visitor)
    }

    // The codec cannot read these either.
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Cut> {
        Err(Cut::Here)
    }

    forward_to_deserialize_any! { identifier ignored_any }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// A seed that is shown the number of a variant.
fn identify<'de, S: DeserializeSeed<'de>>(seed: S, index: u32) -> Result<S::Value, Cut> {
    let number: U32Deserializer<Cut> = index.into_deserializer();
    seed.deserialize(number)
}

/// Why a pass cannot go on.
#[derive(Debug)]
enum Cut {
    /// It has come to a place where it cannot.
    Here,
    /// A field was given twice; what it is called.
    Duplicate(&'static str),
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no value could be made up")
    }
}

impl std::error::Error for Cut {}

impl de::Error for Cut {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Here
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::Duplicate(field)
    }
}
