//! No SQL, and no files of columns: this build has not the feature `sql`.

use std::path::Path;

use flott_cluster::inspect::{Snapshot, StateInfo};
use flott_core::{Error, Result};

use super::SqlArgs;

pub(super) fn sql(args: &SqlArgs) -> Result<()> {
    Err(missing(&format!("\"{}\" is not answered", args.query)))
}

pub(super) fn export(_: Snapshot, _: StateInfo, _: &Path) -> Result<()> {
    Err(missing("Parquet is not written"))
}

fn missing(what: &str) -> Error {
    Error::invalid(format!("{what}: this command is built without the feature \"sql\""))
}
