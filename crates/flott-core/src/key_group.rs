//! Key groups: the unit in which keyed state is stored, moved and restored.
//!
//! A key's stable hash ([`crate::hash`]) is mapped to one of `max parallelism` key groups by
//! taking its high 32 bits as a fraction of one, so that a group is a contiguous range of hashes.
//! Subtask `i` of `p` owns the groups `[ceil(i·max/p), ceil((i+1)·max/p))`, as in Flink.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The index of a key group, in `[0, max parallelism)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyGroup(pub u16);

/// The number of key groups of an operator: 1 to 32768. It is fixed for the life of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MaxParallelism(u32);

impl MaxParallelism {
    /// The upper bound, 2^15.
    pub const UPPER_BOUND: u32 = 1 << 15;

    /// Checks the range.
    ///
    /// # Errors
    /// If `value` is 0 or above [`Self::UPPER_BOUND`].
    pub fn new(value: u32) -> Result<Self> {
        if value == 0 || value > Self::UPPER_BOUND {
            return Err(Error::invalid(format!(
                "max parallelism {value} is out of range: it must be between 1 and {}",
                Self::UPPER_BOUND
            )));
        }
        Ok(Self(value))
    }

    /// The default for an operator that runs with `parallelism` subtasks:
    /// `min(max(round_up_to_power_of_two(p + p/2), 128), 32768)`, as in Flink.
    pub fn default_for(parallelism: u32) -> Self {
        let wanted = parallelism.saturating_add(parallelism / 2).min(Self::UPPER_BOUND);
        Self(wanted.next_power_of_two().clamp(128, Self::UPPER_BOUND))
    }

    /// The number of key groups.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The key group of a key with this stable hash.
    #[inline]
    pub fn key_group(self, hash: u64) -> KeyGroup {
        KeyGroup((((hash >> 32) * u64::from(self.0)) >> 32) as u16)
    }

    /// The subtask that owns a key group when `parallelism` subtasks run.
    #[inline]
    pub fn owner(self, group: KeyGroup, parallelism: u32) -> u32 {
        u32::from(group.0) * parallelism / self.0
    }

    /// The key groups of a subtask.
    pub fn range_of(self, subtask: u32, parallelism: u32) -> KeyGroupRange {
        let first = |index: u32| (index * self.0).div_ceil(parallelism);
        KeyGroupRange { start: first(subtask), end: first(subtask + 1) }
    }
}

impl fmt::Display for MaxParallelism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A half-open range of key groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyGroupRange {
    /// The first group.
    pub start: u32,
    /// The group after the last.
    pub end: u32,
}

impl KeyGroupRange {
    /// Whether the group is in the range.
    #[inline]
    pub fn contains(&self, group: KeyGroup) -> bool {
        (self.start..self.end).contains(&u32::from(group.0))
    }

    /// How many groups it has.
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// Whether they have a group in common.
    pub fn overlaps(&self, other: Self) -> bool {
        self.start.max(other.start) < self.end.min(other.end)
    }

    /// Its groups in order.
    pub fn iter(&self) -> impl Iterator<Item = KeyGroup> + use<> {
        let range: Range<u32> = self.start..self.end;
        range.map(|group| KeyGroup(group as u16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_overlap_if_they_share_a_group() {
        let range = |start, end| KeyGroupRange { start, end };
        assert!(range(0, 4).overlaps(range(3, 9)) && range(3, 9).overlaps(range(0, 4)));
        assert!(!range(0, 4).overlaps(range(4, 9)) && !range(4, 4).overlaps(range(0, 9)));
    }

    proptest! {
        #[test]
        fn every_key_group_has_exactly_one_owner(max in 1u32..=32768, parallelism in 1u32..=300) {
            let parallelism = parallelism.min(max);
            let max = MaxParallelism::new(max).unwrap();
            let mut next = 0;
            for subtask in 0..parallelism {
                let range = max.range_of(subtask, parallelism);
                prop_assert_eq!(range.start, next);
                next = range.end;
                for group in range.iter() {
                    prop_assert_eq!(max.owner(group, parallelism), subtask);
                }
            }
            prop_assert_eq!(next, max.get());
        }

        #[test]
        fn the_key_group_of_any_hash_is_in_range(hash: u64, max in 1u32..=32768) {
            let max = MaxParallelism::new(max).unwrap();
            prop_assert!(u32::from(max.key_group(hash).0) < max.get());
        }
    }

    #[test]
    fn the_default_is_flinks() {
        for (parallelism, expected) in
            [(1, 128), (85, 128), (86, 256), (200, 512), (30_000, 32_768)]
        {
            assert_eq!(MaxParallelism::default_for(parallelism).get(), expected);
        }
    }

    #[test]
    fn zero_and_too_many_are_refused() {
        assert!(MaxParallelism::new(0).is_err());
        assert!(
            MaxParallelism::new(32_769).unwrap_err().to_string().contains("between 1 and 32768")
        );
    }
}
