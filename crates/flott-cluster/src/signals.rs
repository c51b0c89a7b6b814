//! What tells a process to end.

use flott_core::{Error, ErrorKind, Result};
use tokio::signal::unix::{SignalKind, signal};

/// Waits until the process is told to end (SIGTERM, SIGINT).
///
/// # Errors
/// If that cannot be waited for.
pub fn wait_for_signal() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::with_source(ErrorKind::Io, "signals cannot be waited for", e))?;
    runtime.block_on(terminated())
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// If they cannot be waited for.
pub(crate) async fn terminated() -> Result<()> {
    let failed = |e| Error::with_source(ErrorKind::Io, "signals cannot be waited for", e);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
