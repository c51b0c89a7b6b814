//! The outside world of the simulated job: a system that takes part in two-phase commits, and
//! remembers everything that was done to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flott_core::{CheckpointId, Error, JobId, OperatorId, Result, Timestamp};
use flott_datastream::{OperatorInstance, TwoPhaseCommitSink};
use serde::{Deserialize, Serialize};

/// What the job emits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Output {
    /// A record, and how many of its key had been seen with it.
    Seen { split: u32, index: u64, key: u32, count: u64 },
    /// How many records of a key an event-time window had.
    Window { key: u32, end: i64, count: u64 },
    /// The processing-time timer of a key.
    Timer { key: u32 },
    /// How many outputs a subtask had passed on when its data ended.
    Total { subtask: u32, count: u64 },
}

/// Names a transaction: no two have the same name, whatever fails.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Transaction {
    job: JobId,
    sink: OperatorId,
    attempt: u32,
    subtask: u32,
    checkpoint: CheckpointId,
}

#[derive(Default)]
struct Books {
    prepared: BTreeMap<Transaction, Vec<Output>>,
    committed: BTreeMap<Transaction, Vec<Output>>,
    /// Checkpoints whose records exist, by the job that wrote them.
    completed: BTreeSet<(JobId, CheckpointId)>,
    violations: Vec<String>,
    /// The user's code that fails next.
    sabotaged: Option<Callback>,
}

/// The user's code, as far as it can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callback {
    Open,
    Process,
    Snapshot,
    Commit,
    Close,
}

impl Callback {
    pub(crate) const ALL: [Self; 5] =
        [Self::Open, Self::Process, Self::Snapshot, Self::Commit, Self::Close];
}

/// What sabotaged code says.
pub(crate) const SABOTAGE: &str = "the simulator sabotaged it";

/// The system. Clones are the same one; it survives every crash of the job.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    books: Arc<Mutex<Books>>,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record of a checkpoint exists now: its transactions may be committed.
    pub(crate) fn completed(&self, job: JobId, checkpoint: CheckpointId) {
        self.lock().completed.insert((job, checkpoint));
    }

    pub(crate) fn is_completed(&self, job: JobId, checkpoint: CheckpointId) -> bool {
        self.lock().completed.contains(&(job, checkpoint))
    }

    /// The newest checkpoint of a job whose record exists.
    pub(crate) fn newest(&self, job: JobId) -> Option<CheckpointId> {
        let books = self.lock();
        let own = (job, CheckpointId(0))..=(job, CheckpointId(u64::MAX));
        books.completed.range(own).next_back().map(|(_, checkpoint)| *checkpoint)
    }

    /// The next call of this code fails.
    pub(crate) fn sabotage(&self, callback: Callback) {
        self.lock().sabotaged = Some(callback);
    }

    /// Fails if this call is to: some code panics, other says so.
    #[expect(clippy::panic, reason = "as the user's code may")]
    pub(crate) fn called(&self, callback: Callback) -> Result<()> {
        let mut books = self.lock();
        if books.sabotaged != Some(callback) {
            return Ok(());
        }
        books.sabotaged = None;
        drop(books);
        match callback {
            Callback::Open | Callback::Process | Callback::Close => panic!("{SABOTAGE}"),
            Callback::Snapshot | Callback::Commit => Err(Error::internal(SABOTAGE)),
        }
    }

    /// Rules of the protocol that were broken.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    /// Everything that is visible to readers.
    pub(crate) fn committed(&self) -> Vec<Output> {
        self.lock().committed.values().flatten().cloned().collect()
    }

    pub(crate) fn transactions(&self) -> u64 {
        self.lock().committed.len() as u64
    }

    pub(crate) fn checkpoints(&self) -> u64 {
        self.lock().completed.len() as u64
    }
}

/// The sink that writes to it.
pub(crate) struct LedgerSink {
    ledger: Ledger,
    job: JobId,
    sink: OperatorId,
    attempt: u32,
    subtask: u32,
    open: Vec<Output>,
}

impl LedgerSink {
    pub(crate) fn new(ledger: Ledger, instance: &OperatorInstance) -> Self {
        let OperatorInstance { job, id, attempt, subtask, .. } = instance;
        let (job, sink, attempt, subtask) = (*job, *id, attempt.0, *subtask);
        Self { ledger, job, sink, attempt, subtask, open: Vec::new() }
    }
}

impl TwoPhaseCommitSink<Output> for LedgerSink {
    type Committable = Transaction;
    type WriterState = ();

    fn open(&mut self, _: &OperatorInstance, _: Vec<()>) -> Result<()> {
        self.ledger.called(Callback::Open)
    }

    fn write(&mut self, record: Output, _: Timestamp) -> Result<()> {
        self.open.push(record);
        Ok(())
    }

    fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<Vec<Transaction>> {
        self.ledger.called(Callback::Snapshot)?;
        if self.open.is_empty() {
            return Ok(Vec::new());
        }
        let Self { job, sink, attempt, subtask, .. } = *self;
        let transaction = Transaction { job, sink, attempt, subtask, checkpoint };
        let records = std::mem::take(&mut self.open);
        let mut books = self.ledger.lock();
        if books.prepared.insert(transaction.clone(), records).is_some() {
            books.violations.push(format!("two transactions have the name {transaction:?}"));
        }
        Ok(vec![transaction])
    }

    fn writer_state(&mut self, _: CheckpointId) -> Result<Vec<()>> {
        Ok(Vec::new())
    }

    fn commit(&mut self, transaction: &Transaction) -> Result<()> {
        self.ledger.called(Callback::Commit)?;
        let mut books = self.ledger.lock();
        if books.committed.contains_key(transaction) {
            return Ok(());
        }
        // A transaction of an aborted checkpoint is committed with a later one of the same job.
        let from = (transaction.job, transaction.checkpoint);
        let to = (transaction.job, CheckpointId(u64::MAX));
        if books.completed.range(from..=to).next().is_none() {
            books.violations.push(format!(
                "{transaction:?} was committed before any checkpoint from its own on was completed"
            ));
        }
        let Some(records) = books.prepared.remove(transaction) else {
            return Err(Error::internal(format!("VIOLATION: {transaction:?} was never prepared")));
        };
        books.committed.insert(transaction.clone(), records);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.ledger.called(Callback::Close)
    }
}
