//! How the processes of a cluster talk: gRPC, with two long calls and a short one.
//!
//! A TaskManager opens a call to the JobManager that lasts as long as it belongs to the cluster; so
//! does a worker for its job. Both sides send [`messages`] on it, and heartbeats; a call that ends, or
//! on which nothing comes for too long, means that the other is lost. Binaries are fetched by a call
//! of their own.
//!
//! Messages are encoded as records are, so both sides must be of the same [`VERSION`]: that is
//! checked before the first one is read.

mod client;
mod codec;
pub(crate) mod messages;
mod server;

use std::time::Duration;

use flott_core::{Error, ErrorKind};
use tokio_stream::StreamExt as _;
use tonic::{Code, Status, Streaming};

pub(crate) use client::Client;
pub(crate) use server::{Host, Outgoing, serve};

/// What both sides must be of: the version of Flott, and of the protocol.
pub(crate) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (protocol 3)");

/// The header of a call that says which version the caller is of.
const VERSION_HEADER: &str = "flott-version";

const TASK_MANAGER: &str = "/flott.cluster.v1.JobManager/TaskManager";
const WORKER: &str = "/flott.cluster.v1.JobManager/Worker";
const BINARY: &str = "/flott.cluster.v1.JobManager/Binary";

/// The largest message: state that is kept in the metadata travels in one.
const MESSAGE_MAX: usize = 1 << 30;

/// What the other side says, in order.
pub(crate) struct Incoming<T> {
    stream: Streaming<T>,
    timeout: Duration,
}

impl<T> Incoming<T> {
    fn new(stream: Streaming<T>, timeout: Duration) -> Self {
        Self { stream, timeout }
    }

    /// The next message.
    ///
    /// # Errors
    /// If the call has ended, or nothing has come for longer than the time-out of heartbeats.
    pub(crate) async fn next(&mut self) -> Result<T, String> {
        match tokio::time::timeout(self.timeout, self.stream.next()).await {
            Ok(Some(Ok(message))) => Ok(message),
            Ok(Some(Err(status))) => Err(format!("the connection broke: {}", message(&status))),
            Ok(None) => Err("the connection was closed".into()),
            Err(_) => Err(format!(
                "nothing was heard of it for {} s (heartbeat.timeout)",
                self.timeout.as_secs_f64()
            )),
        }
    }
}

/// What a call ended with, for people.
fn message(status: &Status) -> String {
    if status.message().is_empty() { status.code().to_string() } else { status.message().into() }
}

fn failed(what: &str, status: &Status) -> Error {
    let is_final = matches!(status.code(), Code::FailedPrecondition | Code::NotFound);
    let kind = if is_final { ErrorKind::InvalidInput } else { ErrorKind::Io };
    Error::new(kind, format!("{what}: {}", message(status)))
}
