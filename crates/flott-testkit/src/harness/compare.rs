//! Compares the output of a variation with what is expected.

use std::fmt::{self, Debug};
use std::sync::Arc;

/// Why a check did not pass: which variation, and what it did.
pub struct CheckFailure(pub(super) String);

impl fmt::Display for CheckFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The same text, so that an unwrapped failure can be read.
impl Debug for CheckFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CheckFailure {}

/// The group of records that a record has a place in.
pub(super) type GroupOf<U> = Arc<dyn Fn(&U) -> String>;

/// Which order of records counts.
pub(super) enum Order<U> {
    /// All of it.
    Total,
    /// That of records of the same group.
    Within(GroupOf<U>),
    /// None.
    Any,
}

impl<U> Clone for Order<U> {
    fn clone(&self) -> Self {
        match self {
            Self::Total => Self::Total,
            Self::Within(group) => Self::Within(group.clone()),
            Self::Any => Self::Any,
        }
    }
}

impl<U: PartialEq + Debug> Order<U> {
    /// What is wrong with `found`, if anything is.
    pub(super) fn difference(&self, expected: &[U], found: &[U]) -> Option<String> {
        let lines = |records: &[U]| -> Vec<String> {
            let texts = records.iter().map(|record| format!("{record:?}"));
            let mut lines: Vec<String> = match self {
                Self::Total | Self::Any => texts.collect(),
                Self::Within(group) => texts
                    .zip(records)
                    .map(|(text, record)| format!("{}: {text}", group(record)))
                    .collect(),
            };
            match self {
                Self::Total => {}
                Self::Any => lines.sort(),
                Self::Within(group) => {
                    let mut keyed: Vec<_> = records.iter().map(group.as_ref()).zip(lines).collect();
                    // Stable: records of one group keep their order.
                    keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
                    lines = keyed.into_iter().map(|(_, line)| line).collect();
                }
            }
            lines
        };
        // Types may be equal in a way that their text does not show.
        if matches!(self, Self::Total) && expected == found {
            return None;
        }
        let (expected, found) = (lines(expected), lines(found));
        if expected == found {
            return matches!(self, Self::Total)
                .then(|| "the records are not equal, although they read the same".to_owned());
        }
        let at = expected.iter().zip(&found).take_while(|(a, b)| a == b).count();
        let line =
            |lines: &[String]| lines.get(at).cloned().unwrap_or_else(|| "nothing more".into());
        let listed = |lines: &[String]| match lines {
            [] => " nothing".to_owned(),
            lines => lines.iter().map(|line| format!("\n    {line}")).collect::<String>(),
        };
        Some(format!(
            "record {} should be {}, but is {}\n  expected:{}\n  found:{}",
            at + 1,
            line(&expected),
            line(&found),
            listed(&expected),
            listed(&found)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_order_that_counts_is_compared() {
        let by_parity: Order<i32> = Order::Within(Arc::new(|n: &i32| (n % 2).to_string()));
        assert!(Order::Total.difference(&[1, 2], &[2, 1]).is_some());
        assert_eq!(Order::Any.difference(&[1, 2], &[2, 1]), None);
        assert_eq!(by_parity.difference(&[1, 2, 3], &[2, 1, 3]), None);
        assert!(by_parity.difference(&[1, 2, 3], &[3, 2, 1]).is_some());
        assert!(Order::Any.difference(&[1, 1], &[1]).is_some());
    }

    #[test]
    fn a_difference_shows_where_it_begins() {
        let text = Order::Total.difference(&["a", "b"], &["a"]).unwrap();
        assert!(text.starts_with("record 2 should be \"b\", but is nothing more"), "{text}");
    }
}
