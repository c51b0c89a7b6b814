//! Remembers: keyed state, operator state and timers of one operator in one subtask.
//!
//! An operator declares its states by descriptor when it opens and uses them through copyable
//! handles: [`keyed`] for values that belong to a record's key, [`operator_state`] for what
//! belongs to the subtask, [`timers`] for times at which a key wants to be called. State lives on
//! the heap in paged copy-on-write tables ([`table`]), or in a [`store`] on disk, with a part of it in such a table.
//!
//! A snapshot has two parts. The synchronous one takes references, whatever the size of the state,
//! while the task stands still; its result is `Send`. The asynchronous one encodes and writes
//! ([`snapshot`]) while the task goes on. On restore the bytes of the key groups that a subtask
//! owns are handed back ([`restore`]); each state is checked against the program's own types
//! ([`schema`]) and decoded when its name is registered, and what nobody registers is reported. [`inspect`]
//! shows what is stored to whoever does not have the types.
//!
//! This crate may depend on the core and on the words of `flott-checkpoint` (handles, storage). It
//! knows no clock (the time is set from outside), no thread and no file, and it does not know what
//! a task, a barrier, a channel or a job is.

pub mod inspect;
pub mod keyed;
pub mod operator_state;
pub mod restore;
pub mod schema;
pub mod snapshot;
pub mod store;
pub mod table;
pub mod timers;

#[cfg(test)]
mod testing;

pub use flott_checkpoint::snapshot::Redistribution;

pub use keyed::{
    AggregateFunction, AggregatingState, AggregatingStateDescriptor, KeyedBackend, KeyedSnapshot,
    KeyedStateContext, ListState, ListStateDescriptor, Loaded, MapState, MapStateDescriptor,
    RawSmallMap, RawValue, ReduceFunction, ReducingState, ReducingStateDescriptor, SmallMap,
    StateAnswer, StateEntry, StateQuestion, StateTtlConfig, StateVisibility, TtlTimeCharacteristic,
    UpdateType, ValueState, ValueStateDescriptor,
};
pub use operator_state::{
    BroadcastState, OperatorListState, OperatorStateBackend, OperatorStateContext,
    OperatorStateSnapshot,
};
pub use restore::{
    KeyedData, LaterData, PieceBytes, PieceReader, RestoredChunk, RestoredKeyedState,
    RestoredOperatorState, StateMemory, UnreadGroup, UnreadStates, check_file,
};
pub use schema::{Schema, Shown, difference};
pub use snapshot::{BaseState, IN_FLIGHT, SnapshotWriter, StateFile};
pub use store::{DiskBackend, StateBackend};
pub use table::{Hint, PagedTable, TableSnapshot};
pub use timers::{TimerKind, TimerService, TimerSnapshot};
