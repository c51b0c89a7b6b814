//! A side output that is collected beside the main output.

use flott_core::codec::Data;
use flott_datastream::{DataStream, OutputTag};

use super::collect::{Collected, Log};

/// The operator that a test adds to the program for it.
pub(super) const SINK: &str = "collect side output";

/// A side output of a stream of `U`, without its own type.
pub(super) trait Side<U> {
    /// Collects it.
    fn attach(&self, stream: &DataStream<U>);

    /// What was collected.
    fn log(&self) -> &dyn Log;
}

/// The side output with a tag.
pub(super) struct TaggedSide<S> {
    tag: OutputTag<S>,
    pub(super) collected: Collected<S>,
}

impl<S> TaggedSide<S> {
    pub(super) fn new(tag: &OutputTag<S>) -> Self {
        Self { tag: tag.clone(), collected: Collected::default() }
    }
}

impl<S: Data, U: Data> Side<U> for TaggedSide<S> {
    fn attach(&self, stream: &DataStream<U>) {
        self.collected.attach(stream.side_output(&self.tag), SINK);
    }

    fn log(&self) -> &dyn Log {
        &self.collected
    }
}
