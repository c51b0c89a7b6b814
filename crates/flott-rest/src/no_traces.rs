//! No traces: this build has not the feature `otel`.

use std::convert::Infallible;

use flott_control::view::ClusterView;
use flott_core::config::{AnyOption, Configuration, options};
use flott_core::{Error, Result};

use crate::events::Event;

/// Where spans would go.
pub struct Traces(Infallible);

impl Traces {
    /// # Errors
    /// If the options want traces.
    pub fn from_configuration(config: &Configuration) -> Result<Option<Self>> {
        match config.get(&options::OTEL_ENDPOINT)? {
            None => Ok(None),
            Some(_) => Err(Error::invalid(format!(
                "{} is set, and this program is built without the feature \"otel\"",
                options::OTEL_ENDPOINT.key()
            ))),
        }
    }

    pub(crate) fn look(&mut self, _: &[Event], _: &ClusterView) {
        match self.0 {}
    }
}
