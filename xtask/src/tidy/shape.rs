//! Every source file opens by saying what it is, is short enough to be read, leaves nothing to be
//! written later, and silences lints only with a reason.

use super::files::File;
use super::{Complaint, source};

const LINES_MAX: usize = 800;
const LINES_NOTED: usize = 400;

const UNWANTED: [(&str, &str); 4] = [
    ("todo!(", "write it, or return an error that says what is missing"),
    ("unimplemented!(", "write it, or return an error that says what is missing"),
    ("#[allow(", "use #[expect(…, reason = \"…\")], which goes away when it is not needed"),
    ("#![allow(", "use #![expect(…, reason = \"…\")], which goes away when it is not needed"),
];

pub(super) fn check(file: &File) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    if must_open_with_a_doc(file) && !file.text.starts_with("//!") {
        let text = "open with a `//!` line that says what this file is for";
        complaints.push(Complaint::new(&file.path, 1, text));
    }
    let count = file.text.lines().count();
    if count > LINES_MAX {
        let text = format!("{count} lines: split it, {LINES_MAX} are the most");
        complaints.push(Complaint::new(&file.path, LINES_MAX + 1, text));
    }
    for (index, line) in source::code(&file.text).lines().enumerate() {
        for (word, instead) in UNWANTED {
            if line.contains(word) {
                let text = format!("`{word}…`: {instead}");
                complaints.push(Complaint::new(&file.path, index + 1, text));
            }
        }
    }
    complaints
}

/// Whether the file is longer than most should be.
pub(super) fn is_long(file: &File) -> bool {
    (LINES_NOTED + 1..=LINES_MAX).contains(&file.text.lines().count())
}

fn must_open_with_a_doc(file: &File) -> bool {
    let folders = ["examples/", "benches/", "xtask/"];
    file.crate_of_source().is_some() || folders.iter().any(|folder| file.path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> Vec<String> {
        let file = File { path: path.into(), text: text.into() };
        super::check(&file).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_opens_with_what_it_is() {
        assert!(check("xtask/src/a.rs", "//! A.\nfn a() {}\n").is_empty());
        assert_eq!(check("crates/a/src/lib.rs", "mod b;\n").len(), 1);
        assert_eq!(check("examples/src/a.rs", "\n//! A.\n").len(), 1);
        assert!(check("crates/a/tests/b.rs", "fn b() {}\n").is_empty());
    }

    #[test]
    fn a_file_ends_in_time() {
        let of_lines = |count: usize| format!("//! A.\n{}", "\n".repeat(count - 1));
        assert!(check("xtask/a.rs", &of_lines(800)).is_empty());
        assert!(check("xtask/a.rs", &of_lines(801))[0].contains("801 lines"));
        let long = |count| is_long(&File { path: "a.rs".into(), text: of_lines(count) });
        assert!(!long(400) && long(401) && long(800));
    }

    #[test]
    fn unfinished_code_and_silenced_lints_are_found_by_line() {
        let text = "//! A.\n#![allow(b)]\nfn c() {\n    todo!()\n}\n#[allow(d)]\nfn e() {}\n";
        let lines = check("xtask/a.rs", text);
        assert!(lines[0].starts_with("xtask/a.rs:2: `#![allow(…`"), "{lines:?}");
        assert!(lines[1].starts_with("xtask/a.rs:4: `todo!(…`"), "{lines:?}");
        assert!(lines[2].starts_with("xtask/a.rs:6: `#[allow(…`"), "{lines:?}");
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn the_words_may_be_talked_about() {
        assert!(check("xtask/a.rs", "//! A.\n// todo!()\nlet b = \"#[allow(c)]\";\n").is_empty());
    }
}
