//! Accumulators, as functions with a context see them.

use flott_core::Result;
use flott_core::accumulator::{DoubleCounter, LongCounter, LongMaximum, LongMinimum};
use flott_runtime::OperatorInstance;

/// What a function can add up beside its output. The values of all subtasks are merged by name, told while
/// the job runs, and part of its result; an attempt begins with nothing, whatever it is restored from.
pub trait AccumulatorContext {
    /// Whose accumulators they are.
    fn operator_instance(&self) -> &OperatorInstance;

    /// A sum.
    ///
    /// # Errors
    /// If there is an accumulator of that name and of another kind.
    fn long_counter(&self, name: &str) -> Result<LongCounter> {
        self.operator_instance().accumulators.long_counter(name)
    }

    /// A sum of floating-point numbers.
    ///
    /// # Errors
    /// As [`Self::long_counter`].
    fn double_counter(&self, name: &str) -> Result<DoubleCounter> {
        self.operator_instance().accumulators.double_counter(name)
    }

    /// The largest of all.
    ///
    /// # Errors
    /// As [`Self::long_counter`].
    fn long_maximum(&self, name: &str) -> Result<LongMaximum> {
        self.operator_instance().accumulators.long_maximum(name)
    }

    /// The smallest of all.
    ///
    /// # Errors
    /// As [`Self::long_counter`].
    fn long_minimum(&self, name: &str) -> Result<LongMinimum> {
        self.operator_instance().accumulators.long_minimum(name)
    }
}
