//! What changed between two schemas, in words.

use flott_checkpoint::snapshot::SchemaText;

use super::text::{parse, print};
use super::{Schema, Variant};

/// The first difference between the shape that was stored and the program's own, as the second
/// half of a sentence: "field `count` was i64, is String". `None` if there is none.
pub fn difference(stored: &SchemaText, own: &SchemaText) -> Option<String> {
    if stored == own {
        return None;
    }
    match (parse(&stored.0), parse(&own.0)) {
        (Some(stored), Some(own)) => Comparison::default().schema(&stored, &own),
        _ => Some(format!("the type was {}, is {}", stored.0, own.0)),
    }
}

/// Whether values that were stored in one shape can be read as another one, in so far as the shapes say:
/// `Ok` if they can, or if that depends on defaults and aliases, which the type alone knows
/// ([`super::evolve`]); else what stands against it, as [`difference`] does. Numbers may become wider, fields and
/// variants come, go and move, and a value may become an option.
pub(crate) fn can_become(stored: &Schema, own: &Schema) -> Result<(), String> {
    let mut comparison = Comparison { evolves: true, ..Comparison::default() };
    comparison.schema(stored, own).map_or(Ok(()), Err)
}

#[derive(Default)]
struct Comparison {
    /// Whether some changes are none.
    evolves: bool,
    /// The fields, variants and elements that lead to the place that is compared.
    path: Vec<String>,
    /// Type names that stand for the same type: renaming a type changes no bytes.
    renamed: Vec<(String, String)>,
}

impl Comparison {
    fn schema(&mut self, stored: &Schema, own: &Schema) -> Option<String> {
        match (stored, own) {
            (Schema::Primitive(a), Schema::Primitive(b)) if a == b => None,
            (Schema::Primitive(a), Schema::Primitive(b)) if self.evolves && widens(a, b) => None,
            (Schema::Opaque(a), Schema::Opaque(b)) if is_same_opaque(a, b) && !self.evolves => None,
            (Schema::Opaque(a), Schema::Opaque(b)) if is_same_opaque(a, b) => Some(format!(
                "{} is a {a}, whose shape is not known, so that nothing around it can change",
                self.place()
            )),
            (Schema::Option(a), Schema::Option(b)) => self.inside("?", a, b),
            (Schema::Sequence(a), Schema::Sequence(b)) => self.inside("[]", a, b),
            (Schema::Map(ka, va), Schema::Map(kb, vb)) => {
                // Keys that were different must not become the same.
                let evolves = std::mem::take(&mut self.evolves);
                let key = self.inside("[key]", ka, kb);
                self.evolves = evolves;
                key.or_else(|| self.inside("[value]", va, vb))
            }
            (Schema::Tuple(a, stored_items), Schema::Tuple(b, own_items)) => {
                if let (Some(a), Some(b)) = (a, b) {
                    self.renamed.push((a.clone(), b.clone()));
                }
                self.items(stored_items, own_items, || change(stored, own))
            }
            (Schema::Struct(a, stored), Schema::Struct(b, own)) => {
                self.renamed.push((a.clone(), b.clone()));
                self.fields(stored, own)
            }
            (Schema::Enum(a, stored), Schema::Enum(b, own)) => {
                self.renamed.push((a.clone(), b.clone()));
                self.variants(stored, own)
            }
            (Schema::Recursive(a), Schema::Recursive(b))
                if self.renamed.iter().any(|(old, new)| old == a && new == b) =>
            {
                None
            }
            (_, Schema::Option(inner)) if self.evolves => self.inside("?", stored, inner),
            _ => Some(format!("{} {}", self.place(), change(stored, own))),
        }
    }

    fn inside(&mut self, step: &str, stored: &Schema, own: &Schema) -> Option<String> {
        self.path.push(step.to_owned());
        let found = self.schema(stored, own);
        self.path.pop();
        found
    }

    fn items(
        &mut self,
        stored: &[Schema],
        own: &[Schema],
        change: impl Fn() -> String,
    ) -> Option<String> {
        if stored.len() != own.len() {
            return Some(format!("{} {}", self.place(), change()));
        }
        let mut pairs = stored.iter().zip(own).enumerate();
        pairs.find_map(|(index, (stored, own))| self.inside(&format!(".{index}"), stored, own))
    }

    fn fields(&mut self, stored: &[(String, Schema)], own: &[(String, Schema)]) -> Option<String> {
        if let Some(change) = self.names("field", stored, own) {
            return Some(change);
        }
        let mut pairs = pairs(stored, own);
        pairs.find_map(|(name, stored, own)| self.inside(&format!(".{name}"), stored, own))
    }

    fn variants(
        &mut self,
        stored: &[(String, Variant)],
        own: &[(String, Variant)],
    ) -> Option<String> {
        if let Some(change) = self.names("variant", stored, own) {
            return Some(change);
        }
        pairs(stored, own).find_map(|(name, stored, own)| {
            self.path.push(format!("::{name}"));
            let found = match (stored, own) {
                (Variant::Unit, Variant::Unit) => None,
                (Variant::Tuple(a), Variant::Tuple(b)) => {
                    self.items(a, b, || "has another number of values".to_owned())
                }
                (Variant::Struct(a), Variant::Struct(b)) => self.fields(a, b),
                (Variant::Unit | Variant::Tuple(_) | Variant::Struct(_), _) => {
                    Some(format!("{} holds another kind of content", self.place()))
                }
            };
            self.path.pop();
            found
        })
    }

    /// Compares the names of fields or variants, whose order decides how bytes are read.
    fn names<T>(&self, what: &str, stored: &[(String, T)], own: &[(String, T)]) -> Option<String> {
        let missing = |from: &[(String, T)], of: &[(String, T)]| {
            let name = of.iter().map(|(name, _)| name);
            let mut missing = name.filter(|name| !from.iter().any(|(other, _)| other == *name));
            missing.next().map(|name| format!("{what} `{}`", self.member(what, name)))
        };
        let (removed, added) = (missing(own, stored), missing(stored, own));
        if self.evolves {
            // A variant that is new may be the old one by another name.
            let is_lost = what == "variant" && added.is_none();
            return removed.filter(|_| is_lost).map(|name| format!("{name} was removed"));
        }
        if let Some(name) = removed {
            return Some(format!("{name} was removed"));
        }
        if let Some(name) = added {
            return Some(format!("{name} was added"));
        }
        let moved = stored.iter().zip(own).find(|((stored, _), (own, _))| stored != own)?.1;
        Some(format!("{what} `{}` has moved", self.member(what, &moved.0)))
    }

    fn member(&self, what: &str, name: &str) -> String {
        let separator = if what == "field" { "." } else { "::" };
        let path = format!("{}{separator}{name}", self.path.concat());
        path.trim_start_matches(['.', ':']).to_owned()
    }

    /// What is compared: "field `a.b`", or "the type" at the root.
    fn place(&self) -> String {
        let path = self.path.concat();
        let shown = path.trim_start_matches(['.', ':']);
        if shown.is_empty() {
            "the type".to_owned()
        } else if path.contains(['?', '[']) || path.contains("::") {
            format!("the value at `{shown}`")
        } else {
            format!("field `{shown}`")
        }
    }
}

/// What both have, by name.
fn pairs<'a, T>(
    stored: &'a [(String, T)],
    own: &'a [(String, T)],
) -> impl Iterator<Item = (&'a str, &'a T, &'a T)> {
    stored.iter().filter_map(|(name, stored)| {
        let (_, own) = own.iter().find(|(other, _)| other == name)?;
        Some((name.as_str(), stored, own))
    })
}

/// Whether two types whose shapes are not known are the same, as far as can be told. Of some, nothing but the name
/// was written once.
fn is_same_opaque(stored: &str, own: &str) -> bool {
    own.strip_prefix(stored).is_some_and(|more| more.is_empty() || more.starts_with(": "))
}

/// Whether every number of one type is one of the other.
pub(super) fn widens(stored: &str, own: &str) -> bool {
    let integer = |name: &str| {
        let bits = name.trim_start_matches(['i', 'u']).parse::<u32>().ok()?;
        Some((name.starts_with('i'), bits))
    };
    match (integer(stored), integer(own)) {
        (Some((a_signed, a)), Some((b_signed, b))) => a < b && (b_signed || !a_signed),
        _ => (stored, own) == ("f32", "f64"),
    }
}

fn change(stored: &Schema, own: &Schema) -> String {
    format!("was {}, is {}", print(stored), print(own))
}
