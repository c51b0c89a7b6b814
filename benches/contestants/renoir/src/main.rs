//! The contestant on renoir: `renoir-contestant WORKLOAD EVENTS WORKERS`.

#[path = "../../../src/events.rs"]
mod events;
#[path = "../../report.rs"]
mod report;

use std::sync::Arc;

use events::{Vocabulary, is_even, key_of, mix, scramble, value_of};
use renoir::prelude::*;
use report::{Seen, arguments};

const KEYS: u64 = 1_000_000;
const BATCH: usize = 1024;

fn main() {
    let (workload, events, workers) = arguments();
    let (seen, vocabulary) = (Arc::new(Seen::default()), Arc::new(Vocabulary::new()));
    let context = StreamContext::new(RuntimeConfig::local(workers).expect("a local run"));
    let part = move |index: u64, peers: u64| index * events / peers..(index + 1) * events / peers;
    let batches = BatchMode::fixed(BATCH);
    match workload.as_str() {
        "W1" => context
            .stream_par_iter(part)
            .batch_mode(batches)
            .map(mix)
            .map(scramble)
            .filter(is_even)
            .for_each(seen.look(|value: &u64| *value)),
        "W2" => context
            .stream_par_iter(part)
            .batch_mode(batches)
            .map(|index| (key_of(index, KEYS), value_of(index)))
            .group_by(|(key, _)| *key)
            .rich_map({
                let mut sum = 0;
                move |(_, (_, value)): (&u64, (u64, u64))| {
                    sum += value;
                    sum
                }
            })
            .for_each(seen.look(|(_, sum): &(u64, u64)| *sum)),
        "W3" => context
            .stream_par_iter(part)
            .batch_mode(batches)
            .map(move |index| vocabulary.line(index))
            .flat_map(|line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
            .group_by(|word| word.clone())
            .rich_map({
                let mut count = 0u64;
                move |_: (&String, String)| {
                    count += 1;
                    count
                }
            })
            .for_each(seen.look(|(_, count): &(String, u64)| *count)),
        other => panic!("no workload {other}"),
    }
    context.execute_blocking();
    seen.report(&workload);
}
