//! Quiet crates take the world as arguments: outside tests they name no clock, thread, file,
//! socket or process.

use super::files::File;
use super::rooms::ROOMS;
use super::{Complaint, source};

const WORLD: [(&str, &str); 6] = [
    ("std::net", "do it in a loud crate"),
    ("std::fs", "do it in a loud crate, or ask the storage that you are given"),
    ("std::thread", "be stepped by a loud crate"),
    ("std::process", "do it in a loud crate"),
    ("Instant::now", "take the time as an argument"),
    ("SystemTime", "take the time as an argument"),
];

pub(super) fn check(file: &File) -> Vec<Complaint> {
    let name = file.crate_of_source().unwrap_or_default();
    let is_quiet = ROOMS.iter().any(|room| room.quiet && room.name == name);
    if !is_quiet || file.is_test() {
        return Vec::new();
    }
    let code = source::code(&file.text);
    let lines = code.lines().zip(source::test_lines(&code)).enumerate();
    let mut complaints = Vec::new();
    for (index, (line, is_test)) in lines {
        if is_test {
            continue;
        }
        for (word, instead) in WORLD {
            if line.contains(word) {
                let text = format!("`{word}` in a quiet crate: {instead}");
                complaints.push(Complaint::new(&file.path, index + 1, text));
            }
        }
        if line.contains("use std::{") {
            let text = "import one module of std per `use`: a group hides what is reached for";
            complaints.push(Complaint::new(&file.path, index + 1, text));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The complaints about a file, as `line: word`.
    fn check(path: &str, text: &str) -> Vec<String> {
        let complaints = super::check(&File { path: path.into(), text: text.into() });
        let brief = |c: &Complaint| format!("{}: {}", c.line, c.text);
        complaints.iter().map(brief).collect()
    }

    const QUIET: &str = "crates/flott-state/src/a.rs";

    #[test]
    fn a_quiet_crate_has_no_clock_thread_or_file() {
        let found = check(QUIET, "use std::fs;\nuse std::thread::sleep;\nlet a = Instant::now();");
        assert_eq!(found.len(), 3);
        assert!(found[0].starts_with("1: `std::fs`"), "{found:?}");
        assert!(found[2].starts_with("3: `Instant::now`"), "{found:?}");
    }

    #[test]
    fn a_group_of_std_is_refused() {
        assert_eq!(check(QUIET, "use std::{fmt, net};").len(), 1);
    }

    #[test]
    fn words_in_comments_literals_and_tests_are_free() {
        check_free("// no std::fs here\nlet a = \"std::net\";");
        check_free("#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n");
        check_free("thread_local! {}");
    }

    fn check_free(text: &str) {
        assert_eq!(check(QUIET, text), Vec::<String>::new());
    }

    #[test]
    fn loud_crates_and_test_files_are_free() {
        assert!(check("crates/flott-cluster/src/a.rs", "use std::fs;").is_empty());
        assert!(check("crates/flott-state/src/a/tests.rs", "use std::fs;").is_empty());
        assert!(check("crates/flott-state/tests/a.rs", "use std::fs;").is_empty());
    }
}
