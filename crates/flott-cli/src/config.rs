//! The configuration of a cluster's processes: `config.yaml` in the directory `FLOTT_CONF_DIR`, or
//! `conf`, and what the command line says over it.

use std::path::PathBuf;

use flott_core::config::{Configuration, Origin};
use flott_core::{Error, ErrorKind, Result};
use serde_json::Value;

/// The environment variable that names the directory.
const VARIABLE: &str = "FLOTT_CONF_DIR";

/// Where the configuration files are, whether or not there are any.
pub(crate) fn directory() -> PathBuf {
    std::env::var_os(VARIABLE).map_or_else(|| PathBuf::from("conf"), PathBuf::from)
}

/// The configuration of the file, and of `properties`, each `key=value`.
///
/// # Errors
/// If the file cannot be read, or an option is not known or wrong.
pub(crate) fn load(properties: &[String]) -> Result<Configuration> {
    let mut config = Configuration::new();
    let file = directory().join("config.yaml");
    if file.exists() {
        let place = file.display();
        let text = std::fs::read_to_string(&file).map_err(|e| {
            Error::with_source(ErrorKind::InvalidInput, format!("cannot read \"{place}\""), e)
        })?;
        let wrong = |e: Error| e.context(format!("\"{place}\" is wrong"));
        read(&text, &mut config).map_err(wrong)?;
    } else if std::env::var_os(VARIABLE).is_some() {
        return Err(Error::invalid(format!(
            "there is no \"{}\", where {VARIABLE} says that the configuration is",
            file.display()
        )));
    }
    for property in properties {
        let (key, value) = property
            .split_once('=')
            .ok_or_else(|| Error::invalid(format!("-D {property}: expected key=value")))?;
        config.set_text(key.trim(), value.trim(), Origin::CommandLine)?;
    }
    Ok(config)
}

/// Reads YAML, with dotted keys or nested ones.
fn read(text: &str, config: &mut Configuration) -> Result<()> {
    let parsed: Option<Value> =
        serde_saphyr::from_str(text).map_err(|e| Error::invalid(format!("it is no YAML: {e}")))?;
    parsed.map_or(Ok(()), |value| set(String::new(), &value, config))
}

fn set(key: String, value: &Value, config: &mut Configuration) -> Result<()> {
    let text = match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                set(key, value, config)?;
            }
            return Ok(());
        }
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(_) => {
            return Err(Error::invalid(format!("option {key}: a list is no value of it")));
        }
    };
    config.set_text(&key, &text, Origin::File)
}

#[cfg(test)]
mod tests {
    use flott_core::config::options;

    use super::*;

    fn parsed(text: &str) -> Result<Configuration> {
        let mut config = Configuration::new();
        read(text, &mut config).map(|()| config)
    }

    #[test]
    fn keys_may_be_nested_or_dotted() {
        let text = "rest.port: 1234\ntaskmanager:\n  numberOfTaskSlots: 4 # slots\n  host: \
                    localhost\nexecution:\n  checkpointing.interval: 10 s\n";
        let config = parsed(text).unwrap();
        assert_eq!(config.get(&options::REST_PORT).unwrap(), 1234);
        assert_eq!(config.get(&options::TASK_SLOTS).unwrap().0, 4);
        assert_eq!(config.origin(&options::CHECKPOINT_INTERVAL), Origin::File);
        assert!(parsed("").is_ok() && parsed("# nothing\n").is_ok());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, named) in [
            ("rest.prt: 1", "did you mean \"rest.port\"?"),
            ("rest.port: no", "rest.port"),
            ("rest.port: [1, 2]", "rest.port: a list"),
            ("rest: : port", "no YAML"),
        ] {
            let error = parsed(text).unwrap_err().report();
            assert!(error.contains(named), "{error}");
        }
    }
}
