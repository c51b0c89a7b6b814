//! A file system that crashes between any two operations, and forgets what was not synced.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::file_sink::files::{Disk, Files, PartFile};

#[derive(Default)]
struct Inner {
    /// How many operations succeed before the crash; endless if there is no number.
    left: Option<usize>,
    /// Creations and renames that the directory on disk does not have yet, in order.
    unsynced: Vec<Change>,
    /// How much of each file is on disk.
    synced: BTreeMap<PathBuf, u64>,
    /// After so many operations somebody else renames a file.
    rival: Option<(usize, PathBuf, PathBuf)>,
}

enum Change {
    Created(PathBuf),
    Renamed(PathBuf, PathBuf),
}

/// Clones are the same file system.
#[derive(Clone, Default)]
pub(super) struct Faulty(Arc<Mutex<Inner>>);

impl Faulty {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// The operation after `operations` more fails, and so does every one after it.
    pub(super) fn crash_after(&self, operations: usize) {
        self.lock().left = Some(operations);
    }

    /// After so many more operations another process renames a file.
    pub(super) fn is_renamed_after(&self, operations: usize, from: PathBuf, to: PathBuf) {
        self.lock().rival = Some((operations, from, to));
    }

    /// Works again. If the machine went down, not just the process, what was not synced is lost.
    pub(super) fn restart(&self, loses_power: bool) {
        let mut inner = self.lock();
        inner.left = None;
        let changes = std::mem::take(&mut inner.unsynced);
        if !loses_power {
            return;
        }
        for change in changes.into_iter().rev() {
            match change {
                Change::Created(path) => {
                    let _ = fs::remove_file(&path);
                    inner.synced.remove(&path);
                }
                Change::Renamed(from, to) => {
                    fs::rename(&to, &from).unwrap();
                    let synced = inner.synced.remove(&to).unwrap_or(0);
                    inner.synced.insert(from, synced);
                }
            }
        }
        for (path, length) in &inner.synced {
            if let Ok(file) = OpenOptions::new().write(true).open(path)
                && file.metadata().unwrap().len() > *length
            {
                file.set_len(*length).unwrap();
            }
        }
    }

    fn operation(&self) -> io::Result<()> {
        let mut inner = self.lock();
        match inner.rival.take() {
            // It may come too late.
            Some((0, from, to)) => drop(Disk.rename(&from, &to)),
            Some((left, from, to)) => inner.rival = Some((left - 1, from, to)),
            None => {}
        }
        match &mut inner.left {
            Some(0) => Err(io::Error::other("crashed")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Files for Faulty {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.operation()?;
        Disk.create_directory(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.operation()?;
        Disk.list(directory)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn PartFile>> {
        self.operation()?;
        let file = Disk.create(path)?;
        let mut inner = self.lock();
        inner.unsynced.push(Change::Created(path.to_owned()));
        inner.synced.insert(path.to_owned(), 0);
        Ok(Box::new(FaultyFile { file, path: path.to_owned(), disk: self.clone() }))
    }

    fn reopen(&self, path: &Path, length: u64) -> io::Result<Box<dyn PartFile>> {
        self.operation()?;
        let file = Disk.reopen(path, length)?;
        let mut inner = self.lock();
        let synced = inner.synced.entry(path.to_owned()).or_default();
        *synced = (*synced).min(length);
        Ok(Box::new(FaultyFile { file, path: path.to_owned(), disk: self.clone() }))
    }

    fn length(&self, path: &Path) -> io::Result<Option<u64>> {
        self.operation()?;
        Disk.length(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operation()?;
        assert!(!from.exists() || !to.exists(), "{} would be overwritten", to.display());
        Disk.rename(from, to)?;
        let mut inner = self.lock();
        inner.unsynced.push(Change::Renamed(from.to_owned(), to.to_owned()));
        let synced = inner.synced.remove(from).unwrap_or(0);
        inner.synced.insert(to.to_owned(), synced);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.operation()?;
        self.lock().synced.remove(path);
        Disk.remove(path)
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        self.operation()?;
        // Noting it is enough, and much faster than to do it.
        self.lock().unsynced.clear();
        Ok(())
    }
}

struct FaultyFile {
    file: Box<dyn PartFile>,
    path: PathBuf,
    disk: Faulty,
}

impl PartFile for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(crashed) = self.disk.operation() {
            // A crash leaves half of what was being written.
            self.file.write(&bytes[..bytes.len() / 2])?;
            return Err(crashed);
        }
        self.file.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.operation()?;
        let length = fs::metadata(&self.path)?.len();
        self.disk.lock().synced.insert(self.path.clone(), length);
        Ok(())
    }
}
