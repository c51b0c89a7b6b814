//! Checkpoints in a local directory.
//!
//! A file is written under a temporary name, flushed to disk, and then linked to its own name,
//! which fails if that exists: nobody ever sees half a file, and of two writers one wins. The
//! directory is flushed too, so that what was acknowledged survives a power cut.

use std::fs::{self, File};
use std::io::{self, ErrorKind as IoErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use flott_checkpoint::storage::{CheckpointStorage, METADATA_FILE, StoreError, checkpoint_folder};
use flott_core::{CheckpointId, Error, ErrorKind};

/// The checkpoints of one job, in one folder.
pub struct FileStorage {
    folder: PathBuf,
    /// Whether all of it is one savepoint: then its record lies in the folder itself.
    is_savepoint: bool,
    temporary: AtomicU64,
}

impl FileStorage {
    /// In this folder, which need not exist.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, is_savepoint: false, temporary: AtomicU64::new(0) }
    }

    /// One savepoint, in this folder, which need not exist.
    pub(crate) fn for_savepoint(folder: PathBuf) -> Self {
        Self { is_savepoint: true, ..Self::new(folder) }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of a checkpoint's record.
    fn record_folder(&self, checkpoint: CheckpointId) -> PathBuf {
        if self.is_savepoint {
            self.folder.clone()
        } else {
            self.folder.join(checkpoint_folder(checkpoint))
        }
    }

    fn path(&self, relative: &str) -> Result<PathBuf, StoreError> {
        let escapes = relative.split('/').any(|part| matches!(part, "" | "." | ".."));
        if escapes {
            return Err(StoreError::Failed(Error::new(
                ErrorKind::Corrupt,
                format!("\"{relative}\" is no path inside of a checkpoint directory"),
            )));
        }
        Ok(self.folder.join(relative))
    }

    /// Creates a file whole or not at all. `AlreadyExists` if another has its name.
    fn create(&self, path: &Path, bytes: &[u8]) -> Result<(), Step> {
        let folder = path.parent().unwrap_or(&self.folder);
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
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
}

/// How far the creation of a file got.
enum Step {
    NotDone(io::Error),
    /// It is there, but may be gone after a power cut.
    PerhapsDone(io::Error),
}

impl CheckpointStorage for FileStorage {
    fn prepare(&self) -> Result<(), StoreError> {
        for name in ["shared", "taskowned"] {
            let folder = self.folder.join(name);
            fs::create_dir_all(&folder).map_err(|e| failed("create the folder", &folder, e))?;
        }
        let probe = self.folder.join(format!(".probe-{}", std::process::id()));
        fs::write(&probe, b"")
            .map_err(|e| failed("write to the checkpoint directory", &self.folder, e))?;
        fs::remove_file(&probe).map_err(|e| failed("remove", &probe, e))
    }

    fn prepare_checkpoint(&self, checkpoint: CheckpointId) -> Result<(), StoreError> {
        let folder = self.folder.join(checkpoint_folder(checkpoint));
        fs::create_dir_all(&folder).map_err(|e| failed("create the folder", &folder, e))?;
        sync_folder(&self.folder).map_err(|e| failed("flush", &self.folder, e))
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<bool, StoreError> {
        let path = self.path(path)?;
        match self.create(&path, bytes) {
            Ok(()) => Ok(true),
            Err(Step::NotDone(e)) => Err(failed("write", &path, e)),
            Err(Step::PerhapsDone(e)) => Err(unknown("write", &path, e)),
        }
    }

    fn create_metadata(&self, checkpoint: CheckpointId, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.record_folder(checkpoint).join(METADATA_FILE);
        match self.create(&path, bytes) {
            Ok(()) => Ok(()),
            Err(Step::NotDone(e)) if e.kind() == IoErrorKind::AlreadyExists => {
                match fs::read(&path) {
                    // An earlier try of this very write got through.
                    Ok(found) if found == bytes => Ok(()),
                    Ok(_) => Err(failed("replace another checkpoint's", &path, e)),
                    Err(found) if found.kind() == IoErrorKind::IsADirectory => {
                        Err(failed("write over the folder", &path, e))
                    }
                    Err(e) => Err(unknown("read back", &path, e)),
                }
            }
            Err(Step::NotDone(e)) => Err(failed("write", &path, e)),
            Err(Step::PerhapsDone(e)) => Err(unknown("write", &path, e)),
        }
    }

    fn read(&self, path: &str, range: Option<(u64, u64)>) -> Result<Vec<u8>, StoreError> {
        // A job that started from another's checkpoint reads that one's files by absolute path.
        let path = if path.starts_with('/') { PathBuf::from(path) } else { self.path(path)? };
        read_file(&path, range)
    }

    fn delete(&self, path: &str) -> Result<(), StoreError> {
        let path = self.path(path)?;
        let result = match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => delete_folder(&path),
            Ok(_) => fs::remove_file(&path),
            Err(e) => Err(e),
        };
        match result {
            Err(e) if e.kind() != IoErrorKind::NotFound => Err(failed("delete", &path, e)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn location(&self, checkpoint: CheckpointId) -> String {
        self.record_folder(checkpoint).display().to_string()
    }
}

/// A range of a file; without a range, all of it.
pub(super) fn read_file(path: &Path, range: Option<(u64, u64)>) -> Result<Vec<u8>, StoreError> {
    read(path, range).map_err(|e| {
        if !matches!(e.kind(), IoErrorKind::NotFound | IoErrorKind::UnexpectedEof) {
            return failed("read", path, e);
        }
        // What a record names and is not there will not come back.
        let message = format!("the file \"{}\" is missing or too short", path.display());
        StoreError::Failed(Error::with_source(ErrorKind::Corrupt, message, e))
    })
}

fn read(path: &Path, range: Option<(u64, u64)>) -> io::Result<Vec<u8>> {
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

pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn storage() -> (tempfile::TempDir, FileStorage) {
        let folder = tempfile::tempdir().unwrap();
        let storage = FileStorage::new(folder.path().join("job"));
        storage.prepare().unwrap();
        storage.prepare_checkpoint(CheckpointId(1)).unwrap();
        (folder, storage)
    }

    #[test]
    fn what_is_written_is_read_whole_and_in_parts() {
        let (_folder, storage) = storage();
        assert!(storage.write("chk-1/a.state", b"hello").unwrap());
        assert_eq!(storage.read("chk-1/a.state", None).unwrap(), b"hello");
        assert_eq!(storage.read("chk-1/a.state", Some((1, 3))).unwrap(), b"ell");
        assert!(storage.read("chk-1/a.state", Some((3, 3))).is_err());
    }

    #[test]
    fn a_file_is_never_replaced() {
        let (_folder, storage) = storage();
        storage.write("chk-1/a.state", b"one").unwrap();
        assert!(storage.write("chk-1/a.state", b"two").is_err());
        assert_eq!(storage.read("chk-1/a.state", None).unwrap(), b"one");
    }

    #[test]
    fn a_record_is_created_once_and_the_same_bytes_again_are_a_success() {
        let (_folder, storage) = storage();
        storage.create_metadata(CheckpointId(1), b"one").unwrap();
        storage.create_metadata(CheckpointId(1), b"one").unwrap();
        assert!(storage.create_metadata(CheckpointId(1), b"two").is_err());
        fs::create_dir_all(storage.folder.join("chk-2/_metadata")).unwrap();
        let error = storage.create_metadata(CheckpointId(2), b"one").unwrap_err();
        assert!(matches!(error, StoreError::Failed(_)), "{error:?}");
        let left: Vec<_> = fs::read_dir(storage.folder.join("chk-1")).unwrap().collect();
        assert_eq!(left.len(), 1, "a temporary file is left");
    }

    #[test]
    fn a_path_cannot_leave_the_folder() {
        let (_folder, storage) = storage();
        assert!(storage.read("../../etc/passwd", None).is_err());
        assert!(storage.delete("/etc/passwd").is_err());
        assert!(storage.delete("chk-1/..").is_err());
    }

    #[test]
    fn deleting_what_is_not_there_succeeds() {
        let (_folder, storage) = storage();
        storage.delete("chk-7").unwrap();
        storage.write("chk-1/a.state", b"hello").unwrap();
        storage.delete("chk-1").unwrap();
        storage.delete("chk-1").unwrap();
        assert!(storage.read("chk-1/a.state", None).is_err());
    }
}
