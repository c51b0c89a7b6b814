//! Random inputs, also nonsensical ones, against the rules that must hold after every step.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// splitmix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

/// What the rules need to know of the past.
#[derive(Default)]
struct Past {
    last_prepared: u64,
    asked_to_persist: BTreeSet<u64>,
    may_exist: BTreeSet<u64>,
    persisted: BTreeSet<u64>,
    open_requests: BTreeSet<u64>,
    next_request: u64,
    attempt: u32,
    savepoints: BTreeSet<u64>,
    /// Those of them that the job stops with, and who asked for such.
    stops: BTreeSet<u64>,
    stop_requests: BTreeSet<u64>,
    /// The attempt of each checkpoint.
    triggered: BTreeMap<u64, u32>,
}

#[test]
fn no_sequence_of_inputs_breaks_the_rules() {
    let mut completed = 0;
    for seed in 0..1_000 {
        let mut rng = Rng(seed);
        let concurrent = 1 + rng.below(3);
        let retained = 1 + rng.below(3);
        let mut f = Fixture::new(&[
            ("max-concurrent-checkpoints", &concurrent.to_string()),
            ("num-retained", &retained.to_string()),
            ("timeout", "3 s"),
            ("tolerable-failed-checkpoints", "2"),
        ]);
        let mut past = Past::default();
        f.coordinator.handle(f.now(), tasks_running(0));
        for _ in 0..300 {
            step(&mut f, &mut rng, &mut past);
            check_effects(&mut f, &mut past, seed);
            assert!(f.coordinator.pending().count() as u64 <= concurrent, "seed {seed}");
            assert!(f.coordinator.retained().count() as u64 <= retained, "seed {seed}");
            assert_eq!(f.coordinator.is_settled(), past.may_exist.is_empty(), "seed {seed}");
        }
        f.coordinator.handle(f.now(), Input::Stop);
        for id in f.coordinator.pending().collect::<Vec<_>>() {
            past.may_exist.remove(&id.0);
            past.persisted.insert(id.0);
            f.coordinator.handle(f.now(), Input::MetadataPersisted { checkpoint: id });
        }
        check_effects(&mut f, &mut past, seed);
        let mut kept = f.coordinator.retained().map(|record| record.checkpoint.0);
        let is_plain = |id: u64| past.savepoints.contains(&id) && !past.stops.contains(&id);
        assert!(!kept.any(is_plain), "seed {seed}: a savepoint is kept");
        assert!(past.open_requests.is_empty(), "seed {seed}: {:?}", past.open_requests);
        assert!(f.pending().is_empty(), "seed {seed}");
        completed += past.persisted.len();
    }
    assert!(completed > 2_000, "the sequences reach too little: {completed}");
}

fn step(f: &mut Fixture, rng: &mut Rng, past: &mut Past) {
    let ids: Vec<u64> = (1..past.last_prepared + 2).collect();
    let recent = if rng.below(4) == 0 { rng.pick(&ids) } else { past.last_prepared };
    let id = f.pending().last().copied().filter(|_| rng.below(4) != 0).unwrap_or(recent);
    let mut name = rng.pick(&["s0", "s1", "k0", "s0", "s1", "k0", "s9"]).to_owned();
    if let Some(waiting) = f.coordinator.pending.get(&CheckpointId(id))
        && let Some(task) = waiting.waiting().next()
        && rng.below(2) == 0
    {
        name = name_of(task);
    }
    let name = name.as_str();
    let attempt = if rng.below(8) == 0 { past.attempt.saturating_sub(1) } else { past.attempt };
    let checkpoint = CheckpointId(id);
    let input = match rng.below(32) {
        0..=4 => {
            f.millis += rng.below(1_200);
            f.coordinator.handle_timeout(f.now());
            return;
        }
        5..=8 => Input::LocationPrepared { checkpoint },
        9..=19 => {
            let path = match rng.below(6) {
                0 => format!("chk-{id}/{name}-{}", rng.below(3)),
                1 => format!("shared/{}", rng.below(3)),
                2 => match f.coordinator.latest() {
                    Some(latest) => format!("chk-{}/{name}", latest.checkpoint),
                    None => format!("chk-{id}/{name}"),
                },
                _ => format!("chk-{id}/{name}"),
            };
            ack_of(attempt, id, name, &path, rng.below(4) == 0)
        }
        20..=24 => {
            let writing = f.coordinator.pending.values().find(|p| p.is_writing());
            let Some(id) = writing.map(|pending| pending.checkpoint.0) else { return };
            match rng.below(3) {
                0 => unknown(id),
                1 => {
                    if !f.coordinator.pending[&CheckpointId(id)].is_maybe_written() {
                        past.may_exist.remove(&id);
                    }
                    write_failed(id)
                }
                _ => {
                    past.may_exist.remove(&id);
                    past.persisted.insert(id);
                    persisted(id)
                }
            }
        }
        25 => {
            decline(id, name, rng.pick(&[DeclineReason::AsyncException, DeclineReason::Subsumed]))
        }
        26 | 27 => {
            past.next_request += 1;
            past.open_requests.insert(past.next_request);
            let request = past.next_request;
            match rng.below(5) {
                0 | 1 => Input::SavepointRequested { request },
                2 => {
                    past.stop_requests.insert(request);
                    Input::StopRequested { request, drain: rng.below(2) == 0, folder: "/sp".into() }
                }
                _ => requested(request),
            }
        }
        28 => Input::EndOfData { attempt: AttemptNumber(attempt), task: task(name) },
        29 if rng.below(12) == 0 => {
            Input::TaskFinished { attempt: AttemptNumber(attempt), task: task(name) }
        }
        30 if rng.below(6) == 0 => Input::Stop,
        31 if rng.below(4) == 0 => {
            past.attempt += 1;
            tasks_running(past.attempt)
        }
        _ => Input::MetadataUnknown { checkpoint, message: String::new() },
    };
    f.coordinator.handle(f.now(), input);
}

fn check_effects(f: &mut Fixture, past: &mut Past, seed: u64) {
    while let Some(effect) = f.coordinator.poll_effect() {
        match &effect {
            Effect::PrepareLocation { checkpoint } => {
                assert!(checkpoint.0 > past.last_prepared, "seed {seed}: ids grow strictly");
                past.last_prepared = checkpoint.0;
            }
            Effect::PrepareSavepoint { checkpoint, request } => {
                assert!(checkpoint.0 > past.last_prepared, "seed {seed}: ids grow strictly");
                assert!(past.open_requests.contains(request), "seed {seed}");
                assert_eq!(f.pending(), [checkpoint.0], "seed {seed}: it is alone");
                past.last_prepared = checkpoint.0;
                past.savepoints.insert(checkpoint.0);
                if past.stop_requests.contains(request) {
                    past.stops.insert(checkpoint.0);
                }
            }
            Effect::DiscardSavepoint { checkpoint } => {
                assert!(past.savepoints.contains(&checkpoint.0), "seed {seed}: it is none");
                assert!(!past.persisted.contains(&checkpoint.0), "seed {seed}: it exists");
            }
            Effect::TriggerSources { attempt, barrier, tasks } => {
                assert!(!tasks.is_empty(), "seed {seed}");
                let first = past.triggered.entry(barrier.checkpoint.0).or_insert(attempt.0);
                assert_eq!(*first, attempt.0, "seed {seed}: a checkpoint is of one attempt");
            }
            Effect::PersistMetadata { checkpoint, .. } => {
                let id = checkpoint.0;
                let is_first = past.asked_to_persist.insert(id);
                assert!(is_first || past.may_exist.contains(&id), "seed {seed}: settled");
                past.may_exist.insert(id);
            }
            Effect::NotifyComplete { checkpoint, .. } => {
                assert!(past.persisted.contains(&checkpoint.0), "seed {seed}: no record yet");
                let id = checkpoint.0;
                let commits = !past.savepoints.contains(&id) || past.stops.contains(&id);
                assert!(commits, "seed {seed}: a savepoint commits");
            }
            Effect::Completed { checkpoint, .. } => {
                assert!(past.persisted.contains(&checkpoint.0), "seed {seed}: no record yet");
            }
            Effect::NotifyAborted { checkpoint, .. } | Effect::Failed { checkpoint, .. } => {
                let id = checkpoint.0;
                assert!(!past.may_exist.contains(&id), "seed {seed}: {id} may exist");
                assert!(!past.persisted.contains(&id), "seed {seed}: {id} exists");
            }
            Effect::Discard { paths } => check_discard(f, paths, seed),
            Effect::DiscardClaimed { .. } => panic!("seed {seed}: nothing is claimed"),
            Effect::Answer { request, .. } => {
                assert!(past.open_requests.remove(request), "seed {seed}: answered twice");
            }
            Effect::Stopping { request, checkpoint } => {
                assert!(past.open_requests.remove(request), "seed {seed}: answered twice");
                assert!(past.stops.contains(&checkpoint.0), "seed {seed}: it is none");
            }
            Effect::FailJob { .. } => {}
        }
    }
}

fn check_discard(f: &Fixture, paths: &[String], seed: u64) {
    // Whoever is killed in between must leave no record whose files, which are in its folder or an older one, are gone.
    let number = |path: &String| path.strip_prefix("chk-")?.split('/').next()?.parse::<u64>().ok();
    let numbers: Vec<Option<u64>> = paths.iter().map(number).collect();
    assert!(numbers.is_sorted_by(|a, b| a >= b), "seed {seed}: {paths:?}");
    for (before, path) in paths.iter().zip(&paths[1..]) {
        let is_late = path.ends_with("/_metadata") && number(before) == number(path);
        assert!(!is_late, "seed {seed}: {paths:?}");
    }
    let writing = f.coordinator.pending.values().filter_map(|pending| pending.record());
    for record in f.coordinator.retained().map(|record| &**record).chain(writing) {
        let metadata = format!("chk-{}/_metadata", record.checkpoint);
        for needed in record.files().into_iter().chain([metadata.as_str()]) {
            for path in paths {
                let hits = needed == path || needed.starts_with(&format!("{path}/"));
                assert!(!hits, "seed {seed}: {path} deleted, {needed} needed");
            }
        }
    }
}
