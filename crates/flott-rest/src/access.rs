//! How a server is protected: who may ask, what they may, and whether others can read what is said.

use std::path::PathBuf;
use std::sync::Arc;

use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::uri::Authority;
use flott_core::config::{ConfigOption, Configuration, options};
use flott_core::{Error, ErrorKind, Result, Timestamp, WallTime};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, crypto};

use crate::address::loopback;
use crate::table::Principal;
use crate::tokens::{Role, Token, Tokens};

/// How a server is protected. Without anything it is for this machine alone, and whoever is on it may do all.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Who may ask; without, everybody who can reach it.
    pub tokens: Option<Tokens>,
    /// With what it speaks TLS; without, in the clear.
    pub tls: Option<TlsFiles>,
    /// The name under which it is asked from elsewhere.
    pub host: Option<String>,
    /// Whether it may listen elsewhere than on loopback without all of that.
    pub trusts_network: bool,
}

/// Files in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificates, the server's own first.
    pub certificate: PathBuf,
    /// The key of the first.
    pub key: PathBuf,
}

impl Access {
    /// What the options say.
    ///
    /// # Errors
    /// If one is wrong or missing.
    pub fn from_configuration(config: &Configuration) -> Result<Self> {
        let tls = config.get(&options::REST_TLS)?.then(|| {
            let file = |option: &ConfigOption<Option<String>>| -> Result<PathBuf> {
                config.get(option)?.map(PathBuf::from).ok_or_else(|| {
                    Error::invalid(
                        "security.ssl.rest.enabled needs security.ssl.rest.certificate and \
                         security.ssl.rest.key, files in PEM",
                    )
                })
            };
            Ok::<_, Error>(TlsFiles {
                certificate: file(&options::REST_CERTIFICATE)?,
                key: file(&options::REST_KEY)?,
            })
        });
        Ok(Self {
            tokens: config.get(&options::TOKEN_FILE)?.map(Tokens::at),
            tls: tls.transpose()?,
            host: Some(config.get(&options::REST_ADDRESS)?),
            trusts_network: config.get(&options::TRUST_NETWORK)?,
        })
    }

    /// Whether others than this machine may reach the server.
    pub(crate) fn allows_others(&self) -> bool {
        self.trusts_network || (self.tokens.is_some() && self.tls.is_some())
    }

    /// Whether a request's `Host` is one of the server's. A name that leads here but is not ours is how a site gets
    /// around the same-origin policy (DNS rebinding); a number cannot be made to.
    pub(crate) fn is_host(&self, authority: &Authority) -> bool {
        let host = authority.host();
        let is_number = host.parse::<std::net::Ipv4Addr>().is_ok() || host.starts_with('[');
        let is_named = self.host.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(host));
        let from_elsewhere = self.allows_others() && (is_number || is_named);
        !authority.as_str().contains('@') && (loopback(host).is_some() || from_elsewhere)
    }

    /// Who sends a request; nothing if nobody knows.
    ///
    /// # Errors
    /// If the tokens cannot be read.
    pub(crate) fn principal(&self, headers: &HeaderMap) -> Result<Option<Principal>> {
        let Some(tokens) = &self.tokens else {
            let is_unprotected = self.trusts_network;
            let name = "whoever is here".to_owned();
            return Ok(Some(Principal { name, role: Role::Admin, is_unprotected }));
        };
        let secret = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(secret) = secret.and_then(|value| value.strip_prefix("Bearer ")) else {
            return Ok(None);
        };
        let found = tokens.find(secret.trim(), now())?;
        let principal =
            |token: Token| Principal { name: token.name, role: token.role, is_unprotected: false };
        Ok(found.map(principal))
    }

    /// The scheme of the server's addresses.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Whether a page of this origin is ours.
    pub(crate) fn is_own_origin(&self, origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
        let authority = origin
            .to_str()
            .ok()
            .and_then(|origin| origin.strip_prefix(self.scheme())?.strip_prefix("://"));
        authority.is_some() && authority.map(str::as_bytes) == host.map(HeaderValue::as_bytes)
    }
}

impl TlsFiles {
    /// # Errors
    /// If a file cannot be read, or has not what it should.
    pub(crate) fn load(&self) -> Result<Arc<ServerConfig>> {
        let wrong = |file: &PathBuf, e: &dyn std::fmt::Display| {
            Error::new(ErrorKind::InvalidInput, format!("\"{}\" (TLS): {e}", file.display()))
        };
        let certificates = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(|all| all.collect::<std::result::Result<Vec<_>, _>>())
            .map_err(|e| wrong(&self.certificate, &e))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|e| wrong(&self.key, &e))?;
        let provider = Arc::new(crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(certificates, key))
            .map_err(|e| wrong(&self.certificate, &e))?;
        Ok(Arc::new(config))
    }
}

/// For the end of tokens: nothing else here depends on the time.
#[expect(clippy::disallowed_methods, reason = "tokens end by the clock on the wall")]
fn now() -> WallTime {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = since_epoch.unwrap_or_default().as_millis();
    Timestamp(i64::try_from(millis).unwrap_or(i64::MAX))
}
