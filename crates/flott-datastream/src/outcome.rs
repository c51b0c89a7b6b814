//! What a user function may return: a plain value, or a `Result` with any error.

use flott_core::codec::Data;
use flott_core::{Error, Result};

/// Marks functions that return a plain value.
pub struct Plain;

/// Marks functions that return a `Result`.
pub struct Fallible;

/// A value of type `T`, or the reason why there is none. The marker only keeps the two
/// implementations apart; it is always inferred.
pub trait Outcome<T, Marker> {
    /// The value, or the error.
    ///
    /// # Errors
    /// That of the function.
    fn into_result(self) -> Result<T>;
}

impl<T: Data> Outcome<T, Plain> for T {
    #[inline]
    fn into_result(self) -> Result<T> {
        Ok(self)
    }
}

impl<T, E: Into<Error>> Outcome<T, Fallible> for Result<T, E> {
    #[inline]
    fn into_result(self) -> Result<T> {
        self.map_err(Into::into)
    }
}
