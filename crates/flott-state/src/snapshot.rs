//! The asynchronous part of a snapshot: bytes, checksums, digests, files.
//!
//! All state of a task goes into a buffer. If it is small it travels in the acknowledgement;
//! otherwise it becomes a file, one with other tasks if it is little, or several, one buffer after the other, if it is
//! large: [`MAGIC`], a version, the CRC-32C and the length of what follows (all little-endian), then the states one after
//! the other.
//!
//! A keyed state is a run of key groups, each with its own checksum, so that a reader can take the
//! groups that it needs; or of what has changed in them since an earlier checkpoint. An entry is the length of the
//! encoded key, the key, the length of the encoded value, the value; lengths are variable-length integers of the
//! codec. So entries can be told apart, counted and compared without the job's types.
//!
//! The digest of an operator is the sum, modulo 2^64, of one hash per entry, seeded by the hash of
//! the state's name. A sum does not depend on the order, nor on which subtask holds what.

mod entries;
mod entry;
mod files;
mod groups;
mod heap;

use std::fmt;
use std::sync::Arc;

use flott_checkpoint::snapshot::{
    DataRef, KeyedStateHandle, OperatorSnapshot, OperatorStateHandle, Redistribution, SchemaText,
    StateKind,
};
use flott_checkpoint::storage::CheckpointStorage;
use flott_core::codec::{checksum, encode_into};
use flott_core::hash::hash64;
use flott_core::{OperatorId, Result};

pub use entries::EntriesByGroup;
pub use files::StateFile;
pub use groups::BaseState;

pub(crate) use entry::{append_bytes, append_encoded, append_entry, append_key, entry_seed};
pub(crate) use groups::{Changes, KeyedSource, Since, Totals};
pub(crate) use heap::TableSource;

use files::StateFiles;
use groups::{GroupWriter, Written};

/// What a state file begins with.
pub const MAGIC: [u8; 8] = *b"FLOTTSTA";
/// The version of the format that follows.
pub const VERSION: u32 = 1;

/// What records in flight are called, where states have names.
pub const IN_FLIGHT: &str = "records in flight";

/// What the handle of a keyed state says beside its bytes.
pub(crate) struct KeyedStateHead {
    pub(crate) name: String,
    pub(crate) kind: StateKind,
    pub(crate) ttl: bool,
    pub(crate) key_schema: SchemaText,
    pub(crate) value_schema: SchemaText,
}

impl KeyedStateHead {
    /// Whether a state that was written is this one.
    fn is_of(&self, written: &KeyedStateHandle) -> bool {
        let Self { name, kind, ttl, key_schema, value_schema } = self;
        (name, kind, ttl) == (&written.name, &written.kind, &written.ttl)
            && (key_schema, value_schema) == (&written.key_schema, &written.value_schema)
    }
}

/// What the handle of an operator state says beside its bytes.
pub(crate) struct OperatorStateHead {
    pub(crate) name: String,
    pub(crate) redistribution: Redistribution,
    pub(crate) schema: SchemaText,
}

/// Collects the state of one task and writes it to one place.
///
/// Write the snapshots of the task's operators into it, then [`finish`](Self::finish), or, together with other tasks,
/// [`finish_into`](Self::finish_into). Until then the references in the handles are promises; that is why the writer
/// keeps them.
pub struct SnapshotWriter {
    files: StateFiles,
    inline_threshold: usize,
    counts_broadcast: bool,
    /// What need not be written again.
    bases: Vec<BaseState>,
    /// The number of the checkpoint, if it may become a base.
    turn: u64,
    keeps_expired: bool,
    operators: Vec<OperatorSnapshot>,
}

impl SnapshotWriter {
    /// A writer whose first file would be `path`. Up to `inline_threshold` bytes of state go into the
    /// acknowledgement instead.
    pub fn new(
        storage: Arc<dyn CheckpointStorage>,
        path: impl Into<String>,
        inline_threshold: usize,
    ) -> Self {
        Self {
            files: StateFiles::new(storage, path.into()),
            inline_threshold,
            counts_broadcast: true,
            bases: Vec::new(),
            turn: 0,
            keeps_expired: false,
            operators: Vec::new(),
        }
    }

    /// Whether broadcast state, of which every subtask has the same copy, counts in the digest.
    /// Let the first subtask alone say so, and the sum over the subtasks does not depend on their
    /// number.
    #[must_use]
    pub fn counts_broadcast(mut self, counts: bool) -> Self {
        self.counts_broadcast = counts;
        self
    }

    /// Only what has changed since `bases` is written, where there is one; the files of those must stay. Checkpoint
    /// after checkpoint with a greater `turn` each, every key group is written whole now and then.
    ///
    /// What has expired is written, too: a later checkpoint that refers to it would not know.
    #[must_use]
    pub fn based_on(self, turn: u64, bases: Vec<BaseState>) -> Self {
        Self { bases, turn, keeps_expired: true, ..self }
    }

    /// Begins another file when one has so many bytes.
    #[cfg(test)]
    pub(crate) fn files_of(mut self, bytes: usize) -> Self {
        self.files.full = bytes;
        self
    }

    /// Whether what has expired is written.
    pub(crate) fn keeps_expired(&self) -> bool {
        self.keeps_expired
    }

    /// How many bytes of state there are so far.
    pub fn bytes(&self) -> usize {
        self.files.bytes()
    }

    /// Puts the bytes where they belong and returns what each operator remembers, in the order in
    /// which they were written.
    ///
    /// # Errors
    /// If the file cannot be written, or may not have been: the checkpoint fails.
    pub fn finish(self) -> Result<Vec<OperatorSnapshot>> {
        let (storage, mut file) = (self.files.storage().clone(), StateFile::default());
        let mut operators = self.finish_into(&mut file);
        file.settle(&*storage, [&mut *operators])?;
        Ok(operators)
    }

    /// The same, except that what is not written yet goes behind what others have put into `file`, which is to be
    /// [settled](StateFile::settle) with what is returned.
    pub fn finish_into(mut self, file: &mut StateFile) -> Vec<OperatorSnapshot> {
        let keyed = self.operators.iter().flat_map(|operator| &operator.keyed);
        let carried = keyed.flat_map(|state| &state.pieces).filter(|piece| !piece.is_file());
        let carried: u64 = carried.map(DataRef::len).sum();
        let is_small =
            self.files.written() == 0 && carried as usize + self.bytes() <= self.inline_threshold;
        let last = self.files.into_last();
        if is_small || last.is_empty() {
            last.make_inline(&mut self.operators);
        } else {
            file.take_in(last, &mut self.operators);
        }
        self.operators
    }

    /// Writes the entries of one keyed state. A state without entries leaves no trace.
    pub(crate) fn write_keyed(
        &mut self,
        operator: OperatorId,
        head: KeyedStateHead,
        source: &mut dyn KeyedSource,
    ) -> Result<()> {
        let mut bases = self.bases.iter();
        let base = bases.find(|base| {
            base.operator == operator
                && head.is_of(&base.handle)
                && base.handle.pieces.iter().any(DataRef::is_file)
                && source.build_upon(&base.memory)
        });
        let groups = GroupWriter::new(&head.name, &mut self.files);
        let written = match base {
            Some(base) => groups.write_changes(source, &base.handle, self.turn)?,
            None => groups.write_all(source)?,
        };
        if written.groups.is_empty() {
            return Ok(());
        }
        let digest = written.digest();
        let Written { pieces, groups } = written;
        let KeyedStateHead { name, kind, ttl, key_schema, value_schema } = head;
        let snapshot = self.operator(operator);
        snapshot.digest = snapshot.digest.wrapping_add(digest);
        snapshot.keyed.push(KeyedStateHandle {
            name,
            kind,
            ttl,
            key_schema,
            value_schema,
            pieces,
            groups,
        });
        Ok(())
    }

    /// Encodes the elements of one operator state. An empty one is written too: that a broadcast
    /// state is empty is something to remember.
    pub(crate) fn write_elements<T: serde::Serialize>(
        &mut self,
        operator: OperatorId,
        head: OperatorStateHead,
        elements: impl Iterator<Item = T>,
    ) -> Result<()> {
        self.append_elements(operator, head, elements, |element, out| encode_into(&element, out))
    }

    /// Writes batches of records that were on their way to an operator, encoded as its `schema` says. They are
    /// not what it remembers, and do not count in its digest.
    ///
    /// # Errors
    /// None in practice: there is nothing to encode.
    pub fn write_in_flight(
        &mut self,
        operator: OperatorId,
        by_key: bool,
        schema: SchemaText,
        batches: &[Vec<u8>],
    ) -> Result<()> {
        let redistribution = Redistribution::InFlight { by_key };
        let head = OperatorStateHead { name: IN_FLIGHT.into(), redistribution, schema };
        self.append_elements(operator, head, batches.iter(), |batch, out| append_bytes(out, batch))
    }

    fn append_elements<T>(
        &mut self,
        operator: OperatorId,
        head: OperatorStateHead,
        elements: impl Iterator<Item = T>,
        append: impl Fn(T, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let start = self.files.end();
        let mut digest = EntryDigest::new(&head.name);
        let mut ends = Vec::new();
        let out = self.files.buffer();
        for element in elements {
            let element_start = out.len();
            append(element, out)?;
            digest.add(&out[element_start..]);
            ends.push((out.len() - start) as u64);
        }
        let checksum = checksum(self.files.bytes_from(start));
        let data = self.files.promise(start);
        let OperatorStateHead { name, redistribution, schema } = head;
        let counts = match redistribution {
            Redistribution::Split | Redistribution::Union => true,
            Redistribution::Broadcast => self.counts_broadcast,
            Redistribution::InFlight { .. } => false,
        };
        let snapshot = self.operator(operator);
        if counts {
            snapshot.digest = snapshot.digest.wrapping_add(digest.sum);
        }
        snapshot.operator_states.push(OperatorStateHandle {
            name,
            redistribution,
            schema,
            data,
            ends,
            checksum,
        });
        Ok(())
    }

    fn operator(&mut self, operator: OperatorId) -> &mut OperatorSnapshot {
        let found = self.operators.iter().position(|snapshot| snapshot.operator == operator);
        let index = found.unwrap_or_else(|| {
            self.operators.push(OperatorSnapshot {
                operator,
                keyed: Vec::new(),
                operator_states: Vec::new(),
                digest: 0,
            });
            self.operators.len() - 1
        });
        &mut self.operators[index]
    }
}

/// The sum of the hashes of a state's entries.
struct EntryDigest {
    /// The hash of the state's name: the seed of all the others.
    name: u64,
    sum: u64,
}

impl EntryDigest {
    fn new(name: &str) -> Self {
        Self { name: entry_seed(name), sum: 0 }
    }

    #[inline]
    fn add(&mut self, entry: &[u8]) {
        self.sum = self.sum.wrapping_add(hash64(self.name, entry));
    }
}

impl fmt::Debug for SnapshotWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotWriter")
            .field("path", &self.files.first())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}
