//! Checkpoints of keyed state, on the heap and on disk: all of it, and what has changed. Prints a table of bytes
//! and times, and says where a target is missed.
//!
//! `cargo bench -p flott-benches --bench increments [-- --quick] [--lsm]`

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flott::Result;
use flott_checkpoint::storage::{CheckpointStorage, StoreError};
use flott_cluster::disk_state::LsmStores;
use flott_core::hash::{mix, stable_hash};
use flott_core::{CheckpointId, Error, ErrorKind, MaxParallelism, OperatorId};
use flott_state::{BaseState, DiskBackend, KeyedBackend, RawValue, SnapshotWriter, StateBackend};

flott::use_allocator!();

const ROUNDS: u64 = 40;
/// As the option's default.
const MEMORY: usize = 256 << 20;
const BATCH: usize = 1024;
const OPERATOR: OperatorId = OperatorId::from_u128(1);

fn main() -> Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let keys = if quick { 1_000_000 } else { 10_000_000 };
    let place = if std::env::args().any(|argument| argument == "--lsm") {
        println!("State on disk, {} MiB of memory.", MEMORY >> 20);
        StateBackend::Disk(DiskBackend::new(Arc::new(LsmStores::new(None, MEMORY / 2)?), MEMORY))
    } else {
        println!("State on the heap.");
        StateBackend::Heap
    };
    println!("{keys} keys, u64 to i64, to files; medians of {ROUNDS} checkpoints");
    println!("{:<24} {:>10} {:>10} {:>10}", "changed", "bytes", "time ms", "pause ms");
    let max = MaxParallelism::default_for(1);
    let mut backend = KeyedBackend::<u64>::new("sum", max.range_of(0, 1), max).on(place);
    let state = backend.register_raw_value::<i64>("sum")?;
    for what in ["new", "known"] {
        let began = Instant::now();
        // All of them, in no order.
        add(&mut backend, state, (0..keys).map(|index| (index * 7919) % keys))?;
        let rate = keys as f64 / began.elapsed().as_secs_f64() / 1e6;
        println!("  {rate:.2} million updates/s of {what} keys, {} MiB resident", resident()?);
    }
    let folder = tempfile::tempdir()
        .map_err(|e| Error::with_source(ErrorKind::Io, "there is no folder", e))?;
    let storage = Arc::new(Folder(folder.path().to_owned()));
    let mut whole = Vec::new();
    let mut base = None;
    for turn in 0..5 {
        let checkpoint = write(&mut backend, &storage, turn, None)?;
        whole.push(checkpoint.cost);
        base = Some(checkpoint.base);
    }
    let whole = show("all", whole);
    for share in [1000, 100, 10] {
        let mut costs = Vec::new();
        for round in 0..ROUNDS {
            let changed = (0..keys / share).map(|index| mix((round << 32) | index) % keys);
            add(&mut backend, state, changed)?;
            let checkpoint = write(&mut backend, &storage, round, base.take())?;
            costs.push(checkpoint.cost);
            base = Some(checkpoint.base);
        }
        let cost = show(&format!("1 in {share}"), costs);
        if share == 100 {
            let bytes = cost.bytes as f64 / whole.bytes as f64;
            let time = cost.time.as_secs_f64() / whole.time.as_secs_f64();
            let verdict = if bytes <= 0.05 && time <= 0.10 { "" } else { ": MISSED" };
            println!(
                "  {:.1} % of the bytes (target 5 %), {:.1} % of the time (target 10 %){verdict}",
                100.0 * bytes,
                100.0 * time
            );
        }
    }
    Ok(())
}

/// Files, written and synced as the engine does.
struct Folder(PathBuf);

impl CheckpointStorage for Folder {
    fn prepare(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn prepare_checkpoint(&self, _: CheckpointId) -> Result<(), StoreError> {
        Ok(())
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<bool, StoreError> {
        let written = File::create(self.0.join(path)).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        let failed = |e| StoreError::Failed(Error::with_source(ErrorKind::Io, "not written", e));
        written.map(|()| true).map_err(failed)
    }

    fn create_metadata(&self, _: CheckpointId, _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }

    fn read(&self, path: &str, _: Option<(u64, u64)>) -> Result<Vec<u8>, StoreError> {
        Err(StoreError::Failed(Error::internal(format!("nobody reads {path}"))))
    }

    fn delete(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    fn location(&self, _: CheckpointId) -> String {
        self.0.display().to_string()
    }
}

fn add(
    backend: &mut KeyedBackend<u64>,
    state: RawValue<i64>,
    keys: impl Iterator<Item = u64>,
) -> Result<()> {
    let mut keys = keys.peekable();
    let mut batch = Vec::with_capacity(BATCH);
    while keys.peek().is_some() {
        batch.clear();
        for key in keys.by_ref().take(BATCH) {
            batch.push((stable_hash(&key)?, key));
        }
        state.fetch(backend, batch.iter().map(|(hash, key)| (*hash, key)))?;
        let table = state.table_mut(backend)?;
        for (hash, key) in &batch {
            *table.upsert(*hash, *key, || 0) += 1;
        }
    }
    Ok(())
}

/// The memory of this process, in MiB.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/statm")
        .map_err(|e| Error::with_source(ErrorKind::Io, "this system does not tell", e))?;
    let pages = status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    Ok((pages.unwrap_or_default() * 4096) >> 20)
}

struct Checkpoint {
    base: BaseState,
    cost: Cost,
}

#[derive(Clone, Copy)]
struct Cost {
    bytes: usize,
    time: Duration,
    pause: Duration,
}

fn write(
    backend: &mut KeyedBackend<u64>,
    storage: &Arc<Folder>,
    turn: u64,
    base: Option<BaseState>,
) -> Result<Checkpoint> {
    let began = Instant::now();
    let snapshot = backend.snapshot()?;
    let pause = began.elapsed();
    let memory = snapshot.memories().next().map(|(_, memory)| memory);
    let mut writer = SnapshotWriter::new(storage.clone(), format!("chk-{turn}"), 0)
        .based_on(turn, base.into_iter().collect());
    snapshot.write(OPERATOR, &mut writer)?;
    let bytes = writer.bytes();
    let handle = writer.finish()?.pop().and_then(|mut operator| operator.keyed.pop());
    let cost = Cost { bytes, time: began.elapsed(), pause };
    let (Some(memory), Some(handle)) = (memory, handle) else {
        return Err(Error::internal("there is state"));
    };
    Ok(Checkpoint { base: BaseState { operator: OPERATOR, handle, memory }, cost })
}

fn show(what: &str, mut costs: Vec<Cost>) -> Cost {
    let mut median = |of: fn(&Cost) -> u128| {
        costs.sort_by_key(of);
        of(&costs[costs.len() / 2])
    };
    let bytes = median(|cost| cost.bytes as u128) as usize;
    let time = Duration::from_nanos(median(|cost| cost.time.as_nanos()) as u64);
    let pause = Duration::from_nanos(median(|cost| cost.pause.as_nanos()) as u64);
    println!(
        "{what:<24} {bytes:>10} {:>10.1} {:>10.3}",
        time.as_secs_f64() * 1e3,
        pause.as_secs_f64() * 1e3
    );
    Cost { bytes, time, pause }
}
