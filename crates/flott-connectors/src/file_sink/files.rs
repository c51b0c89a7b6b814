//! The few file operations that the sink is made of: what tests cut short at any point.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// A file system.
pub(super) trait Files: Send + Sync {
    /// Creates a directory, with those above it, unless it exists; a loss of power does not undo it.
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    /// The names of the files of a directory.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
    /// Creates a file; fails if it exists.
    fn create(&self, path: &Path) -> io::Result<Box<dyn PartFile>>;
    /// Opens a file to write behind its first `length` bytes; what follows them is cut off.
    fn reopen(&self, path: &Path, length: u64) -> io::Result<Box<dyn PartFile>>;
    /// How long a file is; nothing only if it certainly does not exist.
    fn length(&self, path: &Path) -> io::Result<Option<u64>>;
    /// Renames a file, in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Deletes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes what was created and renamed in a directory survive a loss of power.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

/// A file that is being written.
pub(super) trait PartFile: Send {
    /// Appends bytes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written survive a loss of power.
    fn sync(&mut self) -> io::Result<()>;
}

/// The file system of the machine.
pub(super) struct Disk;

impl Files for Disk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        self.create_directory(parent)?;
        match fs::create_dir(path) {
            // Another subtask was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            created => created?,
        }
        self.sync_directory(parent)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        // Names that are not UTF-8 are not ours.
        let names = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.filter_map(Result::transpose).collect()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn PartFile>> {
        Ok(Box::new(OpenOptions::new().write(true).create_new(true).open(path)?))
    }

    fn reopen(&self, path: &Path, length: u64) -> io::Result<Box<dyn PartFile>> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.set_len(length)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Box::new(file))
    }

    fn length(&self, path: &Path) -> io::Result<Option<u64>> {
        match fs::metadata(path) {
            Ok(found) => Ok(Some(found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        // Only Unix lets a directory be opened as a file; elsewhere there is nothing to do.
        if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
    }
}

impl PartFile for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
