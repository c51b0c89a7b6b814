//! The lower bound: what a good engineer would write for just this. With one thread there is no exchange at all; with
//! several, batches go through bounded channels from those that make events to those that keep sums.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::hint::black_box;
use std::sync::mpsc::sync_channel;
use std::thread;

use crate::events::{Vocabulary, count_and_max, is_even, key_of, mix, scramble, value_of};

/// W1, stateless: map, filter, and the sum of what is left.
pub fn stateless(events: u64, threads: u64) -> u64 {
    parts(events, threads, |range| {
        let mut check = 0u64;
        for index in range {
            let value = scramble(mix(index));
            if is_even(&value) {
                check = check.wrapping_add(black_box(value));
            }
        }
        check
    })
    .into_iter()
    .fold(0, u64::wrapping_add)
}

/// A fast hash for the loop's maps.
#[derive(Default)]
pub struct Multiply(u64);

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            let word = word.try_into().map_or(0, u64::from_le_bytes);
            self.write_u64(word);
        }
        let mut rest = [0; 8];
        rest[..words.remainder().len()].copy_from_slice(words.remainder());
        self.write_u64(u64::from_le_bytes(rest));
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.0 ^ value) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

/// The standard library's map with that hash.
#[expect(clippy::disallowed_types, reason = "the loop is what others would write")]
pub type Map<K> = std::collections::HashMap<K, u64, BuildHasherDefault<Multiply>>;

/// W2, keyed running sum.
pub fn keyed_sum(events: u64, keys: u64, threads: u64) -> u64 {
    let add = |sums: &mut Map<u64>, (key, value): (u64, u64), seen: &mut (u64, u64)| {
        let sum = sums.entry(key).or_default();
        *sum += value;
        *seen = (seen.0 + 1, seen.1.max(black_box(*sum)));
    };
    let event = |index| (key_of(index, keys), value_of(index));
    let (count, max) = if threads == 1 {
        let (mut sums, mut seen) = (Map::default(), (0, 0));
        (0..events).for_each(|index| add(&mut sums, event(index), &mut seen));
        seen
    } else {
        let seen = exchanged(
            events,
            threads,
            |index, emit| {
                let (key, value) = event(index);
                emit(key, (key, value));
            },
            |sums: &mut Map<u64>, event, seen: &mut (u64, u64)| add(sums, event, seen),
        );
        seen.into_iter().fold((0, 0), |all, own| (all.0 + own.0, all.1.max(own.1)))
    };
    count_and_max(count, max)
}

/// W3, word count. The sum of all running counts does not depend on the order of lines.
pub fn word_count(lines: u64, threads: u64) -> u64 {
    let vocabulary = Vocabulary::new();
    if threads == 1 {
        let (mut counts, mut line, mut check) = (Map::<String>::default(), String::new(), 0u64);
        for index in 0..lines {
            line.clear();
            vocabulary.write_line(index, &mut line);
            for word in black_box(&line).split(' ') {
                let count = match counts.get_mut(word) {
                    Some(count) => count,
                    None => counts.entry(word.to_owned()).or_default(),
                };
                *count += 1;
                check = check.wrapping_add(black_box(*count));
            }
        }
        return check;
    }
    let hasher = BuildHasherDefault::<Multiply>::default();
    let checks = exchanged(
        lines,
        threads,
        |index, emit| {
            for word in vocabulary.line(index).split(' ') {
                emit(hasher.hash_one(word), word.to_owned());
            }
        },
        |counts: &mut Map<String>, word, check: &mut u64| {
            let count = counts.entry(word).or_default();
            *count += 1;
            *check = check.wrapping_add(black_box(*count));
        },
    );
    checks.into_iter().fold(0, u64::wrapping_add)
}

/// The time of an event of W4, in milliseconds: a hundred of them in each, up to 127 out of order.
#[inline]
pub fn time_of(index: u64) -> u64 {
    index / 100 + 128 - (mix(index) & 127)
}

/// W4, counts per key and second of event time, which are done with when event time has passed them.
pub fn windowed_count(events: u64, keys: u64) -> u64 {
    const SIZE: u64 = 1000;
    const BEHIND: u64 = 200;
    let (mut windows, mut greatest) = (BTreeMap::<u64, Map<u64>>::new(), 0u64);
    let (mut results, mut most) = (0, 0);
    let mut fire = |counts: Map<u64>| {
        for count in counts.into_values() {
            results += 1;
            most = most.max(black_box(count));
        }
    };
    for index in 0..events {
        let (key, time) = (key_of(index, keys), time_of(index));
        greatest = greatest.max(time);
        *windows.entry(time / SIZE).or_default().entry(key).or_default() += 1;
        if index % 1024 == 1023 {
            let passed = greatest.saturating_sub(BEHIND) / SIZE;
            while let Some(first) = windows.first_entry().filter(|first| *first.key() < passed) {
                fire(first.remove());
            }
        }
    }
    windows.into_values().for_each(&mut fire);
    count_and_max(results, most)
}

/// Does each part of the events on a thread of its own.
fn parts<R: Send>(
    events: u64,
    threads: u64,
    body: impl Fn(std::ops::Range<u64>) -> R + Sync,
) -> Vec<R> {
    thread::scope(|scope| {
        let body = &body;
        let part = |number: u64| number * events / threads..(number + 1) * events / threads;
        let spawned: Vec<_> =
            (0..threads).map(|number| scope.spawn(move || body(part(number)))).collect();
        spawned.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}

const BATCH: usize = 1024;
const BATCHES_IN_FLIGHT: usize = 8;

/// So many threads make records, as many others keep what belongs to their share of the keys.
fn exchanged<T: Send, M: Default, R: Default + Send>(
    events: u64,
    threads: u64,
    make: impl Fn(u64, &mut dyn FnMut(u64, T)) + Sync,
    keep: impl Fn(&mut M, T, &mut R) + Sync,
) -> Vec<R> {
    thread::scope(|scope| {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..threads).map(|_| sync_channel::<Vec<T>>(BATCHES_IN_FLIGHT)).unzip();
        let keep = &keep;
        let keepers = receivers.into_iter().map(|receiver| {
            scope.spawn(move || {
                let (mut kept, mut result) = (M::default(), R::default());
                for batch in receiver {
                    batch.into_iter().for_each(|record| keep(&mut kept, record, &mut result));
                }
                result
            })
        });
        let keepers: Vec<_> = keepers.collect();
        for number in 0..threads {
            let (senders, make) = (senders.clone(), &make);
            scope.spawn(move || {
                let mut batches: Vec<Vec<T>> =
                    senders.iter().map(|_| Vec::with_capacity(BATCH)).collect();
                for index in number * events / threads..(number + 1) * events / threads {
                    make(index, &mut |hash, record| {
                        let owner = (Multiply::default().hash(hash) % threads) as usize;
                        batches[owner].push(record);
                        if batches[owner].len() == BATCH {
                            let full =
                                std::mem::replace(&mut batches[owner], Vec::with_capacity(BATCH));
                            // A keeper is there as long as its senders are.
                            let _ = senders[owner].send(full);
                        }
                    });
                }
                for (sender, batch) in senders.iter().zip(batches) {
                    let _ = sender.send(batch);
                }
            });
        }
        drop(senders);
        keepers.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}

impl Multiply {
    fn hash(mut self, value: u64) -> u64 {
        value.hash(&mut self);
        self.finish() >> 32
    }
}
