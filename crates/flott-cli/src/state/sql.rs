//! `flott state sql`: what a snapshot has, asked in SQL; and states as files of columns.
//!
//! Each state is a table `uid.state`, or `state` if no other operator has one of that name, with the columns `key` (of
//! keyed state) and `value`.

mod columns;
mod table;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider};
use datafusion::common::TableReference;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::prelude::{SessionConfig, SessionContext};
use flott_cluster::inspect::{Snapshot, StateInfo};
use flott_core::{Error, ErrorKind, Result};
use futures_util::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use tokio::runtime::Builder;

use self::table::{StateTable, Unread};
use super::{Answer, SqlArgs, goes_on};

/// Answers a query.
pub(super) fn sql(args: &SqlArgs) -> Result<()> {
    let snapshot = Arc::new(args.path.open()?);
    let runtime = Builder::new_multi_thread().enable_all().build();
    let runtime = runtime
        .map_err(|e| Error::with_source(ErrorKind::Io, "cannot start threads for the query", e))?;
    runtime.block_on(async {
        let (session, names) = session(&snapshot)?;
        let unanswered = |error: DataFusionError| {
            let error = match as_unread(error) {
                // It speaks for itself.
                Ok(unread) => return unread,
                Err(error) => error,
            };
            let error = error.strip_backtrace();
            Error::invalid(format!("the query cannot be answered: {error}; the tables are {names}"))
        };
        // It looks; it changes nothing.
        let options = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        let frame = session.sql_with_options(&args.query, options).await.map_err(unanswered)?;
        let rows = frame.execute_stream().await.map_err(unanswered)?;
        print(rows, args.format, &unanswered).await
    })
}

/// What went wrong with the snapshot, if that is why there is no answer.
fn as_unread(error: DataFusionError) -> Result<Error, DataFusionError> {
    let DataFusionError::External(source) = error else { return Err(error) };
    source.downcast::<Unread>().map(|unread| unread.0).map_err(DataFusionError::External)
}

/// Somewhere all states are tables; and what these are called.
fn session(snapshot: &Arc<Snapshot>) -> Result<(SessionContext, String)> {
    let mut config = SessionConfig::new().with_information_schema(true);
    // Names are what they are: uids are not written in small letters.
    config.options_mut().sql_parser.enable_ident_normalization = false;
    let session = SessionContext::new_with_config(config);
    let unregistered =
        |e| Error::with_source(ErrorKind::Internal, "a state cannot be made a table", e);
    let catalog = session
        .catalog("datafusion")
        .ok_or_else(|| Error::new(ErrorKind::Internal, "there is no place for tables"))?;
    let states = snapshot.info().states;
    let mut names = Vec::new();
    for state in &states {
        let table = match StateTable::new(snapshot.clone(), state.clone()) {
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                eprintln!("No table: {}", error.report());
                continue;
            }
            table => table?,
        };
        let table = StreamingTable::try_new(table.schema().clone(), vec![Arc::new(table)]);
        let table = Arc::new(table.map_err(unregistered)?);
        let own = table_name(&states, state);
        // One may be called as the place is where names without an operator are looked up.
        let operator = match catalog.schema(&state.uid) {
            Some(operator) => operator,
            None => {
                let operator: Arc<dyn SchemaProvider> = Arc::new(MemorySchemaProvider::new());
                catalog.register_schema(&state.uid, operator.clone()).map_err(unregistered)?;
                operator
            }
        };
        operator.register_table(own.clone(), table.clone()).map_err(unregistered)?;
        names.push(name(&states, state));
        let bare = TableReference::bare(own);
        if is_alone(&states, state) && !session.table_exist(bare.clone()).map_err(unregistered)? {
            session.register_table(bare, table).map_err(unregistered)?;
        }
    }
    Ok((session, names.join(", ")))
}

/// Keyed state and operator state of one operator may have the same name: then the kind belongs to it.
fn table_name(states: &[StateInfo], state: &StateInfo) -> String {
    let is_same = |other: &&StateInfo| (&other.uid, &other.state) == (&state.uid, &state.state);
    match states.iter().filter(is_same).count() {
        1 => state.state.clone(),
        _ => format!("{} ({})", state.state, state.kind),
    }
}

fn is_alone(states: &[StateInfo], state: &StateInfo) -> bool {
    states.iter().filter(|other| other.state == state.state).count() == 1
}

/// What a state's table is called in a query.
fn name(states: &[StateInfo], state: &StateInfo) -> String {
    let quoted = |name: &str| {
        let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && name.starts_with(|c: char| c.is_ascii_alphabetic());
        if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
    };
    if is_alone(states, state) {
        quoted(&state.state)
    } else {
        format!("{}.{}", quoted(&state.uid), quoted(&table_name(states, state)))
    }
}

async fn print(
    mut rows: SendableRecordBatchStream,
    format: Answer,
    unanswered: &impl Fn(DataFusionError) -> Error,
) -> Result<()> {
    let none = RecordBatch::new_empty(rows.schema());
    if matches!(format, Answer::Csv) {
        let head = as_csv(&none, true).map_err(unprintable)?;
        goes_on(std::io::stdout().write_all(&head))?;
    }
    let mut all = vec![none];
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(unanswered)?;
        if matches!(format, Answer::Table) {
            all.push(batch);
            continue;
        }
        let text =
            if matches!(format, Answer::Csv) { as_csv(&batch, false) } else { as_json(&batch) };
        if !goes_on(std::io::stdout().write_all(&text.map_err(unprintable)?))? {
            return Ok(());
        }
    }
    if matches!(format, Answer::Table) {
        let table = pretty_format_batches(&all).map_err(unprintable)?;
        goes_on(writeln!(std::io::stdout(), "{table}"))?;
    }
    Ok(())
}

fn as_json(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    Ok(writer.into_inner())
}

fn as_csv(batch: &RecordBatch, with_head: bool) -> Result<Vec<u8>, ArrowError> {
    let mut text = Vec::new();
    csv::WriterBuilder::new().with_header(with_head).build(&mut text).write(batch)?;
    Ok(text)
}

fn unprintable(e: ArrowError) -> Error {
    Error::invalid(format!("the answer cannot be written so: {e}; try another --format"))
}

/// Writes a state as a file of columns (Apache Parquet).
pub(super) fn export(snapshot: Snapshot, state: StateInfo, to: &Path) -> Result<()> {
    let failed = |e: Box<dyn std::error::Error + Send + Sync>| {
        Error::with_source(ErrorKind::Io, format!("cannot write \"{}\"", to.display()), e)
    };
    let table = StateTable::new(Arc::new(snapshot), state)?;
    let file = File::create(to).map_err(|e| failed(e.into()))?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let writer = ArrowWriter::try_new(file, table.schema().clone(), Some(properties));
    let mut writer = writer.map_err(|e| failed(e.into()))?;
    table.batches(|batch| {
        writer.write(&batch).map_err(|e| failed(e.into()))?;
        Ok(true)
    })?;
    writer.close().map(drop).map_err(|e| failed(e.into()))
}
