//! The thread that reads from the socket, and the queue between it and the task.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use flott_core::{Error, ErrorKind, Result};
use flott_datastream::Batch;
use tracing::{info, warn};

use crate::lines::{self, LINE_BYTES_MAX};
use crate::state::Wake;

/// How long to wait before connecting again; Flink's default.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// How long one attempt to connect to one address may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// With this many lines waiting, no more is read from the socket: the peer is slowed down by TCP.
const QUEUED_LINES_MAX: usize = 1024;

/// How much is read at once. Its lines are queued together, so the queue holds at most
/// `QUEUED_LINES_MAX + CHUNK_BYTES` (empty) lines.
const CHUNK_BYTES: usize = 8192;

/// Where to connect to.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    /// How often to connect again, in all; without end if there is no number.
    pub(super) retries_max: Option<u32>,
}

/// What [`Reader::take`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// There may be more at once.
    More,
    /// No more now; the task is woken when there is.
    Nothing,
    /// Nothing will follow.
    End,
}

/// The task's end of the queue. Dropping it ends the thread.
pub(super) struct Reader {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    address: Address,
    waker: Arc<dyn Wake>,
    queue: Mutex<Queue>,
    /// Tells the thread that there is room, or that it is to end.
    changed: Condvar,
}

struct Queue {
    lines: VecDeque<String>,
    /// How the thread ended, once it has.
    end: Option<Result<()>>,
    /// The connection while there is one: shutting it down ends a read that waits.
    connection: Option<TcpStream>,
    /// The thread is asking the system to connect, which nothing interrupts.
    connecting: bool,
    closed: bool,
}

impl Reader {
    pub(super) fn start(address: Address, waker: Arc<dyn Wake>) -> Result<Self> {
        let queue = Queue {
            lines: VecDeque::new(),
            end: None,
            connection: None,
            connecting: true,
            closed: false,
        };
        let shared =
            Arc::new(Shared { address, waker, queue: Mutex::new(queue), changed: Condvar::new() });
        let name = format!("socket {}:{}", shared.address.host, shared.address.port);
        let of_thread = shared.clone();
        let thread = Builder::new().name(name).spawn(move || of_thread.run()).map_err(|error| {
            Error::with_source(ErrorKind::Io, "cannot start the thread of a socket source", error)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Moves up to `limit` lines to `out`. An error comes after all lines that came before it.
    pub(super) fn take(&self, limit: usize, out: &mut Batch<String>) -> Result<Taken> {
        let mut queue = self.shared.lock();
        if queue.lines.is_empty() {
            return match queue.end.take() {
                None => Ok(Taken::Nothing),
                Some(Ok(())) => Ok(Taken::End),
                Some(Err(error)) => Err(error),
            };
        }
        let count = limit.min(queue.lines.len());
        out.extend_untimed(queue.lines.drain(..count));
        self.shared.changed.notify_one();
        Ok(Taken::More)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.closed = true;
        if let Some(connection) = &queue.connection {
            // It fails if the peer has closed already: then no read waits.
            let _ = connection.shutdown(Shutdown::Both);
        }
        let connecting = queue.connecting;
        drop(queue);
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && !connecting
        {
            let _ = thread.join();
        }
        // A thread that is connecting ends by itself as soon as that is over.
    }
}

/// Why a connection is over, or was never there.
enum Lost {
    /// The peer closed it.
    Ended,
    /// It broke.
    Broken(io::Error),
    /// It could not be made.
    Unreachable(io::Error),
    /// The task closes the source.
    Closed,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let end = self.read_all();
        self.lock().end = Some(end);
        self.waker.wake();
    }

    fn read_all(&self) -> Result<()> {
        let Address { host, port, retries_max } = &self.address;
        let mut lines_read = 0;
        let mut retries: u32 = 0;
        let mut ended_well = false;
        loop {
            let lost = self.read_connection(&mut lines_read)?;
            if matches!(lost, Lost::Ended) {
                ended_well = true;
            }
            if retries_max.is_some_and(|max| retries >= max) || matches!(lost, Lost::Closed) {
                let (what, error) = match lost {
                    Lost::Ended | Lost::Closed => return Ok(()),
                    // The peer had said all that it had to say, and is gone.
                    Lost::Unreachable(_) if ended_well => return Ok(()),
                    Lost::Unreachable(error) => ("cannot connect to", error),
                    Lost::Broken(error) => ("lost the connection to", error),
                };
                return Err(Error::with_source(
                    ErrorKind::Io,
                    format!(
                        "{what} {host}:{port} (retried {retries} times, {lines_read} lines read): \
                         start something that listens there (nc -lk {port}), or allow more retries"
                    ),
                    error,
                ));
            }
            retries = retries.saturating_add(1);
            match &lost {
                Lost::Ended | Lost::Closed => warn!("{host}:{port} closed the connection"),
                Lost::Broken(error) => {
                    ended_well = false;
                    warn!("lost the connection to {host}:{port}: {error}");
                }
                Lost::Unreachable(error) => warn!("cannot connect to {host}:{port}: {error}"),
            }
            if self.pause() {
                return Ok(());
            }
        }
    }

    /// Waits before the next attempt; says whether the source was closed meanwhile.
    fn pause(&self) -> bool {
        let waits = |queue: &mut Queue| !queue.closed;
        let waited = self.changed.wait_timeout_while(self.lock(), RETRY_DELAY, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Connects and reads until the connection is over. An error is about what was read, so that
    /// connecting again would not help.
    fn read_connection(&self, lines_read: &mut u64) -> Result<Lost> {
        let connection = match self.connect() {
            Ok(Some(connection)) => connection,
            Ok(None) => return Ok(Lost::Closed),
            Err(error) => return Ok(Lost::Unreachable(error)),
        };
        let lost = self.read_lines(connection, lines_read);
        self.lock().connection = None;
        lost
    }

    /// A connection, or nothing if the source was closed meanwhile.
    fn connect(&self) -> io::Result<Option<TcpStream>> {
        {
            let mut queue = self.lock();
            if queue.closed {
                return Ok(None);
            }
            queue.connecting = true;
        }
        let Address { host, port, .. } = &self.address;
        let connected = connect_any((host.as_str(), *port));
        let mut queue = self.lock();
        queue.connecting = false;
        let connection = connected?;
        queue.connection = Some(connection.try_clone()?);
        info!("connected to {host}:{port}");
        Ok(if queue.closed { None } else { Some(connection) })
    }

    fn read_lines(&self, mut connection: TcpStream, lines_read: &mut u64) -> Result<Lost> {
        let mut chunk = [0; CHUNK_BYTES];
        let mut partial: Vec<u8> = Vec::new();
        loop {
            let length = match connection.read(&mut chunk) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Lost::Broken(error)),
            };
            let mut lines = Vec::new();
            let mut bad = Ok(());
            for piece in chunk[..length].split_inclusive(|byte| *byte == b'\n') {
                partial.extend_from_slice(piece);
                if piece.last() == Some(&b'\n') {
                    bad = self.finish_line(&mut partial, lines_read, &mut lines);
                    if bad.is_err() {
                        break;
                    }
                }
            }
            if length == 0 && !partial.is_empty() {
                bad = self.finish_line(&mut partial, lines_read, &mut lines);
            }
            if partial.len() > LINE_BYTES_MAX {
                bad = Err(self.bad_line(*lines_read + 1, "is too long, or has no line end"));
            }
            let closed = self.hand_over(lines);
            bad?;
            if closed {
                return Ok(Lost::Closed);
            }
            if length == 0 {
                return Ok(Lost::Ended);
            }
        }
    }

    fn finish_line(
        &self,
        partial: &mut Vec<u8>,
        lines_read: &mut u64,
        lines: &mut Vec<String>,
    ) -> Result<()> {
        *lines_read += 1;
        let text = lines::text(std::mem::take(partial))
            .map_err(|error| self.bad_line(*lines_read, &format!("is not UTF-8: {error}")))?;
        lines.push(text);
        Ok(())
    }

    fn bad_line(&self, number: u64, what: &str) -> Error {
        let Address { host, port, .. } = &self.address;
        Error::new(ErrorKind::Io, format!("line {number} from {host}:{port} {what}"))
    }

    /// Queues lines once there is room; says whether the source was closed.
    fn hand_over(&self, lines: Vec<String>) -> bool {
        let full = |queue: &mut Queue| queue.lines.len() >= QUEUED_LINES_MAX && !queue.closed;
        let waited = self.changed.wait_while(self.lock(), full);
        let mut queue = waited.unwrap_or_else(PoisonError::into_inner);
        let wakes = !lines.is_empty();
        queue.lines.extend(lines);
        let closed = queue.closed;
        drop(queue);
        if wakes {
            self.waker.wake();
        }
        closed
    }
}

/// Tries every address that the name stands for.
fn connect_any(name: (&str, u16)) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name stands for no address");
    for address in name.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(connection) => return Ok(connection),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
