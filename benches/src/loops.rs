//! The lower bound: what a good engineer would write for just this.

use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;

use flott_core::hash::mix;

use crate::workloads::{is_even, key_of, scramble};

/// W1, stateless: map, filter, count.
pub fn stateless(events: u64) -> u64 {
    let mut count = 0;
    for index in 0..events {
        let value = scramble(mix(index));
        if is_even(&value) {
            count += 1;
            black_box(value);
        }
    }
    count
}

/// A fast hash for the loop's map.
#[derive(Default)]
pub struct Multiply(u64);

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.0 ^ value) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

/// The standard library's map with that hash.
#[expect(clippy::disallowed_types, reason = "the loop is what others would write")]
pub type Map = std::collections::HashMap<u64, u64, BuildHasherDefault<Multiply>>;

/// W2, keyed running sum: the checksum is the sum of all running sums.
pub fn keyed_sum(events: u64, keys: u64) -> u64 {
    let mut sums = Map::default();
    let mut check = 0u64;
    for index in 0..events {
        let sum = match sums.entry(key_of(index, keys)) {
            Entry::Occupied(entry) => {
                let sum = entry.into_mut();
                *sum += index & 255;
                *sum
            }
            Entry::Vacant(entry) => *entry.insert(index & 255),
        };
        check = check.wrapping_add(black_box(sum));
    }
    check
}
