//! The server over a real socket, with a view made by hand.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a failed test")]

#[path = "../src/testing.rs"]
mod testing;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flott_control::actions::{
    Actions, CheckpointAnswer, DisposalAnswer, RescaleAnswer, SavepointAnswer, StateAnswer,
    StateKey, StateValue,
};
use flott_control::processes::{
    Answer as Told, Load, LogFile, ProcessName, Processes, Question, ThreadView,
};
use flott_core::{CheckpointId, Error, ErrorKind, JobId, KeyGroup, Timestamp};
use flott_rest::{Access, Server, Services, serve};
use serde_json::Value;
use testing::JOB;

/// An answer.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

/// Does nothing but to write down what is to be done. Checkpoints of [`JOB`] succeed at once.
#[derive(Clone, Default)]
struct Recorded(Arc<Mutex<Vec<String>>>);

impl Recorded {
    fn note(&self, what: &str, job: JobId) {
        self.0.lock().unwrap().push(format!("{what} {job}"));
    }
}

impl Actions for Recorded {
    fn cancel(&self, job: JobId) -> bool {
        self.note("cancel", job);
        true
    }

    fn checkpoint(&self, job: JobId, answer: CheckpointAnswer) {
        self.note("checkpoint", job);
        let is_known = job.to_string() == JOB;
        answer(if is_known { Ok(CheckpointId(85)) } else { Err("Job is not running.".into()) });
    }

    fn savepoint(
        &self,
        job: JobId,
        directory: Option<&str>,
        answer: SavepointAnswer,
    ) -> flott_core::Result<()> {
        let missing = || Error::invalid("Property [target-directory] must be provided.");
        let directory = directory.ok_or_else(missing)?;
        self.note("savepoint", job);
        answer(Ok(format!("file:{directory}/savepoint-06bab6-e107c19390cb")));
        Ok(())
    }

    fn stop(
        &self,
        job: JobId,
        directory: Option<&str>,
        drain: bool,
        answer: SavepointAnswer,
    ) -> flott_core::Result<()> {
        self.note(if drain { "drain" } else { "stop" }, job);
        let missing = || Error::invalid("Property [targetDirectory] must be provided.");
        let directory = directory.ok_or_else(missing)?;
        answer(Ok(format!("file:{directory}/savepoint-06bab6-e107c19390cb")));
        Ok(())
    }

    fn rescale(
        &self,
        job: JobId,
        parallelism: u32,
        directory: Option<&str>,
        answer: RescaleAnswer,
    ) -> flott_core::Result<()> {
        answer(Err(format!("{job} cannot have {parallelism}: {directory:?}")));
        Ok(())
    }

    fn look_up(&self, job: JobId, key: StateKey, answer: StateAnswer) {
        let StateKey { operator, state, key } = key;
        if job.to_string() != JOB {
            return drop(answer);
        }
        match &*key {
            "slow" => answer(Err(Error::new(ErrorKind::Cancelled, "ask again"))),
            "wrong" => answer(Err(Error::invalid("keys are u64"))),
            _ => answer(Ok(StateValue {
                uid: operator,
                subtask: 1,
                key_group: KeyGroup(77),
                key_schema: "String".into(),
                value_schema: state,
                value: (key != "none").then(|| format!("{{\"b\":1,\"a\":{key:?}}}")),
            })),
        }
    }

    fn dispose(&self, place: &str, answer: DisposalAnswer) {
        answer(if place == "file:/sp" { Ok(()) } else { Err(format!("{place} is none")) });
    }
}

/// A process that logs to one file, and has no TaskManager.
struct Alone;

impl Processes for Alone {
    fn options(&self) -> Vec<(String, String)> {
        vec![("rest.port".into(), "8081".into())]
    }

    fn ask(&self, process: &ProcessName, question: Question) -> flott_core::Result<Told> {
        if let ProcessName::TaskManager(name) = process {
            return Err(Error::invalid(format!("No TaskExecutor registered under {name}.")));
        }
        Ok(match question {
            Question::Logs => {
                let name = "flott-jobmanager.log".to_owned();
                Told::Logs(vec![LogFile { name, size: 9, modified: Timestamp(7) }])
            }
            Question::Log { name, .. } if name == "flott-jobmanager.log" => {
                Told::Log(b"<script>\n".to_vec())
            }
            Question::Log { name, .. } => return Err(Error::invalid(format!("no log {name}"))),
            Question::Threads => {
                let (name, state) = ("driver-0".to_owned(), "runs".to_owned());
                Told::Threads(vec![ThreadView { id: 3, name, state, cpu: Duration::from_secs(1) }])
            }
            Question::Load => {
                let own = Load { processes: 1, memory: 4096, threads: 2, ..Load::default() };
                Told::Load { own, workers: None }
            }
        })
    }
}

fn services(recorded: Recorded) -> Services {
    Services {
        view: Arc::new(testing::view),
        actions: Arc::new(recorded),
        submissions: None,
        processes: Arc::new(Alone),
        traces: None,
    }
}

fn server() -> Server {
    serve("0", services(Recorded::default()), Access::default()).unwrap()
}

/// Sends these lines and reads until the server closes the connection.
fn ask(server: &Server, lines: &[&str], body: &str) -> Answer {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let request = format!("{}\r\nConnection: close\r\n\r\n{body}", lines.join("\r\n"));
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.unwrap(), head: head.to_ascii_lowercase(), body: body.into() }
}

fn get(server: &Server, path: &str) -> Answer {
    let host = format!("Host: {}", server.address());
    ask(server, &[&format!("GET {path} HTTP/1.1"), &host], "")
}

/// The id of the source of the one job.
fn vertex() -> String {
    testing::view().jobs[0].description.graph.vertices[0].id.to_string()
}

#[test]
fn who_listens_hears_of_a_job_when_it_comes() {
    let looks = Arc::new(AtomicUsize::new(0));
    let (seen, has_come) = (looks.clone(), Arc::new(AtomicBool::new(false)));
    let is_there = has_come.clone();
    let view = Arc::new(move || {
        let mut view = testing::view();
        if !is_there.load(Ordering::SeqCst) {
            view.jobs.clear();
        }
        seen.fetch_add(1, Ordering::SeqCst);
        view
    });
    let services = Services { view, ..services(Recorded::default()) };
    let server = serve("0", services, Access::default()).unwrap();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let mut next = |part: &str| lines.find(|line| line.contains(part)).unwrap();
    next("content-type: text/event-stream");
    assert_eq!(next("data: "), r#"data: {"jobs":[]}"#);
    // One look for this answer; another one by the server, which then knows that there was none.
    while looks.load(Ordering::SeqCst) < 2 {
        std::thread::yield_now();
    }
    has_come.store(true, Ordering::SeqCst);
    next("event: job");
    assert!(next("data: ").contains(JOB));
}

#[test]
fn metrics_are_named_or_told_one_by_one_or_together() {
    let server = server();
    let vertex = format!("/v1/jobs/{JOB}/vertices/{}", vertex());
    let body = |path: &str| get(&server, path).body;
    let names = body(&format!("{vertex}/metrics"));
    assert!(names.contains(r#"{"id":"1.busyTimeMsPerSecond"}"#), "{names}");
    assert_eq!(
        body(&format!("{vertex}/metrics?get=0.numRecordsOut,1.numRecordsOut,2.numRecordsOut")),
        r#"[{"id":"0.numRecordsOut","value":"40"},{"id":"1.numRecordsOut","value":"40"}]"#
    );
    assert_eq!(
        body(&format!("{vertex}/subtasks/1/metrics?get=numRecordsOut")),
        r#"[{"id":"numRecordsOut","value":"40"}]"#
    );
    let together = format!("{vertex}/subtasks/metrics?get=numRecordsOut&agg=min,sum");
    assert_eq!(body(&together), r#"[{"id":"numRecordsOut","min":40.0,"sum":80.0}]"#);
    assert_eq!(
        body(&format!("{together}&subtasks=1-5")),
        r#"[{"id":"numRecordsOut","min":40.0,"sum":40.0}]"#
    );
    assert_eq!(body(&format!("{vertex}/watermarks")), "[]", "it is a source");
    assert_eq!(
        body(&format!("/jobs/{JOB}/metrics?get=numRestarts")),
        r#"[{"id":"numRestarts","value":"1"}]"#
    );
    assert_eq!(
        body("/jobs/metrics?get=numRestarts&agg=max"),
        r#"[{"id":"numRestarts","max":1.0}]"#
    );
    assert_eq!(
        body("/jobmanager/metrics?get=numRunningJobs,Status.Process.Memory.RSS"),
        r#"[{"id":"numRunningJobs","value":"1"},{"id":"Status.Process.Memory.RSS","value":"4096"}]"#
    );
    for (wrong, status) in [
        (format!("{vertex}/subtasks/metrics?agg=median&get=x"), 400),
        (format!("{vertex}/subtasks/metrics?subtasks=1-99999999999999999999"), 400),
        (format!("{vertex}/subtasks/9"), 404),
        (format!("{vertex}/subtasks/0/attempts/7"), 404),
        (format!("/jobs/{JOB}/vertices/x"), 400),
        (format!("/jobs/{JOB}/vertices/{JOB}"), 404),
    ] {
        let answer = get(&server, &wrong);
        assert_eq!(answer.status, status, "{wrong}: {}", answer.body);
        assert!(answer.json()["errors"][0].is_string());
    }
}

#[test]
fn processes_show_their_logs_threads_and_options_and_nothing_else() {
    let server = server();
    let body = |path: &str| get(&server, path).body;
    assert_eq!(body("/v1/jobmanager/config"), r#"[{"key":"rest.port","value":"8081"}]"#);
    assert!(body("/jobmanager/environment").contains("none: flott"));
    assert_eq!(
        body("/jobmanager/logs"),
        r#"{"logs":[{"name":"flott-jobmanager.log","size":9,"mtime":7}]}"#
    );
    for path in ["/jobmanager/logs/flott-jobmanager.log", "/jobmanager/log"] {
        let log = get(&server, path);
        assert_eq!(log.body, "<script>\n");
        assert!(log.head.contains("content-type: text/plain"), "{}", log.head);
    }
    assert!(body("/jobmanager/thread-dump").contains("\\\"driver-0\\\" Id=3 runs, 1000 ms"));
    for path in [
        "/jobmanager/stdout",
        "/jobmanager/logs/..%2f..%2fetc%2fpasswd",
        "/jobmanager/logs/%2e%2e/passwd",
        "/jobmanager/logs/..%252f..%252fetc%252fpasswd",
        "/taskmanagers/none/logs",
        "/taskmanagers/none/metrics",
        "/taskmanagers/none/thread-dump",
    ] {
        assert_eq!(get(&server, path).status, 404, "{path}");
    }
}

#[test]
fn every_route_answers_with_and_without_its_version() {
    let server = server();
    for (path, name) in [
        ("/config", "features"),
        ("/overview", "slots-total"),
        ("/jobs", "jobs"),
        ("/jobs/overview", "jobs"),
        ("/jobs/{}", "vertices"),
        ("/jobs/{}/status", "status"),
        ("/jobs/{}/plan", "plan"),
        ("/jobs/{}/config", "execution-config"),
        ("/jobs/{}/exceptions", "exceptionHistory"),
        ("/jobs/{}/exceptions?maxExceptions=10", "exceptionHistory"),
        ("/jobs/{}/checkpoints", "counts"),
        ("/jobs/{}/checkpoints/config", "interval"),
        ("/jobs/{}/checkpoints/details/1", "className"),
        ("/jobs/{}/checkpoints/details/1/subtasks/{v}", "subtasks"),
        ("/jobs/{}/vertices/{v}", "aggregated"),
        ("/jobs/{}/vertices/{v}/subtasktimes", "subtasks"),
        ("/jobs/{}/vertices/{v}/taskmanagers", "taskmanagers"),
        ("/jobs/{}/vertices/{v}/accumulators", "user-accumulators"),
        ("/jobs/{}/vertices/{v}/backpressure", "backpressureLevel"),
        ("/jobs/{}/vertices/{v}/subtasks/accumulators", "parallelism"),
        ("/jobs/{}/vertices/{v}/subtasks/1", "attempt"),
        ("/jobs/{}/vertices/{v}/subtasks/1/attempts/1", "attempt"),
        ("/jobs/{}/vertices/{v}/subtasks/1/attempts/1/accumulators", "id"),
    ] {
        let path = path.replace("{}", JOB).replace("{v}", &vertex());
        for path in [path.clone(), format!("/v1{path}")] {
            let answer = get(&server, &path);
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            assert!(answer.json().get(name).is_some(), "{path}: {}", answer.body);
            assert!(
                answer.head.contains("content-type: application/json; charset=utf-8"),
                "{path}"
            );
        }
    }
}

#[test]
fn what_is_not_there_is_flinks_404() {
    let server = server();
    for path in ["/nonexist", "/v1/nonexist", "/jars", "/applications", "/v1/jobs/x/y", "/../etc"] {
        let answer = get(&server, path);
        let text = format!("Unable to load requested file {path}.");
        assert_eq!((answer.status, answer.json()), (404, serde_json::json!({"errors": [text]})));
    }
}

#[test]
fn wrong_parameters_and_unknown_things_say_what_they_are() {
    let server = server();
    for (path, status, text) in [
        ("/jobs/0123", 400, "Cannot resolve path parameter (jobid) from value \"0123\"."),
        ("/jobs/%ff/plan", 400, "Cannot resolve path parameter (jobid)"),
        ("/jobs/000000000000000000000000000000ff", 404, " not found"),
        ("/v1/jobs/{}/checkpoints/details/x", 400, "path parameter (checkpointid)"),
        (
            "/jobs/{}/checkpoints/details/62",
            404,
            "Could not find checkpointing statistics for checkpoint 62.",
        ),
        ("/jobs/{}/exceptions?maxExceptions=many", 400, "query parameter (maxExceptions)"),
    ] {
        let answer = get(&server, &path.replace("{}", JOB));
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        let error = answer.json()["errors"][0].as_str().unwrap().to_owned();
        assert!(error.contains(text), "{path}: {error}");
    }
}

#[test]
fn foreign_hosts_and_other_sites_are_refused() {
    let server = server();
    let ask = |lines: &[&str]| ask(&server, lines, "").status;
    let line = "GET /jobs HTTP/1.1";
    assert_eq!(ask(&[line, "Host: localhost:8081"]), 200);
    assert_eq!(ask(&[line, "Host: example.com"]), 403);
    assert_eq!(ask(&[line, "Host: example.com:8081"]), 403);
    assert_eq!(ask(&["GET http://example.com/jobs HTTP/1.1", "Host: localhost"]), 403);
    assert_eq!(ask(&["GET /jobs HTTP/1.0"]), 403);
    assert_eq!(ask(&[line, "Host: localhost", "Sec-Fetch-Site: cross-site"]), 403);
    assert_eq!(ask(&[line, "Host: localhost", "Origin: https://example.com"]), 403);
}

/// A request with a body, as Flink's command line sends it.
fn send(server: &Server, line: &str, body: &str) -> Answer {
    let length = format!("Content-Length: {}", body.len());
    let kind = "Content-Type: application/json; charset=UTF-8";
    ask(server, &[&format!("{line} HTTP/1.1"), "Host: localhost", kind, &length], body)
}

#[test]
fn a_job_is_cancelled_with_flinks_request() {
    let recorded = Recorded::default();
    let server = serve("0", services(recorded.clone()), Access::default()).unwrap();
    let answer = send(&server, &format!("PATCH /v1/jobs/{JOB}?mode=cancel"), "{}");
    assert_eq!((answer.status, answer.body.as_str()), (202, "{}"));
    assert_eq!(*recorded.0.lock().unwrap(), [format!("cancel {JOB}")]);
    assert_eq!(send(&server, &format!("PATCH /jobs/{JOB}?mode=stop"), "{}").status, 400);
    let unknown = "PATCH /jobs/000000000000000000000000000000ff?mode=cancel";
    assert_eq!(send(&server, unknown, "{}").status, 404);
    assert_eq!(recorded.0.lock().unwrap().len(), 1);
}

#[test]
fn a_checkpoint_is_triggered_once_per_trigger_id_and_asked_for() {
    let recorded = Recorded::default();
    let server = serve("0", services(recorded.clone()), Access::default()).unwrap();
    let path = format!("/v1/jobs/{JOB}/checkpoints");
    let body = r#"{"checkpointType":"CONFIGURED","triggerId":null}"#;
    let triggered = send(&server, &format!("POST {path}"), body);
    assert_eq!(triggered.status, 202, "{}", triggered.body);
    let id = triggered.json()["request-id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 32);
    let expected = r#"{"status":{"id":"COMPLETED"},"operation":{"checkpointId":85}}"#;
    assert_eq!(get(&server, &format!("{path}/{id}")).body, expected);

    let again = format!(r#"{{"checkpointType":"FULL","triggerId":"{id}"}}"#);
    let again = send(&server, &format!("POST {path}"), &again);
    assert_eq!((again.status, again.json()["request-id"].as_str()), (202, Some(id.as_str())));
    assert_eq!(*recorded.0.lock().unwrap(), [format!("checkpoint {JOB}")]);

    // Flink says only afterwards that there is no such job.
    let unknown = "/jobs/000000000000000000000000000000ff/checkpoints";
    let triggered = send(&server, &format!("POST {unknown}"), "");
    let id = triggered.json()["request-id"].as_str().unwrap().to_owned();
    let failed = get(&server, &format!("{unknown}/{id}")).json();
    assert_eq!(failed["status"]["id"], "COMPLETED");
    assert_eq!(failed["operation"]["failureCause"]["stack-trace"], "Job is not running.");
}

#[test]
fn a_savepoint_is_triggered_and_its_place_told() {
    let server = server();
    let path = format!("/v1/jobs/{JOB}/savepoints");
    let body = r#"{"target-directory":"/sp","cancel-job":false,"formatType":"CANONICAL","triggerId":null}"#;
    let triggered = send(&server, &format!("POST {path}"), body);
    assert_eq!(triggered.status, 202, "{}", triggered.body);
    let id = triggered.json()["request-id"].as_str().unwrap().to_owned();
    let answer = get(&server, &format!("{path}/{id}")).json();
    assert_eq!(answer["status"]["id"], "COMPLETED");
    assert_eq!(answer["operation"]["location"], "file:/sp/savepoint-06bab6-e107c19390cb");

    for (body, text) in [
        ("{}", "Property [target-directory] must be provided."),
        (r#"{"formatType":"JSON"}"#, "did not match expected format SavepointTriggerRequestBody."),
    ] {
        let answer = send(&server, &format!("POST {path}"), body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.json()["errors"][0].as_str().unwrap().contains(text), "{}", answer.body);
    }
    // What was refused was not begun: with the same id it can be.
    let id = "0123456789abcdef0123456789abcdef";
    let with = |more: &str| format!(r#"{{"triggerId":"{id}"{more}}}"#);
    assert_eq!(send(&server, &format!("POST {path}"), &with("")).status, 400);
    let again = send(&server, &format!("POST {path}"), &with(r#","target-directory":"/sp""#));
    assert_eq!(again.status, 202);
}

#[test]
fn a_job_is_cancelled_after_its_savepoint_if_that_is_wanted() {
    let recorded = Recorded::default();
    let server = serve("0", services(recorded.clone()), Access::default()).unwrap();
    let path = format!("/v1/jobs/{JOB}/savepoints");
    let body = r#"{"target-directory":"/sp","cancel-job":true}"#;
    assert_eq!(send(&server, &format!("POST {path}"), body).status, 202);
    let expected = [format!("savepoint {JOB}"), format!("cancel {JOB}")];
    assert_eq!(*recorded.0.lock().unwrap(), expected);
    // Without a savepoint it goes on.
    assert_eq!(send(&server, &format!("POST {path}"), r#"{"cancel-job":true}"#).status, 400);
    assert_eq!(recorded.0.lock().unwrap().len(), 2);
}

#[test]
fn a_savepoint_is_disposed_of() {
    let server = server();
    let path = "/v1/savepoint-disposal";
    let ask = |place: &str| {
        let body = format!(r#"{{"savepoint-path":"{place}"}}"#);
        let triggered = send(&server, &format!("POST {path}"), &body);
        assert_eq!(triggered.status, 200, "{}", triggered.body);
        let id = triggered.json()["request-id"].as_str().unwrap().to_owned();
        get(&server, &format!("{path}/{id}"))
    };
    assert_eq!(ask("file:/sp").body, r#"{"status":{"id":"COMPLETED"},"operation":{}}"#);
    assert_eq!(ask("/x").json()["operation"]["failure-cause"]["stack-trace"], "/x is none");
    assert_eq!(send(&server, &format!("POST {path}"), "{}").status, 400);
}

#[test]
fn state_is_looked_up_by_operator_state_and_key() {
    let server = server();
    let look = |query: &str| get(&server, &format!("/api/jobs/{JOB}/state?{query}"));
    let found = look("operator=u%26id&state=sum&key=a%20b");
    assert_eq!(found.status, 200);
    let text = r#"{"operator":"u&id","subtask":1,"keyGroup":77,"keySchema":"String","valueSchema":"sum","value":{"b":1,"a":"a b"}}"#;
    assert_eq!(found.body, text);
    assert_eq!(look("operator=o&state=s&key=none").json().get("value"), None);
    let wrong = look("operator=o&state=s&key=wrong");
    assert_eq!((wrong.status, &*wrong.body), (400, r#"{"errors":["keys are u64"]}"#));
    assert_eq!(look("operator=o&state=s&key=slow").status, 503);
    for query in ["", "operator=o&state=s", "operator=o&key=k", "state=s&key=k"] {
        let missing = look(query);
        assert!(missing.status == 400 && missing.body.contains("?operator=UID"), "{query}");
    }
    let other = JOB.replace('a', "b");
    let gone = get(&server, &format!("/api/jobs/{other}/state?operator=o&state=s&key=k"));
    assert!(gone.status == 404 && gone.body.contains("has ended"), "{}", gone.body);
    assert_eq!(get(&server, "/api/jobs/x/state?operator=o&state=s&key=k").status, 400);
}

#[test]
fn a_trigger_that_is_wrong_or_unknown_is_refused() {
    let server = server();
    let path = format!("/jobs/{JOB}/checkpoints");
    for (body, text) in [
        ("{", "did not match expected format CheckpointTriggerRequestBody"),
        (r#"{"checkpointType":"HALF"}"#, "did not match expected format"),
        (r#"{"triggerId":"1"}"#, "triggerId from value \"1\""),
    ] {
        let answer = send(&server, &format!("POST {path}"), body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.json()["errors"][0].as_str().unwrap().contains(text), "{}", answer.body);
    }
    let unknown = get(&server, &format!("{path}/00000000000000000000000000000001"));
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("triggerId=00000000000000000000000000000001"));
}

/// A form of another site needs nobody's leave to be sent: it must do nothing.
#[test]
fn other_sites_and_their_forms_change_nothing() {
    let recorded = Recorded::default();
    let server = serve("0", services(recorded.clone()), Access::default()).unwrap();
    let line = format!("POST /jobs/{JOB}/checkpoints HTTP/1.1");
    for from in [
        &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"][..],
        &["Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors"],
        &["Origin: http://localhost:9999"],
        &["Origin: null"],
    ] {
        let lines = [&[line.as_str(), "Host: localhost", "Content-Length: 2"], from].concat();
        assert_eq!(ask(&server, &lines, "{}").status, 403, "{from:?}");
    }
    assert!(recorded.0.lock().unwrap().is_empty());
}

#[test]
fn methods_that_a_path_does_not_take_are_refused() {
    let server = server();
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
        let lines = [&format!("{method} /jobs HTTP/1.1"), "Host: localhost", "Content-Length: 2"];
        assert_eq!(ask(&server, &lines, "{}").status, 405, "{method}");
    }
    let head = ask(&server, &["HEAD /jobs HTTP/1.1", "Host: localhost"], "");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn the_bodies_that_flinks_command_line_sends_with_a_get_are_passed_over() {
    let server = server();
    let lines = ["GET /v1/jobs/overview HTTP/1.1", "Host: localhost", "Content-Length: 2"];
    assert_eq!(ask(&server, &lines, "{}").status, 200);
}

#[test]
fn requests_that_are_too_large_are_refused() {
    let server = server();
    let long = format!("X-Long: {}", "x".repeat(20_000));
    assert_eq!(ask(&server, &["GET /jobs HTTP/1.1", "Host: localhost", &long], "").status, 431);
    let lines = ["GET /jobs HTTP/1.1", "Host: localhost", "Content-Length: 1000000"];
    assert_eq!(ask(&server, &lines, "").status, 413);
}

#[test]
fn every_answer_has_the_security_headers() {
    let server = server();
    for path in
        ["/", "/main.js", "/style.css", "/vendor/uplot.js", "/api/jobs/0", "/jobs", "/nonexist"]
    {
        let head = get(&server, path).head;
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self';",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(head.contains(header), "{path} has no {header}: {head}");
        }
        assert!(!head.contains("access-control-allow"), "{path}: {head}");
    }
}

#[test]
fn the_page_has_no_inline_script_and_asks_nobody_else() {
    let server = server();
    let page = get(&server, "/");
    assert!(page.head.contains("content-type: text/html"), "{}", page.head);
    assert!(page.body.contains("<script src=\"main.js\" type=\"module\"></script>"));
    assert!(!page.body.contains("style=") && !page.body.contains("onload"));
    let mut seen = BTreeSet::new();
    let mut next = vec!["main.js".to_owned(), "style.css".to_owned(), "icon.svg".to_owned()];
    while let Some(name) = next.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let answer = get(&server, &format!("/{name}"));
        assert_eq!(answer.status, 200, "{name}");
        // Every module that a module asks for is there.
        let modules = answer.body.split("from \"./").skip(1);
        next.extend(modules.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        if name.starts_with("vendor/") {
            continue;
        }
        for word in ["http:", "https:", "//cdn", "innerHTML", "insertAdjacentHTML", "eval("] {
            let own = answer.body.replace("http://www.w3.org/2000/svg", "");
            assert!(!own.contains(word), "{word} in {name}");
        }
    }
    assert!(seen.len() > 15, "{seen:?}");
}

#[test]
fn a_job_is_one_document_for_the_dashboard() {
    let server = server();
    let job = get(&server, &format!("/api/jobs/{JOB}")).json();
    assert_eq!((&job["status"], &job["restarts"]), (&"RUNNING".into(), &1.into()));
    assert_eq!(job["vertices"][0]["recordsOut"], 80);
    assert_eq!(job["vertices"][0]["tasks"]["RUNNING"], 2);
    assert_eq!(job["edges"][0]["target"], job["vertices"][1]["id"]);
    assert_eq!(job["edges"][0]["ship"], "HASH");
    assert_eq!((&job["checkpoints"]["last"]["id"], &job["failures"]), (&1.into(), &1.into()));
    let history = format!("/api/jobs/{JOB}/vertices/{}/history", vertex());
    assert!(get(&server, &history).json().is_array());
    assert_eq!(get(&server, "/api/jobs/x").status, 400);
}

#[test]
fn only_loopback_can_be_listened_on() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8081", "example.com:8081"] {
        let error = serve(address, services(Recorded::default()), Access::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("loopback only"), "{error}");
    }
}

#[test]
fn a_port_in_use_is_named_with_the_way_out() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let error =
        serve(&port, services(Recorded::default()), Access::default()).unwrap_err().to_string();
    assert!(error.contains(&port) && error.contains("in use"), "{error}");
}

#[test]
fn dropping_the_server_frees_its_port_even_with_a_reader_on_the_line() {
    let server = server();
    let address = server.address();
    let mut idle = TcpStream::connect(address).unwrap();
    idle.write_all(b"GET /jobs").unwrap();
    drop(server);
    drop(serve(&address.to_string(), services(Recorded::default()), Access::default()).unwrap());
}
