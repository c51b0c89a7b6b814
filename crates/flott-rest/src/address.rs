//! Where the server listens: on loopback, unless it is protected.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};

use flott_core::{Error, ErrorKind, Result};

const FORMS: &str = "expected a port, or a loopback address with a port: 8081, localhost:8081, \
                     127.0.0.1:8081 or [::1]:8081";

/// Reads an address. `localhost` is 127.0.0.1: no resolver is asked, unless the server `allows_others`.
///
/// # Errors
/// If it is none, or not on loopback though it must be.
pub(crate) fn parse(text: &str, allows_others: bool) -> Result<SocketAddr> {
    let wrong = |what: &str| Error::invalid(format!("dashboard address \"{text}\": {what}"));
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong(FORMS))?;
    let port: u16 = port.parse().map_err(|_| wrong(FORMS))?;
    if host.is_empty() || (host.contains(':') && !host.ends_with(']')) {
        return Err(wrong(FORMS));
    }
    if let Some(ip) = loopback(host) {
        return Ok(SocketAddr::new(ip, port));
    }
    if !allows_others {
        return Err(wrong(
            "the dashboard listens on loopback only (localhost, 127.0.0.1 or [::1]): listening \
             elsewhere needs TLS (security.ssl.rest.enabled) and tokens (security.rest.token-file), or \
             security.unprotected-network-is-trusted, if nobody else is in that network",
        ));
    }
    let mut found = text.to_socket_addrs().map_err(|_| wrong("no such host"))?;
    found.next().ok_or_else(|| wrong("no such host"))
}

/// The address of a host on loopback, by its name or its number; `[…]` is for IPv6.
pub(crate) fn loopback(host: &str) -> Option<IpAddr> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    let ip = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(ip) => IpAddr::V6(ip.parse().ok()?),
        None => IpAddr::V4(host.parse().ok()?),
    };
    ip.is_loopback().then_some(ip)
}

/// Starts to listen.
///
/// # Errors
/// If that is not possible: mostly, because somebody else listens there.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| {
        let why = if error.kind() == io::ErrorKind::AddrInUse {
            "the port is in use: choose another one, or 0 for any that is free"
        } else {
            "it cannot be listened on"
        };
        Error::with_source(ErrorKind::Io, format!("dashboard address {address}: {why}"), error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_or_with_a_loopback_host_is_an_address() {
        for (text, expected) in [
            ("8081", "127.0.0.1:8081"),
            ("0", "127.0.0.1:0"),
            ("localhost:8081", "127.0.0.1:8081"),
            ("LocalHost:1", "127.0.0.1:1"),
            ("127.0.0.1:8081", "127.0.0.1:8081"),
            ("127.8.9.1:80", "127.8.9.1:80"),
            ("[::1]:8081", "[::1]:8081"),
        ] {
            assert_eq!(parse(text, false).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn other_hosts_are_refused_with_the_reason() {
        for text in ["0.0.0.0:8081", "[::]:8081", "192.0.2.1:80", "example.com:80", "localhost.:1"]
        {
            let error = parse(text, false).unwrap_err().to_string();
            assert!(error.contains("loopback only") && error.contains("TLS"), "{error}");
        }
    }

    #[test]
    fn a_protected_server_may_listen_anywhere() {
        assert_eq!(parse("0.0.0.0:8081", true).unwrap().to_string(), "0.0.0.0:8081");
        assert_eq!(parse("[::]:0", true).unwrap().to_string(), "[::]:0");
        assert!(parse("nowhere.invalid:1", true).unwrap_err().to_string().contains("no such host"));
    }

    #[test]
    fn what_is_no_address_is_answered_with_the_forms() {
        for text in ["", "localhost", "127.0.0.1", ":8081", "65536", "localhost:x", "::1"] {
            let error = parse(text, false).unwrap_err().to_string();
            assert!(error.contains("8081"), "{text}: {error}");
        }
    }
}
