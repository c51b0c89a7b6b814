//! Operator state: what a subtask remembers that belongs to no key.
//!
//! A list whose elements are dealt out when the parallelism changes, or an ordered map of which
//! every subtask has the same copy. The values lie behind `Arc`s: a snapshot is one reference, and
//! the first write after it copies.

mod handle;
#[cfg(test)]
mod tests;

use std::any::{Any, type_name};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use flott_checkpoint::snapshot::{Redistribution, SchemaText};
use flott_core::codec::StateData;
use flott_core::{Error, OperatorId, Result};
use serde::de::DeserializeOwned;

pub use self::handle::{BroadcastState, OperatorListState};

use crate::restore::{RestoredOperatorState, refused, unreadable};
use crate::schema::{Layout, Schema, Stamps};
use crate::snapshot::{OperatorStateHead, SnapshotWriter};

/// Something that has operator state.
pub trait OperatorStateContext {
    /// The backend.
    ///
    /// # Errors
    /// If there is none here.
    fn operator_state_backend(&mut self) -> Result<&mut OperatorStateBackend>;
}

/// The operator states of one operator in one subtask.
pub struct OperatorStateBackend {
    operator: String,
    states: Vec<State>,
    /// Restored states that are not yet registered.
    restored: Vec<RestoredOperatorState>,
}

struct State {
    name: String,
    redistribution: Redistribution,
    /// The Rust type that was registered, for messages.
    type_name: &'static str,
    schema: SchemaText,
    values: Box<dyn AnyValues>,
}

/// Values whose type is known to the handle alone.
trait AnyValues: Send {
    fn as_any_mut(&mut self) -> &mut dyn Any;
    fn snapshot(&self) -> Box<dyn AnySnapshot>;
}

trait AnySnapshot: Send {
    fn write(
        &self,
        operator: OperatorId,
        head: OperatorStateHead,
        writer: &mut SnapshotWriter,
    ) -> Result<()>;
}

/// A restored element.
struct Element {
    bytes: Vec<u8>,
    layout: Rc<Layout>,
}

impl Element {
    /// Those of a state, for a program whose elements have this `schema`.
    fn all_of(
        state: &RestoredOperatorState,
        operator: &str,
        schema: &SchemaText,
    ) -> Result<Vec<Self>> {
        let layout = Layout::new(&state.schema, schema, Stamps::None);
        let layout = layout.map_err(|problem| refused(operator, &state.name, &problem))?;
        let layout = Rc::new(layout);
        let mut elements = Vec::new();
        state.read(operator, |bytes| {
            elements.push(Self { bytes: bytes.to_vec(), layout: layout.clone() });
            Ok(())
        })?;
        Ok(elements)
    }

    fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        self.layout.decode(&self.bytes).map_err(unreadable)
    }
}

type List<T> = Arc<Vec<T>>;
type Broadcast<K, V> = Arc<BTreeMap<K, V>>;

impl OperatorStateBackend {
    /// The backend of a subtask of `operator` (its name, for messages).
    pub fn new(operator: impl Into<String>) -> Self {
        Self { operator: operator.into(), states: Vec::new(), restored: Vec::new() }
    }

    /// Hands over restored state, before anything is registered. Each state is decoded when its
    /// name is registered.
    pub fn restore(&mut self, states: Vec<RestoredOperatorState>) {
        self.restored.extend(states);
    }

    /// The names of restored states that nobody has registered and that are not empty: state that
    /// would be lost.
    pub fn unclaimed(&self) -> Vec<String> {
        let lost = self
            .restored
            .iter()
            .filter(|state| state.chunks.iter().any(|chunk| !chunk.elements.is_empty()));
        let mut names: Vec<_> = lost.map(|state| state.name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Registers a list state.
    ///
    /// # Errors
    /// If the name is registered with another kind or type, if restored state of that name has
    /// another kind or shape ([`flott_core::ErrorKind::InvalidInput`]), or if its bytes are
    /// damaged.
    pub fn list_state<T: StateData>(
        &mut self,
        name: impl Into<String>,
        redistribution: Redistribution,
    ) -> Result<OperatorListState<T>> {
        let name = name.into();
        let is_list = match redistribution {
            Redistribution::Split | Redistribution::Union => true,
            Redistribution::Broadcast | Redistribution::InFlight { .. } => false,
        };
        if !is_list {
            return Err(Error::invalid(format!(
                "operator \"{}\": list state \"{name}\" cannot be a {}: register it as split or \
                 union list state, or a broadcast state in its place",
                self.operator,
                kind_name(redistribution)
            )));
        }
        let schema = Schema::of::<T>().to_text();
        let index = self.register(name, redistribution, type_name::<T>(), schema, |elements| {
            let values = elements.iter().map(Element::decode);
            Ok(Arc::new(values.collect::<Result<Vec<T>>>()?))
        })?;
        Ok(OperatorListState::new(index))
    }

    /// Registers a broadcast state.
    ///
    /// # Errors
    /// As [`Self::list_state`].
    pub fn broadcast_state<K: StateData + Ord, V: StateData>(
        &mut self,
        name: impl Into<String>,
    ) -> Result<BroadcastState<K, V>> {
        let schema = Schema::of::<(K, V)>().to_text();
        let index = self.register(
            name.into(),
            Redistribution::Broadcast,
            type_name::<(K, V)>(),
            schema,
            |elements| {
                let entries = elements.iter().map(Element::decode);
                Ok(Arc::new(entries.collect::<Result<BTreeMap<K, V>>>()?))
            },
        )?;
        Ok(BroadcastState::new(index))
    }

    /// The synchronous part of a snapshot: one reference per state.
    pub fn snapshot(&self) -> OperatorStateSnapshot {
        let states = self.states.iter().map(|state| {
            let head = OperatorStateHead {
                name: state.name.clone(),
                redistribution: state.redistribution,
                schema: state.schema.clone(),
            };
            (head, state.values.snapshot())
        });
        OperatorStateSnapshot { states: states.collect() }
    }

    fn register<A: AnyValues + 'static>(
        &mut self,
        name: String,
        redistribution: Redistribution,
        type_name: &'static str,
        schema: SchemaText,
        make: impl FnOnce(Vec<Element>) -> Result<A>,
    ) -> Result<usize> {
        if let Some(index) = self.states.iter().position(|state| state.name == name) {
            let state = &mut self.states[index];
            if state.redistribution == redistribution && state.values.as_any_mut().is::<A>() {
                return Ok(index);
            }
            return Err(Error::invalid(format!(
                "operator \"{}\": state \"{name}\" is registered twice, as {} of {} and as {} of \
                 {type_name}; give one of them another name",
                self.operator,
                kind_name(state.redistribution),
                state.type_name,
                kind_name(redistribution)
            )));
        }
        let mut elements = Vec::new();
        for state in self.restored.iter().filter(|state| state.name == name) {
            if state.redistribution != redistribution {
                let (was, is) = (kind_name(state.redistribution), kind_name(redistribution));
                return Err(refused(&self.operator, &name, &format!("it was a {was}, is a {is}")));
            }
            elements.extend(Element::all_of(state, &self.operator, &schema)?);
        }
        let values = make(elements).map_err(|error| not_restored(error, &self.operator, &name))?;
        self.restored.retain(|state| state.name != name);
        let values = Box::new(values);
        self.states.push(State { name, redistribution, type_name, schema, values });
        Ok(self.states.len() - 1)
    }

    fn values<A: 'static>(&mut self, index: usize) -> Result<&mut A> {
        let state = self.states.get_mut(index);
        state.and_then(|state| state.values.as_any_mut().downcast_mut()).ok_or_else(|| {
            Error::invalid(
                "a state handle was used with another operator than the one that registered it",
            )
        })
    }
}

impl OperatorStateContext for OperatorStateBackend {
    fn operator_state_backend(&mut self) -> Result<&mut Self> {
        Ok(self)
    }
}

impl<T: StateData> AnyValues for List<T> {
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn snapshot(&self) -> Box<dyn AnySnapshot> {
        Box::new(ListSnapshot(Arc::clone(self)))
    }
}

struct ListSnapshot<T>(List<T>);

impl<T: StateData> AnySnapshot for ListSnapshot<T> {
    fn write(
        &self,
        operator: OperatorId,
        head: OperatorStateHead,
        writer: &mut SnapshotWriter,
    ) -> Result<()> {
        writer.write_elements(operator, head, self.0.iter())
    }
}

impl<K: StateData + Ord, V: StateData> AnyValues for Broadcast<K, V> {
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn snapshot(&self) -> Box<dyn AnySnapshot> {
        Box::new(BroadcastSnapshot(Arc::clone(self)))
    }
}

struct BroadcastSnapshot<K, V>(Broadcast<K, V>);

impl<K: StateData + Ord, V: StateData> AnySnapshot for BroadcastSnapshot<K, V> {
    fn write(
        &self,
        operator: OperatorId,
        head: OperatorStateHead,
        writer: &mut SnapshotWriter,
    ) -> Result<()> {
        writer.write_elements(operator, head, self.0.iter())
    }
}

/// The operator states of one operator at one moment, to be written while the task goes on.
pub struct OperatorStateSnapshot {
    states: Vec<(OperatorStateHead, Box<dyn AnySnapshot>)>,
}

impl OperatorStateSnapshot {
    /// The asynchronous part: encodes the states into `writer`.
    ///
    /// # Errors
    /// If a value cannot be encoded.
    pub fn write(self, operator: OperatorId, writer: &mut SnapshotWriter) -> Result<()> {
        let mut states = self.states.into_iter();
        states.try_for_each(|(head, values)| values.write(operator, head, writer))
    }
}

impl RestoredOperatorState {
    /// Its elements, of an operator with this name.
    ///
    /// # Errors
    /// As [`OperatorStateBackend::list_state`].
    pub fn elements<T: DeserializeOwned>(&self, operator: &str) -> Result<Vec<T>> {
        let elements = Element::all_of(self, operator, &Schema::of::<T>().to_text())?;
        let decoded = elements.iter().map(Element::decode).collect::<Result<_>>();
        decoded.map_err(|error| not_restored(error, operator, &self.name))
    }
}

fn not_restored(error: Error, operator: &str, state: &str) -> Error {
    error.context(format!("operator \"{operator}\": state \"{state}\" cannot be restored"))
}

fn kind_name(redistribution: Redistribution) -> &'static str {
    match redistribution {
        Redistribution::Split => "split list state",
        Redistribution::Union => "union list state",
        Redistribution::Broadcast => "broadcast state",
        Redistribution::InFlight { .. } => "run of records in flight",
    }
}

impl fmt::Debug for OperatorStateBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorStateBackend")
            .field("operator", &self.operator)
            .field("states", &self.states.iter().map(|state| &state.name).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OperatorStateSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorStateSnapshot").field("states", &self.states.len()).finish()
    }
}
