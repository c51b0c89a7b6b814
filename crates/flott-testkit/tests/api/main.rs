//! Every verb of the DataStream API, through the harness: one module per kind of verb.

#![expect(clippy::unwrap_used, reason = "everything here is a test or helps one")]

mod common;

mod cluster;
mod end_of_input;
mod errors;
mod harness;
mod keyed_state;
mod operator_state;
mod partitioning;
mod plan;
mod rolling;
mod side_outputs;
mod stateless;
mod timers;
mod ttl;
mod union;
mod upgrades;
mod watermarks;
