//! What a state handle needs from whoever calls it.

use flott_core::Result;
use flott_core::codec::Key;

use super::KeyedBackend;

/// Something that has keyed state and a current key: the context that a user function is given,
/// or the backend itself.
pub trait KeyedStateContext {
    /// The type of the keys.
    type Key: Key;

    /// The backend.
    ///
    /// # Errors
    /// If there is none here: the stream is not keyed.
    fn keyed_backend(&mut self) -> Result<&mut KeyedBackend<Self::Key>>;
}

impl<K: Key> KeyedStateContext for KeyedBackend<K> {
    type Key = K;

    #[inline]
    fn keyed_backend(&mut self) -> Result<&mut Self> {
        Ok(self)
    }
}
