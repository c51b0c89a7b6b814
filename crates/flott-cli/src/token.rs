//! `flott token`: who may ask the REST API.

use std::time::Duration;

use clap::{Args, Subcommand};
use flott_core::config::{OptionValue, options};
use flott_core::{Error, ErrorKind, Result, Timestamp};
use flott_rest::tokens::{Role, Tokens};
use jiff::tz::TimeZone;

use crate::config;

#[derive(Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Makes a token, and prints it: it cannot be had again.
    Create {
        /// Whose it is.
        name: String,
        /// What it is good for: viewer, deployer or admin.
        #[arg(long)]
        role: String,
        /// How long it is good, such as "90 d"; without, until it is revoked.
        #[arg(long, value_name = "DURATION")]
        expires: Option<String>,
    },
    /// Lists the tokens, without what makes them some.
    List,
    /// Ends a token at once.
    Revoke {
        /// Whose it is.
        name: String,
    },
}

/// Does it to the file that config.yaml names.
pub(crate) fn token(args: &TokenArgs) -> Result<()> {
    let file = config::load(&[])?.get(&options::TOKEN_FILE)?.ok_or_else(|| {
        Error::invalid(
            "there is no file for tokens: set security.rest.token-file in config.yaml, and start the JobManager \
             again",
        )
    })?;
    let tokens = Tokens::at(file);
    match &args.action {
        Action::Create { name, role, expires } => {
            let now = jiff::Timestamp::now().as_millisecond();
            let expires = expires.as_deref().map(|text| {
                let wrong = |why| Error::invalid(format!("--expires {text}: {why}"));
                let after = <Duration as OptionValue>::parse(text).map_err(wrong)?;
                Ok::<_, Error>(Timestamp(now).plus(after))
            });
            let mut random = [0; 32];
            rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
                .map_err(|e| Error::with_source(ErrorKind::Io, "there are no random bits", e))?;
            let role: Role = role.parse()?;
            println!("{}", tokens.create(name, role, expires.transpose()?, random)?);
        }
        Action::List => {
            for token in tokens.all()? {
                let expires = token.expires.map_or("never".to_owned(), |expires| {
                    let at = jiff::Timestamp::from_millisecond(expires.0).unwrap_or_default();
                    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
                });
                println!("{}  {}  expires: {expires}", token.name, token.role);
            }
        }
        Action::Revoke { name } => tokens.revoke(name)?,
    }
    Ok(())
}
