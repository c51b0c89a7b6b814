//! `flott state query`: what a job that runs has for a key.

use clap::Args;
use flott_core::{Error, Result};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::client::Client;

#[derive(Args)]
pub(crate) struct QueryArgs {
    /// The job's id.
    job: String,
    /// The operator's uid, id or name.
    #[arg(short, long)]
    operator: String,
    /// The state's name.
    #[arg(short, long)]
    state: String,
    /// The key: text without quotes, a number, or JSON.
    #[arg(short, long, allow_hyphen_values = true)]
    key: String,
    /// Prints everything that is known, as JSON.
    #[arg(long)]
    json: bool,
}

/// Prints what the state has for the key.
pub(super) fn query(client: &Client, args: &QueryArgs) -> Result<()> {
    let QueryArgs { job, operator, state, key, .. } = args;
    let [job, operator, state, key] =
        [job, operator, state, key].map(|text| utf8_percent_encode(text, NON_ALPHANUMERIC));
    let path = format!("/api/jobs/{job}/state?operator={operator}&state={state}&key={key}");
    let answer: Value = client.get(&path)?;
    if args.json {
        println!("{answer}");
        return Ok(());
    }
    // A value may be null; without one, there is no such field.
    let value = answer.get("value").ok_or_else(|| {
        Error::invalid(format!("state \"{}\" has nothing for the key {}", args.state, args.key))
    })?;
    println!("{value}");
    Ok(())
}
