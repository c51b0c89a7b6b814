//! Text that people write, as a value of a type.

use flott_core::{Error, Result};
use serde_json::Value;

use super::{Schema, Shown};

impl Schema {
    /// What a text says of a value of this shape: text as it is, numbers, and everything that has parts as JSON. Whether
    /// its parts are what the shape says is found out by [`super::Typed`].
    ///
    /// # Errors
    /// [`flott_core::ErrorKind::InvalidInput`] if it says nothing of the kind.
    pub fn read(&self, text: &str) -> Result<Shown> {
        let number = |shown: Option<Shown>| {
            shown.ok_or_else(|| Error::invalid(format!("{text:?} is no {}", self.to_text().0)))
        };
        match self {
            Self::Primitive(name) => match *name {
                "String" | "char" => Ok(Shown::Text(text.to_owned())),
                "i8" | "i16" | "i32" | "i64" | "i128" => {
                    number(text.trim().parse().ok().map(Shown::Signed))
                }
                "u8" | "u16" | "u32" | "u64" | "u128" => {
                    number(text.trim().parse().ok().map(Shown::Unsigned))
                }
                _ => json(text),
            },
            Self::Option(inner) if text.trim() != "null" => inner.read(text),
            // A variant without content is its name.
            Self::Enum(_, variants) if variants.iter().any(|(name, _)| name == text) => {
                Ok(Shown::Text(text.to_owned()))
            }
            Self::Option(_)
            | Self::Sequence(_)
            | Self::Map(..)
            | Self::Tuple(..)
            | Self::Struct(..)
            | Self::Enum(..)
            | Self::Recursive(_)
            | Self::Opaque(_) => json(text),
        }
    }
}

fn json(text: &str) -> Result<Shown> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Error::invalid(format!("{text:?} is no JSON: {error}")))?;
    Ok(shown(value))
}

fn shown(value: Value) -> Shown {
    match value {
        Value::Null => Shown::Null,
        Value::Bool(value) => Shown::Bool(value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Shown::Signed(number.into()),
            (None, Some(number)) => Shown::Unsigned(number.into()),
            (None, None) => Shown::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Shown::Text(text),
        Value::Array(items) => Shown::List(items.into_iter().map(shown).collect()),
        Value::Object(entries) => {
            let entry = |(key, value)| (Shown::Text(key), shown(value));
            Shown::Map(entries.into_iter().map(entry).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use flott_core::codec::encode;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::schema::Typed;

    #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
    enum Place {
        Nowhere,
        At { x: i32, y: i32 },
    }

    fn bytes<T: Serialize + for<'de> Deserialize<'de> + 'static>(text: &str) -> Result<Vec<u8>> {
        let schema = Schema::of::<T>();
        let value = schema.read(text)?;
        encode(&Typed { schema: &schema, value: &value })
    }

    #[test]
    fn what_people_write_has_the_bytes_of_the_type() {
        assert_eq!(bytes::<String>("a \"b\"").unwrap(), encode("a \"b\"").unwrap());
        assert_eq!(bytes::<String>("17").unwrap(), encode("17").unwrap());
        assert_eq!(bytes::<u64>("17").unwrap(), encode(&17u64).unwrap());
        let least = i128::MIN;
        assert_eq!(bytes::<i128>(&least.to_string()).unwrap(), encode(&least).unwrap());
        assert_eq!(bytes::<bool>("true").unwrap(), encode(&true).unwrap());
        let pair = ("x".to_owned(), -3i16);
        assert_eq!(bytes::<(String, i16)>(r#"["x", -3]"#).unwrap(), encode(&pair).unwrap());
        assert_eq!(bytes::<Option<String>>("x").unwrap(), encode(&Some("x")).unwrap());
        assert_eq!(bytes::<Option<String>>("null").unwrap(), encode(&None::<String>).unwrap());
        assert_eq!(bytes::<Place>("Nowhere").unwrap(), encode(&Place::Nowhere).unwrap());
        let at = Place::At { x: 1, y: -1 };
        assert_eq!(bytes::<Place>(r#"{"At":{"x":1,"y":-1}}"#).unwrap(), encode(&at).unwrap());
    }

    #[test]
    fn what_is_of_another_type_is_refused() {
        for text in ["", "x", "-1", "1.5", "300", "null", "[1]", "1 2"] {
            assert!(bytes::<u8>(text).is_err(), "{text}");
        }
        for text in ["", "x", "[1]", "[\"a\",1,2]", "{\"a\":1}"] {
            assert!(bytes::<(String, u8)>(text).is_err(), "{text}");
        }
        for text in ["Somewhere", "{\"At\":{\"x\":1}}", "\"At\""] {
            assert!(bytes::<Place>(text).is_err(), "{text}");
        }
    }
}
