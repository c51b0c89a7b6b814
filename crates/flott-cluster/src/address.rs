//! Where processes of a cluster listen: on loopback, unless TLS and tokens guard what is further.

use std::io::ErrorKind as IoErrorKind;
use std::net::{IpAddr, TcpListener, ToSocketAddrs};

use flott_core::{Error, ErrorKind, Result};

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
