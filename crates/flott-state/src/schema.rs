//! The shape of stored types, so that a program whose types changed is refused in words instead
//! of reading nonsense.
//!
//! The codec's bytes do not describe themselves. So the shape of a type is captured from its
//! `Deserialize` implementation ([`Schema::of`]), written beside the state as one line of text,
//! and compared with the reader's own before anything is decoded ([`difference`]). Names of types
//! are in the text for people to read; they do not count, because the bytes do not depend on
//! them. Names of fields and variants count: what was stored in another shape is read by them, if the new type
//! says how, and refused in words if it does not.

mod difference;
mod evolve;
mod layout;
mod read;
mod shown;
#[cfg(test)]
mod tests;
mod text;
mod trace;
mod typed;

use flott_checkpoint::snapshot::SchemaText;
use serde::de::DeserializeOwned;

pub use self::difference::difference;
pub(crate) use self::layout::{Layout, Stamps, TIME, stamped};
pub use self::shown::{Shown, show};
pub use self::typed::Typed;

/// The shape of a type, as the codec sees it. Newtypes and pointers are their content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schema {
    /// A type without parts, by its Rust name: `i64`, `bool`, `String`, `Bytes`, `()`.
    Primitive(&'static str),
    /// An optional value.
    Option(Box<Schema>),
    /// Any number of values of one type: a list or a set.
    Sequence(Box<Schema>),
    /// Keys and values.
    Map(Box<Schema>, Box<Schema>),
    /// Values without names; a tuple struct has a name.
    Tuple(Option<String>, Vec<Schema>),
    /// A struct: its name, its fields with their names.
    Struct(String, Vec<(String, Schema)>),
    /// An enum: its name, its variants in order.
    Enum(String, Vec<(String, Variant)>),
    /// A type that encloses this place, by its name: the type is recursive.
    Recursive(String),
    /// A type whose implementation does not show its shape, by the full name of the type.
    Opaque(String),
}

/// What a variant of an enum holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Nothing.
    Unit,
    /// Values without names.
    Tuple(Vec<Schema>),
    /// Fields with their names.
    Struct(Vec<(String, Schema)>),
}

impl Schema {
    /// The shape of `T`. The same program gives the same schema every time.
    ///
    /// It runs the type's `Deserialize` implementation on invented values, a bounded number of
    /// times; a type that does not accept them is [`Schema::Opaque`].
    pub fn of<T: DeserializeOwned>() -> Self {
        trace::trace::<T>()
    }

    /// The schema that a text says; nothing if it says none.
    pub fn parse(text: &SchemaText) -> Option<Self> {
        text::parse(&text.0)
    }

    /// The schema as text, equal for equal schemas.
    pub fn to_text(&self) -> SchemaText {
        SchemaText(text::print(self))
    }
}
