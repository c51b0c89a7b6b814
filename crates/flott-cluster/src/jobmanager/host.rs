//! What the JobManager does when it is called.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use flott_control::{Failure, PlacementInput, WorkerId};
use tokio::time::{MissedTickBehavior, interval};
use tonic::Status;
use tonic::codegen::BoxStream;
use tracing::{debug, warn};

use super::state::Shared;
use super::workers::WorkersEvent;
use crate::job::Input;
use crate::rpc::messages::{FromTaskManager, FromWorker, ToTaskManager, ToWorker};
use crate::rpc::{Host, Incoming, Outgoing};

impl Host for Shared {
    async fn task_manager(
        self: Arc<Self>,
        mut incoming: Incoming<FromTaskManager>,
        outgoing: Outgoing<ToTaskManager>,
    ) {
        let Ok(FromTaskManager::Register { info, workers }) = incoming.next().await else { return };
        let id = self.joined(info, workers, outgoing);
        let why = loop {
            match incoming.next().await {
                Ok(FromTaskManager::Heartbeat) => self.heard(id),
                Ok(FromTaskManager::Answer { number, answer }) => self.answered(number, answer),
                Ok(FromTaskManager::WorkerEnded { job, worker, status }) => {
                    let failure = Failure::new(format!("the worker process ended: {status}"));
                    let lost = PlacementInput::WorkerLost { worker, failure };
                    self.tell_job(job, WorkersEvent::Placement(lost));
                }
                Ok(FromTaskManager::Register { .. }) => {
                    break "it registers a second time".to_owned();
                }
                Err(why) => break why,
            }
        };
        self.left(id, &why);
    }

    async fn worker(
        self: Arc<Self>,
        mut incoming: Incoming<FromWorker>,
        outgoing: Outgoing<ToWorker>,
    ) {
        let first = incoming.next().await;
        let Ok(FromWorker::Register { job, worker, ticket, address, standing }) = first else {
            return;
        };
        // The job may be over.
        let Some(inputs) = self.job_of(job, ticket) else {
            debug!("A worker of job {job} has come that nobody waits for.");
            let _ = outgoing.send(ToWorker::End);
            return;
        };
        let beat = tokio::spawn(beat(outgoing.clone(), self.config.heartbeat_interval));
        let say = |event| inputs.send(Input::Workplace(event)).is_ok();
        let mut goes_on = say(WorkersEvent::Connected { worker, address, outgoing, standing });
        while goes_on {
            goes_on = match incoming.next().await {
                Ok(message) => heard(&inputs, worker, message),
                Err(why) => {
                    let failure = Failure::new(format!("the worker at {address} is lost: {why}"));
                    let lost = PlacementInput::WorkerLost { worker, failure };
                    say(WorkersEvent::Placement(lost));
                    false
                }
            };
        }
        beat.abort();
    }

    async fn binary(self: Arc<Self>, sha256: String) -> Result<BoxStream<Vec<u8>>, Status> {
        self.binaries.read(&sha256).await
    }

    fn heartbeat_timeout(&self) -> Duration {
        self.config.heartbeat_timeout
    }
}

/// Hands on what a worker says. False if nobody listens any more.
fn heard(inputs: &Sender<Input<WorkersEvent>>, worker: WorkerId, message: FromWorker) -> bool {
    let event = match message {
        FromWorker::Heartbeat | FromWorker::Register { .. } => return true,
        FromWorker::Ready => WorkersEvent::Placement(PlacementInput::WorkerReady { worker }),
        FromWorker::Refused { message, is_final } => {
            let failure = Failure { suppresses_restarts: is_final, ..Failure::new(message) };
            WorkersEvent::Placement(PlacementInput::WorkerLost { worker, failure })
        }
        FromWorker::Found { number, found } => WorkersEvent::Found { number, found },
        FromWorker::Counted { attempt, counts } => WorkersEvent::Counted { attempt, counts },
        FromWorker::Task(input) if input.is_of_tasks() => {
            return inputs.send(Input::Job(input)).is_ok();
        }
        FromWorker::Task(input) => {
            warn!("A worker says what is not for it to say: {input:?}");
            return true;
        }
    };
    inputs.send(Input::Workplace(event)).is_ok()
}

/// Says again and again that the JobManager is there.
async fn beat(outgoing: Outgoing<ToWorker>, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if outgoing.send(ToWorker::Heartbeat).is_err() {
            return;
        }
    }
}
