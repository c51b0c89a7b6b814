//! The data plane between workers: links over TCP, for the channels that leave a process.
//!
//! A worker listens; a worker with a channel to another connects to it, once, and both use that
//! connection for the channels in this direction and their credit. Who may send what is decided by
//! the pure [`Exchange`]; here its frames are written and read, by two threads for each connection.

mod link;
mod wire;

use std::collections::BTreeMap;
use std::io::ErrorKind as IoErrorKind;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use flott_control::WorkerId;
use flott_core::{Error, ErrorKind, Result};
use flott_runtime::exchange::{Exchange, Link};
use tracing::warn;

use link::TcpLink;
pub(crate) use wire::Identity;

/// How long a connection to another worker may take, and its handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The data plane of a worker. Dropping it closes all connections.
pub(crate) struct DataPlane {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    identity: Identity,
    silence: Duration,
    exchange: Arc<Exchange>,
    links: Mutex<Links>,
    numbers: AtomicU64,
    closed: AtomicBool,
}

#[derive(Default)]
struct Links {
    /// Those that this worker has opened.
    to: BTreeMap<WorkerId, Arc<TcpLink>>,
    /// Those that others have.
    from: Vec<Arc<TcpLink>>,
}

impl DataPlane {
    /// Listens on any free port of `host`. A connection whose other end is not heard of for `silence` is
    /// lost.
    ///
    /// # Errors
    /// If that is not possible.
    pub(crate) fn listen(host: IpAddr, identity: Identity, silence: Duration) -> Result<Self> {
        let listener = TcpListener::bind((host, 0)).map_err(|e| {
            Error::with_source(ErrorKind::Io, format!("a worker cannot listen on {host}"), e)
        })?;
        let address = listener
            .local_addr()
            .map_err(|e| Error::with_source(ErrorKind::Io, "a worker has no address", e))?;
        let shared = Arc::new(Shared {
            identity,
            silence,
            exchange: Arc::new(Exchange::new()),
            links: Mutex::default(),
            numbers: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        });
        let accepting = {
            let shared = shared.clone();
            spawn("exchange-accept", move || accept(&shared, &listener))?
        };
        Ok(Self { shared, address, accepting: Some(accepting) })
    }

    /// Where others reach it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The ends of the channels.
    pub(crate) fn exchange(&self) -> &Exchange {
        &self.shared.exchange
    }

    /// The link to another worker of the job; connects, unless there is one.
    ///
    /// # Errors
    /// If the worker cannot be reached or refuses.
    pub(crate) fn link(&self, worker: WorkerId, address: SocketAddr) -> Result<Arc<dyn Link>> {
        if let Some(link) = self.shared.lock().to.get(&worker).filter(|link| !link.is_lost()) {
            return Ok(link.clone());
        }
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)
            .and_then(|mut stream| {
                stream.set_read_timeout(Some(CONNECT_TIMEOUT))?;
                wire::greet(&mut stream, self.shared.identity, worker)?;
                Ok(stream)
            })
            .map_err(|e| {
                let what = format!("cannot reach the worker at {address}");
                Error::with_source(ErrorKind::Io, what, e)
            })?;
        let link = self.shared.clone().join(stream)?;
        self.shared.lock().to.insert(worker, link.clone());
        Ok(link)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a link of a connection whose handshake is done.
    fn join(self: Arc<Self>, stream: TcpStream) -> Result<Arc<TcpLink>> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        TcpLink::start(number, stream, self.exchange.clone(), self.silence)
            .map_err(|e| Error::with_source(ErrorKind::Io, "a connection cannot be used", e))
    }
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        let links = std::mem::take(&mut *self.shared.lock());
        links.to.values().chain(&links.from).for_each(|link| link.close());
        // Wakes the thread that accepts.
        if let Ok(stream) = TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// Takes in the connections of other workers, until the data plane is closed.
fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    loop {
        let accepted = listener.accept();
        if shared.closed.load(Ordering::SeqCst) {
            return;
        }
        match accepted {
            Ok((stream, peer)) => {
                let shared = shared.clone();
                // A peer that says nothing must not keep others out.
                let greeted = spawn("exchange-greet", move || {
                    if let Err(error) = greeted(&shared, stream) {
                        warn!("A connection from {peer} was refused: {}", error.report());
                    }
                });
                if let Err(error) = greeted {
                    warn!("A connection from {peer} was refused: {}", error.report());
                }
            }
            Err(e) if e.kind() == IoErrorKind::Interrupted => {}
            Err(e) => warn!("A connection of another worker cannot be accepted: {e}"),
        }
    }
}

/// Hears who has connected, and makes a link of it.
fn greeted(shared: &Arc<Shared>, mut stream: TcpStream) -> Result<()> {
    stream
        .set_read_timeout(Some(CONNECT_TIMEOUT))
        .and_then(|()| wire::answer(&mut stream, shared.identity))
        .map_err(|e| Error::with_source(ErrorKind::Io, "no worker of this job", e))?;
    let link = shared.clone().join(stream)?;
    let mut links = shared.lock();
    links.from.retain(|link| !link.is_lost());
    links.from.push(link.clone());
    drop(links);
    if shared.closed.load(Ordering::SeqCst) {
        link.close();
    }
    Ok(())
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(body).map_err(|e| {
        Error::with_source(ErrorKind::Io, format!("cannot start the thread \"{name}\""), e)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flott_core::{AttemptNumber, JobId};
    use flott_plan::EdgeId;
    use flott_runtime::exchange::{ChannelId, Frame, FrameBody};

    use super::*;

    fn plane(worker: u32, ticket: u128) -> DataPlane {
        let identity = Identity { job: JobId::from_u128(1), ticket, worker: WorkerId(worker) };
        DataPlane::listen(IpAddr::from([127, 0, 0, 1]), identity, CONNECT_TIMEOUT).unwrap()
    }

    #[test]
    fn a_worker_of_another_job_is_refused() {
        let (own, other) = (plane(1, 5), plane(2, 6));
        let refused = own.link(WorkerId(2), other.address()).err().unwrap().report();
        assert!(refused.contains("cannot reach the worker"), "{refused}");
        // Nor does a port that was taken over by another worker of the job take its place.
        let own_kind = plane(3, 5);
        assert!(own.link(WorkerId(4), own_kind.address()).is_err());
        assert!(own.link(WorkerId(3), own_kind.address()).is_ok());
    }

    #[test]
    fn a_link_is_used_again_until_it_is_lost() {
        let (own, other) = (plane(1, 5), plane(2, 5));
        let first = own.link(WorkerId(2), other.address()).unwrap();
        let again = own.link(WorkerId(2), other.address()).unwrap();
        assert_eq!(first.number(), again.number());
        let address = other.address();
        drop(other);
        // The loss is seen by the thread that reads.
        while own.shared.lock().to.values().any(|link| !link.is_lost()) {
            std::thread::yield_now();
        }
        assert!(own.link(WorkerId(2), address).is_err());
    }

    #[test]
    fn what_breaks_the_protocol_ends_the_connection_only() {
        let (own, other) = (plane(1, 5), plane(2, 5));
        let mut garbage = TcpStream::connect(own.address()).unwrap();
        garbage.write_all(&[0x16; 200]).unwrap();
        let link = own.link(WorkerId(2), other.address()).unwrap();
        let channel = ChannelId { edge: EdgeId(0), producer: 0, consumer: 0 };
        // Nobody has opened this channel.
        let body = FrameBody::Data(vec![1]);
        link.send(Frame { attempt: AttemptNumber(0), channel, body });
        while own.shared.lock().to.values().any(|link| !link.is_lost()) {
            std::thread::yield_now();
        }
        assert!(own.link(WorkerId(2), other.address()).is_ok());
    }
}
