//! Shows what runs in this process to browsers and command lines on this machine.

use flott_cluster::{EmbeddedCluster, Jobs, dispose_savepoint};
use flott_core::{JobId, Result};
pub use flott_rest::Server;
use flott_rest::{Actions, CheckpointAnswer, DisposalAnswer, SavepointAnswer};
use tracing::info;

/// What can be done to the jobs of an embedded cluster.
struct Embedded(Jobs);

impl Actions for Embedded {
    fn cancel(&self, job: JobId) -> bool {
        self.0.cancel(job)
    }

    fn checkpoint(&self, job: JobId, answer: CheckpointAnswer) {
        self.0.checkpoint(job, answer);
    }

    fn savepoint(
        &self,
        job: JobId,
        directory: Option<&str>,
        answer: SavepointAnswer,
    ) -> std::result::Result<(), String> {
        self.0.savepoint(job, directory, answer).map_err(|error| error.report())
    }

    fn dispose(&self, place: &str, answer: DisposalAnswer) {
        answer(dispose_savepoint(place).map_err(|error| error.report()));
    }
}

/// Shows the jobs of `cluster` at `address`, a port (0 is any that is free) or a loopback host with
/// a port, as long as the returned server lives. Call it before the first job starts.
///
/// # Errors
/// If the address is none, is not on loopback or is in use.
pub fn serve(address: &str, cluster: &EmbeddedCluster) -> Result<Server> {
    let views = cluster.views();
    let server = flott_rest::serve(address, move || views.latest(), Embedded(cluster.jobs()))?;
    info!("Dashboard at {}", server.url());
    Ok(server)
}
