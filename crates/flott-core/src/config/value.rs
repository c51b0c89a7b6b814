//! The syntax of option values.

use std::fmt;
use std::time::Duration;

/// A type that option values can have.
pub trait OptionValue: Sized {
    /// What the values are, for people: "a duration, e.g. 10 s".
    fn type_name() -> String;
    /// Reads a value.
    ///
    /// # Errors
    /// Why the text is no value; empty if [`OptionValue::type_name`] says it all.
    fn parse(text: &str) -> Result<Self, String>;
    /// The text that [`OptionValue::parse`] reads back.
    fn to_text(&self) -> String;
    /// Whether values are for nobody's eyes.
    const IS_SECRET: bool = false;
}

/// A size in bytes; `64 kb`, `10 mb`, `1 g`, or a bare number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemorySize(pub u64);

/// What is shown to nobody, and leaves the process only for those that it starts.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for whoever asks for it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("******")
    }
}

impl OptionValue for Secret {
    const IS_SECRET: bool = true;

    fn type_name() -> String {
        "a secret".into()
    }

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }

    fn to_text(&self) -> String {
        self.0.clone()
    }
}

macro_rules! numbers {
    ($($ty:ty = $name:literal),*) => {
        $(impl OptionValue for $ty {
            fn type_name() -> String {
                $name.into()
            }

            fn parse(text: &str) -> Result<Self, String> {
                text.trim().parse().map_err(|_| String::new())
            }

            fn to_text(&self) -> String {
                self.to_string()
            }
        })*
    };
}

numbers!(
    u16 = "a whole number from 0 to 65535",
    u32 = "a whole number from 0 to 4294967295",
    u64 = "a whole number, 0 or more",
    i64 = "a whole number",
    f64 = "a number",
    bool = "true or false"
);

impl OptionValue for String {
    fn type_name() -> String {
        "text".into()
    }

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn to_text(&self) -> String {
        self.clone()
    }
}

impl<T: OptionValue> OptionValue for Option<T> {
    const IS_SECRET: bool = T::IS_SECRET;

    fn type_name() -> String {
        format!("{}, or nothing", T::type_name())
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() { Ok(None) } else { T::parse(text).map(Some) }
    }

    fn to_text(&self) -> String {
        self.as_ref().map(T::to_text).unwrap_or_default()
    }
}

impl OptionValue for Duration {
    fn type_name() -> String {
        "a duration, e.g. 500 ms, 10 s, 5 min, 1 h, 2 d".into()
    }

    fn parse(text: &str) -> Result<Self, String> {
        parse_duration(text)
    }

    fn to_text(&self) -> String {
        format_duration(*self)
    }
}

impl OptionValue for MemorySize {
    fn type_name() -> String {
        "a size, e.g. 4096, 64 kb, 10 mb, 1 g".into()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split_unit(text);
        let number: u64 = number.parse().map_err(|_| String::new())?;
        let shift = match unit.as_str() {
            "" | "b" | "bytes" => 0,
            "k" | "kb" | "kibibytes" => 10,
            "m" | "mb" | "mebibytes" => 20,
            "g" | "gb" | "gibibytes" => 30,
            "t" | "tb" | "tebibytes" => 40,
            _ => return Err(format!("unknown unit \"{unit}\"")),
        };
        number.checked_mul(1 << shift).map(Self).ok_or_else(|| "too large".into())
    }

    fn to_text(&self) -> String {
        self.0.to_string()
    }
}

/// Reads a duration in Flink's syntax: a whole number and a unit; without a unit, milliseconds.
///
/// # Errors
/// If the text is none.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text);
    let number: u64 = number.parse().map_err(|_| String::new())?;
    let nanos_each: u64 = match unit.as_str() {
        "ns" | "nano" | "nanos" | "nanosecond" | "nanoseconds" => 1,
        "us" | "µs" | "micro" | "micros" | "microsecond" | "microseconds" => 1_000,
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1_000_000,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000_000_000,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000_000_000,
        "h" | "hour" | "hours" => 3_600_000_000_000,
        "d" | "day" | "days" => 86_400_000_000_000,
        _ => return Err(format!("unknown unit \"{unit}\"")),
    };
    number.checked_mul(nanos_each).map(Duration::from_nanos).ok_or_else(|| "too long".into())
}

/// The shortest text that [`parse_duration`] reads back exactly.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    for (unit, each) in [
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("min", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
    ] {
        if nanos != 0 && nanos.is_multiple_of(each) {
            return format!("{} {unit}", nanos / each);
        }
    }
    if nanos == 0 { "0 ms".into() } else { format!("{nanos} ns") }
}

fn split_unit(text: &str) -> (&str, String) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim().to_ascii_lowercase())
}

/// Gives an enum of unit variants the syntax of an option value; reading ignores case, and takes
/// `-` and `_` for each other.
macro_rules! choice {
    ($ty:ident { $($variant:ident = $text:literal $(| $alias:literal)*),+ $(,)? }) => {
        impl $crate::config::OptionValue for $ty {
            fn type_name() -> String {
                concat!("one of", $(" ", $text),+).into()
            }

            fn parse(text: &str) -> Result<Self, String> {
                let found = text.trim().to_ascii_lowercase().replace('_', "-");
                $(if [$text, $($alias),*].iter().any(|t| t.to_ascii_lowercase().replace('_', "-") == found) {
                    return Ok(Self::$variant);
                })+
                Err(String::new())
            }

            fn to_text(&self) -> String {
                match self {
                    $(Self::$variant => $text.into()),+
                }
            }
        }
    };
}
pub(crate) use choice;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_flink_writes_them() {
        for (text, millis) in [
            ("100", 100),
            ("10 s", 10_000),
            ("5min", 300_000),
            ("1 h", 3_600_000),
            ("2 d", 172_800_000),
        ] {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
        assert!(parse_duration("10 parsecs").unwrap_err().contains("parsecs"));
        assert!(parse_duration("-1 s").is_err());
        assert!(parse_duration("99999999999 d").unwrap_err().contains("too long"));
    }

    #[test]
    fn a_formatted_duration_reads_back() {
        for nanos in [0, 1, 1_500, 60_000_000_000, 86_400_000_000_000, 90_000_000_000] {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(parse_duration(&format_duration(duration)).unwrap(), duration);
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(MemorySize::parse("20 kb").unwrap(), MemorySize(20_480));
        assert_eq!(MemorySize::parse("1g").unwrap(), MemorySize(1 << 30));
        assert!(MemorySize::parse("99999999999 t").is_err());
    }
}
