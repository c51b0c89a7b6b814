//! Makes it happen on machines: today the embedded cluster, which runs a job in this process.
//!
//! The pure machines (`flott-control`'s `JobMaster`, `flott-checkpoint`'s coordinator inside it,
//! `flott-runtime`'s tasks) decide; this crate performs: threads that step tasks (`driver`),
//! storage of checkpoints ([`storage`]), clocks, and the loop that feeds the job master
//! ([`mod@embedded`]).
//!
//! It may depend on everything below the user's API. It must not decide anything that a machine
//! could decide.

mod address;
mod clock;
pub mod disk_state;
mod driver;
pub mod embedded;
mod exchange;
pub mod extract;
pub mod gc;
pub mod inspect;
mod io;
mod job;
pub mod jobmanager;
mod jobs;
pub mod logging;
mod memory;
pub mod plan;
mod prepare;
mod process;
mod rpc;
mod signals;
pub mod snapshot;
pub mod storage;
pub mod taskmanager;
mod tasks;
mod view;
mod work_folder;
pub mod worker;

/// From now on neither this thread, nor what it starts, gets privileges that it does not have: job
/// binaries are somebody else's programs (`no_new_privs`, see prctl(2)).
fn confine() -> flott_core::Result<()> {
    rustix::thread::set_no_new_privs(true).map_err(|e| {
        let what = "this system cannot keep processes from new privileges";
        flott_core::Error::with_source(flott_core::ErrorKind::Io, what, e)
    })
}

pub use embedded::{CancelHandle, EmbeddedCluster};
pub use jobs::Jobs;
pub use prepare::{configuration, settings};
pub use process::ThisProcess;
pub use signals::wait_for_signal;
pub use view::Views;
