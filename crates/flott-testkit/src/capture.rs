//! Builds a program without running it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flott_core::config::Configuration;
use flott_core::{Error, JobId, Result};
use flott_datastream::{Executor, JobExecutionResult, StreamExecutionEnvironment};
use flott_runtime::Program;

/// What `build` draws, and the configuration that it leaves behind.
///
/// # Errors
/// That of `build`, and whatever is wrong with the program.
pub(crate) fn capture(
    config: Configuration,
    build: impl FnOnce(&StreamExecutionEnvironment) -> Result<()>,
) -> Result<(Arc<Program>, Configuration)> {
    let executor = Arc::new(Capture::default());
    let env = StreamExecutionEnvironment::new(config, executor.clone());
    build(&env)?;
    env.execute("test")?;
    let mut program = executor.program.lock().unwrap_or_else(PoisonError::into_inner);
    let program = program.take().ok_or_else(|| Error::internal("the program was not captured"))?;
    Ok((program, env.configuration()))
}

/// An environment whose programs are never run.
pub(crate) fn environment(config: Configuration) -> StreamExecutionEnvironment {
    StreamExecutionEnvironment::new(config, Arc::new(Capture::default()))
}

/// An executor that only keeps the program.
#[derive(Default)]
struct Capture {
    program: Mutex<Option<Arc<Program>>>,
}

impl Executor for Capture {
    fn execute(&self, program: Arc<Program>, _: &Configuration) -> Result<JobExecutionResult> {
        *self.program.lock().unwrap_or_else(PoisonError::into_inner) = Some(program);
        let job = JobId::from_u128(0);
        Ok(JobExecutionResult {
            job,
            net_runtime: Duration::ZERO,
            cancelled: false,
            checkpoints: Vec::new(),
            accumulators: BTreeMap::new(),
        })
    }
}
