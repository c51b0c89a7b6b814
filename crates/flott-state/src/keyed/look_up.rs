//! What a state has for one key, for who knows neither the operator's types nor its handles.

use flott_core::codec::{Key, decode, encode};
use flott_core::hash::stable_hash;
use flott_core::{Error, KeyGroup, Result, WallTime};
use serde::{Deserialize, Serialize};

use super::KeyedBackend;
use super::shape::{Age, Clocks};
use crate::inspect::{KeyedShapes, parsed};
use crate::schema::Typed;

/// A question for the keyed state of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateQuestion {
    /// The state's name.
    pub state: String,
    /// The key: text as it is if that is what keys are, numbers and names of variants too, and JSON if they are made of
    /// several parts.
    pub key: String,
}

/// What a subtask answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateAnswer {
    /// What it has.
    Entry(StateEntry),
    /// The key is of this group, which another subtask has.
    Elsewhere(KeyGroup),
}

/// What a state has for a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateEntry {
    /// The key group of the key.
    pub key_group: KeyGroup,
    /// The shape of keys.
    pub key_schema: String,
    /// The shape of values.
    pub value_schema: String,
    /// The value as JSON, each of its parts with the time of its last use if the state has TTL; nothing if there is
    /// none, or it has expired.
    pub value: Option<String>,
}

impl<K: Key> KeyedBackend<K> {
    /// Looks up a key, and changes nothing that its job could see: not even the time of the last use.
    ///
    /// # Errors
    /// [`flott_core::ErrorKind::InvalidInput`] if there is no such state, the key is not of its type, or something
    /// cannot be shown; or if state in storage cannot be read.
    pub fn look_up(&mut self, question: &StateQuestion, now: WallTime) -> Result<StateAnswer> {
        let schema = parsed(&self.key_schema)?;
        let wrong = |error: Error| {
            let (key, schema) = (&question.key, &self.key_schema.0);
            Error::invalid(format!("\"{key}\" is no key: keys are {schema} ({error})"))
        };
        let shown = schema.read(&question.key).map_err(wrong)?;
        let typed = Typed { schema: &schema, value: &shown };
        let key: K = encode(&typed).and_then(|bytes| decode(&bytes)).map_err(wrong)?;
        let hash = stable_hash(&key)?;
        let key_group = self.max.key_group(hash);
        if !self.range.contains(key_group) {
            return Ok(StateAnswer::Elsewhere(key_group));
        }
        let Self { operator, states, clocks, key_schema, .. } = self;
        let Some(at) = states.iter().position(|own| own.name == question.state) else {
            let names: Vec<String> = states.iter().map(|own| format!("\"{}\"", own.name)).collect();
            return Err(Error::invalid(format!(
                "operator \"{operator}\" has no keyed state \"{}\": it has {}",
                question.state,
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            )));
        };
        let state = &mut states[at];
        let age = Age::new(state.ttl, Clocks { now: clocks.now.max(Some(now)), ..*clocks });
        let found = state.table.look_up(hash, &key, age)?;
        let shapes =
            KeyedShapes::new(key_schema, &state.value_schema, state.kind, state.ttl.is_some())?;
        let json = |bytes: Vec<u8>| {
            let shown = shapes.value(&bytes)?;
            serde_json::to_string(&shown).map_err(|error| Error::invalid(error.to_string()))
        };
        Ok(StateAnswer::Entry(StateEntry {
            key_group,
            key_schema: key_schema.0.clone(),
            value_schema: state.value_schema.0.clone(),
            value: found.map(json).transpose()?,
        }))
    }
}
