//! How far event time has come for state that expires by it. It is remembered: after a restore what has expired must
//! not come back until the first watermark.

use flott_core::codec::Key;
use flott_core::{Result, Timestamp};
use flott_state::{BroadcastState, KeyedBackend, OperatorStateBackend};

/// The name under which it is remembered.
const STATE: &str = "_event_time";

/// How far event time has come in one operator.
pub(crate) struct ExpiryTime {
    passed: Timestamp,
    /// Nothing, if no state expires by it.
    state: Option<BroadcastState<(), Timestamp>>,
}

impl ExpiryTime {
    /// Before anything is registered.
    pub(crate) fn new() -> Self {
        Self { passed: Timestamp::MIN, state: None }
    }

    /// When all is registered: takes up what was remembered. All subtasks have seen the same watermarks before an
    /// aligned barrier; one that an unaligned barrier found behind may take up what another one had seen.
    pub(crate) fn open<K: Key>(
        &mut self,
        keyed: &KeyedBackend<K>,
        states: &mut OperatorStateBackend,
    ) -> Result<()> {
        let is_stored = states.unclaimed().iter().any(|name| name == STATE);
        if is_stored || keyed.expires_in_event_time() {
            let state = states.broadcast_state::<(), Timestamp>(STATE)?;
            self.passed = state.get(states, &())?.copied().unwrap_or(Timestamp::MIN);
            self.state = Some(state);
        }
        Ok(())
    }

    /// Event time has come as far as this. Its end is no time at which anything expires.
    pub(crate) fn pass(&mut self, time: Timestamp) {
        if time != Timestamp::MAX {
            self.passed = self.passed.max(time);
        }
    }

    /// How far it has come.
    pub(crate) fn passed(&self) -> Timestamp {
        self.passed
    }

    /// Before a snapshot.
    pub(crate) fn remember(&self, states: &mut OperatorStateBackend) -> Result<()> {
        self.state.map_or(Ok(()), |state| state.put(states, (), self.passed))
    }
}
