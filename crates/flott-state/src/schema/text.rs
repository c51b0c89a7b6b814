//! A schema as one line of text, and back.
//!
//! It looks like Rust: `Word{text: String, count: i64}`, `Option<T>`, `Vec<T>`, `Map<K, V>`,
//! `(A, B)`, `Pair(A, B)`, `enum Name[A, B(T), C{f: T}]`; `^Name` is the enclosing type of that
//! name, `?"path::Type"` an opaque one. Names that are no identifiers stand in quotes.

use super::{Schema, Variant};

const PRIMITIVES: [&str; 17] = [
    "bool", "i8", "i16", "i32", "i64", "i128", "u8", "u16", "u32", "u64", "u128", "f32", "f64",
    "char", "String", "Bytes", "()",
];

/// How deep a text may nest: deeper than anything that is traced.
const DEPTH_MAX: usize = 256;

pub(super) fn print(schema: &Schema) -> String {
    let mut out = String::new();
    print_schema(schema, &mut out);
    out
}

fn print_schema(schema: &Schema, out: &mut String) {
    match schema {
        Schema::Primitive(name) => out.push_str(name),
        Schema::Option(inner) => print_generic("Option", &[inner], out),
        Schema::Sequence(inner) => print_generic("Vec", &[inner], out),
        Schema::Map(key, value) => print_generic("Map", &[key, value], out),
        Schema::Tuple(name, items) => {
            if let Some(name) = name {
                print_name(name, out);
            }
            print_items(items, out);
        }
        Schema::Struct(name, fields) => {
            print_name(name, out);
            print_fields(fields, out);
        }
        Schema::Enum(name, variants) => {
            out.push_str("enum ");
            print_name(name, out);
            out.push('[');
            for (index, (name, variant)) in variants.iter().enumerate() {
                separate(index, out);
                print_name(name, out);
                match variant {
                    Variant::Unit => {}
                    Variant::Tuple(items) => print_items(items, out),
                    Variant::Struct(fields) => print_fields(fields, out),
                }
            }
            out.push(']');
        }
        Schema::Recursive(name) => {
            out.push('^');
            print_name(name, out);
        }
        Schema::Opaque(name) => {
            out.push('?');
            print_quoted(name, out);
        }
    }
}

fn print_generic(name: &str, arguments: &[&Schema], out: &mut String) {
    out.push_str(name);
    out.push('<');
    for (index, argument) in arguments.iter().enumerate() {
        separate(index, out);
        print_schema(argument, out);
    }
    out.push('>');
}

fn print_items(items: &[Schema], out: &mut String) {
    out.push('(');
    for (index, item) in items.iter().enumerate() {
        separate(index, out);
        print_schema(item, out);
    }
    // One item with a comma, as in Rust: `()` alone is the unit.
    out.push_str(if items.len() == 1 { ",)" } else { ")" });
}

fn print_fields(fields: &[(String, Schema)], out: &mut String) {
    out.push('{');
    for (index, (name, schema)) in fields.iter().enumerate() {
        separate(index, out);
        print_name(name, out);
        out.push_str(": ");
        print_schema(schema, out);
    }
    out.push('}');
}

fn separate(index: usize, out: &mut String) {
    if index > 0 {
        out.push_str(", ");
    }
}

fn print_name(name: &str, out: &mut String) {
    if !name.is_empty() && name.chars().all(is_name_char) {
        out.push_str(name);
    } else {
        print_quoted(name, out);
    }
}

fn print_quoted(name: &str, out: &mut String) {
    out.push('"');
    for c in name.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // The text is one line.
            '\n' => out.push_str("\\n"),
            _ => out.push(c),
        }
    }
    out.push('"');
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Reads what [`print`] wrote; `None` if it is anything else.
pub(super) fn parse(text: &str) -> Option<Schema> {
    let mut parser = Parser { rest: text, depth: 0 };
    let schema = parser.schema()?;
    parser.rest.is_empty().then_some(schema)
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl Parser<'_> {
    fn schema(&mut self) -> Option<Schema> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let schema = self.schema_inside();
        self.depth -= 1;
        schema
    }

    fn schema_inside(&mut self) -> Option<Schema> {
        if self.skip("()") {
            return Some(Schema::Primitive("()"));
        }
        if self.rest.starts_with('(') {
            return Some(Schema::Tuple(None, self.items()?));
        }
        if self.skip("^") {
            return Some(Schema::Recursive(self.name()?));
        }
        if self.skip("?") {
            return Some(Schema::Opaque(self.name()?));
        }
        if self.skip("enum ") {
            let name = self.name()?;
            self.expect("[")?;
            return Some(Schema::Enum(name, self.list("]", Self::variant)?));
        }
        let name = self.name()?;
        if self.rest.starts_with('{') {
            return Some(Schema::Struct(name, self.fields()?));
        }
        if self.rest.starts_with('(') {
            return Some(Schema::Tuple(Some(name), self.items()?));
        }
        if self.skip("<") {
            let mut arguments = self.list(">", Self::schema)?.into_iter().map(Box::new);
            let (first, second) = (arguments.next()?, arguments.next());
            return match (name.as_str(), second, arguments.next()) {
                ("Option", None, None) => Some(Schema::Option(first)),
                ("Vec", None, None) => Some(Schema::Sequence(first)),
                ("Map", Some(second), None) => Some(Schema::Map(first, second)),
                _ => None,
            };
        }
        PRIMITIVES.into_iter().find(|primitive| *primitive == name).map(Schema::Primitive)
    }

    fn variant(&mut self) -> Option<(String, Variant)> {
        let name = self.name()?;
        let variant = if self.rest.starts_with('(') {
            Variant::Tuple(self.items()?)
        } else if self.rest.starts_with('{') {
            Variant::Struct(self.fields()?)
        } else {
            Variant::Unit
        };
        Some((name, variant))
    }

    fn items(&mut self) -> Option<Vec<Schema>> {
        self.expect("(")?;
        let mut items = Vec::new();
        while !self.skip(")") {
            if !items.is_empty() {
                self.expect(", ")?;
            }
            items.push(self.schema()?);
            if items.len() == 1 && self.skip(",)") {
                break;
            }
        }
        Some(items)
    }

    fn fields(&mut self) -> Option<Vec<(String, Schema)>> {
        self.expect("{")?;
        self.list("}", |parser| {
            let name = parser.name()?;
            parser.expect(": ")?;
            Some((name, parser.schema()?))
        })
    }

    fn list<T>(&mut self, end: &str, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut items = Vec::new();
        while !self.skip(end) {
            if !items.is_empty() {
                self.expect(", ")?;
            }
            items.push(item(self)?);
        }
        Some(items)
    }

    fn name(&mut self) -> Option<String> {
        if self.skip("\"") {
            let mut name = String::new();
            let mut chars = self.rest.char_indices();
            while let Some((at, c)) = chars.next() {
                match c {
                    '"' => {
                        self.rest = &self.rest[at + 1..];
                        return Some(name);
                    }
                    '\\' => match chars.next()?.1 {
                        'n' => name.push('\n'),
                        escaped => name.push(escaped),
                    },
                    _ => name.push(c),
                }
            }
            return None;
        }
        let end = self.rest.find(|c| !is_name_char(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!name.is_empty()).then(|| name.to_owned())
    }

    fn expect(&mut self, token: &str) -> Option<()> {
        self.skip(token).then_some(())
    }

    fn skip(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}
