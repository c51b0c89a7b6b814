//! A state of a snapshot as a table: its keys and values, read while somebody asks for them.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;
use flott_cluster::inspect::{Entry, Snapshot, StateInfo};
use flott_core::{Error, ErrorKind, Result};

use super::columns::{column, data_type};

/// So many entries are in memory at once, and as many again in each step that works on them.
const ROWS: usize = 1024;
/// So many batches wait for who asked.
const WAITING: usize = 2;

/// Why a state cannot be read, as an error that passes through a query.
pub(super) struct Unread(pub(super) Error);

impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for Unread {}

#[derive(Clone)]
pub(super) struct StateTable {
    snapshot: Arc<Snapshot>,
    state: StateInfo,
    /// `key`, if it is keyed, and `value`.
    schema: SchemaRef,
}

impl StateTable {
    /// # Errors
    /// If the shapes of its types are not known.
    pub(super) fn new(snapshot: Arc<Snapshot>, state: StateInfo) -> Result<Self> {
        let (key, value) = snapshot.schemas(&state)?;
        let key = key.map(|key| Field::new("key", data_type(&key), true));
        let value = Field::new("value", data_type(&value), true);
        let schema = Arc::new(Schema::new(key.into_iter().chain([value]).collect::<Vec<_>>()));
        Ok(Self { snapshot, state, schema })
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Shows all entries to `each`, batch by batch, until it has seen enough.
    ///
    /// # Errors
    /// If something cannot be read or is damaged; that of `each`.
    pub(super) fn batches(&self, mut each: impl FnMut(RecordBatch) -> Result<bool>) -> Result<()> {
        let (mut entries, mut is_wanted) = (Vec::with_capacity(ROWS), true);
        self.snapshot.entries(&self.state, |entry| {
            entries.push(entry);
            if entries.len() == ROWS {
                is_wanted = each(self.batch(&entries)?)?;
                entries.clear();
            }
            Ok(is_wanted)
        })?;
        if is_wanted && !entries.is_empty() {
            each(self.batch(&entries)?)?;
        }
        Ok(())
    }

    fn batch(&self, entries: &[Entry]) -> Result<RecordBatch> {
        let columns = self.schema.fields().iter().map(|field| {
            let of_keys = field.name() == "key";
            let cells = entries.iter().map(|entry| match of_keys {
                true => entry.key.as_ref(),
                false => Some(&entry.value),
            });
            column(field.data_type(), &cells.collect::<Vec<_>>())
        });
        let batch = columns
            .collect::<Result<Vec<_>, ArrowError>>()
            .and_then(|columns| RecordBatch::try_new(self.schema.clone(), columns));
        batch.map_err(|e| Error::with_source(ErrorKind::Internal, "entries make no table", e))
    }
}

impl fmt::Debug for StateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateTable").field("state", &self.state).finish_non_exhaustive()
    }
}

impl PartitionStream for StateTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), WAITING);
        let (table, sender) = (self.clone(), stream.tx());
        // Storage is read by a thread that may wait for it.
        stream.spawn_blocking(move || {
            let read = table.batches(|batch| Ok(sender.blocking_send(Ok(batch)).is_ok()));
            read.map_err(|error| DataFusionError::External(Box::new(Unread(error))))
        });
        stream.build()
    }
}
