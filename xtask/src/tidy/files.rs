//! The text files of the workspace.

use std::fs;
use std::path::Path;
use std::process::Command;

/// A text file, by its path from the root, with `/` between its parts.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The crate that the file is a source of: `a` for `crates/a/src/…`.
    pub(super) fn crate_of_source(&self) -> Option<&str> {
        let (name, rest) = self.path.strip_prefix("crates/")?.split_once('/')?;
        rest.starts_with("src/").then_some(name)
    }

    /// Whether the whole file is test code.
    pub(super) fn is_test(&self) -> bool {
        ["/tests.rs", "/testing.rs"].iter().any(|end| self.path.ends_with(end))
            || self.path.contains("/tests/")
    }
}

/// Reads every text file that git tracks or would track; without git, every text file outside
/// `target` and hidden folders.
pub(super) fn read_all(root: &Path) -> Result<Vec<File>, String> {
    let mut paths = match tracked(root) {
        Some(paths) => paths,
        None => {
            let mut paths = Vec::new();
            walk(root, "", &mut paths).map_err(|error| format!("cannot list files: {error}"))?;
            paths
        }
    };
    paths.sort();
    // A deleted file may still be tracked, and a binary one is not text: both are passed over.
    let read = |path: String| Some(File { text: fs::read_to_string(root.join(&path)).ok()?, path });
    let files: Vec<File> = paths.into_iter().filter_map(read).collect();
    if files.is_empty() {
        return Err(format!("found no files in {}", root.display()));
    }
    Ok(files)
}

fn tracked(root: &Path) -> Option<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
    let output = git.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.split_terminator('\0').map(String::from).collect())
}

fn walk(root: &Path, folder: &str, paths: &mut Vec<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name();
        let path = format!("{folder}{}", name.to_string_lossy());
        if !entry.file_type()?.is_dir() {
            paths.push(path);
        } else if path != "target" && (path == ".ci" || !path.starts_with('.')) {
            walk(root, &format!("{path}/"), paths)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo;

    #[test]
    fn a_walk_finds_the_sources_and_skips_what_is_built() {
        let mut paths = Vec::new();
        walk(&cargo::root(), "", &mut paths).unwrap();
        assert!(paths.iter().any(|path| path == "xtask/src/tidy/files.rs"));
        assert!(!paths.iter().any(|path| path.starts_with("target/") || path.starts_with(".git/")));
    }

    #[test]
    fn a_file_knows_its_crate_and_its_tests() {
        let file = |path: &str| File { path: path.into(), text: String::new() };
        assert_eq!(file("crates/flott-core/src/a/b.rs").crate_of_source(), Some("flott-core"));
        assert_eq!(file("crates/flott-core/tests/a.rs").crate_of_source(), None);
        assert_eq!(file("xtask/src/main.rs").crate_of_source(), None);
        assert!(file("crates/flott-core/src/a/tests.rs").is_test());
        assert!(!file("crates/flott-core/src/a.rs").is_test());
    }
}
