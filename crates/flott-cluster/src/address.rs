//! Where processes of a cluster listen: on loopback, unless TLS and tokens guard what is further. And
//! where they find the JobManager, which may be another one each time.

use std::io::ErrorKind as IoErrorKind;
use std::net::{IpAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;

use flott_core::config::{Configuration, options};
use flott_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::jobmanager::leader_file;

/// Where the JobManager is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct JobManagerAddress {
    /// As the options say.
    given: String,
    /// Where the one that leads writes its address, with high availability.
    leader_file: Option<PathBuf>,
}

impl JobManagerAddress {
    /// As the options say.
    ///
    /// # Errors
    /// If an option is wrong, or the host is not on loopback.
    pub(crate) fn new(config: &Configuration) -> Result<Self> {
        let host = config.get(&options::JOBMANAGER_ADDRESS)?;
        let port = config.get(&options::JOBMANAGER_PORT)?;
        loopback(&host, "jobmanager.rpc.address")?;
        Ok(Self { given: format!("{host}:{port}"), leader_file: leader_file(config)? })
    }

    /// Whether another one takes over when the JobManager is lost.
    pub(crate) fn has_successors(&self) -> bool {
        self.leader_file.is_some()
    }

    /// Host and port of the one that leads, as far as known.
    pub(crate) fn current(&self) -> String {
        let written = self.leader_file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        let written = written.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        written.unwrap_or_else(|| self.given.clone())
    }
}

/// The loopback address that a host name or address means.
///
/// # Errors
/// If there is none, or it is not on loopback: anybody who reached a process there could make it run
/// any program.
pub(crate) fn loopback(host: &str, option: &str) -> Result<IpAddr> {
    let found = (host, 0).to_socket_addrs().map_err(|e| {
        Error::with_source(ErrorKind::InvalidInput, format!("{option}: no host \"{host}\""), e)
    })?;
    let all: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    // Where a name means both, others are likely to try this first.
    let best = all.iter().find(|ip| ip.is_ipv4()).or_else(|| all.first()).copied();
    best.filter(IpAddr::is_loopback).ok_or_else(|| {
        Error::invalid(format!(
            "{option}: \"{host}\" is not on loopback. Processes of a cluster trust each other, and \
             TLS and tokens are not here yet: use localhost or another 127.x.x.x"
        ))
    })
}

/// Listens on a port of a loopback host.
///
/// # Errors
/// If the host is none, or the port is in use.
pub(crate) fn listen(host: &str, port: u16, option: &str) -> Result<TcpListener> {
    let ip = loopback(host, option)?;
    TcpListener::bind((ip, port)).map_err(|e| {
        let what = if e.kind() == IoErrorKind::AddrInUse {
            format!(
                "port {port} of {host} is in use: does a cluster run already? Set another {option}"
            )
        } else {
            format!("cannot listen on port {port} of {host} ({option})")
        };
        Error::with_source(ErrorKind::Io, what, e)
    })
}
