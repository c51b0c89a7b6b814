//! Asks the REST API of whoever runs jobs.

use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use flott_core::config::{Configuration, options};
use flott_core::hash::hash128;
use flott_core::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::Agent;
use ureq::http::request::Builder;
use ureq::http::{Method, Request, Response, StatusCode};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Body, SendBody};

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The first wait between two looks at an operation; it doubles up to [`POLL_MAX`].
const POLL_MIN: Duration = Duration::from_millis(10);
/// The longest such wait.
const POLL_MAX: Duration = Duration::from_secs(2);

/// Where the REST API is. Clones share connections.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    address: String,
    /// What says who asks.
    authorization: Option<String>,
}

/// The environment variable with the token.
const TOKEN: &str = "FLOTT_TOKEN";

/// How far an operation is that was triggered.
#[derive(serde::Deserialize)]
struct OperationStatus {
    operation: Option<Value>,
}

#[derive(serde::Deserialize)]
struct Errors {
    errors: Vec<String>,
}

impl Client {
    /// Of the process at `address`, a host and a port or a URL, or of the one that the options name. Nothing is sent
    /// yet.
    ///
    /// # Errors
    /// If the certificates to trust cannot be read.
    pub(crate) fn new(address: Option<&str>, config: &Configuration) -> Result<Self> {
        let own =
            format!("{}:{}", config.get(&options::REST_ADDRESS)?, config.get(&options::REST_PORT)?);
        let scheme = if config.get(&options::REST_TLS)? { "https" } else { "http" };
        let address = address.unwrap_or(&own).trim_end_matches('/');
        let address = if address.contains("://") {
            address.to_owned()
        } else {
            format!("{scheme}://{address}")
        };
        let mut agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_TIMEOUT));
        if address.starts_with("https:") {
            agent = agent.tls_config(trusted(config)?);
        }
        let token = config.get(&options::REST_TOKEN)?.map(|token| token.reveal().to_owned());
        let token = token.or_else(|| std::env::var(TOKEN).ok());
        let token = token.map(|token| token.trim().to_owned());
        if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(Error::invalid(format!("{TOKEN}, or security.rest.token, is no token")));
        }
        let authorization = token.map(|token| format!("Bearer {token}"));
        Ok(Self { agent: agent.build().into(), address, authorization })
    }

    /// Where it is, as a URL.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    fn request(&self, method: Method, path: &str) -> Builder {
        // Flink's paths have a version.
        let version = if path.starts_with("/api/") { "" } else { "/v1" };
        let uri = format!("{}{version}{path}", self.address);
        let request = Request::builder().method(method).uri(uri);
        match &self.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        }
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.call(Method::GET, path, "")
    }

    pub(crate) fn patch<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.call(Method::PATCH, path, "{}")
    }

    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, request: &Value) -> Result<T> {
        self.call(Method::POST, path, &request.to_string())
    }

    /// Sends a job binary of `size` bytes, as a form.
    pub(crate) fn upload(&self, name: &str, size: u64, binary: impl Read) -> Result<Value> {
        // No binary has this line by chance.
        let boundary = format!("flott-{:032x}", hash128(name.as_bytes()) ^ u128::from(size));
        let name = name.replace(['"', '\r', '\n'], "_");
        let head = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"jarfile\"; \
             filename=\"{name}\"\r\ncontent-type: application/octet-stream\r\n\r\n"
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let length = head.len() as u64 + size + tail.len() as u64;
        let mut body = head.as_bytes().chain(binary).chain(tail.as_bytes());
        let request = self
            .request(Method::POST, "/jars/upload")
            .header("content-type", format!("multipart/form-data; boundary={boundary}"))
            // Who may not is told before anything is sent.
            .header("expect", "100-continue")
            .header("content-length", length)
            .body(SendBody::from_reader(&mut body))
            .map_err(|error| Error::invalid(format!("{} is no address: {error}", self.address)))?;
        let sent = self.agent.configure_request(request).timeout_global(None).build();
        self.answer(self.agent.run(sent))
    }

    /// Waits for the end of a job; returns its result.
    pub(crate) fn wait_for_job(&self, job: &str) -> Result<Value> {
        let mut wait = POLL_MIN;
        loop {
            let mut answer: Value = self.get(&format!("/jobs/{job}/execution-result"))?;
            if let Some(result) = answer.get_mut("job-execution-result").map(Value::take) {
                return Ok(result);
            }
            pause(wait);
            wait = (wait * 2).min(POLL_MAX);
        }
    }

    /// Triggers an operation and waits for its end. How long that takes is not for a clock to say:
    /// it ends when the server says so, or is gone.
    pub(crate) fn operate_at(&self, path: &str, request: &Value) -> Result<Value> {
        self.operate(path, path, request)
    }

    /// As [`Client::operate_at`]; how far it is, is asked below `poll`.
    pub(crate) fn operate(&self, path: &str, poll: &str, request: &Value) -> Result<Value> {
        let triggered: Value = self.post(path, request)?;
        let id = triggered.get("request-id").and_then(Value::as_str).ok_or_else(|| {
            Error::new(ErrorKind::Io, format!("{}: an answer without request-id", self.address))
        })?;
        let mut wait = POLL_MIN;
        loop {
            let status: OperationStatus = self.get(&format!("{poll}/{id}"))?;
            let Some(operation) = status.operation else {
                pause(wait);
                wait = (wait * 2).min(POLL_MAX);
                continue;
            };
            return match operation.get("failure-cause").or(operation.get("failureCause")) {
                None => Ok(operation),
                Some(cause) => {
                    let text = cause.get("stack-trace").and_then(Value::as_str);
                    Err(Error::new(ErrorKind::Io, text.unwrap_or("it failed, nobody says why")))
                }
            };
        }
    }

    fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: &str) -> Result<T> {
        let request = self
            .request(method, path)
            .header("content-type", "application/json; charset=UTF-8")
            .body(body.to_owned())
            .map_err(|error| Error::invalid(format!("{} is no address: {error}", self.address)))?;
        self.answer(self.agent.run(request))
    }

    fn answer<T: DeserializeOwned>(
        &self,
        answered: std::result::Result<Response<Body>, ureq::Error>,
    ) -> Result<T> {
        let failed = |error: &dyn fmt::Display| {
            let text = error.to_string();
            if text.contains("CaUsedAsEndEntity") {
                return Error::new(
                    ErrorKind::Io,
                    format!(
                        "the certificate of {} is marked as that of an authority: make one without that \
                         (openssl req -x509 … -addext basicConstraints=CA:FALSE)",
                        self.address
                    ),
                );
            }
            Error::new(
                ErrorKind::Io,
                format!(
                    "cannot reach {}: {error}; is a cluster, or a job with a dashboard, running \
                     there? (-m HOST:PORT says where)",
                    self.address
                ),
            )
        };
        let mut response = answered.map_err(|error| failed(&error))?;
        let status = response.status();
        let text = response.body_mut().read_to_string().map_err(|error| failed(&error))?;
        if status == StatusCode::UNAUTHORIZED {
            let message = format!(
                "{} wants a token: set {TOKEN}, or security.rest.token in config.yaml (flott token create makes \
                 one there)",
                self.address
            );
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        if !status.is_success() {
            let errors = serde_json::from_str(&text).map(|Errors { errors }| errors.join("\n"));
            return Err(Error::new(ErrorKind::Io, errors.unwrap_or_else(|_| status.to_string())));
        }
        serde_json::from_str(&text).map_err(|error| {
            let message = format!("{} does not answer as Flott does: {error}", self.address);
            Error::new(ErrorKind::Io, message)
        })
    }
}

/// The certificates of the REST API: those that the options name, or its own.
fn trusted(config: &Configuration) -> Result<TlsConfig> {
    let (ca, own) = (config.get(&options::REST_CA)?, config.get(&options::REST_CERTIFICATE)?);
    let file = ca.or(own).ok_or_else(|| {
        Error::invalid(
            "https needs the certificates to trust: security.ssl.rest.ca-certificate, a file in PEM",
        )
    })?;
    let wrong = |e: &dyn fmt::Display| Error::invalid(format!("\"{file}\" (TLS): {e}"));
    let text = std::fs::read(&file).map_err(|e| wrong(&e))?;
    let certificates = parse_pem(&text).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
        Ok(_) => None,
        Err(e) => Some(Err(wrong(&e))),
    });
    let certificates: Vec<Certificate<'static>> = certificates.collect::<Result<_>>()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(certificates)))
        .unversioned_rustls_crypto_provider(provider)
        .build())
}

#[expect(clippy::disallowed_methods, reason = "a command line waits between two looks")]
pub(crate) fn pause(wait: Duration) {
    sleep(wait);
}
