//! Where this process keeps keyed state: `state.backend.type`.

mod lsm;
#[cfg(feature = "rocksdb")]
mod rocks;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use flott_core::config::options::StateBackendKind;
use flott_core::config::{Configuration, options};
use flott_core::{Error, Result};
use flott_state::store::StateStores;
use flott_state::{DiskBackend, StateBackend};

pub use lsm::LsmStores;
#[cfg(feature = "rocksdb")]
pub use rocks::RocksStores;

/// What the options of a job say, and those of this machine. State on disk is in a folder of this process
/// (`io.tmp.dirs`), which goes away with the last state in it.
///
/// # Errors
/// If an option is wrong, the backend is not in this binary, or there is no place for such a folder.
pub(crate) fn state_backend(job: &Configuration, machine: &Configuration) -> Result<StateBackend> {
    check_backend(job)?;
    let memory = machine.get(&options::MANAGED_MEMORY)?.0;
    let memory = usize::try_from(memory).unwrap_or(usize::MAX);
    let folder = machine.get(&options::TMP_DIR)?;
    // Half is for what is decoded.
    let stores: Arc<dyn StateStores> = match job.get(&options::STATE_BACKEND)? {
        StateBackendKind::HashMap => return Ok(StateBackend::Heap),
        StateBackendKind::Lsm => Arc::new(LsmStores::new(folder.as_deref(), memory / 2)?),
        #[cfg(feature = "rocksdb")]
        StateBackendKind::RocksDb => Arc::new(RocksStores::new(folder.as_deref(), memory / 2)?),
        #[cfg(not(feature = "rocksdb"))]
        StateBackendKind::RocksDb => return Err(Error::internal("a backend that was not checked")),
    };
    Ok(StateBackend::Disk(DiskBackend::new(stores, memory)))
}

/// Checks that this binary has the backend that a job wants.
///
/// # Errors
/// If it was built without.
pub fn check_backend(job: &Configuration) -> Result<()> {
    let wants_rocksdb = job.get(&options::STATE_BACKEND)? == StateBackendKind::RocksDb;
    if wants_rocksdb && !cfg!(feature = "rocksdb") {
        return Err(Error::invalid(
            "option state.backend.type: rocksdb is not in this job binary: build it with the feature rocksdb of the \
             crate flott, or use lsm, which keeps state on disk, too, and is in every one",
        ));
    }
    Ok(())
}
