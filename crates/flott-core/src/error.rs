//! One error type for the whole engine: a kind that says what to do next, a message that names the
//! thing and the way out, and the chain of causes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The input (an option, an argument, a path, a program) is wrong: change it and try again.
    InvalidInput,
    /// A user function returned an error or panicked: the job restarts by its restart strategy.
    User,
    /// The outside world (network, disk, object store) failed: trying again may help.
    Io,
    /// A write to the outside world may or may not have happened: look before acting.
    Unknown,
    /// Stored bytes are damaged, truncated or of a version that this program cannot read.
    Corrupt,
    /// The operation was cancelled.
    Cancelled,
    /// A bug in Flott.
    Internal,
}

/// An error with its chain of causes.
///
/// `Display` prints the message alone; the alternate form (`{:#}`) and [`Error::report`] print the
/// whole chain.
#[derive(Debug)]
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error without a cause.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { inner: Box::new(Inner { kind, message: message.into(), source: None }) }
    }

    /// Something the user gave is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// A bug in Flott.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// An error with the cause that led to it.
    pub fn with_source(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            inner: Box::new(Inner { kind, message: message.into(), source: Some(source.into()) }),
        }
    }

    /// This error as the cause of a new one of the same kind that says where it happened.
    #[must_use]
    pub fn context(self, message: impl Into<String>) -> Self {
        let kind = self.kind();
        Self::with_source(kind, message, Box::new(Cause(self)))
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The whole chain, outermost first, one cause a line: `message`, then `Caused by: …`.
    pub fn report(&self) -> String {
        let mut text = self.inner.message.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str("\nCaused by: ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)?;
        if f.alternate() {
            let mut cause = self.source();
            while let Some(error) = cause {
                write!(f, ": {error}")?;
                cause = error.source();
            }
        }
        Ok(())
    }
}

/// [`Error`] is not a `std::error::Error` itself, so that `?` in a user function can turn any error
/// into it; inside a chain it stands in this wrapper.
#[derive(Debug)]
struct Cause(Error);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        if message.is_empty() {
            message = format!("{error:?}");
        }
        let source = error.source().map(|source| Box::new(Flat::of(source)) as _);
        Self { inner: Box::new(Inner { kind: ErrorKind::User, message, source }) }
    }
}

/// An owned copy of a borrowed chain of causes.
#[derive(Debug)]
struct Flat {
    message: String,
    source: Option<Box<Flat>>,
}

impl Flat {
    fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        Self { message: error.to_string(), source: error.source().map(|s| Box::new(Self::of(s))) }
    }
}

impl fmt::Display for Flat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Flat {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_holds_the_whole_chain() {
        fn parse() -> Result<i64> {
            Ok("x".parse::<i64>()?)
        }
        let error = parse().unwrap_err().context("line 3").context("operator \"parse\" failed");
        assert_eq!(error.kind(), ErrorKind::User);
        assert_eq!(
            error.report(),
            "operator \"parse\" failed\nCaused by: line 3\nCaused by: invalid digit found in string"
        );
        assert_eq!(
            format!("{error:#}"),
            "operator \"parse\" failed: line 3: invalid digit found in string"
        );
    }
}
