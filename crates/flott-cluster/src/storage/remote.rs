//! Stores elsewhere: which URL means which.

#[cfg(feature = "object-store")]
mod object;
#[cfg(feature = "object-store")]
mod open;

use std::sync::Arc;

use flott_core::config::Configuration;
use flott_core::{Error, Result};

use super::store::Store;

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    S3,
    Gs,
    Az,
    Hdfs,
}

impl Kind {
    fn of(scheme: &str) -> Option<Self> {
        Some(match scheme {
            "s3" | "s3a" | "s3n" | "s3p" => Self::S3,
            "gs" => Self::Gs,
            "az" | "azure" | "abfs" | "abfss" => Self::Az,
            "hdfs" => Self::Hdfs,
            _ => return None,
        })
    }

    /// The feature of the build that brings it.
    fn feature(self) -> &'static str {
        match self {
            Self::S3 | Self::Gs | Self::Az => "cloud",
            Self::Hdfs => "hdfs",
        }
    }
}

fn kind_of(url: &str) -> Result<Kind> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    Kind::of(scheme).ok_or_else(|| {
        Error::invalid(format!(
            "the scheme {scheme}:// is not supported; use a path, or a URL with file://, s3://, \
             gs://, az:// or hdfs://"
        ))
    })
}

/// What a URL begins with, up to the path; and the path, without slashes around it.
///
/// # Errors
/// If its scheme is not known, or no bucket is named.
pub(super) fn split(url: &str) -> Result<(&str, &str)> {
    let kind = kind_of(url)?;
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let authority = url[after_scheme..].find('/').unwrap_or(url.len() - after_scheme);
    if authority == 0 && kind != Kind::Hdfs {
        return Err(Error::invalid("it names no bucket"));
    }
    let (root, path) = url.split_at(after_scheme + authority);
    Ok((root, path.trim_matches('/')))
}

/// Opens the store with this root, see [`split`].
///
/// # Errors
/// If this program was built without it, or its configuration is wrong. Nothing is called yet.
pub(super) fn open(root: &str, config: &Configuration) -> Result<Arc<dyn Store>> {
    let kind = kind_of(root)?;
    #[cfg(feature = "object-store")]
    if let Some(store) = open::open(kind, root, config)? {
        return Ok(store);
    }
    #[cfg(not(feature = "object-store"))]
    let _ = config;
    let feature = kind.feature();
    Err(Error::invalid(format!(
        "this program was built without it: build it with the feature \"{feature}\" of flott"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_root_and_a_path() {
        assert_eq!(split("s3://bucket/a/b/").unwrap(), ("s3://bucket", "a/b"));
        assert_eq!(split("gs://bucket").unwrap(), ("gs://bucket", ""));
        assert_eq!(split("hdfs:///a").unwrap(), ("hdfs://", "a"));
        let azure = "abfss://c@account.dfs.core.windows.net";
        assert_eq!(split(&format!("{azure}/a")).unwrap(), (azure, "a"));
        assert!(split("s3:///a").is_err());
        assert!(split("ftp://host/a").is_err());
    }
}
