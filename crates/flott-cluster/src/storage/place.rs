//! A place where something is kept: a path or a URL, and the store that it is in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use flott_checkpoint::storage::StoreError;
use flott_core::config::Configuration;
use flott_core::{Error, ErrorKind, Result};

use super::local::LocalStore;
use super::remote;
use super::store::{Creation, Entry, FileInfo, Found, Store};

/// A file or folder in some store. It need not exist.
#[derive(Clone)]
pub(crate) struct Place {
    store: Arc<dyn Store>,
    /// What stands before the path in the URL; empty for this machine's files.
    root: String,
    /// Within the store, without a slash at its end.
    path: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_local() {
            f.write_str(self.own_path())
        } else {
            write!(f, "{}/{}", self.root, self.path)
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        (&self.root, &self.path) == (&other.root, &other.path)
    }
}

impl Place {
    /// A place in this one. `name` may have several parts.
    pub(crate) fn join(&self, name: &str) -> Self {
        let path = match (self.path.as_str(), self.is_local()) {
            ("", false) => name.to_owned(),
            (path, _) => format!("{path}/{name}"),
        };
        Self { path, ..self.clone() }
    }

    /// The folder that this is in.
    pub(crate) fn parent(&self) -> Self {
        let path = match self.path.rsplit_once('/') {
            Some((parent, _)) => parent.to_owned(),
            None if self.is_local() => ".".to_owned(),
            None => String::new(),
        };
        Self { path, ..self.clone() }
    }

    /// The last part of the name.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The same place, whatever the working directory is.
    ///
    /// # Errors
    /// If there is no working directory.
    pub(crate) fn absolute(self) -> Result<Self> {
        if !self.is_local() {
            return Ok(self);
        }
        let path = std::path::absolute(self.own_path())
            .map_err(|e| Error::invalid(format!("\"{self}\" is no directory: {e}")))?;
        Ok(Self { path: path.display().to_string(), ..self })
    }

    /// The URL that Flink's tools print: this machine's files have one, too.
    pub(crate) fn url(&self) -> String {
        if self.is_local() { format!("file:{self}") } else { self.to_string() }
    }

    pub(crate) fn is_local(&self) -> bool {
        self.root.is_empty()
    }

    /// What the store calls it.
    fn own_path(&self) -> &str {
        if self.is_local() && self.path.is_empty() { "/" } else { &self.path }
    }

    /// As [`Store::make_folder`].
    pub(crate) fn make_folder(&self) -> Result<(), StoreError> {
        self.store.make_folder(self.own_path())
    }

    /// As [`Store::create`].
    pub(crate) fn create(&self, bytes: &[u8]) -> Result<Creation, StoreError> {
        self.store.create(self.own_path(), bytes)
    }

    /// Creates a file that nobody else may have created. One with the same bytes is this one, written by an
    /// earlier try: that is a success.
    ///
    /// # Errors
    /// If another one is there. [`StoreError::Unknown`] if it may or may not be there now.
    pub(crate) fn create_once(&self, bytes: &[u8]) -> Result<(), StoreError> {
        if self.create(bytes)? == Creation::Created {
            return Ok(());
        }
        let failed = |what: &str| {
            let message = format!("cannot write \"{self}\": {what}");
            Err(StoreError::Failed(Error::new(ErrorKind::Io, message)))
        };
        match self.store.read(self.own_path(), None) {
            Ok(found) if found == bytes => Ok(()),
            Ok(_) => failed("another one is there"),
            Err(error) => match self.find() {
                Ok(Found::Folder) => failed("a folder is there"),
                Ok(Found::File | Found::Nothing) | Err(_) => {
                    Err(StoreError::Unknown(error.into_error()))
                }
            },
        }
    }

    /// As [`Store::write`].
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), StoreError> {
        self.store.write(self.own_path(), bytes)
    }

    /// As [`Store::read`].
    pub(crate) fn read(&self, range: Option<(u64, u64)>) -> Result<Vec<u8>, StoreError> {
        self.store.read(self.own_path(), range)
    }

    /// As [`Store::list`].
    pub(crate) fn list(&self) -> Result<Vec<Entry>> {
        self.store.list(self.own_path())
    }

    /// As [`Store::files`].
    pub(crate) fn files(&self) -> Result<Vec<FileInfo>> {
        self.store.files(self.own_path())
    }

    /// As [`Store::find`].
    pub(crate) fn find(&self) -> Result<Found> {
        self.store.find(self.own_path())
    }

    /// As [`Store::delete`].
    pub(crate) fn delete(&self) -> Result<(), StoreError> {
        self.store.delete(self.own_path())
    }

    /// As [`Store::delete_if_empty`].
    pub(crate) fn delete_if_empty(&self) -> Result<(), StoreError> {
        self.store.delete_if_empty(self.own_path())
    }
}

/// The stores that a process uses. Clones share them, and their connections.
#[derive(Clone)]
pub(crate) struct Stores {
    config: Arc<Configuration>,
    local: Arc<dyn Store>,
    /// By what stands before the path in their URLs.
    remote: Arc<Mutex<BTreeMap<String, Arc<dyn Store>>>>,
}

impl Stores {
    /// Those that a process with this configuration can reach.
    pub(crate) fn new(config: &Configuration) -> Self {
        let config = Arc::new(config.clone());
        Self { config, local: Arc::new(LocalStore), remote: Arc::default() }
    }

    /// The place that a record names by its whole path; nothing if it is named from the record's folder.
    pub(crate) fn whole_path(&self, path: &str) -> Option<Result<Place>> {
        (path.starts_with('/') || path.contains("://")).then(|| self.place(path))
    }

    /// The place of a file that a record names, from `base` or by its whole path.
    ///
    /// # Errors
    /// As [`Self::place`].
    pub(crate) fn resolve(&self, base: &Place, path: &str) -> Result<Place> {
        self.whole_path(path).unwrap_or_else(|| Ok(base.join(path)))
    }

    /// The place that a path or a URL means.
    ///
    /// # Errors
    /// If nothing can be kept there: its scheme is not known, or the store cannot be reached as it is
    /// configured.
    pub(crate) fn place(&self, text: &str) -> Result<Place> {
        let wrong = |error: Error| error.context(format!("cannot use \"{text}\""));
        let local = match text.split_once("://") {
            None => Some(text.strip_prefix("file:").unwrap_or(text)),
            Some(("file", path)) => Some(path),
            Some(_) => None,
        };
        if let Some(path) = local {
            let path = path.trim_end_matches('/').to_owned();
            return Ok(Place { store: self.local.clone(), root: String::new(), path });
        }
        let (root, path) = remote::split(text).map_err(wrong)?;
        let mut opened = self.remote.lock().unwrap_or_else(PoisonError::into_inner);
        let store = match opened.get(root) {
            Some(store) => store.clone(),
            None => {
                let store = remote::open(root, &self.config).map_err(wrong)?;
                opened.insert(root.to_owned(), store.clone());
                store
            }
        };
        Ok(Place { store, root: root.to_owned(), path: path.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        Stores::new(&Configuration::new()).place(text).unwrap()
    }

    #[test]
    fn paths_and_urls_of_this_machine_are_the_same() {
        for text in ["/a/b", "file:/a/b/", "file:///a/b"] {
            assert_eq!(place(text).to_string(), "/a/b");
        }
        let file = place("/a/b").join("c/d");
        assert_eq!((file.name(), file.parent()), ("d", place("/a/b/c")));
        assert_eq!(place("a").parent().to_string(), ".");
        assert_eq!(place("/a").parent().to_string(), "/");
        assert_eq!(place("/").join("a").to_string(), "/a");
        assert_eq!(file.url(), "file:/a/b/c/d");
        assert!(place("a").absolute().unwrap().to_string().ends_with("/a"));
    }

    #[test]
    fn a_scheme_that_nobody_knows_is_named() {
        let stores = Stores::new(&Configuration::new());
        let error = stores.place("ftp://host/a").unwrap_err().report();
        assert!(error.contains("ftp://host/a") && error.contains("s3://"), "{error}");
        assert!(stores.place("s3://").is_err());
    }
}
