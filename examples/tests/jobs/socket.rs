//! The other end of a job's socket: lines are sent when a test wants them to be.

use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};

use crate::support::{JobProcess, Launch};

/// What a socket job connects to.
pub(crate) struct Server {
    listener: TcpListener,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::listen(0)
    }

    /// On a port that was free a moment ago.
    pub(crate) fn listen(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port can be listened on");
        listener.set_nonblocking(true).unwrap();
        Self { listener }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// The next connection of the job.
    #[track_caller]
    pub(crate) fn accept(&self, job: &mut JobProcess) -> Connection {
        let accept = || match self.listener.accept() {
            Ok((stream, _)) => Some(stream),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("cannot accept: {error}"),
        };
        let stream = job.until("connection", accept);
        stream.set_nonblocking(false).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection { stream }
    }

    /// Whether nobody has connected.
    pub(crate) fn is_untouched(&self) -> bool {
        self.listener.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

/// A connection that lines are fed to. Dropping it is the end of the job's input.
pub(crate) struct Connection {
    stream: TcpStream,
}

impl Connection {
    /// Sends lines, in one piece.
    pub(crate) fn send(&mut self, lines: impl IntoIterator<Item = impl AsRef<str>>) {
        let lines = lines.into_iter().map(|line| format!("{}\n", line.as_ref()));
        let lines: String = lines.collect();
        self.stream.write_all(lines.as_bytes()).expect("the job reads");
    }
}

/// Starts a job that reads from a server, and the connection that it makes.
#[track_caller]
pub(crate) fn connect(launch: Launch) -> (JobProcess, Server, Connection) {
    let server = Server::start();
    let mut job = launch.reading(&server).start();
    let connection = server.accept(&mut job);
    (job, server, connection)
}
