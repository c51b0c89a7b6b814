//! Timers: times at which an operator wants to be called for a key.
//!
//! What is true stands in a table by key, like any keyed state: it is snapshotted, restored and
//! dealt out by key group. The queues that know which timer is next are derived from it and
//! rebuilt after a restore. A deleted timer stays in its queue until it comes up or until too many
//! have gathered.

mod queue;
#[cfg(test)]
mod tests;

use std::fmt;

use flott_checkpoint::snapshot::{SchemaText, StateKind};
use flott_core::codec::{Key, decode, encode_into};
use flott_core::hash::stable_hash;
use flott_core::mutant::Mutant;
use flott_core::{KeyGroupRange, MaxParallelism, OperatorId, Result, Timestamp};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use self::queue::Queue;
use crate::restore::{Claim, RestoredKeyedState, StateMemory, claim};
use crate::schema::Schema;
use crate::snapshot::{KeyedStateHead, SnapshotWriter, TableSource};
use crate::table::{PagedTable, TableSnapshot};

/// The name of the timers among the states of an operator.
pub const TIMERS: &str = "_timers";

/// So many timers ahead of the one that fires, its memory is asked for.
const AHEAD: usize = 8;

/// By which clock a timer fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TimerKind {
    /// When the watermark has reached its time.
    EventTime,
    /// When the wall clock has reached its time.
    ProcessingTime,
}

/// The timers of one operator in one subtask.
pub struct TimerService<K> {
    operator: String,
    max: MaxParallelism,
    key_schema: SchemaText,
    value_schema: SchemaText,
    /// The timers of each key, in order.
    table: PagedTable<K, Timers>,
    event_time: Queue<K>,
    processing_time: Queue<K>,
}

type Timer = (TimerKind, Timestamp);

/// Those of a key: one, as a rule.
type Timers = SmallVec<[Timer; 1]>;

impl<K: Key> TimerService<K> {
    /// The timers of a subtask of `operator` (its name, for messages) that owns `range`.
    pub fn new(operator: impl Into<String>, range: KeyGroupRange, max: MaxParallelism) -> Self {
        Self {
            operator: operator.into(),
            max,
            key_schema: Schema::of::<K>().to_text(),
            value_schema: Schema::of::<Vec<Timer>>().to_text(),
            table: PagedTable::new(range, max),
            event_time: Queue::default(),
            processing_time: Queue::default(),
        }
    }

    /// Takes the timers out of an operator's restored state; what is left belongs to its
    /// [`KeyedBackend`](crate::KeyedBackend).
    ///
    /// # Errors
    /// If they are of another key type, or damaged.
    pub fn restore(&mut self, states: &mut Vec<RestoredKeyedState>) -> Result<()> {
        let restored = claim(
            states,
            &Claim {
                operator: &self.operator,
                name: TIMERS,
                kind: StateKind::Timers,
                key_schema: &self.key_schema,
                value_schema: Some(&self.value_schema),
            },
        )?;
        if Mutant::LoseTimersOnRestore.is_on() {
            return Ok(());
        }
        for part in restored {
            part.fill(&self.operator, &mut self.table, self.max, |bytes| {
                let mut timers = decode::<Vec<Timer>>(bytes)?;
                if Mutant::MixTimerKinds.is_on() {
                    timers.iter_mut().for_each(|(kind, _)| *kind = TimerKind::ProcessingTime);
                    timers.sort_unstable();
                    timers.dedup();
                }
                Ok(Timers::from_iter(timers))
            })?;
        }
        self.queue_all()
    }

    /// Puts every timer of the table into its queue.
    fn queue_all(&mut self) -> Result<()> {
        for (key, timers) in self.table.iter() {
            let hash = stable_hash(key)?;
            for (kind, time) in timers {
                let queue = match kind {
                    TimerKind::EventTime => &mut self.event_time,
                    TimerKind::ProcessingTime => &mut self.processing_time,
                };
                queue.push(*time, hash, key.clone());
            }
        }
        Ok(())
    }

    /// Sets a timer for `key`. The same time twice is one timer.
    ///
    /// # Panics
    /// If the key belongs to a key group of another subtask.
    pub fn register(&mut self, kind: TimerKind, hash: u64, key: &K, time: Timestamp) {
        let timers = self.table.entry_or_insert_with(hash, key, Timers::new);
        let Err(place) = timers.binary_search(&(kind, time)) else { return };
        timers.insert(place, (kind, time));
        self.queue_mut(kind).push(time, hash, key.clone());
    }

    /// Deletes the timer of `key` for `time`; true if there was one.
    ///
    /// # Panics
    /// As [`Self::register`].
    pub fn delete(&mut self, kind: TimerKind, hash: u64, key: &K, time: Timestamp) -> bool {
        let removed = self.forget(kind, hash, key, time);
        if removed {
            self.tidy(kind);
        }
        removed
    }

    /// Takes out the earliest timer whose time has come. Timers of the same time come in an order
    /// that depends on the history of the service.
    pub fn pop_due(&mut self, kind: TimerKind, now: Timestamp) -> Option<(Timestamp, u64, K)> {
        if self.next(kind)? > now {
            return None;
        }
        let (time, hash, key) = self.queue_mut(kind).pop()?;
        if let Some(hash) = self.upcoming(kind, AHEAD) {
            self.table.prefetch(hash);
        }
        self.forget(kind, hash, &key, time);
        self.tidy(kind);
        Some((time, hash, key))
    }

    /// The hash of a timer that comes up soon, after so many others, to ask for the memory of its key. Nothing if there
    /// are not so many of the same time.
    #[inline]
    pub fn upcoming(&self, kind: TimerKind, after: usize) -> Option<u64> {
        self.queue(kind).upcoming(after)
    }

    /// The time of the earliest timer.
    pub fn next(&self, kind: TimerKind) -> Option<Timestamp> {
        self.queue(kind).first().map(|(time, _, _)| time)
    }

    /// How many timers there are.
    pub fn len(&self, kind: TimerKind) -> usize {
        self.queue(kind).live()
    }

    /// Whether there are no timers of either kind.
    pub fn is_empty(&self) -> bool {
        self.event_time.live() == 0 && self.processing_time.live() == 0
    }

    /// The synchronous part of a snapshot: one reference per key group.
    pub fn snapshot(&mut self) -> TimerSnapshot {
        let head = KeyedStateHead {
            name: TIMERS.to_owned(),
            kind: StateKind::Timers,
            ttl: false,
            key_schema: self.key_schema.clone(),
            value_schema: self.value_schema.clone(),
        };
        TimerSnapshot { head, table: Box::new(self.table.snapshot()) }
    }

    /// Removes a timer from the truth.
    fn forget(&mut self, kind: TimerKind, hash: u64, key: &K, time: Timestamp) -> bool {
        let Some(timers) = self.table.get(hash, key) else { return false };
        let Ok(place) = timers.binary_search(&(kind, time)) else { return false };
        if timers.len() == 1 {
            self.table.remove(hash, key);
        } else if let Some(timers) = self.table.get_mut(hash, key) {
            timers.remove(place);
        }
        self.queue_mut(kind).note_removal();
        true
    }

    /// Removes deleted timers from the front of a queue, and from all of it when they are many.
    fn tidy(&mut self, kind: TimerKind) {
        let table = &self.table;
        let queue = match kind {
            TimerKind::EventTime => &mut self.event_time,
            TimerKind::ProcessingTime => &mut self.processing_time,
        };
        queue.tidy(|time, hash, key| {
            let timers = table.get(hash, key);
            timers.is_some_and(|timers| timers.binary_search(&(kind, time)).is_ok())
        });
    }

    fn queue(&self, kind: TimerKind) -> &Queue<K> {
        match kind {
            TimerKind::EventTime => &self.event_time,
            TimerKind::ProcessingTime => &self.processing_time,
        }
    }

    fn queue_mut(&mut self, kind: TimerKind) -> &mut Queue<K> {
        match kind {
            TimerKind::EventTime => &mut self.event_time,
            TimerKind::ProcessingTime => &mut self.processing_time,
        }
    }
}

impl<K> fmt::Debug for TimerService<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerService")
            .field("operator", &self.operator)
            .field("event_time", &self.event_time.live())
            .field("processing_time", &self.processing_time.live())
            .finish_non_exhaustive()
    }
}

/// The timers of one operator at one moment, to be written while the task goes on.
pub struct TimerSnapshot {
    head: KeyedStateHead,
    table: Box<dyn AnyTimers>,
}

trait AnyTimers: Send {
    fn write(
        &self,
        operator: OperatorId,
        head: KeyedStateHead,
        writer: &mut SnapshotWriter,
    ) -> Result<()>;

    fn memory(&self) -> StateMemory;
}

impl<K: Key> AnyTimers for TableSnapshot<K, Timers> {
    fn write(
        &self,
        operator: OperatorId,
        head: KeyedStateHead,
        writer: &mut SnapshotWriter,
    ) -> Result<()> {
        let mut source = TableSource::new(self, |timers, out| {
            encode_into(timers.as_slice(), out).map(|()| true)
        });
        writer.write_keyed(operator, head, &mut source)
    }

    fn memory(&self) -> StateMemory {
        StateMemory::new(self.clone())
    }
}

impl TimerSnapshot {
    /// The timers' name as a state and their table, to begin from again without what is written.
    pub fn memory(&self) -> (&str, StateMemory) {
        (&self.head.name, self.table.memory())
    }

    /// The asynchronous part: encodes the timers into `writer`.
    ///
    /// # Errors
    /// If a key cannot be encoded.
    pub fn write(self, operator: OperatorId, writer: &mut SnapshotWriter) -> Result<()> {
        self.table.write(operator, self.head, writer)
    }
}

impl fmt::Debug for TimerSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TimerSnapshot")
    }
}
