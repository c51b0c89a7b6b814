//! Looking up a key in the state of a job that runs: which subtask has it, and what that one says.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use flott_control::actions::{StateAnswer, StateKey, StateValue};
use flott_core::{Error, ErrorKind, KeyGroup, Result, TaskId};
use flott_plan::{JobGraph, JobVertex, Operator};
use flott_runtime::StateLookUp;
use flott_state::{StateAnswer as Found, StateEntry, StateQuestion};

use super::Input;

/// What somebody wants to know of the state of a job.
pub(crate) struct JobLookUp {
    key: StateKey,
    /// The key group of the key, once a subtask has said it: only an operator knows the type of its keys.
    group: Option<KeyGroup>,
    answer: StateAnswer,
}

/// The way of a question to the job's thread.
pub(crate) type SendLookUp = Arc<dyn Fn(JobLookUp) + Send + Sync>;

impl JobLookUp {
    pub(crate) fn new(key: StateKey, answer: StateAnswer) -> Self {
        Self { key, group: None, answer }
    }

    /// Whom to ask, and what.
    pub(super) fn ask<E: Send + 'static>(
        self,
        graph: &JobGraph,
        inputs: Sender<Input<E>>,
    ) -> Option<(TaskId, StateLookUp)> {
        let (vertex, operator) = match find(graph, &self.key.operator) {
            Ok(found) => found,
            Err(error) => {
                (self.answer)(Err(error));
                return None;
            }
        };
        let owner = |group| vertex.max_parallelism.owner(group, vertex.parallelism);
        let subtask = self.group.map_or(0, owner);
        let uid = operator.uid.clone();
        let StateKey { state, key, .. } = self.key.clone();
        let answer = move |found| match found {
            Ok(Found::Entry(entry)) => (self.answer)(Ok(value(uid, subtask, entry))),
            Ok(Found::Elsewhere(group)) if self.group.is_none() => {
                let group = Some(group);
                // If the job has ended, that is the answer.
                let _ = inputs.send(Input::LookUp(JobLookUp { group, ..self }));
            }
            Ok(Found::Elsewhere(_)) => (self.answer)(Err(Error::new(
                ErrorKind::Cancelled,
                "the key has moved to another subtask meanwhile: ask again",
            ))),
            Err(error) => (self.answer)(Err(error)),
        };
        let look_up = StateLookUp::new(operator.id, StateQuestion { state, key }, answer);
        Some((TaskId { vertex: vertex.id, subtask }, look_up))
    }
}

fn value(uid: String, subtask: u32, entry: StateEntry) -> StateValue {
    let StateEntry { key_group, key_schema, value_schema, value } = entry;
    StateValue { uid, subtask, key_group, key_schema, value_schema, value }
}

/// The operator that is called so, and its vertex.
fn find<'g>(graph: &'g JobGraph, name: &str) -> Result<(&'g JobVertex, &'g Operator)> {
    let all =
        || graph.vertices.iter().flat_map(|own| own.operators.iter().map(move |op| (own, op)));
    let listed = |operators: Vec<&Operator>| {
        let names = operators.iter().map(|own| format!("\"{}\" ({})", own.uid, own.name));
        names.collect::<Vec<_>>().join(", ")
    };
    // A uid is nobody else's; a name may be.
    let exact = all().find(|(_, own)| own.uid == name || own.id.to_string() == name);
    let named: Vec<_> = all().filter(|(_, own)| own.name == name).collect();
    match (exact, named.as_slice()) {
        (Some(found), _) => Ok(found),
        (None, [found]) => Ok(*found),
        (None, []) => Err(Error::invalid(format!(
            "the job has no operator with the uid, id or name \"{name}\": it has {}",
            listed(all().map(|(_, own)| own).collect())
        ))),
        (None, several) => Err(Error::invalid(format!(
            "several operators are called \"{name}\": {}; say which by its uid",
            listed(several.iter().map(|(_, own)| *own).collect())
        ))),
    }
}
