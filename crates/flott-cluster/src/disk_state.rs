//! Where this process keeps keyed state: `state.backend.type`.

mod lsm;

use std::sync::Arc;

use flott_core::Result;
use flott_core::config::options::StateBackendKind;
use flott_core::config::{Configuration, options};
use flott_state::{DiskBackend, StateBackend};

pub use lsm::LsmStores;

/// What the options of a job say, and those of this machine. State on disk is in a folder of this process
/// (`io.tmp.dirs`), which goes away with the last state in it.
///
/// # Errors
/// If an option is wrong, or there is no place for such a folder.
pub(crate) fn state_backend(job: &Configuration, machine: &Configuration) -> Result<StateBackend> {
    match job.get(&options::STATE_BACKEND)? {
        StateBackendKind::HashMap => Ok(StateBackend::Heap),
        StateBackendKind::Lsm => {
            let memory = machine.get(&options::MANAGED_MEMORY)?.0;
            let memory = usize::try_from(memory).unwrap_or(usize::MAX);
            // Half is for what is decoded.
            let stores = LsmStores::new(machine.get(&options::TMP_DIR)?.as_deref(), memory / 2)?;
            Ok(StateBackend::Disk(DiskBackend::new(Arc::new(stores), memory)))
        }
    }
}
