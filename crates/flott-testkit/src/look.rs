//! Looks at stored state as `flott state` does: whatever is written can be read without the program, and is what
//! its record says.

use flott_checkpoint::CompletedCheckpoint;
use flott_checkpoint::snapshot::DataRef;
use flott_core::{Error, ErrorKind, Result};
use flott_state::PieceBytes;
use flott_state::inspect::{KeyedReader, KeyedShapes, show_elements};

/// Looks at all state of a record, whose files `file` reads.
///
/// # Errors
/// What is damaged, or cannot be shown.
pub(crate) fn look(
    record: &CompletedCheckpoint,
    file: impl Fn(&str) -> Option<Vec<u8>>,
) -> Result<()> {
    let bytes = |data: &DataRef| match data {
        DataRef::Inline(bytes) => Ok(bytes.clone()),
        DataRef::File { path, offset, length } => {
            let range = *offset as usize..(offset + length) as usize;
            let found = file(path).and_then(|bytes| bytes.get(range).map(<[u8]>::to_vec));
            found.ok_or_else(|| {
                Error::new(ErrorKind::Corrupt, format!("{path} is missing or too short"))
            })
        }
    };
    // A type that does not show its shape cannot be shown.
    let shown = |result: Result<_>| match result {
        Err(error) if error.kind() != ErrorKind::InvalidInput => Err(error),
        Ok(_) | Err(_) => Ok(()),
    };
    for snapshot in record.operators.iter().flat_map(|operator| operator.subtasks.values()) {
        for handle in &snapshot.keyed {
            let pieces = handle
                .pieces
                .iter()
                .map(|piece| Ok(Some(PieceBytes { start: 0, bytes: bytes(piece)? })));
            let pieces = pieces.collect::<Result<Vec<_>>>()?;
            let shapes = KeyedShapes::of(handle)?;
            for group in KeyedReader::new(handle, &pieces).groups() {
                for (key, value) in group?.1 {
                    shown(shapes.key(key).and_then(|_| shapes.value(value)))?;
                }
            }
        }
        for handle in &snapshot.operator_states {
            shown(show_elements(handle, &bytes(&handle.data)?).map(|_| flott_state::Shown::Null))?;
        }
    }
    Ok(())
}
