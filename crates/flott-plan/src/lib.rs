//! Turns what the user wrote into boxes and arrows.
//!
//! A program's verbs fill a [`StreamGraph`]: one node per operator, one edge per stream.
//! [`JobGraph::build`] checks it, gives every operator its uid, parallelism and slot sharing group,
//! and chains operators that can run in one task into vertices. [`tasks`] and [`channels`]
//! expand the job graph into what is deployed; [`explain()`] prints it for people and
//! [`fingerprint`] tells whether two processes have built the same one.
//!
//! This crate may depend on `flott-core` only. It must not know operator code, types of records,
//! machines or the state of a running job: a node is a name with settings, and every function here
//! gives the same answer for the same arguments in every process.
//!
//! Start reading in [`stream_graph`], then [`job_graph`].

pub mod stream_graph;

pub mod partitioning;

mod settings;
mod uid;

mod chaining;
pub mod job_graph;

pub mod execution_graph;
pub mod explain;

pub use execution_graph::{channels, consumer, tasks};
pub use explain::{explain, fingerprint};
pub use job_graph::{ChainedEdge, EdgeId, JobEdge, JobGraph, JobType, JobVertex, Operator};
pub use partitioning::Partitioning;
pub use stream_graph::{ChainingStrategy, NodeId, NodeKind, StreamEdge, StreamGraph, StreamNode};
