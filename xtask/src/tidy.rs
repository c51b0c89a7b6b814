//! The rules of the house that the compiler does not know.
//!
//! - [`edges`]: which crate may use which; the table is in [`rooms`].
//! - [`quiet`]: quiet crates reach for no clock, thread, file or socket.
//! - [`shape`]: every file says what it is, is of readable size, and silences no lint.
//! - [`places`]: nothing names a developer's machine or a private host.
//! - [`formats`]: the document of a persisted format is read again when its source changes.
//!
//! Each check is a function from what it reads to [`Complaint`]s; [`run`] feeds and prints them.

mod edges;
mod files;
mod formats;
mod places;
mod quiet;
mod rooms;
mod shape;
mod source;

use std::fmt;
use std::process::ExitCode;

use crate::cargo;

/// A broken rule: where, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
struct Complaint {
    path: String,
    line: usize,
    text: String,
}

impl Complaint {
    fn new(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self { path: path.into(), line, text: text.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.text)
    }
}

/// Checks the workspace, prints what is wrong, and fails if anything is.
pub(crate) fn run(bless_formats: bool) -> Result<ExitCode, String> {
    let root = &cargo::root();
    if bless_formats {
        for document in formats::bless(root)? {
            println!("{document}: hash updated");
        }
    }
    let files = files::read_all(root)?;
    let mut complaints = edges::check_workspace(root)?;
    complaints.extend(formats::check(root));
    for file in &files {
        complaints.extend(places::check(file));
        if file.is_rust() {
            complaints.extend(shape::check(file));
            complaints.extend(quiet::check(file));
        }
    }
    for file in files.iter().filter(|file| file.is_rust() && shape::is_long(file)) {
        println!("note: {} has {} lines: can it be split?", file.path, file.text.lines().count());
    }
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    if complaints.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("tidy: {} to mend", complaints.len());
    Ok(ExitCode::FAILURE)
}
