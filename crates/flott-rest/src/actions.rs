//! What can be done to the jobs that are shown, and what has become of it.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flott_core::{CheckpointId, JobId};

/// Whom to tell how a checkpoint went.
pub type CheckpointAnswer = Box<dyn FnOnce(Result<CheckpointId, String>) + Send>;

/// What can be done to the jobs that are shown. Calls return at once.
pub trait Actions: Send + Sync {
    /// Cancels a job. False if it does not run.
    fn cancel(&self, job: JobId) -> bool;

    /// Takes a checkpoint of a job now, and calls `answer` with its number or with the reason why
    /// there is none.
    fn checkpoint(&self, job: JobId, answer: CheckpointAnswer);
}

/// How many triggered operations are remembered; the oldest are forgotten first, as soon as they
/// are over.
const REMEMBERED: usize = 1000;

/// An operation that somebody triggered, by job and trigger id.
type Key = (JobId, u128);

/// Operations that were triggered and take a while. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Operations {
    shared: Arc<Mutex<Remembered>>,
}

#[derive(Default)]
struct Remembered {
    /// Without a result as long as they are under way.
    results: BTreeMap<Key, Option<Result<CheckpointId, String>>>,
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

    pub(crate) fn finish(&self, key: Key, result: Result<CheckpointId, String>) {
        if let Some(place) = self.lock().results.get_mut(&key) {
            *place = Some(result);
        }
    }

    /// Nothing if there is no such operation, or it was forgotten.
    pub(crate) fn result(&self, key: Key) -> Option<Option<Result<CheckpointId, String>>> {
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
        let (operations, job) = (Operations::default(), JobId::from_u128(1));
        assert!(operations.begin((job, 0)) && !operations.begin((job, 0)));
        for trigger in 1..REMEMBERED as u128 {
            assert!(operations.begin((job, trigger)));
            operations.finish((job, trigger), Ok(CheckpointId(1)));
        }
        assert!(operations.begin((job, u128::MAX)));
        assert_eq!(operations.result((job, 0)), Some(None), "it is under way");
        assert_eq!(operations.result((job, 1)), None, "it was the oldest that is over");
        assert_eq!(operations.result((job, 2)), Some(Some(Ok(CheckpointId(1)))));
    }

    #[test]
    fn trigger_ids_do_not_come_again() {
        assert_ne!(new_trigger(), new_trigger());
    }
}
