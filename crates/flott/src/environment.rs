//! Environments that run programs in this process.

use std::sync::Arc;

use flott_cluster::EmbeddedCluster;
use flott_core::config::Configuration;
use flott_datastream::StreamExecutionEnvironment;

/// How a program gets its environment when nobody hands it one: in a test, or a `main` of its own.
pub trait ExecutionEnvironment: Sized {
    /// An environment that runs programs in this process, with default options.
    fn get_execution_environment() -> Self {
        Self::create_local_environment(Configuration::new())
    }

    /// An environment that runs programs in this process.
    fn create_local_environment(config: Configuration) -> Self;
}

impl ExecutionEnvironment for StreamExecutionEnvironment {
    fn create_local_environment(config: Configuration) -> Self {
        Self::new(config, Arc::new(EmbeddedCluster::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn what_is_wrong_with_a_program_is_said_each_time() {
        let env = StreamExecutionEnvironment::get_execution_environment();
        env.from_sequence(1, 3).set_parallelism(0).discard();
        let explained = env.explain().unwrap_err().report();
        assert!(explained.contains("parallelism"), "{explained}");
        assert_eq!(env.execute("wrong").unwrap_err().report(), explained);
    }
}
