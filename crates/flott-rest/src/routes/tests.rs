//! The table of routes, walked by everybody: who may do what.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use flott_control::actions::{
    Actions, Binary, CheckpointAnswer, DisposalAnswer, RescaleAnswer, Rescaled, SavepointAnswer,
    StateAnswer, StateKey, StateValue, Submission, Submissions, Upload,
};
use flott_control::processes::{Answer, ProcessName, Processes, Question};
use flott_core::{Error, JobId, Result};
use flott_plan::JobGraph;

use super::*;
use crate::access::{Access, TlsFiles};
use crate::server::{Server, serve};
use crate::testing;
use crate::tokens::{Role, Tokens};

mod attacks;
mod contract;
mod properties;

/// Can do nothing.
struct Nobody;

impl Actions for Nobody {
    fn cancel(&self, _: JobId) -> bool {
        false
    }

    fn checkpoint(&self, _: JobId, answer: CheckpointAnswer) {
        answer(Err("no".into()));
    }

    fn savepoint(&self, _: JobId, _: Option<&str>, _: SavepointAnswer) -> Result<()> {
        Err(Error::invalid("no"))
    }

    fn stop(&self, _: JobId, _: Option<&str>, _: bool, _: SavepointAnswer) -> Result<()> {
        Err(Error::invalid("no"))
    }

    fn rescale(&self, _: JobId, _: u32, _: Option<&str>, answer: RescaleAnswer) -> Result<()> {
        answer(Err("no".into()));
        Ok(())
    }

    fn look_up(&self, _: JobId, _: StateKey, answer: StateAnswer) {
        answer(Err(Error::invalid("no")));
    }

    fn dispose(&self, _: &str, answer: DisposalAnswer) {
        answer(Err("no".into()));
    }
}

impl Submissions for Nobody {
    fn upload(&self, _: &str) -> Result<Box<dyn Upload>> {
        Err(Error::invalid("no"))
    }

    fn binaries(&self) -> Vec<Binary> {
        Vec::new()
    }

    fn delete(&self, _: &str) -> Result<()> {
        Err(Error::invalid("no"))
    }

    fn plan(&self, _: &Submission) -> Result<(String, JobGraph)> {
        Err(Error::invalid("no"))
    }

    fn submit(&self, _: &Submission) -> Result<JobId> {
        Err(Error::invalid("no"))
    }
}

impl Processes for Nobody {
    fn options(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn ask(&self, _: &ProcessName, _: Question) -> Result<Answer> {
        Err(Error::invalid("no"))
    }
}

fn services() -> Services {
    Services {
        view: Arc::new(testing::view),
        actions: Arc::new(Nobody),
        submissions: Some(Arc::new(Nobody)),
        processes: Arc::new(Nobody),
        traces: None,
    }
}

/// The status of the answer to a request with this token.
fn ask(stream: &mut (impl Read + Write), method: &Method, path: &str, token: Option<&str>) -> u16 {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}",
        authorization.unwrap_or_default()
    );
    stream.write_all(request.as_bytes()).unwrap();
    // Some answers have no end.
    let (mut text, mut read) = (Vec::new(), [0; 64]);
    while !text.contains(&b'\r') {
        match stream.read(&mut read) {
            Ok(bytes) if bytes > 0 => text.extend_from_slice(&read[..bytes]),
            // Over TLS the connection may end without a word.
            _ => break,
        }
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("{method} {path}: {text}"))
}

fn status(server: &Server, method: &Method, path: &str, token: Option<&str>) -> u16 {
    ask(&mut TcpStream::connect(server.address()).unwrap(), method, path, token)
}

/// A path with something in place of its parameters.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{jobid}" => testing::JOB.to_owned(),
        part if part.starts_with('{') => "7".to_owned(),
        part => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

#[test]
fn every_route_asks_for_its_role_and_nobody_passes_without_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::at(folder.path().join("tokens"));
    let secrets: Vec<(Role, String)> = Role::ALL
        .into_iter()
        .zip(1..)
        .map(|(role, n)| (role, tokens.create(&role.to_string(), role, None, [n; 32]).unwrap()))
        .collect();
    let access = Access { tokens: Some(tokens.clone()), ..Access::default() };
    let server = serve("0", services(), access).unwrap();
    let watched = Watched::new(Arc::new(testing::view));
    let (_, entries) = table(watched, services()).finish();
    assert!(entries.len() > 100, "{}", entries.len());
    for entry in &entries {
        let (method, path) = (&entry.method, filled(&entry.path));
        let place = format!("{method} {path}");
        assert_eq!(status(&server, method, &path, None), 401, "{place}");
        assert_eq!(status(&server, method, &path, Some("flott_00")), 401, "{place}");
        for (role, secret) in &secrets {
            let status = status(&server, method, &path, Some(secret));
            assert_eq!(status == 403, *role < entry.role, "{role}: {place}: {status}");
            assert!(![401, 405].contains(&status), "{role}: {place}: {status}");
        }
    }
    // The page is the same everywhere, and asks for a token itself.
    assert_eq!(status(&server, &Method::GET, "/", None), 200);
    assert_eq!(status(&server, &Method::GET, "/main.js", None), 200);
    tokens.revoke("viewer").unwrap();
    assert_eq!(status(&server, &Method::GET, "/jobs", Some(&secrets[0].1)), 401);
    let in_address = format!("/jobs?token={}", secrets[2].1);
    assert_eq!(status(&server, &Method::GET, &in_address, Some(&secrets[2].1)), 400);
    // What cannot be read lets nobody in, and says nothing of itself.
    std::fs::write(folder.path().join("tokens"), "nonsense").unwrap();
    assert_eq!(status(&server, &Method::GET, "/jobs", Some(&secrets[2].1)), 500);
}

#[test]
fn who_asks_too_often_is_refused_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::at(folder.path().join("tokens"));
    let secret = tokens.create("ci", Viewer, None, [1; 32]).unwrap();
    let access = Access { tokens: Some(tokens), ..Access::default() };
    let server = serve("0", services(), access).unwrap();
    let guess = |_| {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let request = "GET /jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answers = (0..100_000).map(guess).find(|answer| !answer.starts_with("HTTP/1.1 401"));
    let refused = answers.unwrap();
    assert!(
        refused.starts_with("HTTP/1.1 429") && refused.contains("retry-after: 1\r\n"),
        "{refused}"
    );
    assert_eq!(status(&server, &Method::GET, "/jobs", Some(&secret)), 200);
}

#[test]
fn what_changes_anything_needs_more_than_a_viewer() {
    let watched = Watched::new(Arc::new(testing::view));
    let (_, entries) = table(watched, services()).finish();
    for entry in entries {
        assert!(entry.method == Method::GET || entry.role > Viewer, "{entry:?}");
    }
}

#[test]
fn a_server_speaks_tls_and_only_that() {
    let folder = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let files = TlsFiles { certificate: certificate.clone(), key };
    let access = Access { tls: Some(files), ..Access::default() };
    let server = serve("0", services(), access.clone()).unwrap();
    assert!(server.url().starts_with("https://"));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(certified.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect(server.address()).unwrap();
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    assert_eq!(ask(&mut stream, &Method::GET, "/jobs", None), 200);

    let mut plain = TcpStream::connect(server.address()).unwrap();
    plain.write_all(b"GET /jobs HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut said = Vec::new();
    let _ = plain.read_to_end(&mut said);
    assert!(!said.starts_with(b"HTTP"), "{said:?}");

    let files = TlsFiles { certificate: certificate.clone(), key: certificate };
    let error = serve("0", services(), Access { tls: Some(files), ..access }).unwrap_err();
    assert!(error.to_string().contains("cert.pem"), "{error}");
}

#[test]
fn only_a_protected_server_listens_to_others_and_by_its_names_only() {
    let access = Access::default();
    assert!(serve("0.0.0.0:0", services(), access).is_err());
    let tokens = Some(Tokens::at("/nowhere/tokens"));
    assert!(serve("0.0.0.0:0", services(), Access { tokens, ..Access::default() }).is_err());
    let access = Access {
        trusts_network: true,
        host: Some("flott.example".into()),
        tokens: None,
        tls: None,
    };
    for (host, is_own) in [
        ("flott.example:8081", true),
        ("192.0.2.7:8081", true),
        ("[2001:db8::1]:8081", true),
        ("localhost", true),
        ("evil.example", false),
        ("flott.example.evil.example", false),
        ("me@flott.example", false),
    ] {
        assert_eq!(access.is_host(&host.parse().unwrap()), is_own, "{host}");
    }
}
