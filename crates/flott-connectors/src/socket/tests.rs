//! A socket source with a peer in the same process.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread::Builder;

use flott_runtime::Progress;

use super::SocketTextStream;
use crate::harness::Harness;

/// Somebody who accepts `connections.len()` connections and sends each what is there.
fn peer(connections: Vec<&'static [u8]>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move || {
        for bytes in connections {
            let (mut connection, _) = listener.accept().unwrap();
            connection.write_all(bytes).unwrap();
        }
    };
    drop(Builder::new().name("peer".into()).spawn(serve).unwrap());
    port
}

/// Somebody who accepts one connection and leaves the rest to the test.
fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn accept(listener: &TcpListener) -> TcpStream {
    listener.accept().unwrap().0
}

#[test]
fn lines_come_without_their_ends_until_the_peer_closes() {
    let port = peer(vec![b"one\ntwo\r\n\n\xc3\xa9t\xc3\xa9\nlast"]);
    let mut job = Harness::new(1, |env| env.socket_text_stream("127.0.0.1", port));
    job.run_to_end();
    assert_eq!(job.collected_by(0), ["one", "two", "", "été", "last"]);
}

#[test]
fn a_line_comes_as_soon_as_its_end_does() {
    let (listener, port) = listener();
    let mut job = Harness::new(1, |env| env.socket_text_stream("localhost", port));
    let mut peer = accept(&listener);
    peer.write_all(b"hel").unwrap();
    peer.write_all(b"lo\nwor").unwrap();
    job.run_until(1);
    assert_eq!(job.collected(), ["hello"]);
    peer.write_all(b"ld\n").unwrap();
    job.run_until(2);
    assert_eq!(job.collected(), ["hello", "world"]);
    job.step();
    assert_eq!(job.progress(0), Progress::Idle(None));
}

#[test]
fn more_lines_than_the_queue_holds_all_come_in_order() {
    let (listener, port) = listener();
    let mut job = Harness::new(1, |env| env.socket_text_stream("127.0.0.1", port));
    let mut peer = accept(&listener);
    let send = move || (0..20_000).for_each(|i| writeln!(peer, "{i}").unwrap());
    drop(Builder::new().name("peer".into()).spawn(send).unwrap());
    job.run_to_end();
    assert_eq!(job.collected_by(0), (0..20_000).map(|i| i.to_string()).collect::<Vec<_>>());
}

#[test]
fn retries_connect_again_until_they_are_used_up() {
    let port = peer(vec![b"a\n", b"b", b"c\n"]);
    let build = |retries| {
        move |env: &flott_datastream::StreamExecutionEnvironment| {
            env.socket_text_stream_with_retries("127.0.0.1", port, Some(retries))
        }
    };
    let mut job = Harness::new(1, build(1));
    job.run_to_end();
    assert_eq!(job.collected_by(0), ["a", "b"]);
}

#[test]
fn a_peer_that_is_not_there_is_named() {
    let (listener, port) = listener();
    drop(listener);
    let mut job =
        Harness::new(1, |env| env.socket_text_stream_with_retries("127.0.0.1", port, Some(1)));
    let error = job.run_to_failure();
    let expected = format!("cannot connect to 127.0.0.1:{port} (retried 1 times");
    assert!(error.contains(&expected), "{error}");
}

#[test]
fn bytes_that_are_no_text_are_an_error_with_a_line_number() {
    let port = peer(vec![b"good\nb\xffd\n"]);
    let mut job = Harness::new(1, |env| env.socket_text_stream("127.0.0.1", port));
    let error = job.run_to_failure();
    assert!(error.contains(&format!("line 2 from 127.0.0.1:{port} is not UTF-8")), "{error}");
    assert_eq!(job.collected(), ["good"]);
}

#[test]
fn closing_the_source_ends_its_thread_and_its_connection() {
    let (listener, port) = listener();
    let mut job = Harness::new(1, |env| env.socket_text_stream("127.0.0.1", port));
    let mut peer = accept(&listener);
    peer.write_all(b"x\n").unwrap();
    job.run_until(1);
    // Cancels, and waits for the thread.
    drop(job);
    let mut byte = [0];
    assert_eq!(std::io::Read::read(&mut peer, &mut byte).unwrap(), 0);
}
