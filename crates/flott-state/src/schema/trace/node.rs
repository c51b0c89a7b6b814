//! What a trace has found out about one place.

use super::super::text::print;
use super::super::{Schema, Variant};
use super::Tracer;

/// How often a place that may be skipped fails before it is left out.
const TRIES_MAX: u32 = 16;

#[derive(Default)]
pub(super) enum Node {
    /// Not yet visited.
    #[default]
    Unknown,
    /// Without parts, or with parts that are not to be looked at.
    Known(Schema),
    Option(Box<(Node, Retry)>),
    Sequence(Box<(Node, Retry)>),
    Map(Box<(Node, Node, Retry)>),
    Tuple(Option<&'static str>, Vec<Node>),
    Struct(&'static str, Names, Vec<Node>),
    /// A struct some of whose fields have several names: those of the names that were looked at, each as its
    /// field is called.
    Aliased {
        name: &'static str,
        all: Vec<&'static str>,
        found: Vec<&'static str>,
    },
    Enum(&'static str, EnumNode),
}

/// An enum.
pub(super) struct EnumNode {
    pub(super) variants: Vec<VariantNode>,
    /// Whether it takes any number for a variant has been found out: it does not.
    pub(super) is_strict: bool,
}

/// What fields are called.
pub(super) struct Names {
    pub(super) list: Vec<&'static str>,
    /// There are no aliases among them.
    pub(super) is_final: bool,
}

pub(super) struct VariantNode {
    name: &'static str,
    pub(super) content: Content,
    pub(super) retry: Retry,
}

pub(super) enum Content {
    Unknown,
    Unit,
    Tuple(Vec<Node>),
    Struct(&'static [&'static str], Vec<Node>),
}

impl Node {
    pub(super) fn unknown(length: usize) -> Vec<Self> {
        (0..length).map(|_| Self::Unknown).collect()
    }

    pub(super) fn enumeration(name: &'static str, variants: &'static [&'static str]) -> Self {
        let variants = variants.iter().map(|name| VariantNode {
            name,
            content: Content::Unknown,
            retry: Retry::default(),
        });
        Self::Enum(name, EnumNode { variants: variants.collect(), is_strict: false })
    }

    /// The shape is not found out. What is known of it is a part of its name, so that it is seen if that changes.
    pub(super) fn give_up(self, name: &str) -> Self {
        if matches!(self, Self::Unknown | Self::Known(_)) {
            return Self::Known(Schema::Opaque(name.to_owned()));
        }
        Self::Known(Schema::Opaque(format!("{name}: {}", print(&self.into_schema()))))
    }

    pub(super) fn is_known(&self) -> bool {
        match self {
            Self::Unknown | Self::Aliased { .. } => false,
            Self::Known(_) => true,
            Self::Option(inner) | Self::Sequence(inner) => inner.0.is_known(),
            Self::Map(entry) => entry.0.is_known() && entry.1.is_known(),
            Self::Tuple(_, items) | Self::Struct(_, _, items) => items.iter().all(Self::is_known),
            Self::Enum(_, EnumNode { variants, .. }) => {
                variants.iter().all(|variant| variant.content.is_known())
            }
        }
    }

    pub(super) fn into_schema(self) -> Schema {
        match self {
            Self::Unknown | Self::Aliased { .. } => Schema::Opaque("not found out".to_owned()),
            Self::Known(schema) => schema,
            Self::Option(inner) => Schema::Option(Box::new(inner.0.into_schema())),
            Self::Sequence(inner) => Schema::Sequence(Box::new(inner.0.into_schema())),
            Self::Map(entry) => {
                let (key, value, _) = *entry;
                Schema::Map(Box::new(key.into_schema()), Box::new(value.into_schema()))
            }
            Self::Tuple(name, items) => Schema::Tuple(name.map(str::to_owned), schemas(items)),
            Self::Struct(name, names, items) => {
                Schema::Struct(name.to_owned(), fields(&names.list, items))
            }
            Self::Enum(name, EnumNode { variants, .. }) => {
                let variants = variants.into_iter().map(|variant| {
                    let content = match variant.content {
                        Content::Unknown => Variant::Tuple(vec![Self::Unknown.into_schema()]),
                        Content::Unit => Variant::Unit,
                        Content::Tuple(items) => Variant::Tuple(schemas(items)),
                        Content::Struct(names, items) => Variant::Struct(fields(names, items)),
                    };
                    (variant.name.to_owned(), content)
                });
                Schema::Enum(name.to_owned(), variants.collect())
            }
        }
    }
}

impl Content {
    pub(super) fn is_known(&self) -> bool {
        match self {
            Self::Unknown => false,
            Self::Unit => true,
            Self::Tuple(items) | Self::Struct(_, items) => items.iter().all(Node::is_known),
        }
    }
}

fn schemas(nodes: Vec<Node>) -> Vec<Schema> {
    nodes.into_iter().map(Node::into_schema).collect()
}

fn fields(names: &[&str], nodes: Vec<Node>) -> Vec<(String, Schema)> {
    names.iter().map(|name| (*name).to_owned()).zip(schemas(nodes)).collect()
}

/// When to visit a place again whose content could not be made. In between it is skipped: what it
/// lacks may be found out elsewhere.
#[derive(Default)]
pub(super) struct Retry {
    tries: u32,
    resume: u32,
}

impl Retry {
    pub(super) fn is_ready(&self, tracer: &Tracer) -> bool {
        tracer.pass > self.resume
    }

    pub(super) fn tries(&self) -> u32 {
        self.tries
    }

    /// Notes that a pass failed here; true if there is no hope left. A pass that has found
    /// something out before it failed, here or further in, is no failure.
    pub(super) fn failed(&mut self, tracer: &mut Tracer) -> bool {
        if tracer.changed {
            return false;
        }
        tracer.changed = true;
        tracer.sample += 1;
        self.tries += 1;
        self.resume = tracer.pass + self.tries;
        self.tries >= TRIES_MAX
    }
}
