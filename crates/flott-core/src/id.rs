//! Identifiers. Every id is its own type; the 128-bit ones print as 32 lower-case hex digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::hash::hash128;

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(u128);

        impl $name {
            /// The id with these 128 bits.
            pub const fn from_u128(bits: u128) -> Self {
                Self(bits)
            }

            /// The id that a name stands for: its 128-bit stable hash ([`hash128`]).
            pub fn from_name(name: &str) -> Self {
                Self(hash128(name.as_bytes()))
            }

            /// The 128 bits.
            pub const fn as_u128(self) -> u128 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                let well_formed = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
                match u128::from_str_radix(text, 16) {
                    Ok(bits) if well_formed => Ok(Self(bits)),
                    Ok(_) | Err(_) => Err(Error::new(
                        ErrorKind::InvalidInput,
                        format!(
                            "cannot parse {} from \"{text}\": the expected format is \
                             [0-9a-fA-F]{{32}}, e.g. fd72014d4c864993a2e5a9287b4a9c5d",
                            $what
                        ),
                    )),
                }
            }
        }
    };
}

hex_id!(
    /// One run of a job. A restored job has a new id.
    JobId,
    "JobID"
);
hex_id!(
    /// An operator, by its uid: what state is matched by on restore.
    OperatorId,
    "OperatorID"
);
hex_id!(
    /// A vertex of the job graph: a chain of operators that runs as one task per subtask.
    VertexId,
    "VertexID"
);

/// The number of a checkpoint. Ids start at 1, grow strictly over the whole life of a job, and are
/// never reused; gaps are normal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CheckpointId(pub u64);

impl CheckpointId {
    /// The id after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many times the job was deployed before: the first deployment is attempt 0. Messages of an
/// older attempt are refused.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct AttemptNumber(pub u32);

impl AttemptNumber {
    /// The attempt after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for AttemptNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One task: a subtask of a vertex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    /// The vertex that the task belongs to.
    pub vertex: VertexId,
    /// Which of the vertex's subtasks, from 0.
    pub subtask: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.vertex, self.subtask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hex_id_prints_as_it_parses() {
        let text = "00ab014d4c864993a2e5a9287b4a9c5d";
        assert_eq!(text.parse::<JobId>().unwrap().to_string(), text);
    }

    #[test]
    fn a_bad_hex_id_is_named_in_the_error() {
        for bad in ["abc", "+0ab014d4c864993a2e5a9287b4a9c5d", ""] {
            let error = bad.parse::<JobId>().unwrap_err().to_string();
            assert!(error.contains(&format!("cannot parse JobID from \"{bad}\"")), "{error}");
        }
    }
}
