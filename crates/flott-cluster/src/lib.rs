//! Makes it happen on machines: today the embedded cluster, which runs a job in this process.
//!
//! The pure machines (`flott-control`'s `JobMaster`, `flott-checkpoint`'s coordinator inside it,
//! `flott-runtime`'s tasks) decide; this crate performs: threads that step tasks (`driver`),
//! storage of checkpoints ([`storage`]), clocks, and the loop that feeds the job master
//! ([`mod@embedded`]).
//!
//! It may depend on everything below the user's API. It must not decide anything that a machine
//! could decide.

mod clock;
mod driver;
pub mod embedded;
mod exchange;
pub mod extract;
mod io;
mod job;
mod jobs;
pub mod plan;
pub mod storage;
mod view;

pub use embedded::{CancelHandle, EmbeddedCluster};
pub use jobs::Jobs;
pub use storage::dispose_savepoint;
pub use view::Views;
