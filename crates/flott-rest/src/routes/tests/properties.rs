//! Whatever is asked, an answer is what the API's description says: of its shape, or an error in words; and never the
//! server's own fault.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value};

use super::contract::{differences, named, request, services};
use super::*;
use crate::openapi::{SHAPES, document};

/// How many requests.
const CASES: u32 = 2000;

/// A request for an operation of the description.
#[derive(Clone, Debug)]
struct Asked {
    route: String,
    path: String,
    body: String,
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// What stands for a parameter: mostly what means something.
fn parameter() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just(String::new()),
        1 => any::<String>(),
        1 => any::<u64>().prop_map(|number| number.to_string()),
        1 => "[0-9a-f]{32}",
        1 => "(min|MAX|avg|sum|skew|numRecordsIn|0-1|3-|,|true|cancel|stop){0,3}",
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    // Names that mean something to one route or another.
    let name = "(triggerId|target-directory|targetDirectory|drain|formatType|savepoint-path|checkpointType\
        |entryClass|parallelism|programArgsList|flinkConfiguration|allowNonRestoredState|x)";
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn asked(routes: Vec<(String, Vec<String>)>) -> impl Strategy<Value = Asked> {
    let body = prop_oneof![json_value().prop_map(|value| value.to_string()), any::<String>()];
    let parameters = prop::collection::vec(parameter(), 8);
    (prop::sample::select(routes), parameters, body).prop_map(|((route, query), values, body)| {
        let (_, path) = route.split_once(' ').unwrap_or_default();
        let mut values = values.into_iter().cycle();
        let part = |part: &str| match values.next().filter(|_| part.starts_with('{')) {
            Some(value) if !value.is_empty() => escaped(&value),
            _ => part.to_owned(),
        };
        let path = named(&path.split('/').map(part).collect::<Vec<_>>().join("/"));
        let mut given = Vec::new();
        for (name, value) in query.iter().zip(values) {
            given.push(format!("{name}={}", escaped(&value)));
        }
        Asked { path: format!("{path}?{}", given.join("&")), route, body }
    })
}

#[test]
fn whatever_is_asked_the_answer_is_as_described() {
    let shapes: Value = serde_json::from_str(SHAPES).unwrap();
    let watched = Watched::new(Arc::new(testing::view));
    let (_, entries) = table(watched, services()).finish();
    let described = document(&entries);
    let mut routes = Vec::new();
    for (path, operations) in described["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().unwrap().iter();
            let query = parameters.filter(|own| own["in"] == "query");
            let query = query.map(|own| own["name"].as_str().unwrap().to_owned()).collect();
            routes.push((format!("{} {path}", method.to_uppercase()), query));
        }
    }
    assert!(routes.len() > 60, "{}", routes.len());
    // Only these are no JSON.
    let is_text = |route: &str| {
        route.ends_with("log") || route.ends_with("stdout") || route.ends_with("{name}")
    };
    let is_json =
        |route: &str| !is_text(route) && !["GET /metrics", "GET /api/events"].contains(&route);
    routes.retain(|(route, _)| is_json(route));
    let server = serve("0", services(), Access::default()).unwrap();
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let checked = TestRunner::new(config).run(&asked(routes), |Asked { route, path, body }| {
        let (method, _) = route.split_once(' ').unwrap_or_default();
        let (status, answer) = request(&server, method, &path, ("application/json", body));
        let known = ["answers", "own"].iter().find_map(|kind| shapes[*kind].get(&route));
        let mut wrong = Vec::new();
        match known {
            Some(known) if known[0] == status => differences(&path, &answer, &known[1], &mut wrong),
            None if status == 200 => {}
            _ => {
                prop_assert!((400..500).contains(&status), "{method} {path}: {status}: {answer}");
                prop_assert!(answer["errors"][0].is_string(), "{method} {path}: {answer}");
            }
        }
        prop_assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn the_description_is_served_and_names_every_route_once() {
    let server = serve("0", services(), Access::default()).unwrap();
    let (status, served) =
        request(&server, "GET", "/api/openapi.json", ("application/json", String::new()));
    assert_eq!((status, &served["openapi"]), (200, &"3.1.0".into()));
    let cancel = &served["paths"]["/jobs/{jobid}"]["patch"];
    assert_eq!(
        (&cancel["x-role"], &cancel["parameters"][1]["name"]),
        (&"deployer".into(), &"mode".into())
    );
    let job = &served["paths"]["/jobs/{jobid}"]["get"]["responses"]["200"]["content"]["application/json"]
        ["schema"];
    assert_eq!(job["properties"]["vertices"]["items"]["properties"]["name"]["type"], "string");
    assert!(job["required"].as_array().unwrap().contains(&"jid".into()), "{job}");
    assert!(served["paths"].as_object().unwrap().keys().all(|path| !path.starts_with("/v1")));
}
