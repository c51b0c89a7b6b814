//! Operator state as user functions see it: lists and broadcast maps that belong to a subtask, not
//! to a key.

use flott_checkpoint::snapshot::Redistribution;
use flott_core::Result;
use flott_core::codec::StateData;
use flott_runtime::OpenContext;
use flott_state::{BroadcastState, OperatorListState, OperatorStateBackend, OperatorStateContext};

/// Registers operator state. In `open`.
pub trait OperatorStates: OperatorStateContext {
    /// A list that is dealt out evenly when the parallelism changes; Flink's `getListState`.
    ///
    /// # Errors
    /// If the name is taken by other state, or a checkpoint has state of another type.
    fn operator_list_state<T: StateData>(&mut self, name: &str) -> Result<OperatorListState<T>> {
        self.operator_state_backend()?.list_state(name, Redistribution::Split)
    }

    /// A list of which every subtask gets all elements on restore; Flink's `getUnionListState`.
    ///
    /// # Errors
    /// As [`OperatorStates::operator_list_state`].
    fn union_list_state<T: StateData>(&mut self, name: &str) -> Result<OperatorListState<T>> {
        self.operator_state_backend()?.list_state(name, Redistribution::Union)
    }

    /// A map that is the same in every subtask; Flink's broadcast state. Keeping it the same is up
    /// to the function: feed it from a broadcast stream.
    ///
    /// # Errors
    /// As [`OperatorStates::operator_list_state`].
    fn broadcast_state<K: StateData + Ord, V: StateData>(
        &mut self,
        name: &str,
    ) -> Result<BroadcastState<K, V>> {
        self.operator_state_backend()?.broadcast_state(name)
    }
}

/// The operator state of an operator that opens, with what a checkpoint has of it.
pub(crate) fn open_operator_state(context: &mut OpenContext<'_>) -> OperatorStateBackend {
    let mut backend = OperatorStateBackend::new(context.instance.name.clone());
    backend.restore(std::mem::take(&mut context.restored.operator_states));
    backend
}
