//! `flott state edit`: a savepoint from another one, with something changed.

use clap::Args;
use flott_cluster::inspect::SavepointWriter;
use flott_core::{Error, MaxParallelism, Result};

use super::PathArgs;
use crate::config;

#[derive(Args)]
pub(super) struct EditArgs {
    /// The checkpoint or savepoint that it begins with, and that stays as it is.
    #[command(flatten)]
    path: PathArgs,
    /// The directory, a path or a URL, in which the new savepoint gets a folder.
    #[arg(long, value_name = "DIRECTORY")]
    to: String,
    /// Gives the state of an operator to the one with another uid. May be given more than once.
    #[arg(long, value_name = "OLD=NEW", value_parser = renamed)]
    rename: Vec<(String, String)>,
    /// Leaves out the state of the operator with this uid. May be given more than once.
    #[arg(long, value_name = "UID")]
    remove: Vec<String>,
    /// How many key groups all operators have then: the most subtasks that one of them can have.
    #[arg(long, value_name = "GROUPS")]
    max_parallelism: Option<u32>,
}

fn renamed(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.into(), new.into())),
        _ => Err("write it as the old uid, an equals sign, the new uid".into()),
    }
}

pub(super) fn edit(args: &EditArgs) -> Result<()> {
    let EditArgs { path, to, rename, remove, max_parallelism } = args;
    if rename.is_empty() && remove.is_empty() && max_parallelism.is_none() {
        return Err(Error::invalid(
            "nothing is to be changed: use --rename, --remove or --max-parallelism",
        ));
    }
    let config = config::load(&path.property)?;
    let mut writer = SavepointWriter::from_existing_savepoint(&config, &path.path)?;
    for uid in remove {
        writer = writer.remove_operator(uid)?;
    }
    for (old, new) in rename {
        writer = writer.change_operator_identifier(old, new)?;
    }
    if let Some(groups) = max_parallelism {
        writer = writer.set_max_parallelism(MaxParallelism::new(*groups)?)?;
    }
    println!("Savepoint completed. Path: {}", writer.write(to)?);
    Ok(())
}
