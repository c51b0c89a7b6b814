//! Shown values as columns.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, ListArray, NullArray,
    StringArray, StructArray, UInt64Array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::arrow::error::ArrowError;
use flott_cluster::inspect::{Schema, Shown};

/// What the elements of a list are called.
const ITEM: &str = "item";
/// What those of a map are called, which is a list of its keys and values.
const ENTRY: &str = "entry";

/// What a column of values of this shape is. Anything may be missing in it.
pub(super) fn data_type(schema: &Schema) -> DataType {
    match schema {
        Schema::Primitive(name) => match *name {
            "bool" => DataType::Boolean,
            "i8" | "i16" | "i32" | "i64" => DataType::Int64,
            "u8" | "u16" | "u32" | "u64" => DataType::UInt64,
            "f32" | "f64" => DataType::Float64,
            "Bytes" => DataType::Binary,
            "()" => DataType::Null,
            // Numbers of 128 bits, too: no number in SQL has so many.
            _ => DataType::Utf8,
        },
        Schema::Option(content) => data_type(content),
        Schema::Sequence(element) => list(ITEM, data_type(element)),
        Schema::Map(key, value) => {
            let pair = [("key", &**key), ("value", &**value)];
            list(ENTRY, structure(pair.map(|(name, part)| (name.to_owned(), part))))
        }
        Schema::Tuple(_, items) => {
            structure(items.iter().enumerate().map(|(index, item)| (index.to_string(), item)))
        }
        Schema::Struct(_, fields) => {
            structure(fields.iter().map(|(name, field)| (name.clone(), field)))
        }
        // As JSON has them: variants differ in what they hold, and recursion has no end.
        Schema::Enum(..) | Schema::Recursive(_) | Schema::Opaque(_) => DataType::Utf8,
    }
}

fn list(name: &str, element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new(name, element, true)))
}

fn structure<'a>(fields: impl IntoIterator<Item = (String, &'a Schema)>) -> DataType {
    let fields = fields.into_iter();
    let fields: Fields = fields.map(|(name, it)| Field::new(name, data_type(it), true)).collect();
    // No file of columns has one without columns.
    if fields.is_empty() { DataType::Null } else { DataType::Struct(fields) }
}

/// The values, in a column of their type.
///
/// # Errors
/// If the type is none of [`data_type`]'s.
#[expect(clippy::wildcard_enum_match_arm, reason = "of these types there are few, of others many")]
pub(super) fn column(
    data_type: &DataType,
    values: &[Option<&Shown>],
) -> Result<ArrayRef, ArrowError> {
    let values: Vec<Option<&Shown>> =
        values.iter().map(|value| value.filter(|shown| **shown != Shown::Null)).collect();
    let number = |value: &Option<&Shown>| {
        if let Some(Shown::Unsigned(number)) = value {
            return i128::try_from(*number).ok();
        }
        let Some(Shown::Signed(number)) = value else { return None };
        Some(*number)
    };
    Ok(match data_type {
        DataType::Boolean => Arc::new(BooleanArray::from_iter(values.iter().map(|value| {
            let Some(Shown::Bool(value)) = value else { return None };
            Some(*value)
        }))),
        DataType::Int64 => Arc::new(Int64Array::from_iter(
            values.iter().map(|value| number(value).and_then(|number| number.try_into().ok())),
        )),
        DataType::UInt64 => Arc::new(UInt64Array::from_iter(
            values.iter().map(|value| number(value).and_then(|number| number.try_into().ok())),
        )),
        DataType::Float64 => Arc::new(Float64Array::from_iter(values.iter().map(|value| {
            let Some(Shown::Float(number)) = value else { return None };
            Some(*number)
        }))),
        DataType::Utf8 => {
            let texts = values.iter().map(|value| value.map(text).transpose());
            Arc::new(StringArray::from_iter(texts.collect::<Result<Vec<_>, _>>()?))
        }
        DataType::Binary => Arc::new(BinaryArray::from_iter(
            values.iter().map(|value| value.and_then(|value| bytes(items(value)))),
        )),
        DataType::Struct(fields) => {
            let columns = fields.iter().enumerate().map(|(index, field)| {
                let parts = values.iter().map(|value| value.and_then(|value| part(value, index)));
                column(field.data_type(), &parts.collect::<Vec<_>>())
            });
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            Arc::new(StructArray::try_new(fields.clone(), columns, nulls(&values))?)
        }
        DataType::List(element) => {
            let (lengths, content) = if element.name() == ENTRY {
                let entries = values.iter().map(|value| value.map_or(&[][..], entries));
                pairs(element.data_type(), &entries.collect::<Vec<_>>())?
            } else {
                let lists: Vec<&[Shown]> =
                    values.iter().map(|value| value.map_or(&[][..], items)).collect();
                let content: Vec<Option<&Shown>> =
                    lists.iter().copied().flatten().map(Some).collect();
                (lists.iter().map(|it| it.len()).collect(), column(element.data_type(), &content)?)
            };
            // Of so many elements a snapshot's reader has no room: they fit.
            let offsets = OffsetBuffer::from_lengths(lengths);
            Arc::new(ListArray::try_new(element.clone(), offsets, content, nulls(&values))?)
        }
        _ => Arc::new(NullArray::new(values.len())),
    })
}

/// Maps' entries: how many each has, and all of them.
fn pairs(
    data_type: &DataType,
    maps: &[&[(Shown, Shown)]],
) -> Result<(Vec<usize>, ArrayRef), ArrowError> {
    let DataType::Struct(fields) = data_type else {
        return Err(ArrowError::SchemaError("an entry is a key and a value".to_owned()));
    };
    let all = || maps.iter().copied().flatten();
    let keys: Vec<Option<&Shown>> = all().map(|entry| Some(&entry.0)).collect();
    let contents: Vec<Option<&Shown>> = all().map(|entry| Some(&entry.1)).collect();
    let columns =
        vec![column(fields[0].data_type(), &keys)?, column(fields[1].data_type(), &contents)?];
    let entries = StructArray::try_new(fields.clone(), columns, None)?;
    Ok((maps.iter().map(|map| map.len()).collect(), Arc::new(entries)))
}

fn nulls(values: &[Option<&Shown>]) -> Option<NullBuffer> {
    Some(NullBuffer::from_iter(values.iter().map(Option::is_some)))
}

fn items(value: &Shown) -> &[Shown] {
    if let Shown::List(items) = value { items } else { &[] }
}

fn entries(value: &Shown) -> &[(Shown, Shown)] {
    if let Shown::Map(entries) = value { entries } else { &[] }
}

/// A part of a tuple or of a struct.
fn part(value: &Shown, index: usize) -> Option<&Shown> {
    items(value).get(index).or_else(|| entries(value).get(index).map(|(_, value)| value))
}

fn bytes(items: &[Shown]) -> Option<Vec<u8>> {
    let bytes = items.iter().map(|item| {
        let Shown::Unsigned(byte) = item else { return None };
        u8::try_from(*byte).ok()
    });
    bytes.collect()
}

/// Text as it is, all else as JSON.
fn text(value: &Shown) -> Result<String, ArrowError> {
    if let Shown::Text(text) = value {
        return Ok(text.clone());
    }
    let json = serde_json::to_value(value).map_err(|e| ArrowError::ExternalError(Box::new(e)))?;
    // Great numbers are text in JSON.
    Ok(json.as_str().map_or_else(|| json.to_string(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use datafusion::arrow::json::LineDelimitedWriter;
    use datafusion::arrow::record_batch::RecordBatch;
    use flott_core::codec::encode;
    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};

    use super::*;

    #[derive(Serialize, Deserialize)]
    enum Kind {
        Empty,
        Sized(u8),
    }

    #[derive(Serialize, Deserialize)]
    struct Nothing {}

    #[derive(Serialize, Deserialize)]
    struct Everything {
        truth: bool,
        small: i8,
        large: u64,
        huge: i128,
        part: f32,
        letter: char,
        maybe: Option<String>,
        pair: (u16, i64),
        list: Vec<Option<u8>>,
        map: BTreeMap<i32, Vec<String>>,
        kinds: Vec<Kind>,
        nothing: Nothing,
    }

    fn rows(values: &[Everything]) -> Vec<Value> {
        let schema = Schema::of::<Everything>();
        let shown: Vec<Shown> = values
            .iter()
            .map(|value| flott_state::schema::show(&schema, &encode(value).unwrap()).unwrap())
            .collect();
        let all: Vec<Option<&Shown>> = shown.iter().map(Some).chain([None]).collect();
        let column = column(&data_type(&schema), &all).unwrap();
        let batch = RecordBatch::try_from_iter_with_nullable([("it", column, true)]).unwrap();
        let mut writer = LineDelimitedWriter::new(Vec::new());
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        let text = String::from_utf8(writer.into_inner()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn every_shape_has_a_column_and_what_is_missing_is_null() {
        let full = Everything {
            truth: true,
            small: -7,
            large: u64::MAX,
            huge: -(1 << 100),
            part: 1.5,
            letter: 'ä',
            maybe: Some("there".into()),
            pair: (3, -4),
            list: vec![Some(1), None],
            map: BTreeMap::from([(-1, vec!["a".into(), "b".into()]), (2, vec![])]),
            kinds: vec![Kind::Empty, Kind::Sized(9)],
            nothing: Nothing {},
        };
        let bare = Everything {
            truth: false,
            small: 0,
            large: 0,
            huge: 5,
            part: 0.0,
            letter: 'x',
            maybe: None,
            pair: (0, 0),
            list: vec![],
            map: BTreeMap::new(),
            kinds: vec![],
            nothing: Nothing {},
        };
        let found = rows(&[full, bare]);
        assert_eq!(
            found[0]["it"],
            json!({
                "truth": true, "small": -7, "large": u64::MAX,
                "huge": "-1267650600228229401496703205376", "part": 1.5, "letter": "ä",
                "maybe": "there", "pair": {"0": 3, "1": -4}, "list": [1, null],
                "map": [{"key": -1, "value": ["a", "b"]}, {"key": 2, "value": []}],
                "kinds": ["Empty", "{\"Sized\":9}"]
            })
        );
        assert_eq!(
            found[1]["it"],
            json!({
                "truth": false, "small": 0, "large": 0, "huge": "5", "part": 0.0, "letter": "x",
                "pair": {"0": 0, "1": 0}, "list": [], "map": [], "kinds": []
            })
        );
        assert_eq!(found[2], json!({}), "what is not there");
    }
}
