//! The thread that listens and answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use flott_control::actions::{Actions, Submissions};
use flott_control::processes::Processes;
use flott_control::view::ClusterView;
use flott_core::{Error, ErrorKind, Result};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{MissedTickBehavior, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

use crate::access::{Access, TlsFiles};
use crate::guard::{self, Guard};
use crate::routes::Watched;
use crate::traces::Traces;
use crate::{address, page, routes};

/// How many connections are served at once; more have to wait. A browser opens six.
const CONNECTIONS_MAX: usize = 32;

/// How large a request may be, without its body.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// How many header lines a request may have.
const HEADERS_MAX: usize = 64;

/// How long a connection may take to send a request; one that does not is closed.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a reader may take nothing of an answer, and a sender send nothing of a request.
const PATIENCE: Patience = Patience {
    request: REQUEST_TIMEOUT,
    write: Duration::from_secs(10),
    read: Duration::from_secs(300),
};

/// How long a connection may stand still.
#[derive(Clone, Copy)]
struct Patience {
    /// For all of a request but an upload, to come.
    request: Duration,
    write: Duration,
    /// Also while it waits for its answer: some take a while.
    read: Duration,
}

/// How long to wait when no connection can be accepted: mostly, for a free file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that runs. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a server shows and does.
pub struct Services {
    /// What is shown, asked anew with each request.
    pub view: Arc<dyn Fn() -> ClusterView + Send + Sync>,
    /// What can be done to jobs.
    pub actions: Arc<dyn Actions>,
    /// What can be done with job binaries, if this is a cluster.
    pub submissions: Option<Arc<dyn Submissions>>,
    /// What processes can be asked.
    pub processes: Arc<dyn Processes>,
    /// Who is told how long things take.
    pub traces: Option<Traces>,
}

/// Shows and does what `services` can, on a thread of its own. `address` is a port (0 is any that is free), or a
/// host with a port: on loopback, unless `access` allows others.
///
/// # Errors
/// If the address is none, is not on loopback though `access` wants that, or is in use; if TLS is wanted and its files
/// are wrong; or if the thread cannot be started.
pub fn serve(address: &str, mut services: Services, access: Access) -> Result<Server> {
    let traces = services.traces.take();
    let listener = address::bind(address::parse(address, access.allows_others())?)?;
    let io = |what| move |error| Error::with_source(ErrorKind::Io, what, error);
    let address = listener.local_addr().map_err(io("the dashboard has no address"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(io("the dashboard's runtime cannot be started"))?;
    let listener = {
        let _entered = runtime.enter();
        TcpListener::from_std(listener).map_err(io("the dashboard cannot listen"))?
    };
    let watched = Watched::new(services.view.clone());
    let tls = access.tls.as_ref().map(TlsFiles::load).transpose()?.map(TlsAcceptor::from);
    let scheme = access.scheme();
    let (router, _) = routes::table(watched.clone(), services).finish();
    let router = page::routes()
        .merge(router)
        .fallback(routes::unknown)
        .method_not_allowed_fallback(routes::wrong_method)
        .layer(from_fn_with_state(Arc::new(Guard::new(access)), guard::guard));
    let (stop, stopped) = oneshot::channel::<()>();
    let body = move || {
        runtime.spawn(accept(listener, router, tls));
        runtime.spawn(watch(watched, traces));
        // Ends when the sender is dropped; with the runtime end all connections.
        let _ = runtime.block_on(stopped);
    };
    let thread = Builder::new()
        .name("dashboard".into())
        .spawn(body)
        .map_err(io("cannot start the thread \"dashboard\""))?;
    Ok(Server { address, scheme, stop: Some(stop), thread: Some(thread) })
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to give to a browser.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // What a handler panics with ends its connection, not the thread.
            let _ = thread.join();
        }
    }
}

/// Takes note once a second of how fast jobs go, and of what has happened.
async fn watch(watched: Watched, mut traces: Option<Traces>) {
    let mut times = tokio::time::interval(Duration::from_secs(1));
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        let (view, events) = watched.look();
        if let Some(traces) = &mut traces {
            traces.look(&events, &view);
        }
    }
}

async fn accept(listener: TcpListener, router: Router, tls: Option<TlsAcceptor>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (router, tls) = (router.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => converse(stream, router, PATIENCE).await,
                        Some(tls) => {
                            let hello = timeout(REQUEST_TIMEOUT, tls.accept(stream)).await;
                            if let Ok(Ok(stream)) = hello {
                                converse(stream, router, PATIENCE).await;
                            }
                        }
                    }
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// One connection, to its end.
async fn converse(stream: impl AsyncRead + AsyncWrite, router: Router, patience: Patience) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(patience.write));
    stream.set_read_timeout(Some(patience.read));
    let stream = Box::pin(stream);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.request)
        .max_buf_size(REQUEST_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // A reader that goes away, or does not speak HTTP, is no event.
    let _ = connection.await;
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Also who takes all of an answer that has no end. Ends only if the connection does.
    #[test]
    fn who_only_listens_loses_its_place_after_a_while() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut client, server) = tokio::io::duplex(1024);
            let endless = axum::routing::get(async || {
                let silence = futures_util::stream::pending::<Result<&str, std::io::Error>>();
                axum::body::Body::from_stream(silence)
            });
            let router = Router::new().route("/", endless);
            client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
            let read = Duration::from_millis(50);
            converse(server, router, Patience { read, ..PATIENCE }).await;
        });
    }

    /// Ends only if the connection does.
    #[test]
    fn who_asks_and_does_not_read_loses_its_place() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut client, server) = tokio::io::duplex(1024);
            let request = b"GET /vendor/dagre.js HTTP/1.1\r\nHost: localhost\r\n\r\n";
            client.write_all(request).await.unwrap();
            let write = Duration::from_millis(50);
            converse(server, page::routes(), Patience { write, ..PATIENCE }).await;
        });
    }
}
