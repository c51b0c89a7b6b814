//! The side of TaskManagers and workers.

use std::time::Duration;

use flott_core::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::unbounded_channel;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

use super::codec::Messages;
use super::messages::{FromTaskManager, FromWorker, ToTaskManager, ToWorker};
use super::{
    BINARY, Incoming, MESSAGE_MAX, Outgoing, TASK_MANAGER, VERSION, VERSION_HEADER, WORKER, failed,
};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Calls a JobManager.
#[derive(Clone)]
pub(crate) struct Client {
    address: String,
    grpc: Grpc<Channel>,
}

impl Client {
    /// Connects to the JobManager at `address`, a host and a port.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub(crate) async fn connect(address: &str) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|e| {
            let what = format!("\"{address}\" is no address: expected HOST:PORT");
            Error::with_source(ErrorKind::InvalidInput, what, e)
        })?;
        let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true);
        let channel = endpoint.connect().await.map_err(|e| {
            Error::with_source(
                ErrorKind::Io,
                format!("cannot reach the JobManager at {address}"),
                e,
            )
        })?;
        let grpc = Grpc::new(channel).max_decoding_message_size(MESSAGE_MAX);
        Ok(Self { address: address.to_owned(), grpc })
    }

    /// Makes the call of a TaskManager. Whatever is sent before it is answered is sent with it.
    ///
    /// # Errors
    /// If the JobManager refuses.
    pub(crate) async fn task_manager(
        &mut self,
        timeout: Duration,
        first: FromTaskManager,
    ) -> Result<(Incoming<ToTaskManager>, Outgoing<FromTaskManager>)> {
        self.converse(TASK_MANAGER, timeout, first).await
    }

    /// Makes the call of a worker.
    ///
    /// # Errors
    /// If the JobManager refuses.
    pub(crate) async fn worker(
        &mut self,
        timeout: Duration,
        first: FromWorker,
    ) -> Result<(Incoming<ToWorker>, Outgoing<FromWorker>)> {
        self.converse(WORKER, timeout, first).await
    }

    /// Fetches a job binary, in pieces.
    ///
    /// # Errors
    /// If the JobManager does not have it.
    pub(crate) async fn binary(&mut self, sha256: &str) -> Result<Streaming<Vec<u8>>> {
        self.ready().await?;
        let request = request(sha256.to_owned());
        let path = PathAndQuery::from_static(BINARY);
        let answer = self.grpc.server_streaming(request, path, Messages::new()).await;
        let answer = answer.map_err(|status| failed("a job binary cannot be fetched", &status))?;
        Ok(answer.into_inner())
    }

    async fn converse<Out, In>(
        &mut self,
        path: &'static str,
        timeout: Duration,
        first: Out,
    ) -> Result<(Incoming<In>, Outgoing<Out>)>
    where
        Out: Serialize + Send + Sync + 'static,
        In: DeserializeOwned + Send + Sync + 'static,
    {
        self.ready().await?;
        let (outgoing, receiver) = unbounded_channel();
        // The receiver is here.
        let _ = outgoing.send(first);
        let request = request(UnboundedReceiverStream::new(receiver));
        let path = PathAndQuery::from_static(path);
        let call = self.grpc.streaming(request, path, Messages::new());
        let answer = tokio::time::timeout(timeout, call).await.unwrap_or_else(|_| {
            Err(Status::deadline_exceeded("it does not answer (heartbeat.timeout)"))
        });
        let answer = answer.map_err(|status| {
            failed(&format!("the JobManager at {} refuses", self.address), &status)
        })?;
        Ok((Incoming::new(answer.into_inner(), timeout), outgoing))
    }

    async fn ready(&mut self) -> Result<()> {
        self.grpc.ready().await.map_err(|e| {
            let what = format!("cannot reach the JobManager at {}", self.address);
            Error::with_source(ErrorKind::Io, what, e)
        })
    }
}

fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(VERSION_HEADER, MetadataValue::from_static(VERSION));
    request
}
