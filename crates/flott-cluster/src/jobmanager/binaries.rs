//! The job binaries that were uploaded, by their SHA-256.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use flott_checkpoint::storage::StoreError;
use flott_control::actions::{Binary, Upload};
use flott_core::hash::hash64;
use flott_core::{Error, ErrorKind, Result, Timestamp, WallTime};
use flott_runtime::Clock;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio::io::AsyncReadExt;
use tonic::Status;
use tonic::codegen::BoxStream;

use super::{JobManagerConfig, Shared};
use crate::extract::{JobBinary, Settings, describe};
use crate::storage::Place;
use crate::work_folder::WorkFolder;

/// How large the pieces are in which a binary is sent.
const PIECE: usize = 256 * 1024;

/// The file of a binary, and that with its id, which has the name that its user gave it: no path has that.
const BINARY: &str = "job";
const ID: &str = "id";

/// What a file of a binary is called: by its SHA-256, and the hash of its name.
fn named(id: &str, kind: &str) -> String {
    let (sha256, name) = id.split_once('_').unwrap_or((id, ""));
    format!("{sha256}-{:016x}.{kind}", hash64(0, name.as_bytes()))
}

/// All of them.
pub(super) struct Binaries {
    directory: PathBuf,
    /// Deletes the directory in the end, if nobody has named one.
    _temporary: Option<WorkFolder>,
    /// Where other JobManagers find them, if not in this directory.
    others: Option<Place>,
    storage_max: u64,
    plan_timeout: Duration,
    known: Mutex<BTreeMap<String, Binary>>,
}

impl Binaries {
    /// Those in the directory that the options name; else in a temporary directory. What other JobManagers have
    /// left in the place for `others` is fetched from there.
    ///
    /// # Errors
    /// If the directory cannot be used, or what is in that place not be read.
    pub(super) fn open(config: &JobManagerConfig, others: Option<Place>) -> Result<Self> {
        let temporary = match config.upload_dir {
            Some(_) => None,
            None => Some(WorkFolder::new(config.tmp_dir.as_deref(), "flott-web-")?),
        };
        let directory = match (&config.upload_dir, &temporary) {
            (Some(directory), _) => directory.clone(),
            (None, Some(temporary)) => temporary.path().to_path_buf(),
            (None, None) => PathBuf::new(),
        };
        let binaries = Self {
            directory,
            _temporary: temporary,
            others,
            storage_max: config.storage_max,
            plan_timeout: config.plan_timeout,
            known: Mutex::default(),
        };
        binaries.fetch()?;
        binaries.find().map_err(|e| {
            let directory = binaries.directory.display();
            let what = format!("\"{directory}\" (web.upload.dir) cannot be used");
            Error::with_source(ErrorKind::Io, what, e)
        })?;
        Ok(binaries)
    }

    /// Gets what other JobManagers have left.
    fn fetch(&self) -> Result<()> {
        let Some(others) = &self.others else { return Ok(()) };
        fs::create_dir_all(&self.directory).map_err(cannot_keep)?;
        for entry in others.list()? {
            let path = self.directory.join(&entry.name);
            if !path.exists() {
                let bytes = others.join(&entry.name).read(None).map_err(StoreError::into_error)?;
                let mut file = NamedTempFile::new_in(&self.directory).map_err(cannot_keep)?;
                file.write_all(&bytes).map_err(cannot_keep)?;
                let temporary = file.into_temp_path();
                let mode = Permissions::from_mode(0o700);
                fs::set_permissions(&temporary, mode).map_err(cannot_keep)?;
                temporary.persist(&path).map_err(|e| cannot_keep(e.error))?;
            }
        }
        Ok(())
    }

    /// Takes in what is in the directory from before.
    fn find(&self) -> std::io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        for entry in fs::read_dir(&self.directory)? {
            let (path, meta) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
            if path.extension().is_none_or(|own| own != BINARY) || !meta.is_file() {
                continue;
            }
            let Ok(id) = fs::read_to_string(path.with_extension(ID)) else { continue };
            let Some((_, name)) = id.split_once('_').filter(|_| path.ends_with(named(&id, BINARY)))
            else {
                continue;
            };
            // What cannot be asked is none of ours.
            let Ok(found) = describe(&path, &[], &Settings::new(), self.plan_timeout) else {
                continue;
            };
            let age = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            let binary = Binary {
                id: id.clone(),
                name: name.to_owned(),
                uploaded: Timestamp(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)),
                jobs: jobs(found),
                size: meta.len(),
            };
            self.lock().insert(id, binary);
        }
        Ok(())
    }

    /// Every binary, the newest first.
    pub(super) fn list(&self) -> Vec<Binary> {
        let mut all: Vec<Binary> = self.lock().values().cloned().collect();
        all.sort_by_key(|binary| std::cmp::Reverse(binary.uploaded));
        all
    }

    /// The binary with this id.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn get(&self, id: &str) -> Result<Binary> {
        let found = self.lock().get(id).cloned();
        found.ok_or_else(|| Error::invalid(format!("Jar file {id} does not exist")))
    }

    /// Forgets a binary. Jobs that run go on; one that loses a TaskManager may miss it.
    ///
    /// # Errors
    /// If there is none, or its file cannot be deleted.
    pub(super) fn delete(&self, id: &str) -> Result<()> {
        self.get(id)?;
        if let Some(others) = &self.others {
            for kind in [BINARY, ID] {
                others.join(&named(id, kind)).delete().map_err(StoreError::into_error)?;
            }
        }
        let mut known = self.lock();
        for kind in [BINARY, ID] {
            let path = self.directory.join(named(id, kind));
            match fs::remove_file(&path) {
                Ok(()) => {}
                // The last time went only so far.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => {
                    let what = format!("cannot delete {}", path.display());
                    return Err(Error::with_source(ErrorKind::Io, what, e));
                }
            }
        }
        known.remove(id);
        Ok(())
    }

    pub(super) fn path(&self, binary: &Binary) -> PathBuf {
        self.directory.join(named(&binary.id, BINARY))
    }

    /// Keeps an uploaded binary, if it is one. Starts it, to ask for its jobs: blocks.
    ///
    /// # Errors
    /// If it is no job binary that can run here, or there is no room.
    fn keep(&self, upload: BinaryUpload, now: WallTime) -> Result<Binary> {
        let BinaryUpload { name, file, hash, size, .. } = upload;
        let used: u64 = self.lock().values().map(|binary| binary.size).sum();
        if used.saturating_add(size) > self.storage_max {
            return Err(Error::invalid(format!(
                "there is no room for \"{name}\" ({size} bytes): {used} bytes of job binaries are \
                 kept, and {} may be (blob.storage.max-size). Delete some",
                self.storage_max
            )));
        }
        let sha256: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let id = format!("{sha256}_{name}");
        let path = self.directory.join(named(&id, BINARY));
        // Closed before it is started: a file that is open for writing cannot be.
        let temporary = file.into_temp_path();
        fs::set_permissions(&temporary, Permissions::from_mode(0o700)).map_err(cannot_keep)?;
        let found = describe(&temporary, &[], &Settings::new(), self.plan_timeout);
        let found = found.map_err(|error| {
            let report = error.report().replace(&temporary.display().to_string(), &name);
            Error::new(error.kind(), report)
        })?;
        if let Some(others) = &self.others {
            let bytes = fs::read(&temporary).map_err(cannot_keep)?;
            for (kind, bytes) in [(ID, id.as_bytes()), (BINARY, &bytes)] {
                others.join(&named(&id, kind)).write(bytes).map_err(StoreError::into_error)?;
            }
        }
        // Nobody deletes one of both meanwhile. A binary without its name is none.
        let mut known = self.lock();
        fs::write(path.with_extension(ID), &id).map_err(cannot_keep)?;
        temporary.persist(&path).map_err(|e| cannot_keep(e.error))?;
        let binary = Binary { id: id.clone(), name, uploaded: now, jobs: jobs(found), size };
        known.insert(id, binary.clone());
        Ok(binary)
    }

    /// A binary in pieces, for a TaskManager.
    pub(super) async fn read(&self, sha256: &str) -> Result<BoxStream<Vec<u8>>, Status> {
        let found = self.lock().values().find(|binary| binary.sha256() == sha256).cloned();
        let found = found.ok_or_else(|| Status::not_found(format!("no job binary {sha256}")))?;
        let unreadable = |e: std::io::Error| Status::internal(format!("job binary {sha256}: {e}"));
        let mut file = tokio::fs::File::open(self.path(&found)).await.map_err(unreadable)?;
        let (pieces, receiver) = tokio::sync::mpsc::channel(2);
        tokio::spawn(async move {
            loop {
                let mut piece = Vec::with_capacity(PIECE);
                let read = (&mut file).take(PIECE as u64).read_to_end(&mut piece).await;
                let piece = match read {
                    Ok(0) => return,
                    Ok(_) => Ok(piece),
                    Err(e) => Err(Status::internal(e.to_string())),
                };
                let failed = piece.is_err();
                // The other side may have gone.
                if pieces.send(piece).await.is_err() || failed {
                    return;
                }
            }
        });
        Ok(Box::pin(tokio_stream::wrappers::ReceiverStream::new(receiver)))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Binary>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cannot_keep(e: std::io::Error) -> Error {
    Error::with_source(ErrorKind::Io, "a job binary cannot be kept", e)
}

/// The jobs of a binary, by name.
fn jobs(found: JobBinary) -> Vec<(String, Option<String>)> {
    found.jobs.into_iter().map(|job| (job.name, job.about)).collect()
}

/// A binary that is on its way.
struct BinaryUpload {
    shared: Arc<Shared>,
    name: String,
    file: NamedTempFile,
    hash: Sha256,
    size: u64,
}

/// Begins to take in a new binary.
///
/// # Errors
/// If its file cannot be made.
pub(super) fn upload(shared: &Arc<Shared>, name: &str) -> Result<Box<dyn Upload>> {
    let name = Path::new(name).file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.ok_or_else(|| Error::invalid("a job binary needs a name"))?;
    let file = NamedTempFile::new_in(&shared.binaries.directory).map_err(cannot_keep)?;
    let (shared, hash) = (shared.clone(), Sha256::new());
    Ok(Box::new(BinaryUpload { shared, name, file, hash, size: 0 }))
}

impl Upload for BinaryUpload {
    fn write(&mut self, piece: &[u8]) -> Result<()> {
        self.size += piece.len() as u64;
        let limit = self.shared.config.upload_max;
        if self.size > limit {
            return Err(Error::invalid(format!(
                "\"{}\" is larger than {limit} bytes (rest.server.max-content-length)",
                self.name
            )));
        }
        self.hash.update(piece);
        self.file.write_all(piece).map_err(cannot_keep)
    }

    fn finish(self: Box<Self>) -> Result<Binary> {
        let shared = self.shared.clone();
        shared.binaries.keep(*self, shared.clock.now().wall)
    }
}
