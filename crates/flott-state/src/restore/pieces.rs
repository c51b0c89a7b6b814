//! Parts of the pieces that a keyed state was written in.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use flott_checkpoint::snapshot::{DataRef, GroupRange, KeyedStateHandle};
use flott_checkpoint::storage::CheckpointStorage;
use flott_core::Result;

use super::{corrupt, short};

/// How many bytes are read of a file at once: few enough for a state with many pieces.
const READ_AHEAD: u64 = 1 << 20;

/// Of so many pieces what was read ahead is kept.
const PIECES_AHEAD_MAX: usize = 64;

/// A part of a piece.
#[derive(Clone, Debug)]
pub struct PieceBytes {
    /// Where in the piece it begins.
    pub start: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl PieceBytes {
    /// A part of it, by the offsets in the piece.
    pub fn get(&self, span: &Range<u64>) -> Option<&[u8]> {
        let start = usize::try_from(span.start.checked_sub(self.start)?).ok()?;
        let end = usize::try_from(span.end.checked_sub(self.start)?).ok()?;
        self.bytes.get(start..end)
    }
}

/// Reads pieces a part at a time. Of a file some of what follows is read, too: the next key group needs that.
pub struct PieceReader {
    storage: Arc<dyn CheckpointStorage>,
    /// What was read last of a file that has a piece at this offset.
    ahead: Mutex<BTreeMap<(String, u64), Arc<PieceBytes>>>,
}

impl PieceReader {
    /// Reads from `storage`.
    pub fn new(storage: Arc<dyn CheckpointStorage>) -> Self {
        Self { storage, ahead: Mutex::default() }
    }

    /// Some bytes of a piece of the state. Blocks on storage.
    ///
    /// # Errors
    /// [`flott_core::ErrorKind::Corrupt`] if there are no such bytes, and those of the storage.
    pub fn read(
        &self,
        handle: &KeyedStateHandle,
        piece: usize,
        span: Range<u64>,
    ) -> Result<Vec<u8>> {
        let Some(data) = handle.pieces.get(piece) else {
            return Err(corrupt(format!("there is no piece {piece}")));
        };
        let (path, offset) = match data {
            DataRef::Inline(bytes) => return super::slice(bytes, span).map(<[u8]>::to_vec),
            DataRef::File { path, offset, .. } => (path, *offset),
        };
        let lock = || self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let at = (path.clone(), offset);
        let known = lock().get(&at).cloned();
        if let Some(bytes) = known.as_ref().and_then(|ahead| ahead.get(&span)) {
            return Ok(bytes.to_vec());
        }
        let left = data.len().saturating_sub(span.start);
        let length = (span.end - span.start).max(READ_AHEAD).min(left);
        let range = (offset.saturating_add(span.start), length);
        let bytes = self.storage.read(path, Some(range)).map_err(|error| error.into_error())?;
        let ahead = PieceBytes { start: span.start, bytes };
        let found = ahead.get(&span).map(<[u8]>::to_vec).ok_or_else(short)?;
        let mut all = lock();
        if all.len() >= PIECES_AHEAD_MAX {
            all.clear();
        }
        all.insert(at, Arc::new(ahead));
        Ok(found)
    }
}

impl fmt::Debug for PieceReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PieceReader")
    }
}

/// What the ranges of one key group need of each piece.
pub(crate) fn read_layers(
    handle: &KeyedStateHandle,
    layers: &[GroupRange],
    mut read: impl FnMut(usize, Range<u64>) -> Result<Vec<u8>>,
) -> Result<Vec<Option<PieceBytes>>> {
    let mut spans: BTreeMap<usize, Range<u64>> = BTreeMap::new();
    for range in layers {
        let (start, end) = (range.offset, range.offset.saturating_add(range.length));
        let span = spans.entry(range.piece as usize).or_insert(start..end);
        *span = span.start.min(start)..span.end.max(end);
    }
    let pieces = (0..handle.pieces.len()).map(|piece| {
        let Some(span) = spans.remove(&piece) else { return Ok(None) };
        let start = span.start;
        Ok(Some(PieceBytes { start, bytes: read(piece, span)? }))
    });
    pieces.collect()
}
