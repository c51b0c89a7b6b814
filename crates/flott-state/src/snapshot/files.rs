//! The files that tasks' state goes into.

use std::sync::Arc;

use flott_checkpoint::snapshot::{DataRef, OperatorSnapshot};
use flott_checkpoint::storage::CheckpointStorage;
use flott_core::Result;
use flott_core::codec::checksum;

use super::{MAGIC, VERSION};

/// A file that has become this long is written, and another one begun: what waits in memory to be written does not
/// grow with the state.
const FULL: usize = 64 << 20;

const HEADER_LENGTH: usize = 24;

/// A file that is not written yet. What several tasks remember at a checkpoint may go into one, if it is little.
#[derive(Debug)]
pub struct StateFile {
    path: String,
    /// With room for the header.
    buffer: Vec<u8>,
}

impl Default for StateFile {
    fn default() -> Self {
        Self::new(String::new())
    }
}

impl StateFile {
    pub(super) fn new(path: String) -> Self {
        Self { path, buffer: vec![0; HEADER_LENGTH] }
    }

    /// How many bytes of state it has.
    pub fn len(&self) -> usize {
        self.buffer.len() - HEADER_LENGTH
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes in what another one has, to which `operators` refer.
    pub(super) fn take_in(&mut self, mut other: Self, operators: &mut [OperatorSnapshot]) {
        if self.is_empty() {
            *self = other;
            return;
        }
        let shift = self.len() as u64;
        for data in references(operators) {
            if let DataRef::File { path, offset, .. } = data
                && *path == other.path
            {
                path.clone_from(&self.path);
                *offset += shift;
            }
        }
        self.buffer.extend(other.buffer.drain(HEADER_LENGTH..));
    }

    /// Writes it, if it has anything; if the storage keeps no files, what it has goes to where `operators` refer to it.
    ///
    /// # Errors
    /// If it cannot be written, or may not have been: what refers to it refers to nothing.
    pub fn settle<'a>(
        mut self,
        storage: &dyn CheckpointStorage,
        operators: impl IntoIterator<Item = &'a mut [OperatorSnapshot]>,
    ) -> Result<()> {
        if self.is_empty() || !self.write(storage)? {
            operators.into_iter().for_each(|operators| self.make_inline(operators));
        }
        Ok(())
    }

    /// Puts its bytes where the references to them are.
    pub(super) fn make_inline(&self, operators: &mut [OperatorSnapshot]) {
        for data in references(operators) {
            if let DataRef::File { path, offset, length } = data
                && *path == self.path
            {
                let start = *offset as usize;
                let bytes = &self.buffer[start..start + *length as usize];
                *data = DataRef::Inline(bytes.to_vec());
            }
        }
    }

    /// False if the storage keeps no files.
    fn write(&mut self, storage: &dyn CheckpointStorage) -> Result<bool> {
        let (header, body) = self.buffer.split_at_mut(HEADER_LENGTH);
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&checksum(body).to_le_bytes());
        header[16..].copy_from_slice(&(body.len() as u64).to_le_bytes());
        storage.write(&self.path, &self.buffer).map_err(|error| {
            error.into_error().context(format!("cannot write the state file {}", self.path))
        })
    }
}

fn references(operators: &mut [OperatorSnapshot]) -> impl Iterator<Item = &mut DataRef> {
    operators.iter_mut().flat_map(|operator| {
        let keyed = operator.keyed.iter_mut().flat_map(|state| &mut state.pieces);
        keyed.chain(operator.operator_states.iter_mut().map(|state| &mut state.data))
    })
}

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
    /// The file at hand.
    file: StateFile,
}

impl StateFiles {
    pub(super) fn new(storage: Arc<dyn CheckpointStorage>, first: String) -> Self {
        let file = StateFile::new(first.clone());
        Self { storage, first, written: 0, written_bytes: 0, full: FULL, file }
    }

    /// Where they go.
    pub(super) fn storage(&self) -> &Arc<dyn CheckpointStorage> {
        &self.storage
    }

    /// The path of the first one.
    pub(super) fn first(&self) -> &str {
        &self.first
    }

    /// How many are written.
    pub(super) fn written(&self) -> usize {
        self.written
    }

    /// Where the file at hand ends.
    pub(super) fn end(&self) -> usize {
        self.file.buffer.len()
    }

    /// How many bytes of state there are in all files.
    pub(super) fn bytes(&self) -> usize {
        self.written_bytes + self.file.len()
    }

    /// What the file at hand has from `start` on.
    pub(super) fn bytes_from(&self, start: usize) -> &[u8] {
        &self.file.buffer[start..]
    }

    /// What the file at hand has so far, to be appended to.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.file.buffer
    }

    /// Takes back what was appended to the file at hand after `end`.
    pub(super) fn truncate(&mut self, end: usize) {
        self.file.buffer.truncate(end);
    }

    /// What is in the file at hand from `start` on, once it is written.
    pub(super) fn promise(&self, start: usize) -> DataRef {
        DataRef::File {
            path: self.file.path.clone(),
            offset: start as u64,
            length: (self.end() - start) as u64,
        }
    }

    /// Writes the file at hand if it is full, and begins another one; true if it has.
    pub(super) fn cut_if_full(&mut self) -> Result<bool> {
        if self.end() < self.full {
            return Ok(false);
        }
        let is_kept = self.file.write(&*self.storage)?;
        if is_kept {
            self.written += 1;
            self.written_bytes += self.file.len();
            self.file.path = format!("{}.{}", self.first, self.written);
            self.file.buffer.truncate(HEADER_LENGTH);
        } else {
            // Nor will it keep another one.
            self.full = usize::MAX;
        }
        Ok(is_kept)
    }

    /// The file at hand, not written.
    pub(super) fn into_last(self) -> StateFile {
        self.file
    }
}
