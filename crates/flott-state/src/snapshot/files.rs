//! The files that a task's state goes into.

use std::sync::Arc;

use flott_checkpoint::snapshot::DataRef;
use flott_checkpoint::storage::CheckpointStorage;
use flott_core::Result;
use flott_core::codec::checksum;

use super::{MAGIC, VERSION};

/// A file that has become this long is written, and another one begun: what waits in memory to be written does not
/// grow with the state.
const FULL: usize = 64 << 20;

const HEADER_LENGTH: usize = 24;

/// The files of one task's snapshot: those that are full are written, the last one is filled.
pub(super) struct StateFiles {
    storage: Arc<dyn CheckpointStorage>,
    /// The path of the first file.
    first: String,
    /// How many are written.
    written: usize,
    /// How many bytes of state they have.
    written_bytes: usize,
    /// How long a file is that is full.
    pub(super) full: usize,
    /// The file at hand, with room for its header.
    buffer: Vec<u8>,
}

impl StateFiles {
    pub(super) fn new(storage: Arc<dyn CheckpointStorage>, first: String) -> Self {
        Self {
            storage,
            first,
            written: 0,
            written_bytes: 0,
            full: FULL,
            buffer: vec![0; HEADER_LENGTH],
        }
    }

    /// The path of the file at hand.
    pub(super) fn path(&self) -> String {
        match self.written {
            0 => self.first.clone(),
            number => format!("{}.{number}", self.first),
        }
    }

    /// How many are written.
    pub(super) fn written(&self) -> usize {
        self.written
    }

    /// Where the file at hand ends.
    pub(super) fn end(&self) -> usize {
        self.buffer.len()
    }

    /// Whether the file at hand has nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.len() == HEADER_LENGTH
    }

    /// How many bytes of state there are in all files.
    pub(super) fn bytes(&self) -> usize {
        self.written_bytes + self.buffer.len() - HEADER_LENGTH
    }

    /// What the file at hand has from `start` on.
    pub(super) fn bytes_from(&self, start: usize) -> &[u8] {
        &self.buffer[start..]
    }

    /// What a reference to the file at hand refers to.
    pub(super) fn bytes_of(&self, offset: u64, length: u64) -> Vec<u8> {
        let start = offset as usize;
        self.buffer[start..start + length as usize].to_vec()
    }

    /// Appends to the file at hand.
    pub(super) fn append<T>(
        &mut self,
        append: impl FnOnce(Vec<u8>) -> Result<(Vec<u8>, T)>,
    ) -> Result<T> {
        let (buffer, result) = append(std::mem::take(&mut self.buffer))?;
        self.buffer = buffer;
        Ok(result)
    }

    /// Takes back what was appended to the file at hand after `end`.
    pub(super) fn truncate(&mut self, end: usize) {
        self.buffer.truncate(end);
    }

    /// What is in the file at hand from `start` on, once it is written.
    pub(super) fn promise(&self, start: usize) -> DataRef {
        DataRef::File {
            path: self.path(),
            offset: start as u64,
            length: (self.buffer.len() - start) as u64,
        }
    }

    /// Writes the file at hand if it is full, and begins another one; true if it has.
    pub(super) fn cut_if_full(&mut self) -> Result<bool> {
        Ok(self.buffer.len() >= self.full && self.write()?)
    }

    /// Writes the file at hand, and begins another one; false if the storage keeps no files.
    pub(super) fn write(&mut self) -> Result<bool> {
        let path = self.path();
        let (header, body) = self.buffer.split_at_mut(HEADER_LENGTH);
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&checksum(body).to_le_bytes());
        let body_length = body.len();
        header[16..].copy_from_slice(&(body_length as u64).to_le_bytes());
        let is_kept = self.storage.write(&path, &self.buffer).map_err(|error| {
            error.into_error().context(format!("cannot write the state file {path}"))
        })?;
        if is_kept {
            self.written += 1;
            self.written_bytes += body_length;
            self.buffer.truncate(HEADER_LENGTH);
        } else {
            // Nor will it keep another one.
            self.full = usize::MAX;
        }
        Ok(is_kept)
    }
}
