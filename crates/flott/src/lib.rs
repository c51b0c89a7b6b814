//! Typed, stateful stream programs with exactly-once state: the crate that users add.
//!
//! A job is a function of the environment and its arguments; a job binary lists its jobs:
//!
//! ```no_run
//! use flott::prelude::*;
//!
//! /// Counts words.
//! fn word_count(env: &StreamExecutionEnvironment, args: WordCountArgs) -> flott::Result<()> {
//!     env.read_text_file(&args.file)
//!         .flat_map(|line, out| line.split_whitespace().for_each(|word| out.collect(word.to_owned())))
//!         .map(|word| (word, 1u64))
//!         .key_by(|(word, _)| word.clone())
//!         .sum(|(_, count)| count)
//!         .print();
//!     Ok(())
//! }
//!
//! #[derive(clap::Args)]
//! struct WordCountArgs {
//!     /// The text.
//!     #[arg(long)]
//!     file: String,
//! }
//!
//! flott::main! { word_count }
//! ```
//!
//! This crate is a door: it has the command line of a job binary ([`cli`]) and re-exports the rest.
//! It must not contain any of the engine.

pub mod cli;
#[cfg(feature = "dashboard")]
pub mod dashboard;
mod describe;
pub mod environment;
pub mod prelude;
pub mod state_processor;

pub use flott_core::{Error, ErrorKind, Result};
pub use {flott_cluster as cluster, flott_connectors as connectors};
pub use {flott_core as core, flott_datastream as datastream};

#[cfg(feature = "mimalloc")]
#[doc(hidden)]
pub use mimalloc::MiMalloc;

/// Makes mimalloc the allocator of a binary that has a `main` of its own; `flott::main!` does it
/// too. Nothing without the feature `mimalloc`.
#[cfg(feature = "mimalloc")]
#[macro_export]
macro_rules! use_allocator {
    () => {
        #[global_allocator]
        static ALLOCATOR: $crate::MiMalloc = $crate::MiMalloc;
    };
}

/// Makes mimalloc the allocator of a binary: nothing, without the feature `mimalloc`.
#[cfg(not(feature = "mimalloc"))]
#[macro_export]
macro_rules! use_allocator {
    () => {};
}

/// The `main` of a job binary: lists its jobs, each the path of a function
/// `fn(&StreamExecutionEnvironment, Args) -> flott::Result<()>` where `Args` is a `clap::Args`.
/// The name of a job is that of its function.
#[macro_export]
macro_rules! main {
    ($($job:path),+ $(,)?) => {
        $crate::use_allocator!();

        fn main() -> ::std::process::ExitCode {
            $crate::cli::main(&[$($crate::cli::Job::new(stringify!($job), $job)),+])
        }
    };
}
