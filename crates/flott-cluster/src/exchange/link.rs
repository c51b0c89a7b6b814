//! One connection between two workers: a thread that writes what waits, and one that reads.

use std::io::{BufReader, BufWriter, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use flott_runtime::exchange::{Exchange, Frame, Link};
use rustix::net::sockopt;

use super::wire;

/// How often an idle connection is probed before it is given up.
const PROBES: u32 = 5;

/// How many bytes go to the socket at once, at most, if they come in small pieces.
const BUFFER: usize = 64 * 1024;

/// A connection. Its threads end when it is closed, by either side.
pub(super) struct TcpLink {
    number: u64,
    stream: TcpStream,
    queue: Mutex<Queue>,
    work: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Bounded by the credit of the channels.
    frames: Vec<Frame>,
    lost: bool,
}

impl Link for TcpLink {
    fn number(&self) -> u64 {
        self.number
    }

    fn send(&self, frame: Frame) {
        let mut queue = self.lock();
        if !queue.lost {
            let was_empty = queue.frames.is_empty();
            queue.frames.push(frame);
            drop(queue);
            if was_empty {
                self.work.notify_one();
            }
        }
    }
}

impl TcpLink {
    pub(super) fn start(
        number: u64,
        stream: TcpStream,
        exchange: Arc<Exchange>,
        silence: Duration,
    ) -> Result<Arc<Self>> {
        notice_silence(&stream, silence)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(None)?;
        let peer = stream.peer_addr()?;
        let (input, output) = (stream.try_clone()?, stream.try_clone()?);
        let link = Arc::new(Self { number, stream, queue: Mutex::default(), work: Condvar::new() });
        let writer = link.clone();
        Builder::new().name("exchange-write".into()).spawn(move || {
            // The thread that reads says what happened.
            let _ = writer.write(output);
            writer.close();
        })?;
        let reader = link.clone();
        let reading = Builder::new().name("exchange-read".into()).spawn(move || {
            let why = match reader.clone().read(input, &exchange) {
                Ok(()) => "it was closed".to_owned(),
                Err(why) => why,
            };
            reader.close();
            exchange
                .lost(number, &format!("the connection to the worker at {peer} is lost: {why}"));
        });
        if let Err(error) = reading {
            link.close();
            return Err(error);
        }
        Ok(link)
    }

    /// Whether nothing can be sent any more.
    pub(super) fn is_lost(&self) -> bool {
        self.lock().lost
    }

    /// Ends both threads. What waits is not sent.
    pub(super) fn close(&self) {
        self.lock().lost = true;
        self.work.notify_one();
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn write(&self, stream: TcpStream) -> Result<()> {
        let mut out = BufWriter::with_capacity(BUFFER, stream);
        let mut frames = Vec::new();
        loop {
            let mut queue = self.lock();
            while queue.frames.is_empty() && !queue.lost {
                queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            if queue.lost {
                return Ok(());
            }
            std::mem::swap(&mut frames, &mut queue.frames);
            drop(queue);
            for frame in frames.drain(..) {
                wire::write(&mut out, &frame)?;
            }
            out.flush()?;
        }
    }

    fn read(
        self: Arc<Self>,
        stream: TcpStream,
        exchange: &Exchange,
    ) -> std::result::Result<(), String> {
        let mut input = BufReader::with_capacity(BUFFER, stream);
        let link: Arc<dyn Link> = self;
        while let Some(frame) = wire::read(&mut input).map_err(|error| error.to_string())? {
            exchange.receive(&link, frame).map_err(|error| error.report())?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the system close a connection whose other end has not answered for so long, whether or not there is
/// something to send: a network that loses everything says nothing.
fn notice_silence(stream: &TcpStream, silence: Duration) -> Result<()> {
    let pause = (silence / PROBES).max(Duration::from_secs(1));
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, pause)?;
    sockopt::set_tcp_keepintvl(stream, pause)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    let millis = u32::try_from(silence.as_millis()).unwrap_or(u32::MAX);
    Ok(sockopt::set_tcp_user_timeout(stream, millis)?)
}
