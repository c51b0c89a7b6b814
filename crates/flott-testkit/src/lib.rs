//! How to test a job or the engine.
//!
//! [`sim`] runs whole jobs in one thread from a seed, with failures of everything, and checks that
//! no record is lost, doubled or reordered. [`harness`] checks a single operator or a piece of a
//! program ([`StreamTest`]): it takes a snapshot and restores it into fresh instances at every quiet
//! point.
//!
//! [`processes`] is a cluster of the built command, for tests that kill processes; [`servers`] are real
//! ones that it keeps its state on.
//!
//! This crate is a door: it may depend on everything, and only tests and benchmarks depend on it.

mod capture;
pub mod harness;
mod look;
pub mod processes;
pub mod rng;
pub mod servers;
pub mod sim;

pub use harness::StreamTest;
