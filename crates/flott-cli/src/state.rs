//! `flott state`: what checkpoints and savepoints remember, without the job's binary; and jobs that run.

mod edit;
mod query;
#[cfg_attr(not(feature = "sql"), path = "state/no_sql.rs")]
mod sql;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use flott_cluster::inspect::{Entry, Snapshot, StateInfo};
use flott_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

use self::edit::{EditArgs, edit};
use self::query::{QueryArgs, query};
use crate::client::Client;
use crate::config;
use crate::list::time;

#[derive(Args)]
pub(crate) struct StateArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Lists the states, with their shapes and sizes.
    Ls(LsArgs),
    /// Shows entries of a state, one a line, as JSON.
    Show(ShowArgs),
    /// Shows what a state has for a key.
    Get(GetArgs),
    /// Asks a job that runs what a state has for a key.
    Query(QueryArgs),
    /// Writes all entries of a state.
    Export(ExportArgs),
    /// Answers a question in SQL. Each state is a table UID.STATE, or STATE if only one operator has it, with the
    /// columns key, if it has keys, and value. SHOW TABLES and DESCRIBE tell more.
    Sql(SqlArgs),
    /// Compares two snapshots, entry by entry; 1 if they differ.
    Diff(DiffArgs),
    /// Checks every file and every entry.
    Verify(PathArgs),
    /// Writes a savepoint from another one, with operators under other uids, without some of them, or with another
    /// number of key groups.
    Edit(EditArgs),
}

#[derive(Args)]
struct PathArgs {
    /// A checkpoint or savepoint: its folder, its record, or a directory whose newest checkpoint is meant; a
    /// path or a URL.
    path: String,
    /// Sets an option, of the store that the path is in, say.
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    property: Vec<String>,
}

#[derive(Args)]
struct LsArgs {
    #[command(flatten)]
    path: PathArgs,
    /// Prints everything that is known, as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct StatePath {
    #[command(flatten)]
    path: PathArgs,
    /// The operator's uid, id or name, if there are several.
    #[arg(short, long)]
    operator: Option<String>,
    /// The state's name, if there are several.
    #[arg(short, long)]
    state: Option<String>,
}

#[derive(Args)]
struct ShowArgs {
    #[command(flatten)]
    state: StatePath,
    /// How many entries.
    #[arg(short = 'n', long, default_value_t = 20)]
    limit: usize,
}

#[derive(Args)]
struct GetArgs {
    #[command(flatten)]
    state: StatePath,
    /// The key, as it is shown: JSON, or text without quotes.
    #[arg(short, long, allow_hyphen_values = true)]
    key: String,
}

#[derive(Args)]
struct ExportArgs {
    #[command(flatten)]
    state: StatePath,
    /// How.
    #[arg(long, default_value = "json")]
    format: Format,
    /// Into this file, and not to the standard output.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    /// An object a line: its key, if it has one, and its value.
    Json,
    /// A line for each entry: the key and the value, each as JSON if it is no plain text or number.
    Csv,
    /// Columns (Apache Parquet), into a file.
    Parquet,
}

#[derive(Args)]
struct SqlArgs {
    #[command(flatten)]
    path: PathArgs,
    /// The question: SELECT key, value FROM sum.rolling WHERE …
    query: String,
    /// How it is answered.
    #[arg(long, default_value = "table")]
    format: Answer,
}

#[derive(Clone, Copy, ValueEnum)]
enum Answer {
    /// A table, for people.
    Table,
    /// An object a line.
    Json,
    /// A line for each row, after one with the names.
    Csv,
}

#[derive(Args)]
struct DiffArgs {
    /// One.
    #[command(flatten)]
    path: PathArgs,
    /// The other one.
    other: String,
    /// How many differences of each state are shown.
    #[arg(short = 'n', long, default_value_t = 20)]
    limit: usize,
}

/// Does what is said.
pub(crate) fn state(args: &StateArgs, client: impl FnOnce() -> Result<Client>) -> Result<()> {
    match &args.action {
        Action::Ls(args) => list(args),
        Action::Show(args) => show(args),
        Action::Get(args) => get(args),
        Action::Query(args) => query(&client()?, args),
        Action::Export(args) => export(args),
        Action::Sql(args) => sql::sql(args),
        Action::Diff(args) => diff(args),
        Action::Edit(args) => edit(args),
        Action::Verify(args) => {
            let snapshot = args.open()?;
            snapshot.verify()?;
            let info = snapshot.info();
            let entries: u64 = info.states.iter().map(|state| state.entries).sum();
            println!(
                "{} is whole: {} states with {entries} entries, {} bytes in {} files.",
                info.location,
                info.states.len(),
                info.bytes,
                info.files
            );
            Ok(())
        }
    }
}

impl PathArgs {
    fn open(&self) -> Result<Snapshot> {
        Snapshot::open(&config::load(&self.property)?, &self.path)
    }
}

impl StatePath {
    fn open(&self) -> Result<(Snapshot, StateInfo)> {
        let snapshot = self.path.open()?;
        let state = snapshot.find(self.operator.as_deref(), self.state.as_deref())?;
        Ok((snapshot, state))
    }
}

fn list(args: &LsArgs) -> Result<()> {
    let info = args.path.open()?.info();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&info).map_err(unprintable)?);
        return Ok(());
    }
    println!(
        "Checkpoint {} of job {} ({}), {}: {} bytes in {} files.",
        info.checkpoint,
        info.job_name,
        info.job,
        time(info.triggered_at),
        info.bytes,
        info.files
    );
    for state in &info.states {
        let StateInfo { uid, operator_name, parallelism, max_parallelism, .. } = state;
        println!();
        println!(
            "{uid}: {} {} of {operator_name} ({parallelism} subtasks)",
            state.kind, state.state
        );
        let ttl = if state.ttl { ", with TTL" } else { "" };
        println!("  {} entries, {} bytes{ttl}", state.entries, state.bytes);
        match &state.key_schema {
            Some(key) => {
                println!(
                    "  in {} of {max_parallelism} key groups, at most {} in one",
                    state.key_groups, state.largest_group
                );
                println!("  {key} => {}", state.value_schema);
            }
            None => println!("  {}", state.value_schema),
        }
    }
    Ok(())
}

fn show(args: &ShowArgs) -> Result<()> {
    let (snapshot, state) = args.state.open()?;
    let mut left = args.limit;
    snapshot.entries(&state, |entry| {
        if left == 0 {
            return Ok(false);
        }
        left -= 1;
        let shown = writeln!(std::io::stdout(), "{}", object(&entry)?);
        goes_on(shown)
    })
}

fn get(args: &GetArgs) -> Result<()> {
    let (snapshot, state) = args.state.open()?;
    if state.key_schema.is_none() {
        let StateInfo { state, uid, .. } = state;
        return Err(Error::invalid(format!("state \"{state}\" of \"{uid}\" has no keys")));
    }
    let (wanted, mut found): (Option<Value>, _) = (serde_json::from_str(&args.key).ok(), None);
    snapshot.entries(&state, |entry| {
        let key = entry.key.as_ref().map(value).transpose()?;
        let is_it =
            key.is_some_and(|key| key.as_str() == Some(&args.key) || Some(&key) == wanted.as_ref());
        if is_it {
            found = Some(value(&entry.value)?);
        }
        Ok(!is_it)
    })?;
    let found = found.ok_or_else(|| {
        Error::invalid(format!("state \"{}\" has nothing for the key {}", state.state, args.key))
    })?;
    println!("{found}");
    Ok(())
}

fn export(args: &ExportArgs) -> Result<()> {
    let (snapshot, state) = args.state.open()?;
    if args.format == Format::Parquet {
        let to = args.to.as_deref().ok_or_else(|| {
            Error::invalid("columns are written into a file, and not to the output: use --to FILE")
        })?;
        return sql::export(snapshot, state, to);
    }
    let out: Box<dyn Write> = match &args.to {
        None => Box::new(std::io::stdout().lock()),
        Some(file) => {
            let place = file.display();
            Box::new(File::create(file).map_err(|e| {
                Error::with_source(ErrorKind::Io, format!("cannot write \"{place}\""), e)
            })?)
        }
    };
    let mut out = BufWriter::new(out);
    let is_csv = args.format == Format::Csv;
    if is_csv {
        let head = if state.key_schema.is_some() { "key,value" } else { "value" };
        goes_on(writeln!(out, "{head}"))?;
    }
    snapshot.entries(&state, |entry| {
        let line = if is_csv {
            let cells = entry.key.iter().chain([&entry.value]);
            let cells = cells.map(|cell| value(cell).map(|cell| quoted(&cell)));
            cells.collect::<Result<Vec<_>>>()?.join(",")
        } else {
            object(&entry)?.to_string()
        };
        goes_on(writeln!(out, "{line}"))
    })?;
    goes_on(out.flush()).map(drop)
}

/// Whether somebody still reads what is written.
fn goes_on(written: std::io::Result<()>) -> Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Error::with_source(ErrorKind::Io, "the entries cannot be written", e)),
    }
}

/// What there is, by operator and state, then by key: a value, or how often an element is there.
type Contents = BTreeMap<(String, String), BTreeMap<String, String>>;

fn contents(snapshot: &Snapshot) -> Result<Contents> {
    let mut contents = Contents::new();
    for state in snapshot.info().states {
        let own = contents.entry((state.uid.clone(), state.state.clone())).or_default();
        let shown = snapshot.entries(&state, |entry| {
            let shown = value(&entry.value)?.to_string();
            match &entry.key {
                Some(key) => drop(own.insert(value(key)?.to_string(), shown)),
                None => {
                    let times = own.get(&shown).and_then(|times| times.strip_suffix(" times"));
                    let times = times.and_then(|times| times.parse::<u64>().ok()).unwrap_or(0);
                    own.insert(shown, format!("{} times", times + 1));
                }
            }
            Ok(true)
        });
        match shown {
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                eprintln!("Not compared: {}", error.report());
                own.clear();
            }
            shown => shown?,
        }
    }
    Ok(contents)
}

fn diff(args: &DiffArgs) -> Result<()> {
    let other = Snapshot::open(&config::load(&args.path.property)?, &args.other)?;
    let (before, mut after) = (contents(&args.path.open()?)?, contents(&other)?);
    let mut names: Vec<&(String, String)> = before.keys().collect();
    let new: Vec<(String, String)> =
        after.keys().filter(|name| !before.contains_key(name)).cloned().collect();
    names.extend(&new);
    let (nothing, mut total) = (BTreeMap::new(), 0);
    for name in names {
        let own = before.get(name).unwrap_or(&nothing);
        let other = after.remove(name).unwrap_or_default();
        let mut lines = Vec::new();
        for (key, value) in own {
            match other.get(key) {
                None => lines.push(format!("- {key}: {value}")),
                Some(new) if new != value => lines.push(format!("~ {key}: {value} => {new}")),
                Some(_) => {}
            }
        }
        let added = other.iter().filter(|(key, _)| !own.contains_key(*key));
        lines.extend(added.map(|(key, value)| format!("+ {key}: {value}")));
        if lines.is_empty() {
            continue;
        }
        total += lines.len();
        println!("{}: {} ({} differences)", name.0, name.1, lines.len());
        lines.iter().take(args.limit).for_each(|line| println!("  {line}"));
        if lines.len() > args.limit {
            println!("  …");
        }
    }
    if total == 0 {
        println!("Both have the same.");
        return Ok(());
    }
    Err(Error::invalid(format!("they differ in {total} entries")))
}

/// An entry, as an object.
fn object(entry: &Entry) -> Result<Value> {
    let mut object = Map::new();
    if let Some(key) = &entry.key {
        object.insert("key".into(), value(key)?);
    }
    object.insert("value".into(), value(&entry.value)?);
    Ok(Value::Object(object))
}

fn value(shown: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(shown).map_err(unprintable)
}

/// A cell of a CSV file (RFC 4180).
fn quoted(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

fn unprintable(e: serde_json::Error) -> Error {
    Error::with_source(ErrorKind::Internal, "a value cannot be printed", e)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        assert_eq!(quoted(&json!("plain text")), "plain text");
        assert_eq!(quoted(&json!(-7)), "-7");
        assert_eq!(quoted(&json!("a \"b\"\nc")), "\"a \"\"b\"\"\nc\"");
        assert_eq!(quoted(&json!({"a": [1, 2]})), r#""{""a"":[1,2]}""#);
    }
}
