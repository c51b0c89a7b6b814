//! Which files a path stands for.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use flott_core::{Error, ErrorKind, Result};

/// The files that `pattern` (a file, a directory or a glob pattern) stands for now. Empty if it is
/// a directory without files, or a pattern that nothing matches.
pub(super) fn list(pattern: &str) -> Result<BTreeSet<String>> {
    let path = Path::new(pattern);
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => list_directory(path),
        Ok(_) => Ok(BTreeSet::from([pattern.to_owned()])),
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_glob(pattern) => {
            list_glob(pattern)
        }
        Err(error) => Err(cannot_read(pattern, error)),
    }
}

/// Nothing to read: an error, because a wrong path looks like this.
pub(super) fn no_files(pattern: &str) -> Error {
    Error::invalid(format!(
        "there is nothing to read at \"{pattern}\": no file matches it (files whose names begin \
         with \".\" or \"_\" are left out); correct the path, or follow it to wait for files"
    ))
}

pub(super) fn cannot_read(path: &str, error: io::Error) -> Error {
    let is_missing = error.kind() == io::ErrorKind::NotFound;
    let kind = if is_missing { ErrorKind::InvalidInput } else { ErrorKind::Io };
    Error::with_source(kind, format!("cannot read \"{path}\""), error)
}

fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

fn list_directory(directory: &Path) -> Result<BTreeSet<String>> {
    let failed = |error| cannot_read(&directory.to_string_lossy(), error);
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if is_file(&path)? && !is_hidden(&path) {
            files.insert(text(&path)?);
        }
    }
    Ok(files)
}

fn list_glob(pattern: &str) -> Result<BTreeSet<String>> {
    let matches = glob::glob(pattern).map_err(|error| {
        Error::with_source(
            ErrorKind::InvalidInput,
            format!("\"{pattern}\" is neither a file nor a glob pattern"),
            error,
        )
    })?;
    // Who asks for such names gets them.
    let asks_for_hidden = is_hidden(Path::new(pattern));
    let mut files = BTreeSet::new();
    for path in matches {
        let path = path.map_err(|error| {
            let path = error.path().to_string_lossy().into_owned();
            cannot_read(&path, io::Error::from(error))
        })?;
        if is_file(&path)? && (asks_for_hidden || !is_hidden(&path)) {
            files.insert(text(&path)?);
        }
    }
    Ok(files)
}

/// What vanishes between listing and looking is no file.
fn is_file(path: &Path) -> Result<bool> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.is_file()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(cannot_read(&path.to_string_lossy(), error)),
    }
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(['.', '_'])
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::invalid(format!(
            "the name of the file \"{}\" is not UTF-8: rename it",
            path.to_string_lossy()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_and_patterns_give_visible_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("nested")).unwrap();
        for name in ["b.txt", "a.txt", ".hidden.txt", "_unfinished.txt", "c.log", "nested/d.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let listed = |name: &str| {
            let files: Vec<String> = list(&path(name)).unwrap().into_iter().collect();
            files.iter().map(|file| file.rsplit('/').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(listed(""), ["a.txt", "b.txt", "c.log"]);
        assert_eq!(listed("*.txt"), ["a.txt", "b.txt"]);
        assert_eq!(listed("_*.txt"), ["_unfinished.txt"]);
        assert_eq!(listed("*/*.txt"), ["d.txt"]);
        assert_eq!(listed("a.txt"), ["a.txt"]);
        assert_eq!(listed(".hidden.txt"), [".hidden.txt"]);
        assert!(listed("*.csv").is_empty());
    }

    #[test]
    fn a_path_that_does_not_exist_is_named() {
        let error = list("no/such/file").unwrap_err();
        assert!(error.to_string().contains("no/such/file"), "{error}");
    }
}
