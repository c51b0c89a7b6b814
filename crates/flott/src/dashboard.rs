//! Shows what runs in this process to browsers and command lines on this machine.

use flott_cluster::EmbeddedCluster;
use flott_core::Result;
pub use flott_rest::Server;
use tracing::info;

/// Shows the jobs of `cluster` at `address`, a port (0 is any that is free) or a loopback host with
/// a port, as long as the returned server lives. Call it before the first job starts.
///
/// # Errors
/// If the address is none, is not on loopback or is in use.
pub fn serve(address: &str, cluster: &EmbeddedCluster) -> Result<Server> {
    let views = cluster.views();
    let server = flott_rest::serve(address, move || views.latest(), cluster.jobs(), None)?;
    info!("Dashboard at {}", server.url());
    Ok(server)
}
