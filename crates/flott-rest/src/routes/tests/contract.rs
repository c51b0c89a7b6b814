//! Every route answers in the shape that is known of it: those of Flink in that of what Flink 2.3 answered. The file
//! also names the routes of Flink that are not here, and why.

use std::collections::BTreeSet;

use flott_control::processes::{Load, LogFile, ThreadView};
use flott_control::view::TaskManagerView;
use flott_core::{CheckpointId, KeyGroup, Timestamp};
use serde_json::{Map, Value};

use super::*;
use crate::openapi::SHAPES;

const TASK_MANAGER: &str = "localhost:34413-03de8b";

/// The id under which something is triggered by this path, and asked for below it.
fn trigger(path: &str) -> String {
    format!(
        "{:032x}",
        path.split('/')
            .filter(|part| part.ends_with("points") || *part == "rescaling")
            .map(str::len)
            .sum::<usize>()
    )
}

/// Does whatever it is told, and answers everything.
struct Willing;

impl Actions for Willing {
    fn cancel(&self, _: JobId) -> bool {
        true
    }

    fn checkpoint(&self, _: JobId, answer: CheckpointAnswer) {
        answer(Ok(CheckpointId(85)));
    }

    fn savepoint(&self, _: JobId, _: Option<&str>, answer: SavepointAnswer) -> Result<()> {
        answer(Ok("file:/sp/savepoint-06bab6-e107c19390cb".into()));
        Ok(())
    }

    fn stop(&self, _: JobId, _: Option<&str>, _: bool, answer: SavepointAnswer) -> Result<()> {
        answer(Err("the disk is full".into()));
        Ok(())
    }

    fn rescale(&self, _: JobId, _: u32, _: Option<&str>, answer: RescaleAnswer) -> Result<()> {
        let savepoint = "file:/sp/savepoint-06bab6-e107c19390cb".into();
        answer(Ok(Rescaled { job: JobId::from_u128(8), savepoint }));
        Ok(())
    }

    fn look_up(&self, _: JobId, key: StateKey, answer: StateAnswer) {
        answer(Ok(StateValue {
            uid: key.operator,
            subtask: 1,
            key_group: KeyGroup(77),
            key_schema: key.state,
            value_schema: "String".into(),
            value: Some("null".into()),
        }));
    }

    fn dispose(&self, _: &str, answer: DisposalAnswer) {
        answer(Err("it is gone".into()));
    }
}

fn binary() -> Binary {
    Binary {
        id: format!("{:064x}_jobs", 7),
        name: "jobs".into(),
        uploaded: Timestamp(7),
        size: 9,
        jobs: vec![("word_totals".into(), None), ("other".into(), Some("says more".into()))],
    }
}

impl Submissions for Willing {
    fn upload(&self, _: &str) -> Result<Box<dyn Upload>> {
        Ok(Box::new(Self))
    }

    fn binaries(&self) -> Vec<Binary> {
        vec![binary()]
    }

    fn delete(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn plan(&self, _: &Submission) -> Result<(String, JobGraph)> {
        Ok(("job".into(), testing::view().jobs[0].description.graph.clone()))
    }

    fn submit(&self, _: &Submission) -> Result<JobId> {
        Ok(JobId::from_u128(7))
    }
}

impl Upload for Willing {
    fn write(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Binary> {
        Ok(binary())
    }
}

impl Processes for Willing {
    fn options(&self) -> Vec<(String, String)> {
        vec![("rest.port".into(), "8081".into())]
    }

    fn ask(&self, _: &ProcessName, question: Question) -> Result<Answer> {
        Ok(match question {
            Question::Logs => {
                let file =
                    |name: &str| LogFile { name: name.into(), size: 9, modified: Timestamp(7) };
                Answer::Logs(vec![file("flott.log"), file("flott.out")])
            }
            Question::Log { .. } => Answer::Log(b"text\n".to_vec()),
            Question::Threads => {
                let (name, state, cpu) = ("driver-0".into(), "runs".into(), <_>::default());
                Answer::Threads(vec![ThreadView { id: 3, name, state, cpu }])
            }
            Question::Load => {
                let load = Load { processes: 1, memory: 4096, ..Load::default() };
                Answer::Load { own: load, workers: Some(load) }
            }
        })
    }
}

pub(super) fn services() -> Services {
    Services {
        view: Arc::new(view),
        actions: Arc::new(Willing),
        submissions: Some(Arc::new(Willing)),
        processes: Arc::new(Willing),
        traces: None,
    }
}

fn view() -> ClusterView {
    let view = testing::view();
    for task in view.jobs[0].tasks.values() {
        task.metrics.accumulators.long_counter("seen").unwrap().add(2);
    }
    let own = TaskManagerView {
        name: TASK_MANAGER.into(),
        slots: 4,
        free_slots: 2,
        cpus: 2,
        memory: 1 << 30,
        last_heartbeat: Timestamp(5),
    };
    ClusterView { task_managers: Some(vec![own]), ..view }
}

/// A path with parameters that name something.
pub(super) fn named(path: &str) -> String {
    let vertex = || view().jobs[0].description.graph.vertices[0].id.to_string();
    let part = |part: &str| match part {
        "{jobid}" => testing::JOB.to_owned(),
        "{vertexid}" => vertex(),
        "{taskmanagerid}" => TASK_MANAGER.to_owned(),
        "{jarid}" => binary().id,
        "{triggerid}" => trigger(path),
        "{id}" => "1".to_owned(),
        "{subtaskindex}" | "{index}" => "0".to_owned(),
        "{attempt}" => "1".to_owned(),
        part => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// What is sent with a request, and its type.
fn body(method: &str, path: &str) -> (&'static str, String) {
    const JSON: &str = "application/json";
    match (method, path) {
        ("GET", _) => (JSON, String::new()),
        (_, "/jars/upload") => {
            let head = "content-disposition: form-data; name=\"jarfile\"; filename=\"jobs\"";
            let form = format!("--x\r\n{head}\r\n\r\nELF\r\n--x--\r\n");
            ("multipart/form-data; boundary=x", form)
        }
        (_, "/savepoint-disposal") => (JSON, r#"{"savepoint-path": "file:/sp"}"#.into()),
        (_, path) if path.starts_with("/jobs") => {
            (JSON, format!(r#"{{"triggerId": "{}"}}"#, trigger(path)))
        }
        _ => (JSON, "{}".into()),
    }
}

pub(super) fn request(
    server: &Server,
    method: &str,
    path: &str,
    (kind, body): (&str, String),
) -> (u64, Value) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|e| panic!("{path}: {e}: {body}")))
}

/// What is not as it should be, with its place.
pub(super) fn differences(place: &str, found: &Value, shape: &Value, all: &mut Vec<String>) {
    if shape == "any" {
        return;
    }
    let kind = match found {
        Value::Object(found) => return of_object(place, found, shape, all),
        Value::Array(found) => {
            let Some(shapes) = shape.as_array() else {
                return all.push(format!("{place} is a list"));
            };
            // Nothing is known of the elements of a list that was empty.
            let shape = shapes.first();
            for (index, found) in found.iter().enumerate().filter(|_| shape.is_some()) {
                differences(&format!("{place}/{index}"), found, &shapes[0], all);
            }
            return;
        }
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "double",
        Value::Number(_) => "long",
        Value::String(_) => "text",
    };
    let may_be_null = shape.get("?");
    let expected = may_be_null.unwrap_or(shape).as_str();
    if expected != Some(kind) && !(kind == "null" && may_be_null.is_some()) {
        all.push(format!("{place} is {found}, not {shape}"));
    }
}

fn of_object(place: &str, found: &Map<String, Value>, shape: &Value, all: &mut Vec<String>) {
    let Some(shape) = shape.get("?").unwrap_or(shape).as_object() else {
        return all.push(format!("{place} is an object, not {shape}"));
    };
    for (name, value) in found {
        let own = [name.clone(), format!("{name}?"), "*".to_owned()];
        match own.iter().find_map(|name| shape.get(name)) {
            Some(shape) => differences(&format!("{place}/{name}"), value, shape, all),
            None => all.push(format!("{place}/{name} is not Flink's")),
        }
    }
    let needed = shape.keys().filter(|name| *name != "*" && !name.ends_with('?'));
    let missing = needed.filter(|name| !found.contains_key(*name));
    all.extend(missing.map(|name| format!("{place}/{name} is missing")));
}

#[test]
fn every_route_of_flinks_answers_in_its_shape_or_is_known_not_to_be_here() {
    let contract: Value = serde_json::from_str(SHAPES).unwrap();
    let absent = contract["absent"].as_object().unwrap();
    let watched = Watched::new(Arc::new(view));
    let (_, entries) = table(watched, services()).finish();
    let plain = |path: &str| path.replace("{index}", "{subtaskindex}");
    let routes: BTreeSet<String> =
        entries.iter().map(|entry| format!("{} {}", entry.method, plain(&entry.path))).collect();

    let here: Vec<&String> = absent.keys().filter(|route| routes.contains(*route)).collect();
    assert!(here.is_empty(), "these are here: {here:?}");
    let server = serve("0", services(), Access::default()).unwrap();
    let mut wrong = Vec::new();
    // What triggers something comes before what asks how far that is.
    let answers = ["answers", "own"].map(|kind| contract[kind].as_object().unwrap());
    let (asked, done): (Vec<_>, Vec<_>) =
        answers.into_iter().flatten().partition(|(r, _)| r.starts_with("GET"));
    for (route, expected) in done.into_iter().chain(asked) {
        let (method, path) = route.split_once(' ').unwrap();
        let is_own = path.starts_with("/api/");
        if !routes.contains(route) || is_own == routes.contains(&format!("{method} /v1{path}")) {
            wrong.push(format!("{route} is not here"));
            continue;
        }
        let mut paths = vec![named(path), format!("/v1{}", named(path))];
        if path.ends_with("/rescaling") {
            let query = format!("parallelism=3&triggerId={}", trigger(path));
            paths.iter_mut().for_each(|path| *path = format!("{path}?{query}"));
        }
        if is_own {
            paths = vec![format!("{}?operator=o&state=s&key=k", named(path))];
        }
        if path == "/savepoint-disposal/{triggerid}" {
            let (_, triggered) = request(
                &server,
                "POST",
                "/savepoint-disposal",
                body("POST", "/savepoint-disposal"),
            );
            let id = triggered["request-id"].as_str().unwrap();
            paths = vec![format!("/savepoint-disposal/{id}")];
        }
        for path in paths {
            let (status, answer) =
                request(&server, method, &path, body(method, route.split_once(' ').unwrap().1));
            if expected[0] != status {
                wrong.push(format!("{method} {path}: {status}, not {}: {answer}", expected[0]));
                continue;
            }
            differences(route, &answer, &expected[1], &mut wrong);
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Routes that Flink has, but neither its list of routes nor our record of its answers.
const UNLISTED: [&str; 8] = [
    "/jobmanager/log",
    "/jobmanager/stdout",
    "/jobmanager/logs/{name}",
    "/taskmanagers/{taskmanagerid}/log",
    "/taskmanagers/{taskmanagerid}/stdout",
    "/taskmanagers/{taskmanagerid}/logs/{name}",
    "/metrics",
    "/api/",
];

#[test]
fn nothing_is_served_as_flinks_that_flink_does_not_have() {
    let contract: Value = serde_json::from_str(SHAPES).unwrap();
    let watched = Watched::new(Arc::new(view));
    let (_, entries) = table(watched, services()).finish();
    for entry in entries {
        let path = entry
            .path
            .strip_prefix("/v1")
            .unwrap_or(&entry.path)
            .replace("{index}", "{subtaskindex}");
        let is_unlisted = UNLISTED.iter().any(|own| path == *own || path.starts_with("/api/"));
        let route = format!("{} {path}", entry.method);
        assert!(is_unlisted || contract["answers"].get(&route).is_some(), "{route}");
    }
}
