//! What object stores and HDFS do for us.
//!
//! An object is visible when it is whole, under its name or not at all. It is created under the condition
//! that there is none of its name; HDFS renames without replacing. When none of the tries of a request got
//! an answer, nobody knows what has become of it.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use flott_checkpoint::storage::{METADATA_FILE, StoreError};
use flott_core::{Error, ErrorKind, Result, Timestamp};
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{
    Error as ObjectError, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    WriteMultipart,
};
use tokio::runtime::Handle;

use super::super::store::{Creation, Entry, FileInfo, Found, Store};

/// Larger files travel in parts of this size, some at once.
const PART: usize = 16 << 20;
const PARTS_AT_ONCE: usize = 4;

/// A store that is reached over the network.
pub(super) struct RemoteStore {
    pub(super) objects: Arc<dyn ObjectStore>,
    /// What stands before paths in messages.
    pub(super) root: String,
    /// Where requests run.
    pub(super) runtime: Handle,
    /// HDFS has folders, which stay when they are empty.
    #[cfg(feature = "hdfs")]
    pub(super) folders: Option<hdfs_native::Client>,
}

impl RemoteStore {
    /// Waits for something, on a thread that may.
    fn wait<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        if Handle::try_current().is_err() {
            return self.runtime.block_on(future);
        }
        // This thread is one of a runtime, which must not wait itself.
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| self.runtime.block_on(future));
            waiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn path(&self, path: &str) -> Result<Path> {
        Path::parse(path).map_err(|e| {
            let message = format!("\"{}/{path}\" cannot be a name there", self.root);
            Error::with_source(ErrorKind::InvalidInput, message, e)
        })
    }

    fn error(&self, what: &str, path: &str, e: ObjectError) -> Error {
        let message = format!("cannot {what} \"{}/{path}\"", self.root);
        Error::with_source(ErrorKind::Io, message, e)
    }

    fn not_written(&self, path: &str, e: ObjectError) -> StoreError {
        let is_refused = matches!(
            e,
            ObjectError::NotFound { .. }
                | ObjectError::InvalidPath { .. }
                | ObjectError::NotSupported { .. }
                | ObjectError::NotImplemented { .. }
                | ObjectError::PermissionDenied { .. }
                | ObjectError::Unauthenticated { .. }
        );
        let error = self.error("write", path, e);
        if is_refused { StoreError::Failed(error) } else { StoreError::Unknown(error) }
    }

    async fn read_all(&self, path: &Path) -> Result<Vec<u8>, ObjectError> {
        let found = self.objects.get(path).await?;
        let size = found.meta.size;
        if size <= PART as u64 {
            return Ok(found.bytes().await?.into());
        }
        drop(found);
        self.read_range(path, 0, size).await
    }

    async fn read_range(
        &self,
        path: &Path,
        offset: u64,
        length: u64,
    ) -> Result<Vec<u8>, ObjectError> {
        let end = offset.saturating_add(length);
        let starts = (offset..end).step_by(PART);
        let parts = starts.map(|start| start..end.min(start + PART as u64));
        let reads = stream::iter(parts.map(|part| self.objects.get_range(path, part)));
        let mut reads = reads.buffered(PARTS_AT_ONCE);
        let mut all = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        while let Some(part) = reads.try_next().await? {
            all.extend_from_slice(&part);
        }
        Ok(all)
    }

    async fn write_parts(&self, path: &Path, bytes: &[u8]) -> Result<(), ObjectError> {
        let upload = self.objects.put_multipart(path).await?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
        for part in bytes.chunks(PART) {
            if let Err(error) = upload.wait_for_capacity(PARTS_AT_ONCE).await {
                // What is left of it is the store's to clear away, if this fails, too.
                let _ = upload.abort().await;
                return Err(error);
            }
            upload.write(part);
        }
        upload.finish().await.map(drop)
    }

    /// Everything in a folder, at any depth.
    async fn all_in(&self, folder: &Path) -> Result<Vec<ObjectMeta>, ObjectError> {
        self.objects.list(Some(folder)).try_collect().await
    }

    async fn delete_all(&self, path: &Path) -> Result<(), ObjectError> {
        let found = self.all_in(path).await?;
        let all = found.into_iter().map(|object| object.location).chain([path.clone()]);
        let (records, others): (Vec<Path>, Vec<Path>) =
            all.partition(|path| path.filename() == Some(METADATA_FILE));
        for paths in [records, others] {
            let paths = stream::iter(paths.into_iter().map(Ok)).boxed();
            let mut deleted = self.objects.delete_stream(paths);
            while let Some(deleted) = deleted.next().await {
                match deleted {
                    Err(ObjectError::NotFound { .. }) | Ok(_) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

impl Store for RemoteStore {
    fn make_folder(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    fn create(&self, path: &str, bytes: &[u8]) -> Result<Creation, StoreError> {
        let name = self.path(path).map_err(StoreError::Failed)?;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let bytes = Bytes::copy_from_slice(bytes);
        match self.wait(self.objects.put_opts(&name, bytes.into(), options)) {
            Ok(_) => Ok(Creation::Created),
            Err(ObjectError::AlreadyExists { .. } | ObjectError::Precondition { .. }) => {
                Ok(Creation::Exists)
            }
            Err(error) => Err(self.not_written(path, error)),
        }
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let name = self.path(path).map_err(StoreError::Failed)?;
        let written = self.wait(async {
            if bytes.len() > PART {
                return self.write_parts(&name, bytes).await;
            }
            self.objects.put(&name, Bytes::copy_from_slice(bytes).into()).await.map(drop)
        });
        written.map_err(|error| self.not_written(path, error))
    }

    fn read(&self, path: &str, range: Option<(u64, u64)>) -> Result<Vec<u8>, StoreError> {
        let name = self.path(path).map_err(StoreError::Failed)?;
        let read = self.wait(async {
            let Some((offset, length)) = range else { return self.read_all(&name).await.map(Some) };
            let end = offset.saturating_add(length);
            match self.read_range(&name, offset, length).await {
                Ok(bytes) => Ok((bytes.len() as u64 == length).then_some(bytes)),
                // Each store has its own error for what lies behind the end.
                Err(error) => match self.objects.head(&name).await {
                    Ok(found) if found.size < end => Ok(None),
                    Ok(_) | Err(_) => Err(error),
                },
            }
        });
        let missing = || format!("the file \"{}/{path}\" is missing or too short", self.root);
        let failed = match read {
            Ok(Some(bytes)) => return Ok(bytes),
            // What a record names and is not there will not come back.
            Ok(None) => Error::new(ErrorKind::Corrupt, missing()),
            Err(e @ ObjectError::NotFound { .. }) => {
                Error::with_source(ErrorKind::Corrupt, missing(), e)
            }
            Err(error) => self.error("read", path, error),
        };
        Err(StoreError::Failed(failed))
    }

    fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        let name = self.path(folder)?;
        let found = self.wait(self.objects.list_with_delimiter(Some(&name)));
        let found = found.map_err(|error| self.error("read", folder, error))?;
        let entry = |path: &Path, is_folder| {
            let name = path.filename().unwrap_or_default().to_owned();
            Entry { name, is_folder }
        };
        let folders = found.common_prefixes.iter().map(|path| entry(path, true));
        Ok(folders.chain(found.objects.iter().map(|file| entry(&file.location, false))).collect())
    }

    fn files(&self, folder: &str) -> Result<Vec<FileInfo>> {
        let prefix = self.path(folder)?;
        let found = self.wait(self.objects.list(Some(&prefix)).try_collect::<Vec<_>>());
        let found = match found {
            Err(ObjectError::NotFound { .. }) => Vec::new(),
            found => found.map_err(|error| self.error("read", folder, error))?,
        };
        let file = |object: &ObjectMeta| {
            let parts = object.location.prefix_match(&prefix)?;
            let parts: Vec<String> = parts.map(|part| part.as_ref().to_owned()).collect();
            let modified = Timestamp(object.last_modified.timestamp_millis());
            Some(FileInfo { name: parts.join("/"), bytes: object.size, modified })
        };
        Ok(found.iter().filter_map(file).collect())
    }

    fn find(&self, path: &str) -> Result<Found> {
        let name = self.path(path)?;
        let found = self.wait(async {
            match self.objects.head(&name).await {
                Ok(_) => Ok(Found::File),
                Err(ObjectError::NotFound { .. }) => {
                    let first = self.objects.list(Some(&name)).try_next().await?;
                    Ok(first.map_or(Found::Nothing, |_| Found::Folder))
                }
                Err(error) => Err(error),
            }
        });
        found.map_err(|error| self.error("read", path, error))
    }

    fn delete(&self, path: &str) -> Result<(), StoreError> {
        let name = self.path(path).map_err(StoreError::Failed)?;
        let deleted = self.wait(async {
            #[cfg(feature = "hdfs")]
            if let Some(client) = &self.folders {
                return delete_tree(client, &format!("/{path}")).await;
            }
            self.delete_all(&name).await
        });
        deleted.map_err(|error| StoreError::Failed(self.error("delete", path, error)))
    }

    fn delete_if_empty(&self, folder: &str) -> Result<(), StoreError> {
        #[cfg(feature = "hdfs")]
        if let Some(client) = &self.folders {
            let path = format!("/{folder}");
            let deleted = self.wait(async {
                match client.list_status_iter(&path, false).next().await {
                    None => client.delete(&path, false).await.map(drop),
                    Some(Ok(_) | Err(hdfs_native::HdfsError::FileNotFound(_))) => Ok(()),
                    Some(Err(error)) => Err(error),
                }
            });
            let failed = |e| self.error("delete", folder, of_hdfs(e));
            return deleted.map_err(|e| StoreError::Failed(failed(e)));
        }
        let _ = folder;
        Ok(())
    }
}

/// Deletes a file or folder of HDFS, a record first.
#[cfg(feature = "hdfs")]
async fn delete_tree(client: &hdfs_native::Client, path: &str) -> Result<(), ObjectError> {
    match client.get_file_info(path).await {
        Err(hdfs_native::HdfsError::FileNotFound(_)) => return Ok(()),
        Err(error) => return Err(of_hdfs(error)),
        Ok(found) if found.isdir => {
            let record = format!("{path}/{METADATA_FILE}");
            client.delete(&record, false).await.map_err(of_hdfs)?;
        }
        Ok(_) => {}
    }
    client.delete(path, true).await.map(drop).map_err(of_hdfs)
}

#[cfg(feature = "hdfs")]
fn of_hdfs(error: hdfs_native::HdfsError) -> ObjectError {
    ObjectError::Generic { store: "HDFS", source: Box::new(error) }
}
