//! Shows what runs in this process to browsers and command lines on this machine.

use std::sync::Arc;

use flott_cluster::{EmbeddedCluster, ThisProcess};
use flott_core::Result;
pub use flott_rest::Server;
use flott_rest::{Access, Services};
use tracing::info;

/// Shows the jobs of `cluster` at `address`, a port (0 is any that is free) or a loopback host with
/// a port, as long as the returned server lives. Call it before the first job starts.
///
/// # Errors
/// If the address is none, is not on loopback or is in use.
pub fn serve(address: &str, cluster: &EmbeddedCluster) -> Result<Server> {
    let views = cluster.views();
    let services = Services {
        view: Arc::new(move || views.latest()),
        actions: Arc::new(cluster.jobs()),
        submissions: None,
        processes: Arc::new(ThisProcess { options: Vec::new() }),
        traces: None,
    };
    let server = flott_rest::serve(address, services, Access::default())?;
    info!("Dashboard at {}", server.url());
    Ok(server)
}
