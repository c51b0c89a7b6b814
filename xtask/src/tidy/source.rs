//! Rust source text without its comments, literals or tests. Line numbers stay as they are.
//!
//! This is a small lexer, not a parser: where an item ends is told from its indentation, so it
//! relies on rustfmt.

/// What a byte of source text belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    Comment,
    Literal,
}

/// The code alone: comments, strings and characters become spaces.
pub(super) fn code(text: &str) -> String {
    keep(text, |part| part == Part::Code)
}

/// Code and literals: comments become spaces.
pub(super) fn without_comments(text: &str) -> String {
    keep(text, |part| part != Part::Comment)
}

/// For each line of `code` (comments and literals blanked), whether it belongs to an item under
/// `#[cfg(test)]`.
pub(super) fn test_lines(code: &str) -> Vec<bool> {
    let mut lines = Vec::new();
    // The indentation of the test item that we are in, and whether its first line is behind us.
    let mut item: Option<(usize, bool)> = None;
    for line in code.lines() {
        let text = line.trim();
        if item.is_none() && text.starts_with("#[cfg(test)]") {
            item = Some((line.len() - line.trim_start().len(), false));
        }
        lines.push(item.is_some());
        let Some((indent, begun)) = item else { continue };
        let is_attribute = text.is_empty() || (!begun && text.starts_with("#["));
        if is_attribute {
            continue;
        }
        let at_indent = line.len() - line.trim_start().len() == indent;
        let closes = if begun {
            at_indent && text.starts_with(['}', ')', ']'])
        } else {
            text.ends_with(';') || text.ends_with('}')
        };
        item = if closes && !text.ends_with('{') { None } else { Some((indent, true)) };
    }
    lines
}

fn keep(text: &str, wanted: impl Fn(Part) -> bool) -> String {
    let parts = parts(text.as_bytes());
    let blanked = |(at, c): (usize, char)| if c == '\n' || wanted(parts[at]) { c } else { ' ' };
    text.char_indices().map(blanked).collect()
}

fn parts(bytes: &[u8]) -> Vec<Part> {
    let mut parts = Vec::with_capacity(bytes.len());
    while parts.len() < bytes.len() {
        let at = parts.len();
        let rest = &bytes[at..];
        let (part, length) = if rest.starts_with(b"//") {
            (Part::Comment, rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()))
        } else if rest.starts_with(b"/*") {
            (Part::Comment, block_comment(rest))
        } else if rest[0] == b'"' {
            (Part::Literal, string(rest))
        } else if rest[0] == b'\'' {
            character(rest).map_or((Part::Code, 1), |length| (Part::Literal, length))
        } else if begins_word(bytes, at) {
            raw_string(rest).map_or((Part::Code, 1), |length| (Part::Literal, length))
        } else {
            (Part::Code, 1)
        };
        parts.resize(at + length.min(rest.len()), part);
    }
    parts
}

fn begins_word(bytes: &[u8], at: usize) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    is_word(bytes[at]) && (at == 0 || !is_word(bytes[at - 1]))
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let step = if rest[at..].starts_with(b"/*") {
            depth += 1;
            2
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            2
        } else {
            1
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// The length of a character literal; `None` for a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        return Some(3 + rest.get(3..)?.iter().position(|b| *b == b'\'')? + 1);
    }
    let text = std::str::from_utf8(&rest[1..rest.len().min(5)]);
    let valid = match text {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&rest[1..1 + error.valid_up_to()]).ok()?,
    };
    let length = valid.chars().next()?.len_utf8();
    (rest.get(1 + length) == Some(&b'\'')).then_some(length + 2)
}

/// The length of `r"…"`, `br#"…"#` and the like.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let prefix = rest.iter().take_while(|b| matches!(b, b'b' | b'c' | b'r')).count();
    if prefix == 0 || prefix > 2 || rest[prefix - 1] != b'r' {
        return None;
    }
    let hashes = rest[prefix..].iter().take_while(|b| **b == b'#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&b'"') {
        return None;
    }
    let end: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = &rest[open + 1..];
    let close = body.windows(end.len()).position(|window| window == end)?;
    Some(open + 1 + close + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let code = code(text);
        assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{text}");
        assert_eq!(code.lines().count(), text.lines().count());
    }

    #[test]
    fn comments_and_literals_are_blanked() {
        check("a // b\nc", "a c");
        check("a /* b /* c */ d */ e", "a e");
        check(r#"a("b // \" c") d"#, "a( ) d");
        check("a(r#\"b \" c\"#) d", "a( ) d");
        check("a(br\"b\\\") c", "a( ) c");
        check("r#type + bar\"x\"", "r#type + bar");
        check("f('\"') g('\\'') h('\\u{7f}') i('é')", "f( ) g( ) h( ) i( )");
        check("fn a<'b>(c: &'b str, d: &'static str)", "fn a<'b>(c: &'b str, d: &'static str)");
    }

    #[test]
    fn literals_stay_when_only_comments_go() {
        assert_eq!(without_comments("a(\"//\") // b"), "a(\"//\")     ");
    }

    #[test]
    fn test_items_end_where_their_braces_do() {
        let text = "\
use a;
#[cfg(test)]
mod tests;
fn b() {
    #[cfg(test)]
    use c::{
        d,
    };
    e()
}
#[cfg(test)]
#[path = \"f.rs\"]
mod tests {
    fn g() {
    }
}
fn h() {}
";
        let marked: Vec<&str> = test_lines(&code(text))
            .into_iter()
            .zip(text.lines())
            .filter_map(|(is_test, line)| (!is_test).then_some(line.trim()))
            .collect();
        assert_eq!(marked, ["use a;", "fn b() {", "e()", "}", "fn h() {}"]);
    }
}
