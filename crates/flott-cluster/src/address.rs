//! Where processes of a cluster listen: on loopback, unless the user trusts the network beyond. And
//! where they find the JobManager, which may be another one each time.

use std::io::ErrorKind as IoErrorKind;
use std::net::{IpAddr, TcpListener, ToSocketAddrs};
use std::time::Duration;

use flott_core::config::{Configuration, options};
use flott_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::jobmanager::{leader_address, leaders_folder};
use crate::storage::Stores;

/// See [`JobManagerAddress::retry`].
const RETRY: Duration = Duration::from_millis(50);
const REMOTE_RETRY: Duration = Duration::from_millis(500);

/// Where the JobManager is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct JobManagerAddress {
    /// As the options say.
    given: String,
    /// Where it stands which one leads, with high availability.
    leaders: Option<String>,
}

impl JobManagerAddress {
    /// As the options say.
    ///
    /// # Errors
    /// If an option is wrong, or the host is not on loopback and the network is not trusted.
    pub(crate) fn new(config: &Configuration) -> Result<Self> {
        let name = config.get(&options::JOBMANAGER_ADDRESS)?;
        let port = config.get(&options::JOBMANAGER_PORT)?;
        host(&name, "jobmanager.rpc.address", config)?;
        Ok(Self { given: format!("{name}:{port}"), leaders: leaders_folder(config)? })
    }

    /// Whether another one takes over when the JobManager is lost.
    pub(crate) fn has_successors(&self) -> bool {
        self.leaders.is_some()
    }

    /// How long to wait before one is called again that did not answer. Asking another machine who leads
    /// costs more than asking this one.
    pub(crate) fn retry(&self) -> Duration {
        let is_remote = self
            .leaders
            .as_ref()
            .is_some_and(|leaders| leaders.contains("://") && !leaders.starts_with("file:"));
        if is_remote { REMOTE_RETRY } else { RETRY }
    }

    /// Host and port of the one that leads, as far as known.
    pub(crate) async fn current(&self, stores: &Stores) -> String {
        let place = self.leaders.as_ref().and_then(|leaders| stores.place(leaders).ok());
        let Some(place) = place else { return self.given.clone() };
        let found = tokio::task::spawn_blocking(move || leader_address(&place)).await;
        found.ok().flatten().unwrap_or_else(|| self.given.clone())
    }
}

/// The address that a host name or address means, which `option` says.
///
/// # Errors
/// If there is none. If it is not on loopback, and the network is not trusted: anybody who reached a process
/// there could make it run any program.
pub(crate) fn host(host: &str, option: &str, config: &Configuration) -> Result<IpAddr> {
    let trusts = config.get(&options::TRUST_NETWORK)?;
    let found = (host, 0).to_socket_addrs().map_err(|e| {
        Error::with_source(ErrorKind::InvalidInput, format!("{option}: no host \"{host}\""), e)
    })?;
    let all: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    // Where a name means both, others are likely to try this first.
    let best = all.iter().find(|ip| ip.is_ipv4()).or_else(|| all.first()).copied();
    best.filter(|ip| trusts || ip.is_loopback()).ok_or_else(|| {
        Error::invalid(format!(
            "{option}: \"{host}\" is not on loopback. Processes of a cluster trust each other, and \
             TLS and tokens are not here yet: use localhost or another 127.x.x.x; or set \
             security.unprotected-network-is-trusted, if nobody else is in that network"
        ))
    })
}

/// Listens on a port of a host; `option` says which port.
///
/// # Errors
/// If the host is none, or the port is in use.
pub(crate) fn listen(
    name: &str,
    port: u16,
    option: &str,
    config: &Configuration,
) -> Result<TcpListener> {
    let ip = host(name, option, config)?;
    TcpListener::bind((ip, port)).map_err(|e| {
        let what = if e.kind() == IoErrorKind::AddrInUse {
            format!(
                "port {port} of {name} is in use: does a cluster run already? Set another {option}"
            )
        } else {
            format!("cannot listen on port {port} of {name} ({option})")
        };
        Error::with_source(ErrorKind::Io, what, e)
    })
}
