//! Every persisted format has a document, and the document is read again when its source changes.
//!
//! The first line of a document keeps a hash of the sources that define the format, comments,
//! tests and white space aside. A changed source fails the check until someone has read the
//! document and blessed it.

use std::fs;
use std::path::Path;

use super::{Complaint, source};

/// A persisted format: the files that define it and the document that describes it.
struct Format {
    document: &'static str,
    sources: &'static [&'static str],
}

const FORMATS: &[Format] = &[
    Format {
        document: "docs/formats/key-hash.md",
        sources: &["crates/flott-core/src/hash.rs", "crates/flott-core/src/key_group.rs"],
    },
    Format {
        document: "docs/formats/connector-state.md",
        sources: &[
            "crates/flott-connectors/src/file_sink/names.rs",
            "crates/flott-connectors/src/file_sink/state.rs",
            "crates/flott-connectors/src/datagen/splits.rs",
            "crates/flott-connectors/src/text_file/source.rs",
        ],
    },
    Format {
        document: "docs/formats/job-record.md",
        sources: &["crates/flott-cluster/src/jobmanager/ha.rs"],
    },
    Format {
        document: "docs/formats/metadata.md",
        sources: &[
            "crates/flott-checkpoint/src/metadata.rs",
            "crates/flott-checkpoint/src/record.rs",
            "crates/flott-checkpoint/src/snapshot.rs",
        ],
    },
    Format {
        document: "docs/formats/state-file.md",
        sources: &[
            "crates/flott-state/src/snapshot.rs",
            "crates/flott-state/src/keyed/shape.rs",
            "crates/flott-state/src/schema/text.rs",
            "crates/flott-core/src/codec/encoder.rs",
        ],
    },
];

const BEGIN: &str = "<!-- source-hash: ";
const END: &str = " -->";

/// Compares the stored hashes with the sources.
pub(super) fn check(root: &Path) -> Vec<Complaint> {
    FORMATS.iter().filter_map(|format| check_format(root, format)).collect()
}

/// Writes the hashes of the sources into the documents; returns the documents that changed.
pub(super) fn bless(root: &Path) -> Result<Vec<&'static str>, String> {
    let mut changed = Vec::new();
    for format in FORMATS {
        let hash = hash_sources(root, format).map_err(|complaint| complaint.to_string())?;
        let path = root.join(format.document);
        let text = fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", format.document))?;
        let blessed = with_hash(&text, &hash);
        if blessed != text {
            fs::write(&path, blessed)
                .map_err(|error| format!("cannot write {}: {error}", format.document))?;
            changed.push(format.document);
        }
    }
    Ok(changed)
}

fn check_format(root: &Path, format: &Format) -> Option<Complaint> {
    let hash = match hash_sources(root, format) {
        Ok(hash) => hash,
        Err(complaint) => return Some(complaint),
    };
    let Ok(text) = fs::read_to_string(root.join(format.document)) else {
        let text = format!("this format has no document: write it for {}", format.sources[0]);
        return Some(Complaint::new(format.document, 1, text));
    };
    let text = match stored_hash(&text) {
        Some(stored) if stored == hash => return None,
        Some(_) => format!(
            "{} changed: check that this document is still right, that old files can still be \
             read, and that the version went up if new files differ; then run `cargo xtask tidy \
             --bless-formats`",
            format.sources.join(" or ")
        ),
        None => "there is no source hash in the first line: run `cargo xtask tidy \
                 --bless-formats`"
            .into(),
    };
    Some(Complaint::new(format.document, 1, text))
}

fn hash_sources(root: &Path, format: &Format) -> Result<String, Complaint> {
    let mut texts = Vec::new();
    for path in format.sources {
        let text = fs::read_to_string(root.join(path)).map_err(|error| {
            let text = format!("cannot read this source of {}: {error}", format.document);
            Complaint::new(path, 1, text)
        })?;
        texts.push(text);
    }
    Ok(hash(&texts))
}

/// FNV-1a of the words of each text, comments and tests aside.
fn hash(texts: &[String]) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    for text in texts {
        let is_test = source::test_lines(&source::code(text));
        let text = source::without_comments(text);
        let lines = text.lines().zip(is_test).filter(|(_, is_test)| !is_test);
        for word in lines.flat_map(|(line, _)| line.split_whitespace()) {
            word.bytes().for_each(&mut add);
            add(b' ');
        }
        add(b'\n');
    }
    format!("{hash:016x}")
}

fn stored_hash(document: &str) -> Option<&str> {
    document.lines().next()?.strip_prefix(BEGIN)?.strip_suffix(END)
}

fn with_hash(document: &str, hash: &str) -> String {
    let rest = match stored_hash(document) {
        Some(_) => document.split_once('\n').map_or("", |(_, rest)| rest),
        None => document,
    };
    format!("{BEGIN}{hash}{END}\n{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(text: &str) -> String {
        hash(&[text.into()])
    }

    #[test]
    fn comments_tests_and_layout_do_not_change_the_hash() {
        let plain = hash_of("const VERSION: u16 = 1;\nfn write() {}\n");
        assert_eq!(plain, hash_of("//! A.\nconst VERSION: u16 =\n    1; // b\nfn write() {}\n"));
        let tested =
            "const VERSION: u16 = 1;\nfn write() {}\n#[cfg(test)]\nmod tests {\n    a();\n}\n";
        assert_eq!(plain, hash_of(tested));
    }

    #[test]
    fn code_and_literals_do() {
        let plain = hash_of("const VERSION: u16 = 1;");
        assert_ne!(plain, hash_of("const VERSION: u16 = 2;"));
        assert_ne!(hash_of("a(\"b\")"), hash_of("a(\"c\")"));
        assert_ne!(hash(&["a".into(), "b".into()]), hash(&["a b".into()]));
    }

    #[test]
    fn a_hash_is_written_to_the_first_line_and_read_again() {
        let document = with_hash("# Title\n", "12ab");
        assert_eq!(document, "<!-- source-hash: 12ab -->\n# Title\n");
        assert_eq!(stored_hash(&document), Some("12ab"));
        let again = with_hash(&document, "34cd");
        assert_eq!(again, "<!-- source-hash: 34cd -->\n# Title\n");
    }

    #[test]
    fn a_missing_hash_is_none() {
        assert_eq!(stored_hash("# Title\n"), None);
        assert_eq!(stored_hash(""), None);
    }
}
