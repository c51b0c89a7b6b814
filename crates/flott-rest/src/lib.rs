//! Lets people look: a small HTTP server that shows jobs, and lets them be cancelled, checkpointed,
//! savepointed, and, in a cluster, submitted.
//!
//! [`serve`] answers a part of Flink's REST API (only what it can answer; everything else is
//! Flink's 404) and a page for people. What it shows is a
//! [`ClusterView`](flott_control::view::ClusterView), asked for anew with each request; what it can
//! do is [`Actions`](flott_control::actions::Actions) and, if there is a cluster,
//! [`Submissions`](flott_control::actions::Submissions).
//!
//! It listens on loopback, and elsewhere only with TLS and tokens ([`Access`]). Every route is in a table with the
//! role that it needs (`table`); what is not in it is not there. And because a browser on this machine can be led
//! here by any web site, requests must name a host of this server and come from its page or from no page at all
//! (`guard`).
//!
//! Flink's JSON names are in `dto` and nowhere else. This crate does not know who runs the job.

mod access;
mod address;
mod dto;
mod events;
mod guard;
mod openapi;
mod operations;
mod pace;
mod page;
mod prometheus;
mod rates;
mod routes;
mod server;
mod table;
#[cfg(test)]
mod testing;
pub mod tokens;
#[cfg_attr(not(feature = "otel"), path = "no_traces.rs")]
mod traces;

pub use access::{Access, TlsFiles};
pub use server::{Server, Services, serve};
pub use traces::Traces;
