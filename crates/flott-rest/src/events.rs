//! What happens to jobs and TaskManagers, for who listens: it is seen by looking once a second, and told to all at once.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use flott_checkpoint::coordinator::{CheckpointStats, CheckpointStatus, Trigger};
use flott_control::view::{ClusterView, JobView};
use flott_control::{ExceptionEntry, JobStatus};
use flott_core::{AttemptNumber, CheckpointId, JobId, WallTime};
use futures_util::{Stream, stream};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How many listen at once: each has a connection to himself, of which there are not many.
const LISTENERS_MAX: usize = 8;

/// A listener that is so many events behind misses some, and is told so.
const BACKLOG: usize = 1024;

/// If nothing happens for so long, that is said: or else nobody knows whether the other side is still there.
const SILENCE: Duration = Duration::from_secs(15);

/// What happens.
#[derive(Clone)]
pub(crate) struct Events {
    sender: broadcast::Sender<Event>,
    known: Arc<Mutex<Known>>,
    places: Arc<Semaphore>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            sender: broadcast::channel(BACKLOG).0,
            known: Arc::default(),
            places: Arc::new(Semaphore::new(LISTENERS_MAX)),
        }
    }
}

/// Something that has happened: its kind, and a JSON object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) kind: &'static str,
    pub(crate) data: Value,
}

impl Event {
    fn new(kind: &'static str, data: &impl Serialize) -> Self {
        // Structs with text keys: there is nothing that JSON could not say.
        Self { kind, data: serde_json::to_value(data).unwrap_or_default() }
    }

    /// As a stream of events has it.
    fn text(&self) -> String {
        format!("event: {}\ndata: {}\n\n", self.kind, self.data)
    }
}

impl Events {
    /// Tells what has happened since the last time, and returns it. The first time only takes note.
    pub(crate) fn look(&self, view: &ClusterView) -> Vec<Event> {
        let events = self.known.lock().unwrap_or_else(PoisonError::into_inner).update(view);
        for event in &events {
            // Perhaps nobody listens.
            let _ = self.sender.send(event.clone());
        }
        events
    }

    /// The jobs as they are now, and then what happens, without end; nothing if too many listen.
    pub(crate) fn listen(&self, view: &ClusterView) -> Option<Body> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        // Before it is looked at: what happens meanwhile is told, too.
        let receiver = self.sender.subscribe();
        let jobs: Vec<JobEvent> = view.jobs.iter().map(|job| JobEvent::of(job)).collect();
        let first = Event::new("jobs", &json!({ "jobs": jobs }));
        Some(Body::from_stream(told(place, receiver, first.text())))
    }
}

fn told(
    place: OwnedSemaphorePermit,
    receiver: Receiver<Event>,
    first: String,
) -> impl Stream<Item = Result<String, Infallible>> {
    stream::unfold((place, receiver, Some(first)), async |(place, mut receiver, first)| {
        if let Some(first) = first {
            return Some((Ok(first), (place, receiver, None)));
        }
        let text = match timeout(SILENCE, receiver.recv()).await {
            Ok(Ok(event)) => event.text(),
            Ok(Err(RecvError::Lagged(events))) => {
                Event::new("lost", &json!({ "events": events })).text()
            }
            Ok(Err(RecvError::Closed)) => return None,
            Err(_) => ": nothing new\n\n".to_owned(),
        };
        Some((Ok(text), (place, receiver, None)))
    })
}

/// What has been told.
#[derive(Default)]
struct Known {
    jobs: BTreeMap<JobId, KnownJob>,
    task_managers: BTreeSet<String>,
    has_looked: bool,
}

#[derive(Default)]
struct KnownJob {
    status: Option<JobStatus>,
    /// Those of its history that are over.
    over: BTreeSet<CheckpointId>,
    /// Its newest failure.
    failure: Option<(WallTime, AttemptNumber)>,
}

impl Known {
    fn update(&mut self, view: &ClusterView) -> Vec<Event> {
        let mut events = Vec::new();
        // The oldest first.
        for job in view.jobs.iter().rev() {
            let known = self.jobs.entry(job.description.job).or_default();
            known.update(job, &mut events);
        }
        let jobs: BTreeSet<JobId> = view.jobs.iter().map(|job| job.description.job).collect();
        self.jobs.retain(|job, _| jobs.contains(job));
        let names = view.task_managers.iter().flatten().map(|own| own.name.clone());
        let names: BTreeSet<String> = names.collect();
        let task_manager = |id: &String, state| {
            Event::new(
                "taskmanager",
                &json!({ "id": id, "state": state, "timestamp": view.now.wall.0 }),
            )
        };
        events
            .extend(names.difference(&self.task_managers).map(|id| task_manager(id, "REGISTERED")));
        events.extend(self.task_managers.difference(&names).map(|id| task_manager(id, "LOST")));
        self.task_managers = names;
        if std::mem::replace(&mut self.has_looked, true) { events } else { Vec::new() }
    }
}

impl KnownJob {
    fn update(&mut self, job: &JobView, events: &mut Vec<Event>) {
        let failed = job.exceptions.entries();
        let is_new = |entry: &&ExceptionEntry| {
            self.failure.is_none_or(|known| known < (entry.at, entry.attempt))
        };
        let new: Vec<_> = failed.take_while(is_new).collect();
        events.extend(new.iter().rev().map(|entry| Event::new("exception", &failure(job, entry))));
        self.failure = new.first().map(|entry| (entry.at, entry.attempt)).or(self.failure);
        if self.status != Some(job.status) {
            self.status = Some(job.status);
            events.push(Event::new("job", &JobEvent::of(job)));
        }
        let over = job.checkpoints.history.iter().rev();
        let over = over.filter(|own| own.status != CheckpointStatus::InProgress);
        let over: Vec<&CheckpointStats> = over.collect();
        let new = over.iter().filter(|own| !self.over.contains(&own.checkpoint));
        events.extend(new.map(|own| Event::new("checkpoint", &CheckpointEvent::of(job, own))));
        self.over = over.iter().map(|own| own.checkpoint).collect();
    }
}

/// A job has another status. Names are Flink's where it has them.
#[derive(Serialize)]
struct JobEvent {
    jid: String,
    name: String,
    state: String,
    timestamp: i64,
    restarts: u64,
}

impl JobEvent {
    fn of(job: &JobView) -> Self {
        Self {
            jid: job.description.job.to_string(),
            name: job.description.name.clone(),
            state: job.status.to_string(),
            timestamp: job.timestamps.get(&job.status).map_or(0, |at| at.0),
            restarts: job.num_restarts,
        }
    }
}

/// A checkpoint or savepoint is complete, or has failed.
#[derive(Serialize)]
struct CheckpointEvent {
    jid: String,
    id: u64,
    status: &'static str,
    is_savepoint: bool,
    trigger_timestamp: i64,
    end_to_end_duration: u64,
    state_size: u64,
    checkpointed_size: u64,
    external_path: Option<String>,
    failure_message: Option<String>,
}

impl CheckpointEvent {
    fn of(job: &JobView, stats: &CheckpointStats) -> Self {
        let (status, failure_message) = match &stats.status {
            CheckpointStatus::InProgress => ("IN_PROGRESS", None),
            CheckpointStatus::Completed => ("COMPLETED", None),
            CheckpointStatus::Failed { reason, message, .. } => {
                ("FAILED", Some(format!("{reason} {message}")))
            }
        };
        Self {
            jid: job.description.job.to_string(),
            id: stats.checkpoint.0,
            status,
            is_savepoint: stats.trigger == Trigger::Savepoint,
            trigger_timestamp: stats.triggered_at.0,
            end_to_end_duration: u64::try_from(stats.duration.as_millis()).unwrap_or(u64::MAX),
            state_size: stats.state_bytes,
            checkpointed_size: stats.checkpointed_bytes,
            external_path: job.locations.get(&stats.checkpoint).cloned(),
            failure_message,
        }
    }
}

fn failure(job: &JobView, entry: &ExceptionEntry) -> Value {
    json!({
        "jid": job.description.job.to_string(),
        "timestamp": entry.at.0,
        "taskName": entry.task_name,
        "message": entry.failure.message,
    })
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;
    use crate::testing;

    fn kinds(events: &[Event]) -> Vec<(&str, String)> {
        let what = |data: &Value| {
            let name = ["state", "status", "message"].iter().find_map(|name| data[*name].as_str());
            name.unwrap_or_default().to_owned()
        };
        events.iter().map(|event| (event.kind, what(&event.data))).collect()
    }

    #[test]
    fn what_has_changed_since_the_last_look_is_told_once() {
        let (mut known, view) = (Known::default(), testing::view());
        assert_eq!(known.update(&view), [], "what was there before has not happened");
        assert_eq!(known.update(&view), []);

        let mut known = Known { has_looked: true, ..Known::default() };
        let events = known.update(&view);
        let [("exception", _), ("job", job), rest @ ..] = &kinds(&events)[..] else {
            panic!("{events:?}")
        };
        assert_eq!(job, "RUNNING");
        let rest: Vec<&str> = rest.iter().map(|(_, status)| status.as_str()).collect();
        assert_eq!(rest, ["COMPLETED", "FAILED", "FAILED"], "the oldest first");
        let failed = events.iter().find(|event| event.data["status"] == "FAILED").unwrap();
        let message = failed.data["failure_message"].as_str().unwrap();
        assert!(message.contains("the disk is full"), "{message}");
        assert_eq!(known.update(&view), []);

        let none = ClusterView { jobs: Vec::new(), ..view };
        assert_eq!(known.update(&none), []);
        assert!(known.jobs.is_empty(), "what is gone is forgotten");
    }

    #[test]
    fn who_listens_hears_of_all_jobs_first_and_there_are_only_so_many_places() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (events, view) = (Events::default(), testing::view());
        events.look(&ClusterView { jobs: Vec::new(), ..view.clone() });
        runtime.block_on(async {
            let mut heard = events.listen(&view).unwrap().into_data_stream();
            let first = heard.next().await.unwrap().unwrap();
            let first = String::from_utf8(first.to_vec()).unwrap();
            assert!(first.starts_with("event: jobs\ndata: {\"jobs\":[{\"jid\":\""), "{first}");
            events.look(&view);
            let next = heard.next().await.unwrap().unwrap();
            assert!(next.starts_with(b"event: exception\n"), "{next:?}");
            let others: Vec<Body> =
                (1..LISTENERS_MAX).map(|_| events.listen(&view).unwrap()).collect();
            assert!(events.listen(&view).is_none());
            drop(others);
            assert!(events.listen(&view).is_some());
        });
    }
}
