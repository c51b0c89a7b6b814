//! How the values of one stored state are read.

use flott_checkpoint::snapshot::{SchemaText, StateKind};
use flott_core::Result;
use flott_core::codec::decode;
use serde::de::DeserializeOwned;

use super::difference::can_become;
use super::evolve::decode_stored;
use super::text::parse;
use super::{Schema, difference};

/// Where a state with TTL has the times of last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stamps {
    /// There are none.
    None,
    /// The value is paired with one.
    Value,
    /// Each element of the list is.
    Elements,
    /// The value of each entry of the map is.
    Entries,
}

impl Stamps {
    /// Where a state has them.
    pub(crate) fn of(kind: StateKind, ttl: bool) -> Self {
        match kind {
            _ if !ttl => Self::None,
            StateKind::Value | StateKind::Reducing | StateKind::Aggregating => Self::Value,
            StateKind::List => Self::Elements,
            StateKind::Map => Self::Entries,
            StateKind::Timers => Self::None,
        }
    }
}

/// How stored values are read: as they are, or by the schema that was stored with them.
#[derive(Debug)]
pub(crate) struct Layout {
    stamps: Stamps,
    /// The shape of the bytes, stamps included, if it is not that of the program.
    stored: Option<Schema>,
}

impl Layout {
    /// How values of the shape `stored` become values of the shape `own`.
    ///
    /// # Errors
    /// What stands against it.
    pub(crate) fn new(
        stored: &SchemaText,
        own: &SchemaText,
        stamps: Stamps,
    ) -> Result<Self, String> {
        let Some(difference) = difference(stored, own) else {
            return Ok(Self::own(stamps));
        };
        let (Some(schema), Some(own)) = (parse(&stored.0), parse(&own.0)) else {
            return Err(difference);
        };
        can_become(&schema, &own)?;
        let with_time = |value| Schema::Tuple(None, vec![TIME, value]);
        Ok(Self { stamps, stored: Some(stamped(schema, stamps, with_time)) })
    }

    /// That of what the program writes itself.
    pub(crate) fn own(stamps: Stamps) -> Self {
        Self { stamps, stored: None }
    }

    /// Whether values are of another shape than the program's.
    pub(crate) fn is_evolved(&self) -> bool {
        self.stored.is_some()
    }

    /// Whether values come with times of last use.
    pub(crate) fn has_stamps(&self) -> bool {
        self.stamps != Stamps::None
    }

    /// Decodes a value, with its stamps.
    ///
    /// # Errors
    /// If the bytes are damaged, or the type does not say what is to become of what was stored.
    pub(crate) fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        match &self.stored {
            None => decode(bytes),
            Some(schema) => decode_stored(schema, bytes),
        }
    }
}

/// The shape of a time.
pub(crate) const TIME: Schema = Schema::Primitive("i64");

/// The shape with its stamps.
pub(crate) fn stamped(
    schema: Schema,
    stamps: Stamps,
    with_time: impl Fn(Schema) -> Schema,
) -> Schema {
    match (stamps, schema) {
        (Stamps::Value, schema) => with_time(schema),
        (Stamps::Elements, Schema::Sequence(element)) => {
            Schema::Sequence(Box::new(with_time(*element)))
        }
        (Stamps::Entries, Schema::Map(key, value)) => Schema::Map(key, Box::new(with_time(*value))),
        (Stamps::None | Stamps::Elements | Stamps::Entries, schema) => schema,
    }
}
