//! The table of routes: each with the least role that it needs. What is not in it is not there.

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::MethodRouter;

use crate::routes::error;
use crate::tokens::Role;

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) method: Method,
    /// Its path, with its parameters in braces.
    pub(crate) path: String,
    pub(crate) role: Role,
}

/// Routes whose handlers share a state.
pub(crate) struct Table<S = ()> {
    router: Router<S>,
    entries: Vec<Entry>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Whether nobody has asked who it is, though it may be on another machine.
    pub(crate) is_unprotected: bool,
}

impl<S: Clone + Send + Sync + 'static> Table<S> {
    pub(crate) fn new() -> Self {
        Self { router: Router::new(), entries: Vec::new() }
    }

    /// A route of ours, by this method.
    pub(crate) fn own(
        mut self,
        method: Method,
        path: &str,
        role: Role,
        handler: MethodRouter<S>,
    ) -> Self {
        let check = from_fn(move |request, next| require(role, request, next));
        self.router = self.router.route(path, handler.layer(check));
        self.entries.push(Entry { method, path: path.to_owned(), role });
        self
    }

    /// A route of Flink's, which is there twice: its command line asks for `/v1/…`, its dashboard for the same
    /// without.
    pub(crate) fn flink(
        self,
        method: Method,
        path: &str,
        role: Role,
        handler: MethodRouter<S>,
    ) -> Self {
        let versioned = format!("/v1{path}");
        self.own(method.clone(), path, role, handler.clone()).own(method, &versioned, role, handler)
    }

    /// A route of Flink's that shows something.
    pub(crate) fn look(self, path: &str, role: Role, handler: MethodRouter<S>) -> Self {
        self.flink(Method::GET, path, role, handler)
    }

    /// With the state of its handlers, which need none from then on.
    pub(crate) fn with_state<T>(self, state: S) -> Table<T>
    where
        T: Clone + Send + Sync + 'static,
    {
        Table { router: self.router.with_state(state), entries: self.entries }
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.entries.extend(other.entries);
        self
    }

    /// Changes what all of its routes have in common.
    pub(crate) fn map(mut self, change: impl FnOnce(Router<S>) -> Router<S>) -> Self {
        self.router = change(self.router);
        self
    }
}

impl<S> Table<S> {
    /// What it is made of.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

impl Table {
    /// What serves, and what it is made of.
    pub(crate) fn finish(self) -> (Router, Vec<Entry>) {
        (self.router, self.entries)
    }
}

/// Lets a request pass if whoever asks may.
async fn require(role: Role, request: Request, next: Next) -> Response {
    match request.extensions().get::<Principal>() {
        Some(principal) if principal.role >= role => next.run(request).await,
        Some(principal) => {
            let text =
                format!("{} is a {}, and this needs a {role}.", principal.name, principal.role);
            error(StatusCode::FORBIDDEN, text)
        }
        // The guard lets nobody pass without.
        None => error(
            StatusCode::UNAUTHORIZED,
            "Nobody knows who asks: send Authorization: Bearer TOKEN.",
        ),
    }
}
