//! What is asked about the processes of a cluster.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use flott_control::processes::{Answer, Load, LogFile, ProcessName, Processes, Question};
use flott_core::{Error, ErrorKind};

use super::vertices::{chosen, combined, given, list};
use super::{NOT_FOUND_EXCEPTION, View, error, json};
use crate::dto::metrics::{Metrics, of_cluster};
use crate::dto::processes::{ConfigEntry, EnvironmentInfo, LogList, ThreadDump, metrics};
use crate::dto::task_managers::TaskManagerDetails;
use crate::prometheus::{self, Process};
use crate::table::Table;
use crate::tokens::Role::{Admin, Viewer};

/// How much of a log is answered: its end.
const LOG_BYTES: u64 = 1 << 20;

type Host = Arc<dyn Processes>;
type Refusal = Box<Response>;
pub(super) type Parameters = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// Options and logs are for those who look after the cluster: programs write into logs whatever they like.
pub(super) fn routes(processes: Host, view: View) -> Table {
    let mut table = Table::new()
        .own(Method::GET, "/metrics", Viewer, all_metrics(view.clone()))
        .look("/jobmanager/config", Admin, get(config))
        .look("/jobs/{jobid}/jobmanager/config", Admin, get(config))
        .look("/jobmanager/environment", Viewer, get(environment))
        .look("/jobs/{jobid}/jobmanager/environment", Viewer, get(environment))
        .look("/jobmanager/metrics", Viewer, cluster_metrics(view.clone()))
        .look("/taskmanagers/metrics", Viewer, all_loads(view.clone()))
        .look("/taskmanagers/{taskmanagerid}", Viewer, details(view))
        .look("/taskmanagers/{taskmanagerid}/metrics", Viewer, get(load));
    for process in ["/jobmanager", "/taskmanagers/{taskmanagerid}"] {
        table = table
            .look(&format!("{process}/logs"), Admin, get(logs))
            .look(&format!("{process}/logs/{{name}}"), Admin, get(log))
            .look(&format!("{process}/log"), Admin, get(main_log))
            .look(&format!("{process}/stdout"), Admin, get(output))
            .look(&format!("{process}/thread-dump"), Admin, get(threads));
    }
    table.with_state(processes)
}

async fn config(State(host): State<Host>) -> Response {
    json(&ConfigEntry::all_of(host.options()))
}

async fn environment() -> Response {
    json(&EnvironmentInfo::new())
}

/// The parameters of a path that may name a TaskManager.
type Named = Result<Path<Vec<(String, String)>>, PathRejection>;

fn parameter(path: &Named, name: &str) -> Option<String> {
    let Ok(Path(parameters)) = path else { return None };
    parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
}

/// The process that a path names, which is the JobManager if it names none.
fn process(path: &Named) -> Result<ProcessName, Refusal> {
    match path {
        Ok(_) => {
            let name = parameter(path, "taskmanagerid");
            Ok(name.map_or(ProcessName::JobManager, ProcessName::TaskManager))
        }
        Err(PathRejection::MissingPathParams(_)) => Ok(ProcessName::JobManager),
        // A name that is no text is not that of nobody.
        Err(_) => {
            let text = format!("{NOT_FOUND_EXCEPTION}: No process is called like that");
            Err(Box::new(error(StatusCode::NOT_FOUND, text)))
        }
    }
}

/// Asks the process that a path names.
async fn ask_named(host: Host, path: &Named, question: Question) -> Result<Answer, Refusal> {
    ask(host, process(path)?, question).await
}

/// Asks a process, on a thread that may wait.
async fn ask(host: Host, process: ProcessName, question: Question) -> Result<Answer, Refusal> {
    let asked = tokio::task::spawn_blocking(move || host.ask(&process, question)).await;
    match asked {
        Ok(answer) => answer.map_err(|failure| Box::new(refused(&failure))),
        Err(_) => Err(Box::new(unexpected())),
    }
}

fn refused(failure: &Error) -> Response {
    let is_missing = failure.kind() == ErrorKind::InvalidInput;
    let status = if is_missing { StatusCode::NOT_FOUND } else { StatusCode::INTERNAL_SERVER_ERROR };
    error(status, failure.report())
}

fn unexpected() -> Response {
    error(StatusCode::INTERNAL_SERVER_ERROR, "The process did not answer what it was asked.")
}

async fn logs(State(host): State<Host>, path: Named) -> Response {
    match ask_named(host, &path, Question::Logs).await {
        Ok(Answer::Logs(files)) => json(&LogList::of(files)),
        Ok(_) => unexpected(),
        Err(refusal) => *refusal,
    }
}

async fn log(State(host): State<Host>, path: Named) -> Response {
    let name = parameter(&path, "name").unwrap_or_default();
    match process(&path) {
        Ok(process) => read(host, process, name).await,
        Err(refusal) => *refusal,
    }
}

/// The log itself.
async fn main_log(State(host): State<Host>, path: Named, uri: Uri) -> Response {
    read_the(host, &path, |file| file.name.ends_with(".log"), &uri).await
}

/// What was printed.
async fn output(State(host): State<Host>, path: Named, uri: Uri) -> Response {
    read_the(host, &path, |file| file.name.ends_with(".out"), &uri).await
}

async fn read_the(host: Host, path: &Named, is_it: fn(&LogFile) -> bool, uri: &Uri) -> Response {
    let process = match process(path) {
        Ok(process) => process,
        Err(refusal) => return *refusal,
    };
    match ask(host.clone(), process.clone(), Question::Logs).await {
        Ok(Answer::Logs(files)) => match files.into_iter().find(is_it) {
            Some(file) => read(host, process, file.name).await,
            None => {
                let text = format!("The process does not write what {} would show.", uri.path());
                error(StatusCode::NOT_FOUND, text)
            }
        },
        Ok(_) => unexpected(),
        Err(refusal) => *refusal,
    }
}

async fn read(host: Host, process: ProcessName, name: String) -> Response {
    match ask(host, process, Question::Log { name, last: LOG_BYTES }).await {
        Ok(Answer::Log(bytes)) => {
            // It is never anything but text, whatever it looks like.
            const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
            let mut response = Response::new(Body::from(bytes));
            response.headers_mut().insert(CONTENT_TYPE, TEXT);
            response
        }
        Ok(_) => unexpected(),
        Err(refusal) => *refusal,
    }
}

async fn threads(State(host): State<Host>, path: Named) -> Response {
    match ask_named(host, &path, Question::Threads).await {
        Ok(Answer::Threads(threads)) => json(&ThreadDump::of(threads)),
        Ok(_) => unexpected(),
        Err(refusal) => *refusal,
    }
}

async fn load(State(host): State<Host>, path: Named, parameters: Parameters) -> Response {
    let process = match process(&path) {
        Ok(process) => process,
        Err(refusal) => return *refusal,
    };
    match measured(host, process).await {
        Ok(all) => chosen(&all, parameters),
        Err(refusal) => *refusal,
    }
}

/// What the JobManager takes, and what it has.
fn cluster_metrics(view: View) -> MethodRouter<Host> {
    get(async move |State(host): State<Host>, parameters: Parameters| {
        match measured(host, ProcessName::JobManager).await {
            Ok(mut all) => {
                all.extend(of_cluster(&view()));
                chosen(&all, parameters)
            }
            Err(refusal) => *refusal,
        }
    })
}

/// All that is measured, for Prometheus.
fn all_metrics(view: View) -> MethodRouter<Host> {
    const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    get(async move |State(host): State<Host>| {
        let view = view();
        let names = view.task_managers.iter().flatten().map(|own| own.name.clone());
        let task_managers = loads(&host, names.map(ProcessName::TaskManager)).await;
        let own = loads(&host, [ProcessName::JobManager]).await;
        let mut processes = Vec::new();
        for (process, own, workers) in own.into_iter().chain(task_managers) {
            let (kind, name) = match process {
                ProcessName::JobManager => ("jobmanager", String::new()),
                ProcessName::TaskManager(name) => ("taskmanager", name),
            };
            let workers = workers.map(|load| ("workers", load));
            let all = std::iter::once((kind, own)).chain(workers);
            processes.extend(all.map(|(kind, load)| Process { kind, name: name.clone(), load }));
        }
        let mut response = Response::new(Body::from(prometheus::text(&view, &processes)));
        response.headers_mut().insert(CONTENT_TYPE, TEXT);
        response
    })
}

/// What TaskManagers take, together.
fn all_loads(view: View) -> MethodRouter<Host> {
    get(async move |State(host): State<Host>, parameters: Parameters| {
        let (view, parameters) = (view(), given(parameters));
        let wanted = list(&parameters, "taskmanagers");
        let names = view.task_managers.iter().flatten().map(|own| own.name.clone());
        let is_wanted =
            |name: &String| wanted.as_ref().is_none_or(|wanted| wanted.contains(&name.as_str()));
        let all = loads(&host, names.filter(is_wanted).map(ProcessName::TaskManager)).await;
        let all: Vec<Metrics> =
            all.into_iter().map(|(_, own, workers)| metrics(own, workers)).collect();
        combined(&all, &parameters).unwrap_or_else(|refusal| *refusal)
    })
}

/// A TaskManager, with its slots and its memory.
fn details(view: View) -> MethodRouter<Host> {
    get(async move |State(host): State<Host>, path: Named| {
        let (view, id) = (view(), parameter(&path, "taskmanagerid").unwrap_or_default());
        let Some(own) = view.task_managers.iter().flatten().find(|own| own.name == id) else {
            let text = format!("{NOT_FOUND_EXCEPTION}: Could not find TaskExecutor with id {id}");
            return error(StatusCode::NOT_FOUND, text);
        };
        // How much it takes is not known of one that does not answer.
        let found = loads(&host, [ProcessName::TaskManager(id)]).await;
        let load = found.into_iter().map(|(_, own, workers)| own.and(workers.unwrap_or_default()));
        json(&TaskManagerDetails::of(&view, own, load.fold(Load::default(), Load::and)))
    })
}

/// How much processes take, and their workers: all are asked at once, and who does not answer is left out.
async fn loads(
    host: &Host,
    processes: impl IntoIterator<Item = ProcessName>,
) -> Vec<(ProcessName, Load, Option<Load>)> {
    let asked = processes.into_iter().map(|process| {
        let answer = tokio::spawn(ask(host.clone(), process.clone(), Question::Load));
        (process, answer)
    });
    let asked: Vec<_> = asked.collect();
    let mut all = Vec::new();
    for (process, answer) in asked {
        if let Ok(Ok(Answer::Load { own, workers })) = answer.await {
            all.push((process, own, workers));
        }
    }
    all
}

/// What a process takes, as metrics.
async fn measured(host: Host, process: ProcessName) -> Result<Metrics, Refusal> {
    let Answer::Load { own, workers } = ask(host, process, Question::Load).await? else {
        return Err(Box::new(unexpected()));
    };
    Ok(metrics(own, workers))
}
