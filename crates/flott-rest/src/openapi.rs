//! The description of the API for programs (OpenAPI 3.1), made of the table of routes and of the shapes of answers,
//! which a test holds to what is answered.

use axum::http::Method;
use serde_json::{Map, Value, json};

use crate::table::Entry;

/// What routes answer: the status, and for each field what it is. A name with `?` may be missing, `{"?": …}` may be
/// null, `{"*": …}` has any names.
pub(crate) const SHAPES: &str = include_str!("shapes.json");

/// The route whose answer has no end.
pub(crate) const EVENTS: &str = "/api/events";

/// The parameters of queries, by route, and whether there is no answer without.
const QUERIES: [(&str, &str, bool); 37] = [
    ("PATCH /jobs/{jobid}", "mode", false),
    ("PATCH /jobs/{jobid}/rescaling", "parallelism", true),
    ("PATCH /jobs/{jobid}/rescaling", "targetDirectory", false),
    ("PATCH /jobs/{jobid}/rescaling", "triggerId", false),
    ("GET /jobs/{jobid}/accumulators", "includeSerializedValue", false),
    ("GET /jobs/{jobid}/exceptions", "maxExceptions", false),
    ("GET /jobs/{jobid}/metrics", "get", false),
    ("GET /jobs/metrics", "get", false),
    ("GET /jobs/metrics", "agg", false),
    ("GET /jobs/metrics", "jobs", false),
    ("GET /jobmanager/metrics", "get", false),
    ("GET /taskmanagers/metrics", "get", false),
    ("GET /taskmanagers/metrics", "agg", false),
    ("GET /taskmanagers/metrics", "taskmanagers", false),
    ("GET /taskmanagers/{taskmanagerid}/metrics", "get", false),
    ("GET /jobs/{jobid}/vertices/{vertexid}/metrics", "get", false),
    ("GET /jobs/{jobid}/vertices/{vertexid}/subtasks/metrics", "get", false),
    ("GET /jobs/{jobid}/vertices/{vertexid}/subtasks/metrics", "agg", false),
    ("GET /jobs/{jobid}/vertices/{vertexid}/subtasks/metrics", "subtasks", false),
    ("GET /api/jobs/{jobid}/state", "operator", true),
    ("GET /api/jobs/{jobid}/state", "state", true),
    ("GET /api/jobs/{jobid}/state", "key", true),
    ("POST /jars/{jarid}/run", "entry-class", false),
    ("POST /jars/{jarid}/run", "parallelism", false),
    ("POST /jars/{jarid}/run", "programArg", false),
    ("POST /jars/{jarid}/run", "savepointPath", false),
    ("POST /jars/{jarid}/run", "allowNonRestoredState", false),
    ("GET /jars/{jarid}/plan", "entry-class", false),
    ("GET /jars/{jarid}/plan", "parallelism", false),
    ("GET /jars/{jarid}/plan", "programArg", false),
    ("GET /jars/{jarid}/plan", "savepointPath", false),
    ("GET /jars/{jarid}/plan", "allowNonRestoredState", false),
    ("POST /jars/{jarid}/plan", "entry-class", false),
    ("POST /jars/{jarid}/plan", "parallelism", false),
    ("POST /jars/{jarid}/plan", "programArg", false),
    ("POST /jars/{jarid}/plan", "savepointPath", false),
    ("POST /jars/{jarid}/plan", "allowNonRestoredState", false),
];

/// The document for these routes.
pub(crate) fn document(entries: &[Entry]) -> Value {
    let shapes: Value = serde_json::from_str(SHAPES).unwrap_or_default();
    let mut paths = Map::new();
    for entry in entries.iter().filter(|entry| !entry.path.starts_with("/v1/")) {
        let method = entry.method.as_str().to_lowercase();
        let path = paths.entry(&entry.path).or_insert_with(|| json!({}));
        path[method] = operation(entry, &shapes);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Flott",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Paths outside /api and /metrics are those of Apache Flink's REST API, and are also \
                            below /v1.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": {
                "Errors": {
                    "type": "object",
                    "required": ["errors"],
                    "properties": { "errors": { "type": "array", "items": { "type": "string" } } },
                },
            },
        },
        // A server on loopback asks nobody for a token.
        "security": [{ "token": [] }, {}],
    })
}

fn operation(entry: &Entry, shapes: &Value) -> Value {
    let route = format!("{} {}", entry.method, entry.path);
    let known = ["answers", "own"].iter().find_map(|kind| shapes[*kind].get(&route));
    let (status, content) = match known {
        Some(known) => {
            (known[0].to_string(), json!({ "application/json": { "schema": schema(&known[1]) } }))
        }
        None => {
            let kind = if entry.path == EVENTS { "text/event-stream" } else { "text/plain" };
            ("200".to_owned(), json!({ kind: {} }))
        }
    };
    let in_path =
        entry.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = in_path.map(path_parameter).collect();
    let in_query = QUERIES.iter().filter(|(own, ..)| *own == route);
    parameters.extend(in_query.map(|(_, name, required)| {
        json!({ "name": name, "in": "query", "required": required, "schema": { "type": "string" } })
    }));
    let error = json!({ "$ref": "#/components/schemas/Errors" });
    let mut operation = json!({
        "operationId": route,
        "x-role": entry.role.to_string(),
        "parameters": parameters,
        "responses": {
            status: { "description": "The answer.", "content": content },
            "default": {
                "description": "Why there is none.",
                "content": { "application/json": { "schema": error } },
            },
        },
    });
    if matches!(entry.method, Method::POST) {
        let kind =
            if entry.path == "/jars/upload" { "multipart/form-data" } else { "application/json" };
        operation["requestBody"] =
            json!({ "content": { kind: { "schema": { "type": "object" } } } });
    }
    operation
}

fn path_parameter(name: &str) -> Value {
    let schema = match name {
        "jobid" | "vertexid" | "triggerid" => {
            json!({ "type": "string", "pattern": "^[0-9a-f]{32}$" })
        }
        "id" | "index" | "attempt" => json!({ "type": "integer", "minimum": 0 }),
        _ => json!({ "type": "string" }),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

/// A shape as a JSON schema.
fn schema(shape: &Value) -> Value {
    match shape {
        Value::String(kind) => match kind.as_str() {
            "long" => json!({ "type": "integer", "format": "int64" }),
            "double" => json!({ "type": "number", "format": "double" }),
            "text" => json!({ "type": "string" }),
            "boolean" => json!({ "type": "boolean" }),
            _ => json!({}),
        },
        Value::Array(items) => match items.first() {
            Some(item) => json!({ "type": "array", "items": schema(item) }),
            None => json!({ "type": "array" }),
        },
        Value::Object(fields) => of_fields(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) => json!({}),
    }
}

fn of_fields(fields: &Map<String, Value>) -> Value {
    if let Some(shape) = fields.get("?") {
        return json!({ "anyOf": [schema(shape), { "type": "null" }] });
    }
    let (mut properties, mut required) = (Map::new(), Vec::new());
    let mut object = json!({ "type": "object" });
    for (name, shape) in fields {
        if name == "*" {
            object["additionalProperties"] = schema(shape);
            continue;
        }
        match name.strip_suffix('?') {
            Some(name) => drop(properties.insert(name.to_owned(), schema(shape))),
            None => {
                properties.insert(name.clone(), schema(shape));
                required.push(name.clone());
            }
        }
    }
    object["properties"] = properties.into();
    object["required"] = required.into();
    object
}
