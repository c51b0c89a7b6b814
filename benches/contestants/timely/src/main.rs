//! The contestant on timely dataflow: `timely-contestant WORKLOAD EVENTS WORKERS`.

#[path = "../../../src/events.rs"]
mod events;
#[path = "../../report.rs"]
mod report;

use std::hash::BuildHasher;
use std::hint::black_box;
use std::sync::Arc;

use events::{Vocabulary, is_even, key_of, mix, scramble, value_of};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use report::{Seen, arguments};
use timely::Config;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::vec::{Filter, Map, ToStream};
use timely::dataflow::operators::{Inspect, Probe};

const KEYS: u64 = 1_000_000;

fn main() {
    let (workload, events, workers) = arguments();
    let (seen, vocabulary) = (Arc::new(Seen::default()), Arc::new(Vocabulary::new()));
    let (kind, watched) = (workload.clone(), seen.clone());
    let config = if workers == 1 { Config::thread() } else { Config::process(workers as usize) };
    timely::execute(config, move |worker| {
        let (index, peers) = (worker.index() as u64, worker.peers() as u64);
        let part = index * events / peers..(index + 1) * events / peers;
        let (seen, vocabulary, kind) = (watched.clone(), vocabulary.clone(), kind.clone());
        let probe = worker.dataflow::<u64, _, _>(|scope| match kind.as_str() {
            "W1" => part
                .map(mix)
                .to_stream(scope)
                .map(scramble)
                .filter(|value| is_even(value))
                .inspect(seen.watch(|value: &u64| *value))
                .probe()
                .0,
            "W2" => part
                .map(|index| (key_of(index, KEYS), value_of(index)))
                .to_stream(scope)
                .unary(
                    Exchange::new(|(key, _): &(u64, u64)| mix(*key)),
                    "sum",
                    |_capability, _info| {
                        let mut sums: HashMap<u64, u64, FixedState> = HashMap::default();
                        move |input, output| {
                            input.for_each(|time, records| {
                                let mut session = output.session(&time);
                                for (key, value) in records.drain(..) {
                                    let sum = sums.entry(key).or_insert(0);
                                    *sum += value;
                                    session.give((key, *sum));
                                }
                            });
                        }
                    },
                )
                .container::<Vec<_>>()
                .inspect(seen.watch(|(_, sum): &(u64, u64)| *sum))
                .probe()
                .0,
            "W3" => {
                let hasher = FixedState::default();
                part.map(move |index| vocabulary.line(index))
                    .to_stream(scope)
                    .flat_map(|line: String| {
                        line.split(' ').map(|word| (word.to_owned(), 1)).collect::<Vec<_>>()
                    })
                    .unary(
                        Exchange::new(move |(word, _): &(String, u64)| hasher.hash_one(word)),
                        "count",
                        |_capability, _info| {
                            let mut counts: HashMap<String, u64, FixedState> = HashMap::default();
                            move |input, output| {
                                input.for_each(|time, records| {
                                    let mut session = output.session(&time);
                                    for (word, one) in records.drain(..) {
                                        let count = match counts.get_mut(&word) {
                                            Some(count) => count,
                                            None => counts.entry(word.clone()).or_insert(0),
                                        };
                                        *count += one;
                                        session.give((word, *count));
                                    }
                                });
                            }
                        },
                    )
                    .container::<Vec<_>>()
                    .inspect(seen.watch(|(_, count): &(String, u64)| *count))
                    .probe()
                    .0
            }
            other => panic!("no workload {other}"),
        });
        while !probe.done() {
            worker.step();
        }
        black_box(());
    })
    .expect("timely runs");
    seen.report(&workload);
}
