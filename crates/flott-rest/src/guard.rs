//! What every request must pass, and what every answer carries. The reader is a browser that may be
//! on any other site too: that site must not read, frame or guess what is here.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;

use tokio::time::{Instant, timeout};
use tracing::{error, info};

use crate::access::Access;
use crate::pace::Pace;
use crate::routes::error as refused;
use crate::server::REQUEST_TIMEOUT;
use crate::table::Principal;
use crate::tokens::has_token;

/// The most that a request may have as its body; requests are a few short fields.
pub(crate) const BODY_BYTES_MAX: u64 = 64 * 1024;

/// Scripts and styles come from here or not at all; nothing is sent elsewhere.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// What decides who passes.
pub(crate) struct Guard {
    access: Access,
    pace: Pace,
    started: Instant,
}

impl Guard {
    pub(crate) fn new(access: Access) -> Self {
        Self { access, pace: Pace::default(), started: Instant::now() }
    }

    /// A refusal, if this one asks too often.
    fn too_often(&self, principal: Option<&Principal>) -> Option<Response> {
        let name = principal.map(|principal| principal.name.as_str());
        let wait = self.pace.take(name, self.started.elapsed()).err()?;
        let why = "That is too often: ask for fewer things, or for what happens (/api/events).";
        let mut response = refused(StatusCode::TOO_MANY_REQUESTS, why);
        let seconds = HeaderValue::from(wait.as_secs() + 1);
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
        Some(response)
    }
}

/// Lets a request pass with the name of who sends it, or refuses it.
pub(crate) async fn guard(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let access = &guard.access;
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let mut response = match refusal(access, method, uri, headers) {
        Some((status, why)) => refused(status, why),
        None => match access.principal(headers) {
            Ok(principal) => match guard.too_often(principal.as_ref()) {
                Some(response) => response,
                None => done(request, next, principal).await,
            },
            Err(failure) => {
                error!("Nobody is let in: {}", failure.report());
                refused(StatusCode::INTERNAL_SERVER_ERROR, "The tokens cannot be read.")
            }
        },
    };
    let headers = response.headers_mut();
    headers.extend(HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

/// Has a request done, and remembers that.
async fn done(mut request: Request, next: Next, principal: Option<Principal>) -> Response {
    // Before it is done: who hangs up may not get away with it.
    let told = record(&request, principal.as_ref());
    audit(told.as_ref(), None);
    principal.into_iter().for_each(|own| drop(request.extensions_mut().insert(own)));
    let response = match whole(request).await {
        Ok(request) => next.run(request).await,
        Err((status, why)) => refused(status, why),
    };
    audit(told.as_ref(), Some(response.status()));
    response
}

fn refusal(
    access: &Access,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Option<(StatusCode, &'static str)> {
    if !names_this_host(access, uri, headers) {
        let why = "The Host of a request must be localhost, a loopback address, or rest.address.";
        return Some((StatusCode::FORBIDDEN, why));
    }
    if is_from_elsewhere(access, headers) {
        return Some((StatusCode::FORBIDDEN, "Requests from other sites are not answered."));
    }
    if ![Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::DELETE].contains(method) {
        let why = "This server takes GET, HEAD, POST, PATCH and DELETE.";
        return Some((StatusCode::METHOD_NOT_ALLOWED, why));
    }
    if does_something(method, uri) && is_navigation(headers) {
        // A form of another site could send that.
        return Some((StatusCode::FORBIDDEN, "A link or a form changes nothing here."));
    }
    if uri.query().is_some_and(has_token) {
        let why = "A token in an address is seen by too many: send it as Authorization: Bearer.";
        return Some((StatusCode::BAD_REQUEST, why));
    }
    if is_upload(uri) {
        // Whoever takes it in says when it is too much.
        return None;
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.parse::<u64>().ok()).unwrap_or(0);
    (length > BODY_BYTES_MAX)
        .then_some((StatusCode::PAYLOAD_TOO_LARGE, "Nothing here takes a body as large as that."))
}

fn is_upload(uri: &Uri) -> bool {
    uri.path().ends_with("/jars/upload")
}

/// A request with all of its body, which is small and does not take long to come: nobody keeps a place for himself by
/// sending it bit by bit. An upload is left as it is.
async fn whole(request: Request) -> Result<Request, (StatusCode, &'static str)> {
    if is_upload(request.uri()) {
        return Ok(request);
    }
    let (head, body) = request.into_parts();
    match timeout(REQUEST_TIMEOUT, to_bytes(body, BODY_BYTES_MAX as usize)).await {
        Ok(Ok(body)) => Ok(Request::from_parts(head, Body::from(body))),
        Ok(Err(_)) => {
            let why = "The body was cut, or is larger than anything here takes.";
            Err((StatusCode::PAYLOAD_TOO_LARGE, why))
        }
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "The body takes too long to come.")),
    }
}

/// Whether a request changes something, or runs a binary: that is how a plan is made.
fn does_something(method: &Method, uri: &Uri) -> bool {
    let looks = matches!(*method, Method::GET | Method::HEAD);
    !looks || (uri.path().contains("/jars/") && uri.path().ends_with("/plan"))
}

/// A name that leads here but is not ours is how a site gets around the same-origin policy (DNS
/// rebinding). The port may be another one: that of a tunnel.
fn names_this_host(access: &Access, uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let host = Authority::try_from(host.as_bytes());
    host.is_ok_and(|host| access.is_host(&host))
        && uri.authority().is_none_or(|host| access.is_host(host))
}

/// Whether a page of another site sent it. Following a link from there is fine: that site does not
/// see the answer.
fn is_from_elsewhere(access: &Access, headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        Some(b"same-origin" | b"none") => false,
        Some(_) => !is_navigation(headers),
        // Older browsers name the origin only.
        None => headers
            .get(header::ORIGIN)
            .is_some_and(|origin| !access.is_own_origin(origin, headers.get(header::HOST))),
    }
}

/// Whether the browser goes to the address, as with a link, a form or what is typed.
fn is_navigation(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate")
}

/// What is to be remembered of a request, if it does something: who asks for what.
fn record(request: &Request, principal: Option<&Principal>) -> Option<String> {
    let (method, uri) = (request.method(), request.uri());
    let who = principal.map_or("nobody", |principal| &principal.name);
    does_something(method, uri).then(|| format!("{who}: {method} {:?}", uri.path()))
}

fn audit(told: Option<&String>, status: Option<StatusCode>) {
    match (told, status) {
        (Some(told), None) => info!(target: "audit", "{told}."),
        (Some(told), Some(status)) => info!(target: "audit", "{told}: {}.", status.as_u16()),
        (None, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status that a GET with these headers is refused with.
    fn refused(headers: &[(&'static str, &'static str)]) -> Option<u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        refusal(&Access::default(), &Method::GET, &Uri::from_static("/"), &map)
            .map(|(status, _)| status.as_u16())
    }

    #[test]
    fn loopback_hosts_pass_with_any_port() {
        for host in ["localhost", "localhost:8081", "127.0.0.1:1", "[::1]:8081", "LOCALHOST:1"] {
            assert_eq!(refused(&[("host", host)]), None, "{host}");
        }
    }

    #[test]
    fn other_hosts_no_host_and_two_hosts_do_not() {
        for host in ["example.com", "localhost.example.com:80", "a@localhost", "192.0.2.1", ""] {
            assert_eq!(refused(&[("host", host)]), Some(403), "{host}");
        }
        assert_eq!(refused(&[]), Some(403));
        assert_eq!(refused(&[("host", "localhost"), ("host", "localhost")]), Some(403));
    }

    #[test]
    fn a_target_with_a_foreign_host_does_not_pass_behind_a_good_one() {
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("localhost"))]);
        let uri = Uri::from_static("http://example.com/jobs");
        assert!(refusal(&Access::default(), &Method::GET, &uri, &headers).is_some());
    }

    #[test]
    fn pages_of_other_sites_get_nothing_but_their_links_work() {
        let host = ("host", "localhost:8081");
        let from = |site| refused(&[host, ("sec-fetch-site", site), ("sec-fetch-mode", "cors")]);
        assert_eq!((from("same-origin"), from("none")), (None, None));
        assert_eq!((from("cross-site"), from("same-site")), (Some(403), Some(403)));
        let link = [host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert_eq!(refused(&link), None);
        assert_eq!(refused(&[host, ("origin", "http://localhost:8081")]), None);
        for origin in ["null", "http://localhost:9999", "https://example.com"] {
            assert_eq!(refused(&[host, ("origin", origin)]), Some(403), "{origin}");
        }
    }

    #[test]
    fn small_bodies_are_passed_over_and_large_ones_refused() {
        let length = |length| refused(&[("host", "localhost"), ("content-length", length)]);
        assert_eq!((length("2"), length("65537")), (None, Some(413)));
    }
}
