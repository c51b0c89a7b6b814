//! One table of typed options: it makes the parser, the help, the docs and the `config` answers.
//!
//! Keys, defaults and value syntax are Flink's; [`options`] has the table. Of several sources the
//! one with the higher [`Origin`] wins: whoever starts a job has the last word.

mod foreign;
pub mod options;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub use value::{MemorySize, OptionValue, Secret, format_duration, parse_duration};

/// A typed option.
pub struct ConfigOption<T> {
    key: &'static str,
    aliases: &'static [&'static str],
    default: &'static str,
    doc: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T> ConfigOption<T> {
    /// An option with its default in the syntax of a configuration file.
    pub const fn new(key: &'static str, default: &'static str, doc: &'static str) -> Self {
        Self { key, aliases: &[], default, doc, value: PhantomData }
    }

    /// The option, also known by older keys.
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }
}

/// An option without its type, as the table lists it.
pub trait AnyOption: Sync {
    /// The current key.
    fn key(&self) -> &'static str;
    /// Older keys, still accepted.
    fn aliases(&self) -> &'static [&'static str];
    /// The default, in the syntax of a configuration file; empty for none.
    fn default(&self) -> &'static str;
    /// What it does.
    fn doc(&self) -> &'static str;
    /// What its values are, for people.
    fn type_name(&self) -> String;
    /// Whether its values are for nobody's eyes.
    fn is_secret(&self) -> bool;
    /// Checks that a text is a value of the option.
    ///
    /// # Errors
    /// If it is not.
    fn check(&self, text: &str) -> Result<()>;
}

impl<T: OptionValue> AnyOption for ConfigOption<T> {
    fn key(&self) -> &'static str {
        self.key
    }

    fn aliases(&self) -> &'static [&'static str] {
        self.aliases
    }

    fn default(&self) -> &'static str {
        self.default
    }

    fn doc(&self) -> &'static str {
        self.doc
    }

    fn type_name(&self) -> String {
        T::type_name()
    }

    fn is_secret(&self) -> bool {
        T::IS_SECRET
    }

    fn check(&self, text: &str) -> Result<()> {
        self.parse(text).map(drop)
    }
}

impl<T: OptionValue> ConfigOption<T> {
    fn parse(&self, text: &str) -> Result<T> {
        T::parse(text).map_err(|reason| {
            Error::invalid(format!(
                "option {}: \"{text}\" is not {}{}",
                self.key,
                T::type_name(),
                if reason.is_empty() { String::new() } else { format!(": {reason}") }
            ))
        })
    }
}

/// Where a value came from; later ones win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Origin {
    /// The option's default.
    Default,
    /// `conf/config.yaml`.
    File,
    /// An environment variable.
    Environment,
    /// The program itself.
    Program,
    /// `-D key=value`: what the person who starts the job says now.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::File => "configuration file",
            Self::Environment => "environment",
            Self::CommandLine => "command line",
            Self::Program => "program",
        })
    }
}

/// Values by key. Every value in it has been checked against the table.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    values: BTreeMap<&'static str, (String, Origin)>,
    /// Options of Flink that mean nothing here, and why.
    without_effect: BTreeMap<String, &'static str>,
}

impl Configuration {
    /// Only defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value by any of the option's keys, unless a later origin has set it already. An option of Flink that
    /// means nothing here is accepted, and remembered as such.
    ///
    /// # Errors
    /// If no option has this key (the error names the nearest one) or the value is not one of it.
    pub fn set_text(&mut self, key: &str, text: &str, origin: Origin) -> Result<()> {
        let option = match (options::find(key), foreign::why(key)) {
            (Err(_), Some(why)) => {
                self.without_effect.insert(key.to_owned(), why);
                return Ok(());
            }
            (option, _) => option?,
        };
        option.check(text)?;
        self.put(option.key(), text.to_owned(), origin);
        Ok(())
    }

    /// Sets a value from the program.
    ///
    /// # Errors
    /// If the value is out of the option's range.
    pub fn set<T: OptionValue>(&mut self, option: &ConfigOption<T>, value: T) -> Result<()> {
        let text = value.to_text();
        option.parse(&text)?;
        self.put(option.key, text, Origin::Program);
        Ok(())
    }

    /// The effective value.
    ///
    /// # Errors
    /// Never for values that were set through this type; a default that does not parse is a bug.
    pub fn get<T: OptionValue>(&self, option: &ConfigOption<T>) -> Result<T> {
        option.parse(self.values.get(option.key).map_or(option.default, |(text, _)| text))
    }

    /// Whether anything but the default is in effect, and where it came from.
    pub fn origin<T>(&self, option: &ConfigOption<T>) -> Origin {
        self.values.get(option.key).map_or(Origin::Default, |(_, origin)| *origin)
    }

    /// Every value that was set, by key, with its origin.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str, Origin)> {
        self.values.iter().map(|(key, (text, origin))| (*key, text.as_str(), *origin))
    }

    /// What was set that has no effect here: a sentence for each, with the key and the reason.
    pub fn without_effect(&self) -> impl Iterator<Item = String> {
        let all = self.without_effect.iter();
        all.map(|(key, why)| format!("The option {key} has no effect: {why}."))
    }

    /// The same without what is secret.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let is_secret = |key: &str| options::find(key).is_ok_and(AnyOption::is_secret);
        let mut left = self.clone();
        left.values.retain(|key, _| !is_secret(key));
        left
    }

    fn put(&mut self, key: &'static str, text: String, origin: Origin) {
        let kept = self.values.get(key).is_some_and(|(_, before)| *before > origin);
        if !kept {
            self.values.insert(key, (text, origin));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_default_is_a_value_of_its_option() {
        for option in options::ALL {
            option.check(option.default()).unwrap();
            assert!(!option.doc().is_empty(), "{}", option.key());
        }
    }

    #[test]
    fn an_unknown_key_names_the_nearest_one() {
        let error = Configuration::new()
            .set_text("execution.checkpointing.intervall", "1s", Origin::CommandLine)
            .unwrap_err()
            .to_string();
        assert!(error.contains("did you mean \"execution.checkpointing.interval\"?"), "{error}");
    }

    #[test]
    fn an_option_of_flink_that_means_nothing_here_is_accepted_and_named() {
        let mut config = Configuration::new();
        let shipped = [
            ("env.java.opts.all", "--add-exports=java.base/sun.net.util=ALL-UNNAMED"),
            ("jobmanager.memory.process.size", "1600m"),
            ("taskmanager.memory.process.size", "1728m"),
            ("jobmanager.bind-host", "localhost"),
            ("taskmanager.bind-host", "localhost"),
            ("rest.bind-address", "localhost"),
            ("taskmanager.memory.managed.size", "64 mb"),
            ("parallelism.default", "1"),
        ];
        for (key, text) in shipped {
            config.set_text(key, text, Origin::File).unwrap();
        }
        let told: Vec<String> = config.without_effect().collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!(told[0], "The option env.java.opts.all has no effect: there is no JVM.");
        assert_eq!(config.get(&options::MANAGED_MEMORY).unwrap(), MemorySize(64 << 20));
        let process = config.get(&options::PROCESS_MEMORY).unwrap();
        assert_eq!(process, Some(MemorySize(1728 << 20)));
    }

    #[test]
    fn an_old_key_sets_the_current_option() {
        let mut config = Configuration::new();
        config.set_text("state.checkpoints.num-retained", "3", Origin::CommandLine).unwrap();
        assert_eq!(config.get(&options::NUM_RETAINED).unwrap(), 3);
    }

    #[test]
    fn a_value_out_of_range_names_option_and_value() {
        let error = Configuration::new()
            .set_text("execution.checkpointing.interval", "5 ms", Origin::CommandLine)
            .unwrap_err()
            .to_string();
        assert!(error.contains("execution.checkpointing.interval"), "{error}");
        assert!(error.contains("5 ms"), "{error}");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let mut config = Configuration::new();
        config.set_text("fs.s3a.secret.key", "hush", Origin::File).unwrap();
        config.set_text("s3.endpoint", "http://localhost", Origin::File).unwrap();
        let secret = config.get(&options::S3_SECRET_KEY).unwrap().unwrap();
        assert_eq!((secret.reveal(), format!("{secret:?}")), ("hush", "******".to_owned()));
        let left: Vec<_> = config.without_secrets().iter().map(|(key, ..)| key).collect();
        assert_eq!(left, ["s3.endpoint"]);
    }

    #[test]
    fn a_later_origin_wins_whatever_the_order() {
        let mut config = Configuration::new();
        let second = Some(options::Interval(Duration::from_secs(1)));
        config.set_text("execution.checkpointing.interval", "1 s", Origin::CommandLine).unwrap();
        let five = Some(options::Interval(Duration::from_secs(5)));
        config.set(&options::CHECKPOINT_INTERVAL, five).unwrap();
        assert_eq!(config.get(&options::CHECKPOINT_INTERVAL).unwrap(), second);
        assert_eq!(config.origin(&options::CHECKPOINT_INTERVAL), Origin::CommandLine);
    }
}
