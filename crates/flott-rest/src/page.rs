//! The dashboard: static files, part of the program. They ask the REST API for everything that they show, and
//! nobody else for anything.

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

macro_rules! files {
    ($($kind:ident $path:literal),* $(,)?) => {
        [$(($kind, concat!("/", $path), include_str!(concat!("page/", $path)))),*]
    };
}

/// Every file, with its kind and its address.
const FILES: &[(&str, &str, &str)] = &files![
    STYLE "style.css",
    STYLE "vendor/uplot.css",
    IMAGE "icon.svg",
    SCRIPT "main.js",
    SCRIPT "api.js",
    SCRIPT "ui.js",
    SCRIPT "format.js",
    SCRIPT "chart.js",
    SCRIPT "overview.js",
    SCRIPT "job.js",
    SCRIPT "graph.js",
    SCRIPT "vertex.js",
    SCRIPT "checkpoints.js",
    SCRIPT "timeline.js",
    SCRIPT "machines.js",
    SCRIPT "submit.js",
    SCRIPT "vendor/preact.js",
    SCRIPT "vendor/uplot.js",
    SCRIPT "vendor/dagre.js",
];

/// The files are no secret: they are the same everywhere, and are there without a token. What they show is not.
pub(crate) fn routes() -> Router {
    let mut router = Router::new().route("/", file(HTML, include_str!("page/index.html")));
    for (kind, path, text) in FILES {
        router = router.route(path, file(kind, text));
    }
    router
}

fn file(kind: &'static str, text: &'static str) -> axum::routing::MethodRouter {
    get(async move || {
        let mut response = Response::new(Body::from(text));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    })
}
