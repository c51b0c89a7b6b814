//! The state of sources and sinks: what they share, and what they take from below the DataStream
//! API.

use flott_core::Error;
use flott_datastream::OpenContext;

pub(crate) use flott_datastream::{OperatorStateBackend, Redistribution, Wake};

/// The operator state of a source that opens, with what a checkpoint has of it.
pub(crate) fn open(context: &mut OpenContext<'_>) -> OperatorStateBackend {
    let mut backend = OperatorStateBackend::new(context.instance.name.clone());
    backend.restore(std::mem::take(&mut context.restored.operator_states));
    backend
}

/// A method was called before `open`.
pub(crate) fn not_open() -> Error {
    Error::internal("a source is used before it is open")
}
