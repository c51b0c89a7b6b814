//! The routes for job binaries and what runs them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::multipart::{Field, MultipartRejection};
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Multipart, Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::{delete, get, post};
use flott_control::actions::{Binary, Submission, Submissions};
use flott_core::{Error, ErrorKind, Result};
use tokio::time::{Instant, timeout};

use super::act::parse_body;
use super::{HANDLER_EXCEPTION, error, json, unresolved};
use crate::dto::binaries::{JarListInfo, JarRunRequest, JarRunResponse, JarUploadResponse};
use crate::dto::plan::JobPlanInfo;
use crate::guard::BODY_BYTES_MAX;
use crate::table::Table;
use crate::tokens::Role::{Deployer, Viewer};

/// The field of an upload that has the binary.
const FIELD: &str = "jarfile";

/// How long the next piece of an upload may take.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);

/// How much of an upload that has failed is taken in all the same.
const PASSED_OVER_MAX: u64 = 4 << 30;

/// How fast an upload must be, once it has taken as long as that.
const BYTES_PER_SECOND_MIN: u64 = 8 * 1024;

type Host = Arc<dyn Submissions>;
type Parameters = std::result::Result<Query<Vec<(String, String)>>, QueryRejection>;

pub(super) fn routes(host: Host) -> Table {
    let limit = DefaultBodyLimit::max(BODY_BYTES_MAX as usize);
    // The host says when it is too much.
    let upload = post(upload).layer(DefaultBodyLimit::disable());
    Table::new()
        .look("/jars", Viewer, get(list))
        .flink(Method::DELETE, "/jars/{jarid}", Deployer, delete(forget))
        // To get a plan, the binary is run.
        .look("/jars/{jarid}/plan", Deployer, get(plan))
        .flink(Method::POST, "/jars/{jarid}/plan", Deployer, post(plan))
        .flink(Method::POST, "/jars/{jarid}/run", Deployer, post(run))
        .map(|router| router.layer(limit))
        .flink(Method::POST, "/jars/upload", Deployer, upload)
        .with_state(host)
}

async fn list(State(host): State<Host>, headers: HeaderMap) -> Response {
    let name = headers.get(header::HOST).and_then(|name| name.to_str().ok()).unwrap_or_default();
    json(&JarListInfo::of(name, host.binaries()))
}

async fn upload(
    State(host): State<Host>,
    form: std::result::Result<Multipart, MultipartRejection>,
) -> Response {
    let Ok(mut form) = form else { return refused("exactly one file must be sent, as a form") };
    match timeout(PIECE_TIMEOUT, form.next_field()).await {
        Ok(Ok(Some(field))) if field.name() == Some(FIELD) => match take_in(host, field).await {
            Ok(binary) => json(&JarUploadResponse::of(&binary)),
            Err(failure) => failed(&failure),
        },
        Ok(Ok(_)) => refused("exactly one file must be sent, in the field \"jarfile\""),
        Ok(Err(e)) => refused(&format!("the upload was cut: {e}")),
        Err(_) => refused("the upload is too slow"),
    }
}

/// Takes in a binary. Writing to disk and asking the binary for its jobs keep others from nothing:
/// that is done on another thread.
async fn take_in(host: Host, mut field: Field<'_>) -> Result<Binary> {
    let name = field.file_name().unwrap_or_default().to_owned();
    let mut upload = elsewhere(move || host.upload(&name)).await;
    let (began, mut size) = (Instant::now(), 0);
    loop {
        let slow = || Error::invalid("the upload was too slow: somebody else may want the place");
        let piece = timeout(PIECE_TIMEOUT, field.chunk()).await.map_err(|_| slow())?;
        let piece = piece
            .map_err(|e| Error::with_source(ErrorKind::InvalidInput, "the upload was cut", e))?;
        let Some(piece) = piece else { break };
        size += piece.len() as u64;
        if upload.is_err() && size > PASSED_OVER_MAX {
            break;
        }
        if began.elapsed() > PIECE_TIMEOUT
            && size < BYTES_PER_SECOND_MIN * began.elapsed().as_secs()
        {
            return Err(slow());
        }
        // After a failure the rest is passed over: most clients listen only when all is sent.
        if let Ok(mut so_far) = upload {
            upload = elsewhere(move || so_far.write(&piece).map(|()| so_far)).await;
        }
    }
    let upload = upload?;
    elsewhere(move || upload.finish()).await
}

async fn forget(
    State(host): State<Host>,
    id: std::result::Result<Path<String>, PathRejection>,
) -> Response {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    match elsewhere(move || host.delete(&id)).await {
        Ok(()) => json(&serde_json::Map::new()),
        Err(failure) => failed(&failure),
    }
}

async fn plan(
    State(host): State<Host>,
    id: std::result::Result<Path<String>, PathRejection>,
    query: Parameters,
    body: std::result::Result<Bytes, BytesRejection>,
) -> Response {
    let planned = |host: &dyn Submissions, submission: &Submission| {
        host.plan(submission).map(|(name, graph)| json(&JobPlanInfo::of_graph(&name, &graph)))
    };
    answer(host, submission(id, query, body), planned).await
}

async fn run(
    State(host): State<Host>,
    id: std::result::Result<Path<String>, PathRejection>,
    query: Parameters,
    body: std::result::Result<Bytes, BytesRejection>,
) -> Response {
    let run = |host: &dyn Submissions, submission: &Submission| {
        host.submit(submission).map(|job| json(&JarRunResponse::of(job)))
    };
    answer(host, submission(id, query, body), run).await
}

/// What the host makes of a submission, if it is one.
async fn answer(
    host: Host,
    submission: std::result::Result<Submission, Box<Response>>,
    work: impl FnOnce(&dyn Submissions, &Submission) -> Result<Response> + Send + 'static,
) -> Response {
    match submission {
        Ok(submission) => elsewhere(move || work(&*host, &submission))
            .await
            .unwrap_or_else(|failure| failed(&failure)),
        Err(refusal) => *refusal,
    }
}

fn submission(
    id: std::result::Result<Path<String>, PathRejection>,
    query: Parameters,
    body: std::result::Result<Bytes, BytesRejection>,
) -> std::result::Result<Submission, Box<Response>> {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    let query = query.map(|Query(query)| query).unwrap_or_default();
    let request: JarRunRequest = parse_body(body, "JarRunRequestBody")?;
    request
        .submission(&id, &query)
        .map_err(|(name, value)| Box::new(unresolved(&format!("query parameter ({name})"), &value)))
}

/// Does what blocks on a thread that may.
async fn elsewhere<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| {
        Err(Error::with_source(ErrorKind::Internal, "the request was dropped", e))
    })
}

fn refused(text: &str) -> Response {
    error(StatusCode::BAD_REQUEST, format!("{HANDLER_EXCEPTION}: {text}"))
}

fn failed(failure: &Error) -> Response {
    let is_theirs = matches!(failure.kind(), ErrorKind::InvalidInput | ErrorKind::User);
    let status =
        if is_theirs { StatusCode::BAD_REQUEST } else { StatusCode::INTERNAL_SERVER_ERROR };
    error(status, failure.report())
}
