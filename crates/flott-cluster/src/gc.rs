//! What no checkpoint needs any more: files that a process has left that was killed, or that could not be deleted.
//!
//! Found by reachability: all records in a directory are read, and what none of them names is garbage. That says
//! nothing of a checkpoint that is under way, which has no record yet: a job's folder is left alone as long as it
//! is young.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flott_checkpoint::storage::{METADATA_FILE, StoreError, checkpoint_of};
use flott_checkpoint::{CompletedCheckpoint, metadata};
use flott_core::config::Configuration;
use flott_core::{Result, Timestamp};
use flott_runtime::Clock;
use serde::Serialize;

use crate::clock::SystemClock;
use crate::storage::{FileInfo, Place, Stores, is_checkpoint_folder};

/// A directory of checkpoints, and what was found in it.
pub struct Garbage {
    directory: Place,
    folders: Vec<GarbageFolder>,
}

/// The folder of a job or a savepoint.
#[derive(Debug, Serialize)]
pub struct GarbageFolder {
    /// Where it is, from the directory on; empty for the directory itself.
    pub folder: String,
    /// How many checkpoints or savepoints there are in it.
    pub snapshots: usize,
    /// When the last of its files was written, in milliseconds since the Unix epoch.
    pub modified: i64,
    /// Whether that is too short a time ago: what is listed here may belong to a checkpoint that is under way, and
    /// stays.
    pub is_young: bool,
    /// The files that no record names.
    pub files: Vec<GarbageFile>,
}

/// A file that no record names.
#[derive(Debug, Serialize)]
pub struct GarbageFile {
    /// Where it is, from the folder on.
    pub path: String,
    /// How large it is.
    pub bytes: u64,
}

impl Garbage {
    /// Looks for it in a directory: that of a job, or one with the folders of jobs and savepoints. What the records in
    /// `others` name counts, too: those of jobs that were started from a checkpoint here. Folders that were written to
    /// within `min_age` are young.
    ///
    /// # Errors
    /// If something cannot be read, or a record is damaged: what that one names is not known.
    pub fn find(
        config: &Configuration,
        directory: &str,
        others: &[String],
        min_age: Duration,
    ) -> Result<Self> {
        let now = SystemClock.now().wall;
        let stores = Stores::new(config);
        let directory = stores.place(directory)?.absolute()?;
        let files = directory.files()?;
        let mut needed = Needed::default();
        needed.read(&directory, &files)?;
        for other in others {
            let other = stores.place(other)?.absolute()?;
            needed.read(&other, &other.files()?)?;
        }
        let mut folders: BTreeMap<&str, GarbageFolder> = BTreeMap::new();
        for file in &files {
            let Some((folder, path)) = in_folder(&file.name) else { continue };
            let own = folders.entry(folder).or_insert_with(|| GarbageFolder {
                folder: folder.to_owned(),
                snapshots: 0,
                modified: i64::MIN,
                is_young: false,
                files: Vec::new(),
            });
            own.modified = own.modified.max(file.modified.0);
            own.is_young = Timestamp(own.modified).plus(min_age) > now;
            if is_record(path) {
                own.snapshots += 1;
            } else if !needed.has(&directory.join(&file.name)) {
                own.files.push(GarbageFile { path: path.to_owned(), bytes: file.bytes });
            }
        }
        Ok(Self { directory, folders: folders.into_values().collect() })
    }

    /// What was found, by folder.
    pub fn folders(&self) -> &[GarbageFolder] {
        &self.folders
    }

    /// Deletes it, except in folders that are young; says how many files and bytes that were.
    ///
    /// # Errors
    /// If a file cannot be deleted; those before it are gone.
    pub fn delete(&self) -> Result<(usize, u64)> {
        let (mut count, mut bytes) = (0, 0);
        for folder in self.folders.iter().filter(|folder| !folder.is_young) {
            let place = match folder.folder.as_str() {
                "" => self.directory.clone(),
                name => self.directory.join(name),
            };
            for file in &folder.files {
                let file_place = place.join(&file.path);
                file_place.delete().map_err(StoreError::into_error)?;
                file_place.parent().delete_if_empty().map_err(StoreError::into_error)?;
                (count, bytes) = (count + 1, bytes + file.bytes);
            }
        }
        Ok((count, bytes))
    }
}

/// What records name.
#[derive(Default)]
struct Needed {
    /// Files by their whole path.
    files: BTreeSet<String>,
    /// The last parts of files that a record names by whole path: the same file may have several, through links.
    ends: BTreeSet<String>,
    /// Folders that have a record, or a file that one names.
    folders: BTreeSet<String>,
}

impl Needed {
    /// Reads all records among the files of a directory.
    fn read(&mut self, directory: &Place, files: &[FileInfo]) -> Result<()> {
        for file in files.iter().filter(|file| is_record(&file.name)) {
            let place = directory.join(&file.name);
            let bytes = place.read(None).map_err(StoreError::into_error)?;
            let record = metadata::decode(&bytes, &place.to_string()).map_err(|error| {
                error.context(format!(
                    "what \"{place}\" needs is not known, so nothing can be called garbage: delete it if it is of no use"
                ))
            })?;
            self.add(&place, &record);
        }
        Ok(())
    }

    fn add(&mut self, file: &Place, record: &CompletedCheckpoint) {
        let own = file.parent();
        self.folders.insert(own.to_string());
        // A checkpoint names its files from the folder of its job, a savepoint from its own.
        let base = if is_checkpoint_folder(&own) { own.parent() } else { own };
        for name in record.files() {
            if name.starts_with('/') || name.contains("://") {
                self.ends.insert(end(name));
            } else {
                let place = base.join(name);
                self.folders.insert(place.parent().to_string());
                self.files.insert(place.to_string());
            }
        }
    }

    fn has(&self, file: &Place) -> bool {
        let path = file.to_string();
        // What marks a folder is needed as long as that is.
        let marks =
            file.name().starts_with('_') && self.folders.contains(&file.parent().to_string());
        marks || self.files.contains(&path) || self.ends.contains(&end(&path))
    }
}

/// Folder of the job, folder of the checkpoint, file: there is no other one like that.
fn end(path: &str) -> String {
    let parts: Vec<&str> = path.rsplitn(4, '/').take(3).collect();
    parts.join("/")
}

fn is_record(path: &str) -> bool {
    path == METADATA_FILE || path.ends_with(&format!("/{METADATA_FILE}"))
}

/// The folder of a job or savepoint that a file is in, and its path in there; nothing if it is in none: it is not ours.
fn in_folder(name: &str) -> Option<(&str, &str)> {
    let mut start = 0;
    loop {
        let rest = &name[start..];
        if checkpoint_of(rest).is_some() {
            return Some((name[..start].trim_end_matches('/'), rest));
        }
        match rest.find('/') {
            Some(slash) => start += slash + 1,
            // The record of a savepoint lies in its folder itself.
            None if rest == METADATA_FILE => {
                return Some((name[..start].trim_end_matches('/'), rest));
            }
            None => return None,
        }
    }
}

impl GarbageFolder {
    /// How many bytes its garbage has.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// A checkpoint of an earlier version, whose state is in files of two checkpoints.
    const GOLDEN: &str = "../../examples/tests/golden/v2/word_totals";

    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &to);
            } else {
                fs::copy(entry.path(), to).unwrap();
            }
        }
    }

    fn put(folder: &Path, name: &str) {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "12345").unwrap();
    }

    /// A directory with the checkpoint of a job.
    fn directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDEN);
        copy(&golden, &directory.path().join("job"));
        directory
    }

    fn find(directory: &Path, others: &[&Path], min_age: Duration) -> Result<Garbage> {
        let others: Vec<String> = others.iter().map(|path| path.display().to_string()).collect();
        let directory = directory.display().to_string();
        Garbage::find(&Configuration::new(), &directory, &others, min_age)
    }

    /// All garbage that may be deleted, as it is called from the directory on.
    fn old(garbage: &Garbage) -> Vec<String> {
        let folders = garbage.folders().iter().filter(|folder| !folder.is_young);
        let name = |folder: &str, file: &GarbageFile| {
            Path::new(folder).join(&file.path).display().to_string()
        };
        let mut all: Vec<String> =
            folders.flat_map(|own| own.files.iter().map(|file| name(&own.folder, file))).collect();
        all.sort();
        all
    }

    #[test]
    fn a_file_belongs_to_the_folder_around_the_folder_of_its_checkpoint() {
        assert_eq!(in_folder("chk-7/a.state"), Some(("", "chk-7/a.state")));
        assert_eq!(in_folder("5f0c/chk-7/a.state"), Some(("5f0c", "chk-7/a.state")));
        assert_eq!(in_folder("x/savepoint-1/chk-7/a"), Some(("x/savepoint-1", "chk-7/a")));
        assert_eq!(in_folder("savepoint-1/_metadata"), Some(("savepoint-1", "_metadata")));
        assert_eq!(in_folder("my/own/file"), None);
        assert_eq!(in_folder("my/chk-/file"), None);
    }

    #[test]
    fn what_no_record_names_goes_and_all_else_stays() {
        let directory = directory();
        let before = find(directory.path(), &[], Duration::ZERO).unwrap();
        assert!(old(&before).is_empty() && before.folders()[0].snapshots == 1);
        let garbage =
            ["job/chk-3/lost.state", "job/chk-9/_begun", "job/chk-9/a.state", "gone/chk-1/b.state"];
        garbage.iter().for_each(|name| put(directory.path(), name));
        // Nobody's business.
        put(directory.path(), "job/notes.txt");
        put(directory.path(), "other/file");
        let found = find(directory.path(), &[], Duration::ZERO).unwrap();
        let mut expected = garbage;
        expected.sort_unstable();
        assert_eq!(old(&found), expected);
        assert!(garbage.iter().all(|name| directory.path().join(name).exists()), "only looked at");
        assert_eq!(found.delete().unwrap(), (4, 20));
        for gone in ["job/chk-3/lost.state", "job/chk-9", "gone/chk-1"] {
            assert!(!directory.path().join(gone).exists(), "{gone}");
        }
        assert!(directory.path().join("job/notes.txt").exists());
        let job = directory.path().join("job").display().to_string();
        crate::inspect::Snapshot::open(&Configuration::new(), &job).unwrap().verify().unwrap();
        // The folder of a job can be named, too.
        let own = find(&directory.path().join("job"), &[], Duration::ZERO).unwrap();
        assert!(old(&own).is_empty() && own.folders()[0].folder.is_empty());
    }

    #[test]
    fn what_is_young_may_be_of_a_checkpoint_that_is_under_way() {
        let directory = directory();
        put(directory.path(), "job/chk-9/a.state");
        let found = find(directory.path(), &[], Duration::from_mins(5)).unwrap();
        assert!(found.folders()[0].is_young && found.folders()[0].files.len() == 1);
        assert_eq!(found.delete().unwrap(), (0, 0));
        assert!(directory.path().join("job/chk-9/a.state").exists());
    }

    #[test]
    fn what_another_job_refers_to_stays() {
        let directory = directory();
        let job = directory.path().join("job");
        let record_file = fs::read_dir(&job).unwrap().find_map(|entry| {
            let record = entry.unwrap().path().join(METADATA_FILE);
            record.exists().then_some(record)
        });
        // The other one has claimed it: only its own record is left.
        let record_file = record_file.unwrap();
        let record = metadata::decode(&fs::read(&record_file).unwrap(), "golden").unwrap();
        let files = record.files().len();
        assert!(files > 0);
        let record = record.rebased(&job.display().to_string());
        let other = tempfile::tempdir().unwrap();
        fs::create_dir_all(other.path().join("next/chk-5")).unwrap();
        let own = other.path().join("next/chk-5").join(METADATA_FILE);
        fs::write(own, metadata::encode(&record).unwrap()).unwrap();
        fs::remove_file(record_file).unwrap();
        let alone = find(directory.path(), &[], Duration::ZERO).unwrap();
        assert_eq!(old(&alone).len(), files);
        let with = find(directory.path(), &[other.path()], Duration::ZERO).unwrap();
        assert!(old(&with).is_empty(), "{:?}", old(&with));
    }

    #[test]
    fn a_damaged_record_may_need_anything() {
        let directory = directory();
        put(directory.path(), "job/chk-2/_metadata");
        let error = find(directory.path(), &[], Duration::ZERO).err().unwrap().report();
        assert!(error.contains("chk-2/_metadata") && error.contains("delete it"), "{error}");
    }
}
