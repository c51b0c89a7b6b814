//! The workloads of the benchmarks, each as a Flott job and as a hand-written loop.
//!
//! Every event is a pure function of its index, so that both see the same events, and both return a
//! checksum of what they computed: a benchmark whose checksums differ is a failure.

pub mod events;
pub mod latency;
pub mod loops;
pub mod measure;
pub mod nexmark;
pub mod operations;
pub mod workloads;
