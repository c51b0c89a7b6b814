//! The JobManager's side.

use std::convert::Infallible;
use std::future::Ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request as HttpRequest, Response as HttpResponse};
use tonic::codegen::{BoxFuture, BoxStream, Service};
use tonic::server::{Grpc, NamedService, ServerStreamingService, StreamingService};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::codec::Messages;
use super::messages::{FromTaskManager, FromWorker, ToTaskManager, ToWorker};
use super::{BINARY, Incoming, MESSAGE_MAX, TASK_MANAGER, VERSION, VERSION_HEADER, WORKER};

/// The way to somebody who has called. Dropping the last one ends the call.
pub(crate) type Outgoing<T> = UnboundedSender<T>;

/// Who is called.
pub(crate) trait Host: Send + Sync + 'static {
    /// A TaskManager has called. Returns when it is lost.
    fn task_manager(
        self: Arc<Self>,
        incoming: Incoming<FromTaskManager>,
        outgoing: Outgoing<ToTaskManager>,
    ) -> impl Future<Output = ()> + Send;

    /// A worker has called. Returns when it is lost.
    fn worker(
        self: Arc<Self>,
        incoming: Incoming<FromWorker>,
        outgoing: Outgoing<ToWorker>,
    ) -> impl Future<Output = ()> + Send;

    /// The job binary with this SHA-256, in pieces.
    fn binary(
        self: Arc<Self>,
        sha256: String,
    ) -> impl Future<Output = Result<BoxStream<Vec<u8>>, Status>> + Send;

    /// How long nothing may come from a caller until he is lost.
    fn heartbeat_timeout(&self) -> Duration;
}

/// Answers calls on `listener` for ever.
///
/// # Errors
/// If the listener fails.
pub(crate) async fn serve<H: Host>(listener: TcpListener, host: Arc<H>) -> Result<(), String> {
    Server::builder()
        .tcp_nodelay(true)
        .add_service(JobManagerService { host })
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await
        .map_err(|error| format!("the JobManager does not listen any more: {error}"))
}

struct JobManagerService<H> {
    host: Arc<H>,
}

impl<H> Clone for JobManagerService<H> {
    fn clone(&self) -> Self {
        Self { host: self.host.clone() }
    }
}

impl<H> NamedService for JobManagerService<H> {
    const NAME: &'static str = "flott.cluster.v1.JobManager";
}

impl<H: Host> Service<HttpRequest<Body>> for JobManagerService<H> {
    type Response = HttpResponse<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        let host = self.host.clone();
        Box::pin(async move {
            if let Err(status) = check_version(request.headers()) {
                return Ok(status.into_http());
            }
            let path = request.uri().path().to_owned();
            Ok(match path.as_str() {
                TASK_MANAGER => {
                    let timeout = host.heartbeat_timeout();
                    let answer: Answer<_, _> =
                        Box::new(move |i, o| Box::pin(host.clone().task_manager(i, o)));
                    Conversation { answer, timeout }.hold(request).await
                }
                WORKER => {
                    let timeout = host.heartbeat_timeout();
                    let answer: Answer<_, _> =
                        Box::new(move |i, o| Box::pin(host.clone().worker(i, o)));
                    Conversation { answer, timeout }.hold(request).await
                }
                BINARY => Grpc::new(Messages::new()).server_streaming(Binary(host), request).await,
                path => Status::unimplemented(format!("no call {path}")).into_http(),
            })
        })
    }
}

fn check_version(headers: &HeaderMap) -> Result<(), Status> {
    let version = headers.get(VERSION_HEADER).and_then(|version| version.to_str().ok());
    if version == Some(VERSION) {
        return Ok(());
    }
    Err(Status::failed_precondition(format!(
        "this is Flott {}, the JobManager is Flott {VERSION}: all processes of a cluster and its \
         job binaries must be of the same version",
        version.unwrap_or("of an unknown version")
    )))
}

/// What becomes of a long call: it ends when the caller is lost.
type Answer<In, Out> = Box<dyn FnMut(Incoming<In>, Outgoing<Out>) -> Answering + Send>;
type Answering = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A long call.
struct Conversation<In, Out> {
    answer: Answer<In, Out>,
    timeout: Duration,
}

impl<In, Out> Conversation<In, Out>
where
    In: DeserializeOwned + Send + 'static,
    Out: Serialize + Send + 'static,
{
    async fn hold(self, request: HttpRequest<Body>) -> HttpResponse<Body> {
        let grpc = Grpc::new(Messages::<Out, In>::new());
        grpc.max_decoding_message_size(MESSAGE_MAX).streaming(self, request).await
    }
}

impl<In: Send + 'static, Out: Send + 'static> StreamingService<In> for Conversation<In, Out> {
    type Response = Out;
    type ResponseStream = BoxStream<Out>;
    type Future = Ready<Result<Response<BoxStream<Out>>, Status>>;

    fn call(&mut self, request: Request<Streaming<In>>) -> Self::Future {
        let (outgoing, receiver) = unbounded_channel();
        let incoming = Incoming::new(request.into_inner(), self.timeout);
        tokio::spawn((self.answer)(incoming, outgoing));
        let outgoing: BoxStream<Out> = Box::pin(UnboundedReceiverStream::new(receiver).map(Ok));
        std::future::ready(Ok(Response::new(outgoing)))
    }
}

struct Binary<H>(Arc<H>);

impl<H: Host> ServerStreamingService<String> for Binary<H> {
    type Response = Vec<u8>;
    type ResponseStream = BoxStream<Vec<u8>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let host = self.0.clone();
        Box::pin(async move { host.binary(request.into_inner()).await.map(Response::new) })
    }
}
