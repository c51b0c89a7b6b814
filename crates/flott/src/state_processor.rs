//! Checkpoints and savepoints, read and written without running a job, as with Flink's State Processor API.
//!
//! [`Snapshot::read_keyed_state`] reads what a job has remembered, with the job's own types and descriptors.
//! [`SavepointWriter`] makes a savepoint: the beginning of a new job, from a file or a table, say; or an old job's
//! with some of its state changed, left out, under another uid, or in more key groups.
//!
//! ```no_run
//! use flott::core::MaxParallelism;
//! use flott::core::config::Configuration;
//! use flott::prelude::ValueStateDescriptor;
//! use flott::state_processor::SavepointWriter;
//!
//! fn bootstrap(balances: Vec<(String, i64)>) -> flott::Result<String> {
//!     let config = Configuration::new();
//!     SavepointWriter::new_savepoint(&config, "accounts", MaxParallelism::new(128)?)?
//!         .with_keyed_state::<String>("balance", |state| {
//!             let balance = state.value_state(ValueStateDescriptor::<i64>::new("balance"))?;
//!             for (account, amount) in balances {
//!                 state.use_key(account)?;
//!                 balance.update(state, amount)?;
//!             }
//!             Ok(())
//!         })?
//!         .write("/tmp/savepoints")
//! }
//! ```
//!
//! The savepoint's location, which [`SavepointWriter::write`] returns, is what `-s` takes. `flott state edit` does the
//! same, as far as no types are needed.

pub use flott_cluster::inspect::{Entry, SavepointWriter, Snapshot, SnapshotInfo, StateInfo};
pub use flott_state::KeyedBackend;
