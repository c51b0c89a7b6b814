//! Values that were stored in another shape.

use std::collections::BTreeMap;
use std::fmt::Debug;

use flott_core::ErrorKind;
use flott_core::codec::encode;
use serde::{Deserialize, Serialize};

use super::super::{Layout, Schema, Stamps};

/// Reads what was written as `W` as `R`.
fn read<W, R>(written: &W) -> Result<R, String>
where
    W: Serialize + for<'de> Deserialize<'de>,
    R: for<'de> Deserialize<'de>,
{
    let bytes = encode(written).map_err(|error| error.report())?;
    let (stored, own) = (Schema::of::<W>().to_text(), Schema::of::<R>().to_text());
    let layout = Layout::new(&stored, &own, Stamps::None)?;
    layout.decode(&bytes).map_err(|error| {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{}", error.report());
        error.to_string()
    })
}

#[track_caller]
fn becomes<W, R>(written: &W, expected: R)
where
    W: Serialize + for<'de> Deserialize<'de>,
    R: for<'de> Deserialize<'de> + Debug + PartialEq,
{
    assert_eq!(read::<W, R>(written), Ok(expected));
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Visit {
    page: String,
    times: u32,
    marks: Vec<Mark>,
    by: Option<(u8, char)>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
enum Mark {
    #[default]
    Seen,
    Rated(i8),
    Moved {
        from: f32,
        to: f32,
    },
    Pair(bool, u128),
}

fn visit() -> Visit {
    let moved = Mark::Moved { from: 0.5, to: -2.0 };
    let marks = vec![Mark::Seen, Mark::Rated(-3), moved, Mark::Pair(true, u128::MAX)];
    Visit { page: "a/ü".into(), times: 70_000, marks, by: Some((200, 'x')) }
}

/// Everything that may change at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct VisitLater {
    by: Option<(u16, char)>,
    #[serde(default = "seven")]
    added: i64,
    marks: Vec<MarkLater>,
    #[serde(alias = "page")]
    address: Address,
    times: Option<i64>,
    noted: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Address(String);

fn seven() -> i64 {
    7
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum MarkLater {
    New,
    Moved { to: f64, from: Option<f64> },
    Pair(bool, u128),
    Rated(i32),
    Seen,
}

#[test]
fn a_type_may_grow_shrink_and_move_its_parts() {
    let moved = MarkLater::Moved { to: -2.0, from: Some(0.5) };
    let pair = MarkLater::Pair(true, u128::MAX);
    let expected = VisitLater {
        by: Some((200, 'x')),
        added: 7,
        marks: vec![MarkLater::Seen, MarkLater::Rated(-3), moved, pair],
        address: Address("a/ü".into()),
        times: Some(70_000),
        noted: None,
    };
    becomes(&visit(), expected.clone());
    // So may what it is a part of.
    let all = BTreeMap::from([(1u16, vec![visit()]), (2, Vec::new())]);
    becomes(&all, BTreeMap::from([(1u16, Some(vec![expected])), (2, Some(Vec::new()))]));
}

#[test]
fn parts_that_are_gone_are_passed_over_whatever_they_are() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Tree {
        name: String,
        children: Vec<Tree>,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Much {
        visits: BTreeMap<String, Visit>,
        tree: Tree,
        bits: (bool, [u8; 3], ()),
        kept: u8,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Little {
        kept: u8,
    }
    let leaf = Tree { name: "leaf".into(), children: Vec::new() };
    let tree = Tree { name: "tree".into(), children: vec![leaf] };
    let visits = BTreeMap::from([("a".to_owned(), visit()), ("b".to_owned(), Visit::default())]);
    let much = Much { visits, tree, bits: (true, [1, 2, 3], ()), kept: 9 };
    becomes(&much, Little { kept: 9 });
}

#[test]
fn a_type_that_contains_itself_may_change_all_the_way_down() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum List {
        End,
        Cell { value: u8, rest: Box<List> },
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename = "List")]
    enum Longer {
        Cell { rest: Box<Longer>, value: u64, more: Option<u8> },
        End,
    }
    let list = |value, rest| List::Cell { value, rest: Box::new(rest) };
    let longer = |value, rest| Longer::Cell { value, rest: Box::new(rest), more: None };
    becomes(&list(1, list(2, List::End)), longer(1, longer(2, Longer::End)));
}

#[test]
fn what_the_shapes_rule_out_is_named() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Narrow {
        page: String,
        times: u16,
        marks: Vec<Mark>,
        by: Option<(u8, char)>,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Rated {
        marks: Vec<NoMark>,
    }
    #[derive(Debug, Serialize, Deserialize)]
    enum NoMark {
        Seen,
        Rated(i8),
    }
    let refused =
        |found: Result<(), String>, expected: &str| assert_eq!(found, Err(expected.into()));
    let narrow = read::<Visit, Narrow>(&visit()).map(drop);
    refused(narrow, "field `times` was u32, is u16");
    refused(read::<u32, i32>(&1).map(drop), "the type was u32, is i32");
    refused(read::<i8, u64>(&1).map(drop), "the type was i8, is u64");
    refused(read::<Option<u8>, u8>(&None).map(drop), "the type was Option<u8>, is u8");
    refused(read::<(u8, u8), (u8,)>(&(1, 2)).map(drop), "the type was (u8, u8), is (u8,)");
    refused(read::<String, Vec<u8>>(&String::new()).map(drop), "the type was String, is Vec<u8>");
    let keys = read::<BTreeMap<(u8, u8), u8>, BTreeMap<(u16, u8), u8>>(&BTreeMap::new()).map(drop);
    refused(keys, "the value at `[key].0` was u8, is u16");
    let lost = read::<Visit, Rated>(&visit()).map(drop);
    refused(lost, "variant `marks[]::Moved` was removed");
}

#[test]
fn what_only_the_type_knows_is_said_by_it() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Needs {
        page: String,
        new: u8,
    }
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Denies {
        page: String,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Other {
        marks: Vec<OtherMark>,
    }
    #[derive(Debug, Serialize, Deserialize)]
    enum OtherMark {
        Rated(i8),
        Moved { from: f32, to: f32 },
        Pair(bool, u128),
        Watched,
    }
    let said = |found: Result<(), String>, expected: &str| {
        let found = found.unwrap_err();
        assert!(found.contains(expected), "{found}");
    };
    said(read::<Visit, Needs>(&visit()).map(drop), "missing field `new`");
    said(read::<Visit, Denies>(&visit()).map(drop), "unknown field `times`");
    said(read::<Visit, Other>(&visit()).map(drop), "unknown variant `Seen`");
}

#[test]
fn fields_have_their_names_in_the_schema_and_not_their_aliases() {
    #[derive(Serialize, Deserialize)]
    struct Aliased {
        #[serde(alias = "a", alias = "z")]
        middle: u8,
        plain: String,
        #[serde(rename = "other", alias = "b")]
        named: Option<Box<Aliased>>,
    }
    let text = Schema::of::<Aliased>().to_text().0;
    assert_eq!(text, "Aliased{middle: u8, plain: String, other: Option<^Aliased>}");
}

#[test]
fn aliases_of_variants_are_refused_in_words() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Marks {
        #[serde(alias = "Seen")]
        Noticed,
        Rated(i8),
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Before {
        Seen,
        Rated(i8),
    }
    let refused = read::<Before, Marks>(&Before::Seen).unwrap_err();
    assert!(refused.contains("which has aliases of variants"), "{refused}");
    // Nothing is lost as long as nothing changes.
    becomes(&Marks::Noticed, Marks::Noticed);
}

#[test]
fn what_an_alias_leads_to_is_compared_when_it_is_read() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Stored {
        values: (u8, u8, u8),
        list: Vec<u8>,
        number: f64,
        count: u32,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Shorter {
        #[serde(alias = "values")]
        pair: (u8, u8),
        list: Vec<u8>,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Listed {
        #[serde(alias = "list")]
        pair: (u8, u8),
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Rounded {
        #[serde(alias = "number")]
        about: f32,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Narrowed {
        #[serde(alias = "count")]
        few: u16,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Named {
        #[serde(alias = "values")]
        point: Point,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Point {
        x: u8,
        y: u8,
        z: u8,
    }
    let stored = Stored { values: (1, 2, 2), list: vec![7, 8], number: 1e300, count: 3 };
    let said = |found: Result<(), String>, expected: &str| assert_eq!(found, Err(expected.into()));
    let values = "a value was (u8, u8, u8), is a tuple of 2";
    said(read::<Stored, Shorter>(&stored).map(drop), values);
    said(read::<Stored, Listed>(&stored).map(drop), "a value was Vec<u8>, is a tuple of 2");
    said(read::<Stored, Rounded>(&stored).map(drop), "a value was f64, is f32");
    said(read::<Stored, Narrowed>(&stored).map(drop), "a value was u32, is u16");
    said(read::<Stored, Named>(&stored).map(drop), "a value was (u8, u8, u8), is Point");
}

#[test]
fn an_enum_that_takes_any_variant_is_not_known_and_a_change_of_it_is_seen() {
    #[derive(Serialize, Deserialize)]
    enum Before {
        #[serde(alias = "A0")]
        A,
        B,
        #[serde(other)]
        C,
    }
    #[derive(Serialize, Deserialize)]
    #[serde(rename = "Before")]
    enum After {
        B,
        #[serde(alias = "A0")]
        A,
        #[serde(other)]
        C,
    }
    let [before, after] = [Schema::of::<Before>(), Schema::of::<After>()];
    for schema in [&before, &after] {
        assert!(matches!(schema, Schema::Opaque(_)), "{schema:?}");
    }
    assert!(read::<Before, After>(&Before::B).is_err(), "the order is another one");
}

#[test]
fn damaged_bytes_are_an_error_and_no_panic() {
    let (stored, own) = (Schema::of::<Visit>().to_text(), Schema::of::<VisitLater>().to_text());
    let layout = Layout::new(&stored, &own, Stamps::None).unwrap();
    let bytes = encode(&visit()).unwrap();
    for at in 0..bytes.len() {
        assert!(layout.decode::<VisitLater>(&bytes[..at]).is_err(), "cut at {at}");
        for flip in 1..=255 {
            let mut bytes = bytes.clone();
            bytes[at] ^= flip;
            let _ = layout.decode::<VisitLater>(&bytes);
        }
    }
}

/// How the values of a state with TTL are read.
fn stamped<W, R>(stamps: Stamps) -> Layout
where
    W: for<'de> Deserialize<'de>,
    R: for<'de> Deserialize<'de>,
{
    Layout::new(&Schema::of::<W>().to_text(), &Schema::of::<R>().to_text(), stamps).unwrap()
}

#[test]
fn times_of_last_use_stay_with_what_they_are_of() {
    let list = encode(&vec![(-5i64, 7u8)]).unwrap();
    let layout = stamped::<Vec<u8>, Vec<u64>>(Stamps::Elements);
    assert_eq!(layout.decode::<Vec<(i64, u64)>>(&list).unwrap(), [(-5, 7)]);
    let map = encode(&BTreeMap::from([(1u8, (-5i64, -7i8))])).unwrap();
    let layout = stamped::<BTreeMap<u8, i8>, BTreeMap<u8, i16>>(Stamps::Entries);
    let read = layout.decode::<BTreeMap<u8, (i64, i16)>>(&map).unwrap();
    assert_eq!(read, BTreeMap::from([(1, (-5, -7))]));
    let value = encode(&(-5i64, 7u8)).unwrap();
    let layout = stamped::<u8, Option<u16>>(Stamps::Value);
    assert_eq!(layout.decode::<(i64, Option<u16>)>(&value).unwrap(), (-5, Some(7)));
}
