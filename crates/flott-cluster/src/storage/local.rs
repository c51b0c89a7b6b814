//! Files of this machine.
//!
//! A file is written under a temporary name, flushed to disk, and then linked to its own name,
//! which fails if that exists: nobody ever sees half a file, and of two writers one wins. The
//! directory is flushed too, so that what was acknowledged survives a power cut.

use std::fs::{self, File};
use std::io::{self, ErrorKind as IoErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use flott_checkpoint::storage::{METADATA_FILE, StoreError};
use flott_core::{Error, ErrorKind, Result};

use crate::clock::wall_time;

use super::store::{Creation, Entry, FileInfo, Found, Store};

/// Numbers of temporary names in this process.
static TEMPORARY: AtomicU64 = AtomicU64::new(0);

/// The files of this machine; names are paths.
pub(super) struct LocalStore;

/// How far the creation of a file got.
enum Step {
    NotDone(io::Error),
    /// It is there, but may be gone after a power cut.
    PerhapsDone(io::Error),
}

/// Creates a file whole or not at all. `AlreadyExists` if another has its name.
fn create(path: &Path, bytes: &[u8]) -> Result<(), Step> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let number = TEMPORARY.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".tmp-{}-{number}", std::process::id()));
    let written = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()
    })();
    let linked = written.and_then(|()| fs::hard_link(&temporary, path));
    // The temporary name has done its work; if it stays, it is only a stray file.
    let _ = fs::remove_file(&temporary);
    linked.map_err(Step::NotDone)?;
    sync_folder(folder).map_err(Step::PerhapsDone)
}

impl Store for LocalStore {
    fn make_folder(&self, path: &str) -> Result<(), StoreError> {
        let path = Path::new(path);
        fs::create_dir_all(path).map_err(|e| failed("create the folder", path, e))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_folder(parent.unwrap_or(Path::new("."))).map_err(|e| failed("flush", path, e))
    }

    fn create(&self, path: &str, bytes: &[u8]) -> Result<Creation, StoreError> {
        let path = Path::new(path);
        match create(path, bytes) {
            Ok(()) => Ok(Creation::Created),
            Err(Step::NotDone(e)) if e.kind() == IoErrorKind::AlreadyExists => Ok(Creation::Exists),
            Err(Step::NotDone(e)) => Err(failed("write", path, e)),
            Err(Step::PerhapsDone(e)) => Err(unknown("write", path, e)),
        }
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        match self.create(path, bytes)? {
            Creation::Created => Ok(()),
            Creation::Exists => {
                Err(failed("write", Path::new(path), IoErrorKind::AlreadyExists.into()))
            }
        }
    }

    fn read(&self, path: &str, range: Option<(u64, u64)>) -> Result<Vec<u8>, StoreError> {
        let path = Path::new(path);
        read(path, range).map_err(|e| {
            if !matches!(e.kind(), IoErrorKind::NotFound | IoErrorKind::UnexpectedEof) {
                return failed("read", path, e);
            }
            // What a record names and is not there will not come back.
            let message = format!("the file \"{}\" is missing or too short", path.display());
            StoreError::Failed(Error::with_source(ErrorKind::Corrupt, message, e))
        })
    }

    fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        let entries = fs::read_dir(folder).map_err(|e| error("read", Path::new(folder), e))?;
        let entry = |entry: fs::DirEntry| Entry {
            name: entry.file_name().to_string_lossy().into_owned(),
            // Through links.
            is_folder: entry.path().is_dir(),
        };
        Ok(entries.flatten().map(entry).collect())
    }

    fn files(&self, folder: &str) -> Result<Vec<FileInfo>> {
        let mut files = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(inner) = folders.pop() {
            let path = Path::new(folder).join(&inner);
            let entries = match fs::read_dir(&path) {
                Err(e) if e.kind() == IoErrorKind::NotFound => continue,
                entries => entries.map_err(|e| error("read", &path, e))?,
            };
            for entry in entries {
                let entry = entry.map_err(|e| error("read", &path, e))?;
                let name = format!("{inner}{}", entry.file_name().to_string_lossy());
                let info = match entry.metadata() {
                    // Deleted meanwhile.
                    Err(e) if e.kind() == IoErrorKind::NotFound => continue,
                    info => info.map_err(|e| error("read", &entry.path(), e))?,
                };
                // Links are not followed: what is behind them is not in the folder.
                if info.is_dir() {
                    folders.push(format!("{name}/"));
                } else if info.is_file() {
                    let modified = info.modified().map_err(|e| error("read", &entry.path(), e))?;
                    files.push(FileInfo { name, bytes: info.len(), modified: wall_time(modified) });
                }
            }
        }
        Ok(files)
    }

    fn find(&self, path: &str) -> Result<Found> {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Ok(Found::Folder),
            Ok(_) => Ok(Found::File),
            Err(e) if matches!(e.kind(), IoErrorKind::NotFound | IoErrorKind::NotADirectory) => {
                Ok(Found::Nothing)
            }
            Err(e) => Err(error("read", Path::new(path), e)),
        }
    }

    fn delete(&self, path: &str) -> Result<(), StoreError> {
        let path = Path::new(path);
        let result = match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_dir() => delete_folder(path),
            Ok(_) => fs::remove_file(path),
            Err(e) => Err(e),
        };
        match result {
            Err(e) if e.kind() != IoErrorKind::NotFound => Err(failed("delete", path, e)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn delete_if_empty(&self, folder: &str) -> Result<(), StoreError> {
        let kept = [IoErrorKind::DirectoryNotEmpty, IoErrorKind::NotFound];
        match fs::remove_dir(folder) {
            Err(e) if !kept.contains(&e.kind()) => Err(failed("delete", Path::new(folder), e)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// A range of a file; without a range, all of it.
pub(super) fn read(path: &Path, range: Option<(u64, u64)>) -> io::Result<Vec<u8>> {
    let Some((offset, length)) = range else { return fs::read(path) };
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    if offset.saturating_add(length) > size {
        return Err(io::Error::new(
            IoErrorKind::UnexpectedEof,
            format!("it has {size} bytes, {length} at {offset} are wanted"),
        ));
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The record goes first: whoever finds one must find its files, too.
fn delete_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_file(folder.join(METADATA_FILE)) {
        Ok(()) => sync_folder(folder)?,
        Err(e) if e.kind() == IoErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    fs::remove_dir_all(folder)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn error(what: &str, path: &Path, error: io::Error) -> Error {
    Error::with_source(ErrorKind::Io, format!("cannot {what} \"{}\"", path.display()), error)
}

fn failed(what: &str, path: &Path, e: io::Error) -> StoreError {
    StoreError::Failed(error(what, path, e))
}

fn unknown(what: &str, path: &Path, e: io::Error) -> StoreError {
    StoreError::Unknown(error(what, path, e))
}
