//! Requests that nobody sends who means well: each is refused, and the server goes on.

use std::time::Duration;

use tokio::time::Instant;

use super::*;

/// What a path may be made to lead elsewhere with.
const TRAVERSALS: [&str; 14] = [
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%252f..%252fetc%252fpasswd",
    "....//....//etc/passwd",
    "..%5c..%5cetc%5cpasswd",
    "%5c%5cevil.example%5cshare",
    "%c0%ae%c0%ae%c0%afetc%c0%afpasswd",
    "%e0%80%ae%e0%80%ae/etc/passwd",
    "passwd%00.log",
    "%2fetc%2fpasswd",
    "file:%2f%2f%2fetc%2fpasswd",
    "~root",
    "%ff%fe",
    "%",
];

fn exchange(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    // The server may have answered and gone before it has heard everything.
    let _ = stream.write_all(request);
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn lives(server: &Server) -> bool {
    status(server, &Method::GET, "/overview", None) == 200
}

#[test]
fn no_path_leads_out() {
    // One that has files.
    let processes = Arc::new(flott_cluster::ThisProcess { options: Vec::new() });
    let services = || Services { processes: processes.clone(), ..services() };
    let server = serve("0", services(), Access::default()).unwrap();
    let watched = Watched::new(Arc::new(testing::view));
    let (_, entries) = table(watched, services()).finish();
    let mut asked = 0;
    // What these say is the same for each job, and they do not look which one is meant.
    let looks = |path: &str| path.contains('{') && !path.contains("{jobid}/jobmanager/");
    for entry in entries.iter().filter(|entry| looks(&entry.path)) {
        for attack in TRAVERSALS {
            let part = |part: &str| match part {
                "{jobid}" if entry.path.matches('{').count() > 1 => testing::JOB.to_owned(),
                part if part.starts_with('{') => attack.to_owned(),
                part => part.to_owned(),
            };
            let path = entry.path.split('/').map(part).collect::<Vec<_>>().join("/");
            let request = format!(
                "{} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                entry.method
            );
            let answer = exchange(&server, request.as_bytes());
            assert!(
                answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 500"),
                "{path}: {answer}"
            );
            assert!(!answer.contains("root:"), "{path}: {answer}");
            asked += 1;
        }
    }
    assert!(asked > 1000 && lives(&server), "{asked}");
}

/// By each method, whatever a page of another site can make a browser send.
#[test]
fn other_sites_and_other_names_reach_nothing_by_any_method() {
    let server = serve("0", services(), Access::default()).unwrap();
    let path = format!("/jobs/{}", testing::JOB);
    for method in ["GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "OPTIONS", "TRACE", "CONNECT"] {
        for lines in [
            "Host: evil.example",
            "Host: localhost.evil.example:8081",
            "Host: localhost\r\nHost: evil.example",
            "Host: localhost\r\nOrigin: https://evil.example",
            "Host: localhost\r\nOrigin: null",
            "Host: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors",
            "Host: localhost\r\nSec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors",
            "X-Forwarded-Host: localhost\r\nHost: evil.example",
        ] {
            let request =
                format!("{method} {path} HTTP/1.1\r\n{lines}\r\nConnection: close\r\n\r\n");
            let answer = exchange(&server, request.as_bytes());
            let refused = ["HTTP/1.1 403", "HTTP/1.1 400", "HTTP/1.1 405"];
            assert!(
                refused.iter().any(|line| answer.starts_with(line)),
                "{method} {lines}: {answer}"
            );
        }
    }
    assert!(lives(&server));
}

#[test]
fn too_much_is_refused() {
    let server = serve("0", services(), Access::default()).unwrap();
    let get = |lines: &str| format!("GET /jobs HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n\r\n");
    let many = (0..10_000).map(|n| format!("X-{n}: 1")).collect::<Vec<_>>().join("\r\n");
    assert!(exchange(&server, get(&many).as_bytes()).starts_with("HTTP/1.1 431"));
    let long = format!("X: {}", "x".repeat(1_000_000));
    assert!(exchange(&server, get(&long).as_bytes()).starts_with("HTTP/1.1 431"));
    let path = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(100_000));
    let answer = exchange(&server, path.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 414") || answer.starts_with("HTTP/1.1 431"), "{answer}");
    // A body without a length is counted as it comes.
    let piece = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    let chunked = format!(
        "POST /savepoint-disposal HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        piece.repeat(4)
    );
    assert!(exchange(&server, chunked.as_bytes()).starts_with("HTTP/1.1 413"));
    // JSON that is nested so deeply that reading it would take all of a stack.
    let deep = format!(r#"{{"savepoint-path": {}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    let request = format!(
        "POST /savepoint-disposal HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{deep}",
        deep.len()
    );
    assert!(exchange(&server, request.as_bytes()).starts_with("HTTP/1.1 400"));
    assert!(lives(&server));
}

#[test]
fn what_is_no_http_ends_its_connection_only() {
    let server = serve("0", services(), Access::default()).unwrap();
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for nonsense in [
        &b"\0\0\0\0\r\n\r\n"[..],
        tls,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n\r\n\r\nX",
    ] {
        let answer = exchange(&server, nonsense);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    // A body that says two lengths would be two requests to whoever counts otherwise.
    let smuggled = b"POST /savepoint-disposal HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\
        Content-Length: 40\r\n\r\n{}\r\nGET /jobs HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert!(exchange(&server, smuggled).starts_with("HTTP/1.1 400"));
    assert!(lives(&server));
}

/// All places are taken by clients that send bit by bit: they lose them, and others get their turn.
#[test]
fn who_is_slow_on_purpose_keeps_nobody_out_for_long() {
    let head = b"GET /jobs HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";
    let body =
        b"POST /savepoint-disposal HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{";
    for request in [&head[..], body] {
        let server = serve("0", services(), Access::default()).unwrap();
        let slow = (0..40).map(|_| {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.write_all(request).unwrap();
            stream
        });
        let slow: Vec<TcpStream> = slow.collect();
        let began = Instant::now();
        assert!(lives(&server));
        // One round of slow ones has its time, and at most the rest of them a second one.
        assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
        drop(slow);
    }
}
