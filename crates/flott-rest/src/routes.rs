//! Which path answers what.

mod act;
mod own;
mod processes;
mod state;
mod submit;
#[cfg(test)]
mod tests;
mod vertices;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRef, Path, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use flott_control::view::{ClusterView, JobView};
use flott_core::{JobId, Now};
use serde::Serialize;

use crate::dto::Errors;
use crate::dto::accumulators::JobAccumulatorsInfo;
use crate::dto::checkpoints::{Checkpoint, CheckpointConfigInfo, CheckpointingStatistics};
use crate::dto::cluster::{ClusterOverview, DashboardConfiguration};
use crate::dto::exceptions::{ENTRIES_DEFAULT, JobExceptionsInfo};
use crate::dto::job::{JobConfig, JobDetailsInfo, JobExecutionResultInfo, JobStatusInfo};
use crate::dto::overview::{JobIdsWithStatus, MultipleJobsDetails};
use crate::dto::plan::JobPlanInfo;
use crate::dto::task_managers::TaskManagersInfo;
use crate::events::{Event, Events};
use crate::openapi;
use crate::rates::Rates;
use crate::server::Services;
use crate::table::Table;
use crate::tokens::Role::Viewer;

/// What is shown, asked for anew with each request.
pub(crate) type View = Arc<dyn Fn() -> ClusterView + Send + Sync>;

/// What is shown, how fast it goes, and what happens.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) view: View,
    pub(crate) rates: Rates,
    pub(crate) events: Events,
}

impl Watched {
    pub(crate) fn new(view: View) -> Self {
        Self { view, rates: Rates::default(), events: Events::default() }
    }

    /// Sees what there is, and what has happened. It is done once a second.
    pub(crate) fn look(&self) -> (ClusterView, Vec<Event>) {
        let view = (self.view)();
        self.rates.look(&view);
        let events = self.events.look(&view);
        (view, events)
    }
}

impl FromRef<Watched> for View {
    fn from_ref(watched: &Watched) -> Self {
        watched.view.clone()
    }
}

/// Every route.
pub(crate) fn table(watched: Watched, services: Services) -> Table {
    let Services { actions, submissions, processes, .. } = services;
    let mut all = reading(submissions.is_some())
        .merge(vertices::routes())
        .merge(own::routes())
        .with_state(watched.clone())
        .merge(processes::routes(processes, watched.view.clone()))
        .merge(state::routes(actions.clone()))
        .merge(act::routes(watched.view, actions));
    if let Some(submissions) = submissions {
        all = all.merge(submit::routes(submissions));
    }
    let document = openapi::document(all.entries());
    all.own(Method::GET, "/api/openapi.json", Viewer, get(async move || json(&document)))
}

/// What is shown of the cluster and its jobs.
fn reading(submits: bool) -> Table<Watched> {
    let config = get(async move || json(&DashboardConfiguration::new(submits)));
    Table::new()
        .look("/config", Viewer, config)
        .look("/overview", Viewer, cluster(ClusterOverview::of))
        .look("/jobs", Viewer, cluster(JobIdsWithStatus::of))
        .look("/jobs/overview", Viewer, cluster(MultipleJobsDetails::of))
        .look("/jobs/{jobid}", Viewer, job(JobDetailsInfo::of))
        .look("/jobs/{jobid}/status", Viewer, job(JobStatusInfo::of))
        .look("/jobs/{jobid}/execution-result", Viewer, job(JobExecutionResultInfo::of))
        .look("/jobs/{jobid}/accumulators", Viewer, get(accumulators))
        .look("/jobs/{jobid}/plan", Viewer, job(JobPlanInfo::of))
        .look("/jobs/{jobid}/config", Viewer, job(JobConfig::of))
        .look("/jobs/{jobid}/exceptions", Viewer, get(exceptions))
        .look("/jobs/{jobid}/checkpoints", Viewer, job(CheckpointingStatistics::of))
        .look("/jobs/{jobid}/checkpoints/config", Viewer, job(CheckpointConfigInfo::of))
        .look("/jobs/{jobid}/checkpoints/details/{id}", Viewer, get(details))
        .look("/taskmanagers", Viewer, cluster(TaskManagersInfo::of))
}

/// An answer about the cluster.
fn cluster<T: Serialize + 'static>(answer: fn(&ClusterView) -> T) -> MethodRouter<Watched> {
    get(async move |State(view): State<View>| json(&answer(&view())))
}

/// An answer about the job that the path names.
fn job<T: Serialize + 'static>(answer: fn(Now, &JobView) -> T) -> MethodRouter<Watched> {
    get(async move |State(view): State<View>, id: Result<Path<String>, PathRejection>| {
        let view = view();
        match find(&view, id.as_ref().map_or("", |Path(id)| id)) {
            Ok(job) => json(&answer(view.now, job)),
            Err(refusal) => *refusal,
        }
    })
}

async fn exceptions(
    State(view): State<View>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Response {
    let mut parameters = uri.query().unwrap_or_default().split('&');
    let count = match parameters.find_map(|parameter| parameter.strip_prefix("maxExceptions=")) {
        None => ENTRIES_DEFAULT,
        Some(text) => match text.parse() {
            Ok(count) => count,
            Err(_) => return unresolved("query parameter (maxExceptions)", text),
        },
    };
    match find(&view(), id.as_ref().map_or("", |Path(id)| id)) {
        Ok(job) => json(&JobExceptionsInfo::of(job, count)),
        Err(refusal) => *refusal,
    }
}

async fn accumulators(
    State(view): State<View>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Response {
    let mut parameters = uri.query().unwrap_or_default().split('&');
    let with_serialized = parameters.any(|parameter| parameter == "includeSerializedValue=true");
    match find(&view(), id.as_ref().map_or("", |Path(id)| id)) {
        Ok(job) => json(&JobAccumulatorsInfo::of(job, with_serialized)),
        Err(refusal) => *refusal,
    }
}

async fn details(
    State(view): State<View>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Response {
    let (job, checkpoint) = path.as_ref().map_or(("", ""), |Path((job, id))| (job, id));
    let Ok(id) = checkpoint.parse() else {
        return unresolved("path parameter (checkpointid)", checkpoint);
    };
    match find(&view(), job).map(|job| Checkpoint::details(job, id)) {
        Ok(Some(details)) => json(&details),
        Ok(None) => *vertices::no_checkpoint(id),
        Err(refusal) => *refusal,
    }
}

/// Flink looks among its static files for everything that it does not know.
pub(crate) async fn unknown(uri: Uri) -> Response {
    error(StatusCode::NOT_FOUND, format!("Unable to load requested file {}.", uri.path()))
}

pub(crate) async fn wrong_method(method: Method, uri: Uri) -> Response {
    error(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}.", uri.path()))
}

/// What Flink's texts begin with; scripts look for them.
const HANDLER_EXCEPTION: &str = "org.apache.flink.runtime.rest.handler.RestHandlerException";
const NOT_FOUND_EXCEPTION: &str = "org.apache.flink.runtime.rest.NotFoundException";

fn find<'a>(view: &'a ClusterView, id: &str) -> Result<&'a JobView, Box<Response>> {
    let job = job_id(id)?;
    let found = view.jobs.iter().find(|other| other.description.job == job);
    found.map(|job| &**job).ok_or_else(|| {
        let text = format!("{NOT_FOUND_EXCEPTION}: Job {job} not found");
        Box::new(error(StatusCode::NOT_FOUND, text))
    })
}

fn job_id(id: &str) -> Result<JobId, Box<Response>> {
    id.parse().map_err(|_| Box::new(unresolved("path parameter (jobid)", id)))
}

fn unresolved(parameter: &str, value: &str) -> Response {
    let text = format!(
        "{HANDLER_EXCEPTION}: Bad request, could not parse parameters: Cannot resolve {parameter} \
         from value \"{value}\"."
    );
    error(StatusCode::BAD_REQUEST, text)
}

/// An error, in Flink's form.
pub(crate) fn error(status: StatusCode, text: impl Into<String>) -> Response {
    let mut response = json(&Errors { errors: vec![text.into()] });
    *response.status_mut() = status;
    response
}

/// An answer that says that something has begun.
fn accepted(answer: &impl Serialize) -> Response {
    let mut response = json(answer);
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

/// An answer, in JSON.
pub(crate) fn json(answer: &impl Serialize) -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=UTF-8");
    let (status, body) = match serde_json::to_vec(answer) {
        Ok(body) => (StatusCode::OK, body),
        // The answers are structs with text keys: there is nothing that JSON could not say.
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Vec::new()),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}
