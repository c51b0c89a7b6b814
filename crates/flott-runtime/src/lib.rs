//! Moves records and barriers through one task.
//!
//! From the outside in: a [`program::Program`] is built ([`build`]) into [`task::Task`]s; a task
//! reads its gate ([`align`] decides which channels, [`watermark`] what time it is) or polls its
//! source, and takes batches through a chain of operators ([`operator`] is their contract) to its
//! outputs ([`partition`]), which send to the next gate: in this process, or through the
//! [`exchange`] in another.
//!
//! Invariants:
//! - A task is stepped: it never blocks, sleeps, or starts a thread, and it reads the clock that it
//!   was given. Who steps it (a pool of threads, the simulator, a test) is not its business.
//! - There is no lock, allocation or virtual call per record between operators: all of them are per
//!   batch.
//! - This crate knows no operator: those live in `flott-datastream`.
//!
//! It may depend on the plan, on the checkpoint's words and on state. It must not know threads,
//! sockets, files, or the coordinator.

pub mod align;
pub mod batch;
pub mod build;
mod chain;
mod channel;
pub mod collector;
pub mod exchange;
mod gate;
mod in_flight;
pub mod kept;
mod look_up;
pub mod operator;
pub mod partition;
pub mod program;
pub mod restore;
pub mod snapshot;
pub mod stage;
pub mod task;
pub mod watermark;

pub use batch::{Batch, NO_TIMESTAMP};
pub use chain::panic_message;
pub use collector::{Collector, OutputTag};
pub use flott_state::{StateBackend, StateFile};
pub use kept::{KeptStates, TaskMemory};
pub use look_up::StateLookUp;
pub use operator::{
    OpenContext, Operator, OperatorInstance, RestoredOperator, Source, SourceStatus, Wake,
};
pub use program::{EdgeCode, NodeCode, Program};
pub use snapshot::{OperatorParts, PendingSnapshot};
pub use task::{Clock, Command, Mailbox, Progress, Task, TaskEvent, TaskSettings};
