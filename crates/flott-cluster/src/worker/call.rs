//! A worker's call to the JobManager, on a thread of its own: what is said there comes as events.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Builder;
use std::time::Duration;

use flott_control::StandingSummary;
use flott_core::{Error, ErrorKind, Result};
use tokio::time::{MissedTickBehavior, interval};

use super::WorkerSpec;
use crate::prepare::configuration;
use crate::rpc::messages::{FromWorker, ToWorker};
use crate::rpc::{Client, Outgoing};
use crate::storage::Stores;

/// What comes over the call.
pub(super) enum Event {
    Said(ToWorker),
    /// The JobManager is lost.
    Lost(String),
}

/// A call that lasts as long as the worker does, or the JobManager.
pub(super) struct Call {
    outgoing: Outgoing<FromWorker>,
    events: Receiver<Event>,
}

impl Call {
    /// Calls the JobManager that leads, and says who this is, and what it runs for another one.
    pub(super) fn start(
        spec: &WorkerSpec,
        address: SocketAddr,
        standing: Option<StandingSummary>,
    ) -> Result<Self> {
        let (events, receiver) = channel();
        let (answer, answered) = channel();
        let WorkerSpec { job, worker, ticket, .. } = *spec;
        let first = FromWorker::Register { job, worker, ticket, address, standing };
        let spec = spec.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::with_source(ErrorKind::Io, "a worker's runtime", e))?;
        Builder::new()
            .name("jobmanager-call".into())
            .spawn(move || runtime.block_on(converse(&spec, first, &answer, &events)))
            .map_err(|e| Error::with_source(ErrorKind::Io, "a worker's thread", e))?;
        let outgoing = answered.recv().map_err(|_| Error::internal("nobody calls"))??;
        Ok(Self { outgoing, events: receiver })
    }

    /// What is to be sent. What cannot be sent any more is nobody's business.
    pub(super) fn outgoing(&self) -> Outgoing<FromWorker> {
        self.outgoing.clone()
    }

    /// Waits for what is said next.
    pub(super) fn next(&self) -> Result<ToWorker> {
        match self.events.recv() {
            Ok(Event::Said(message)) => Ok(message),
            Ok(Event::Lost(why)) => Err(lost(&why)),
            Err(_) => Err(lost("nobody listens any more")),
        }
    }

    /// Waits for what is said next, so long.
    pub(super) fn next_within(&self, wait: Duration) -> Result<Option<ToWorker>> {
        match self.events.recv_timeout(wait) {
            Ok(Event::Said(message)) => Ok(Some(message)),
            Ok(Event::Lost(why)) => Err(lost(&why)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(lost("nobody listens any more")),
        }
    }

    /// Says that this worker is of no use, and waits until that is heard.
    pub(super) fn refuse(&self, error: &Error) {
        let is_final = error.kind() == ErrorKind::InvalidInput;
        let message = error.report();
        let _ = self.outgoing.send(FromWorker::Refused { message, is_final });
        while let Ok(Event::Said(message)) = self.events.recv() {
            if matches!(message, ToWorker::End) {
                return;
            }
        }
    }
}

fn lost(why: &str) -> Error {
    Error::new(ErrorKind::Io, format!("the JobManager is lost: {why}"))
}

async fn converse(
    spec: &WorkerSpec,
    first: FromWorker,
    answer: &Sender<Result<Outgoing<FromWorker>>>,
    events: &Sender<Event>,
) {
    let called = async {
        let stores = Stores::new(&configuration(&spec.settings)?);
        let jobmanager = spec.jobmanager.current(&stores).await;
        Client::connect(&jobmanager).await?.worker(spec.heartbeat_timeout, first).await
    };
    let (mut incoming, outgoing) = match called.await {
        Ok((incoming, outgoing)) => {
            let _ = answer.send(Ok(outgoing.clone()));
            (incoming, outgoing)
        }
        Err(error) => return drop(answer.send(Err(error))),
    };
    let mut heartbeat = interval(spec.heartbeat_interval);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut listen = async || {
        loop {
            match incoming.next().await {
                Ok(ToWorker::Heartbeat) => {}
                Ok(message) => {
                    // Nobody listens any more: the worker ends.
                    if events.send(Event::Said(message)).is_err() {
                        return;
                    }
                }
                Err(why) => return drop(events.send(Event::Lost(why))),
            }
        }
    };
    let beat = async {
        loop {
            heartbeat.tick().await;
            if outgoing.send(FromWorker::Heartbeat).is_err() {
                return std::future::pending().await;
            }
        }
    };
    tokio::select! {
        () = listen() => {}
        () = beat => {}
    }
}
