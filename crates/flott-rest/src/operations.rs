//! What has become of operations that were triggered.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flott_control::actions::Rescaled;
use flott_core::{CheckpointId, JobId};

/// What an operation has led to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Done {
    Checkpoint(CheckpointId),
    /// A savepoint, in this place.
    Savepoint(String),
    /// A savepoint is deleted.
    Disposal,
    /// A job goes on as another one.
    Rescaled(Rescaled),
}

/// How an operation ended.
pub(crate) type Outcome = Result<Done, String>;

/// How many triggered operations are remembered; the oldest are forgotten first, as soon as they
/// are over.
const REMEMBERED: usize = 1000;

/// An operation that somebody triggered, by job (if it is about one) and trigger id.
pub(crate) type Key = (Option<JobId>, u128);

/// Operations that were triggered and take a while. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Operations {
    shared: Arc<Mutex<Remembered>>,
}

#[derive(Default)]
struct Remembered {
    /// Without a result as long as they are under way.
    results: BTreeMap<Key, Option<Outcome>>,
    /// In the order in which they were triggered.
    order: Vec<Key>,
}

impl Operations {
    /// Remembers a new operation. False if it is known: it must not be done a second time.
    pub(crate) fn begin(&self, key: Key) -> bool {
        let mut remembered = self.lock();
        if remembered.results.contains_key(&key) {
            return false;
        }
        remembered.results.insert(key, None);
        remembered.order.push(key);
        let Remembered { results, order } = &mut *remembered;
        if order.len() > REMEMBERED
            && let Some(over) = order.iter().position(|key| results.get(key) != Some(&None))
        {
            results.remove(&order.remove(over));
        }
        true
    }

    pub(crate) fn finish(&self, key: Key, outcome: Outcome) {
        if let Some(place) = self.lock().results.get_mut(&key) {
            *place = Some(outcome);
        }
    }

    /// Forgets an operation that did not begin after all.
    pub(crate) fn forget(&self, key: Key) {
        let mut remembered = self.lock();
        remembered.results.remove(&key);
        remembered.order.retain(|other| *other != key);
    }

    /// Nothing if there is no such operation, or it was forgotten.
    pub(crate) fn result(&self, key: Key) -> Option<Option<Outcome>> {
        self.lock().results.get(&key).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A trigger id for a client that gave none.
pub(crate) fn new_trigger() -> u128 {
    let random = || u128::from(RandomState::new().build_hasher().finish());
    random() << 64 | random()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_begun_once_and_forgotten_only_when_it_is_over() {
        let (operations, job) = (Operations::default(), Some(JobId::from_u128(1)));
        let done = Done::Checkpoint(CheckpointId(1));
        assert!(operations.begin((job, 0)) && !operations.begin((job, 0)));
        for trigger in 1..REMEMBERED as u128 {
            assert!(operations.begin((job, trigger)));
            operations.finish((job, trigger), Ok(done.clone()));
        }
        assert!(operations.begin((job, u128::MAX)));
        assert_eq!(operations.result((job, 0)), Some(None), "it is under way");
        assert_eq!(operations.result((job, 1)), None, "it was the oldest that is over");
        assert_eq!(operations.result((job, 2)), Some(Some(Ok(done))));
        operations.forget((job, 2));
        assert!(operations.begin((job, 2)), "as if it had never been");
    }

    #[test]
    fn trigger_ids_do_not_come_again() {
        assert_ne!(new_trigger(), new_trigger());
    }
}
