//! Decides who runs and what to do when something dies.
//!
//! [`job::JobMaster`] is the life of one job: it deploys the tasks, feeds the checkpoint
//! coordinator, and on a failure asks the [`restart::RestartStrategy`] whether to begin again from
//! the latest completed checkpoint. [`exception`] keeps what went wrong, for people, and [`view`] is
//! what they see of a run. In a cluster, [`placement`] is between the master and the workers, and
//! [`slots`] between the jobs; [`standing`]
//! is what a worker tells the next JobManager. [`actions`] is what people can do, [`processes`] what they can ask.
//!
//! This crate performs nothing: machines go in by inputs and come out by effects. It does not know
//! processes, sockets or threads, nor what a task computes. Start with [`job::JobMaster`].

pub mod actions;
pub mod exception;
pub mod job;
pub mod leadership;
pub mod placement;
pub mod processes;
pub mod restart;
pub mod slots;
pub mod standing;
pub mod view;

pub use exception::{ExceptionEntry, ExceptionHistory, Failure};
pub use job::{
    ExecutionState, JobEffect, JobInput, JobMaster, JobSpec, JobStatus, Reattach, TaskSpec,
    TaskView,
};
pub use placement::{Assignment, Placement, PlacementEffect, PlacementInput, WorkerId};
pub use restart::{Decision, RestartStrategy, RestartStrategyConfig};
pub use slots::{SlotConfig, SlotCount, SlotEffect, Slots, TaskManagerId};
pub use standing::{Standing, StandingSummary};
