//! Shapes of types, and how differences are told.

mod evolution;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use flott_core::Timestamp;
use serde::{Deserialize, Deserializer};

use super::*;

#[expect(dead_code, reason = "only its shape is of interest")]
#[derive(Deserialize)]
struct Order {
    id: u64,
    lines: Vec<Line>,
    note: Option<String>,
    total: (i32, f64),
    by_name: BTreeMap<String, Line>,
    state: Status,
}

#[expect(dead_code, reason = "only its shape is of interest")]
#[derive(Deserialize)]
struct Line {
    sku: Box<str>,
    at: Timestamp,
}

#[expect(dead_code, reason = "only its shape is of interest")]
#[derive(Deserialize)]
enum Status {
    Open,
    Paid(u8),
    Sent {
        at: i64,
        to: Option<Box<Status>>,
    },
    #[serde(rename = "sent-back")]
    Back(u8, bool),
}

#[expect(dead_code, reason = "only its shape is of interest")]
#[derive(Deserialize)]
enum Tree {
    Node(Box<Tree>, Box<Tree>, Vec<Tree>),
    Leaf(i64),
}

#[expect(dead_code, reason = "only its shape is of interest")]
#[derive(Deserialize)]
struct Wrapper<T> {
    inner: T,
}

fn text<T: serde::de::DeserializeOwned>() -> String {
    let text = Schema::of::<T>().to_text().0;
    assert_eq!(text::parse(&text).map(|schema| schema.to_text().0).as_ref(), Some(&text));
    text
}

#[test]
fn the_shape_of_a_type_is_traced_from_its_implementation() {
    assert_eq!(text::<u64>(), "u64");
    assert_eq!(text::<()>(), "()");
    assert_eq!(text::<(u8,)>(), "(u8,)");
    assert_eq!(text::<[u8; 3]>(), "(u8, u8, u8)");
    assert_eq!(text::<Option<BTreeSet<char>>>(), "Option<Vec<char>>");
    assert_eq!(text::<BTreeMap<i8, (String, bool)>>(), "Map<i8, (String, bool)>");
    assert_eq!(text::<Duration>(), "Duration{secs: u64, nanos: u32}");
    assert_eq!(text::<Result<u8, u128>>(), "enum Result[Ok(u8,), Err(u128,)]");
    assert_eq!(text::<NonZeroU32>(), "u32");
    assert_eq!(
        text::<Order>(),
        "Order{id: u64, lines: Vec<Line{sku: String, at: i64}>, note: Option<String>, \
         total: (i32, f64), by_name: Map<String, Line{sku: String, at: i64}>, \
         state: enum Status[Open, Paid(u8,), Sent{at: i64, to: Option<^Status>}, \
         \"sent-back\"(u8, bool)]}"
    );
}

#[test]
fn recursion_ends_at_the_enclosing_type_and_generic_types_are_not_taken_for_it() {
    assert_eq!(text::<Tree>(), "enum Tree[Node(^Tree, ^Tree, Vec<^Tree>), Leaf(i64,)]");
    assert_eq!(text::<Wrapper<Wrapper<u8>>>(), "Wrapper{inner: Wrapper{inner: u8}}");
}

/// Accepts nothing that a tracer could think of.
#[derive(Debug)]
struct Picky;

impl<'de> Deserialize<'de> for Picky {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            4711 => Ok(Self),
            _ => Err(serde::de::Error::custom("not 4711")),
        }
    }
}

/// Asks for whatever is there.
#[derive(Debug)]
struct Any;

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(serde::de::IgnoredAny).map(|_| Self)
    }
}

#[test]
fn a_type_that_does_not_show_its_shape_is_opaque_and_the_rest_is_traced() {
    assert_eq!(text::<Picky>(), "u64", "what it reads is known, whatever it refuses");
    assert_eq!(
        text::<(u8, Option<Picky>, Vec<Any>, bool)>(),
        "(u8, Option<u64>, Vec<?\"flott_state::schema::tests::Any\">, bool)"
    );
    assert!(text::<(Picky, u8)>().starts_with('?'));
}

#[expect(dead_code, reason = "only its shape is of interest")]
#[derive(Deserialize)]
enum Wide {
    A(Option<Status>),
    B(Box<Wide>, Vec<Wide>),
    C(BTreeMap<String, Wide>, Tree),
    D,
}

#[test]
fn tracing_is_deterministic_and_comes_to_an_end() {
    assert_eq!(text::<(Wide, [Wide; 8])>(), text::<(Wide, [Wide; 8])>());
    assert!(!text::<Wide>().contains('?'), "{}", text::<Wide>());
}

#[track_caller]
fn check(stored: &str, own: &str, expected: Option<&str>) {
    let found = difference(&SchemaText(stored.into()), &SchemaText(own.into()));
    assert_eq!(found.as_deref(), expected);
}

#[test]
fn a_difference_is_told_in_words() {
    check("W{count: i64}", "W{count: i64}", None);
    check("W{count: i64}", "Word{count: i64}", None);
    check("W{count: i64}", "W{count: String}", Some("field `count` was i64, is String"));
    check("u8", "u16", Some("the type was u8, is u16"));
    check("A{b: B{c: u8}}", "A{b: B{}}", Some("field `b.c` was removed"));
    check("A{b: u8}", "A{b: u8, x: u8}", Some("field `x` was added"));
    check("A{b: u8, c: u8}", "A{c: u8, b: u8}", Some("field `c` has moved"));
    check("(u8, u8)", "(u8, u8, u8)", Some("the type was (u8, u8), is (u8, u8, u8)"));
    check("A{b: Vec<u8>}", "A{b: Vec<u16>}", Some("the value at `b[]` was u8, is u16"));
    check("enum E[A, B]", "enum E[A]", Some("variant `B` was removed"));
    check("enum E[A(u8,)]", "enum E[A]", Some("the value at `A` holds another kind of content"));
    check("T{n: Option<^T>}", "U{n: Option<^U>}", None);
    check("what is [this", "u8", Some("the type was what is [this, is u8"));
}
