//! Random inputs, also nonsensical ones, against the rules that must hold after every step.

use std::collections::BTreeSet;

use super::*;

/// splitmix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// What the rules need to know of the past.
#[derive(Default)]
struct Past {
    next_attempt: u32,
    persisted: BTreeSet<u64>,
    open_record: Option<u64>,
    latest: u64,
    last_prepared: u64,
    cancelled: BTreeSet<u32>,
    ended: bool,
}

#[test]
fn no_sequence_of_inputs_breaks_the_rules() {
    let (mut deployments, mut records, mut ends) = (0, 0, 0);
    for seed in 0..600 {
        let mut rng = Rng(seed);
        let mut f = Fixture::new(&[]);
        let mut spec = spec(&[]);
        spec.restart =
            RestartStrategyConfig::FixedDelay { attempts: 20, delay: Duration::from_millis(300) };
        f.job = JobMaster::new(f.now(), spec, seed);
        let mut past = Past::default();
        f.job.handle(f.now(), JobInput::Start);
        check_effects(&mut f, &mut past, seed);
        for _ in 0..300 {
            step(&mut f, &mut rng, &mut past);
            check_effects(&mut f, &mut past, seed);
        }
        deployments += past.next_attempt;
        records += past.persisted.len();
        wind_up(&mut f, &mut past, seed);
        ends += u32::from(past.ended);
    }
    assert!(deployments > 1_500, "the sequences reach too little: {deployments} deployments");
    assert!(records > 1_000, "the sequences reach too little: {records} records");
    assert_eq!(ends, 600, "a job that is cancelled, and whose tasks obey, always ends");
}

fn step(f: &mut Fixture, rng: &mut Rng, past: &mut Past) {
    let attempt = if rng.below(8) == 0 {
        past.next_attempt.saturating_sub(2)
    } else {
        past.next_attempt.saturating_sub(1)
    };
    let name = if rng.below(2) == 0 { "s0" } else { "k0" };
    let is_ending = f.states().iter().any(|state| state.ends_with("CANCELING"));
    let input = match rng.below(41) {
        0..=5 => {
            f.millis += rng.below(700);
            f.job.handle_timeout(f.now());
            return;
        }
        6..=13 => running(attempt, name),
        14..=17 => prepared(past.last_prepared),
        18..=27 => ack(attempt, past.last_prepared, name),
        28..=31 => match past.open_record {
            Some(id) if rng.below(2) == 0 => {
                past.persisted.insert(id);
                past.open_record = None;
                persisted(id)
            }
            Some(id) => unknown(id),
            None => return,
        },
        32..=34 if is_ending => canceled(attempt, name),
        35 if rng.below(2) == 0 => failed(attempt, name),
        36 if rng.below(8) == 0 => finished(attempt, name),
        37 => end_of_data(attempt, name),
        38 => JobInput::CheckpointRequested { request: 0 },
        40 if rng.below(4) == 0 => {
            JobInput::StopRequested { request: 2, drain: rng.below(2) == 0, folder: "/sp".into() }
        }
        40 => JobInput::SavepointRequested { request: 1 },
        39 if rng.below(20) == 0 => JobInput::Cancel,
        _ => return,
    };
    f.job.handle(f.now(), input);
}

fn check_effects(f: &mut Fixture, past: &mut Past, seed: u64) {
    while let Some(effect) = f.job.poll_effect() {
        let is_late = past.ended;
        match effect {
            JobEffect::Deploy { attempt, restore, .. } => {
                assert!(!is_late, "seed {seed}: deployed after the end");
                assert_eq!(attempt.0, past.next_attempt, "seed {seed}");
                assert_eq!(past.open_record, None, "seed {seed}: a record may or may not exist");
                let from = restore.map_or(0, |record| record.checkpoint.0);
                assert_eq!(from, past.latest, "seed {seed}: not the latest checkpoint");
                past.next_attempt += 1;
            }
            JobEffect::Reattach { .. } => panic!("seed {seed}: nobody had it before"),
            JobEffect::Over => {
                assert_eq!(past.open_record, None, "seed {seed}: a record may or may not exist");
            }
            JobEffect::CancelTasks { attempt, .. } => {
                assert!(past.cancelled.insert(attempt.0), "seed {seed}: cancelled twice");
                if f.job.status() == JobStatus::Cancelling {
                    assert_eq!(past.open_record, None, "seed {seed}: not committed yet");
                }
            }
            JobEffect::AllRunning { attempt } => {
                assert_eq!(attempt.0 + 1, past.next_attempt, "seed {seed}");
            }
            JobEffect::StatusChanged { from, to } => {
                assert!(!from.is_terminal() && from != to, "seed {seed}");
            }
            JobEffect::Ended { .. } => {
                assert!(!is_late, "seed {seed}: ended twice");
                assert!(f.job.tasks().all(|task| task.state.is_out()), "seed {seed}");
                assert_eq!(past.open_record, None, "seed {seed}");
                past.ended = true;
            }
            JobEffect::Checkpoint(effect) => check_checkpoint(&effect, past, seed),
            JobEffect::StopFailed { checkpoint, .. } => {
                assert!(past.persisted.contains(&checkpoint.0), "seed {seed}: no record");
            }
        }
    }
}

fn check_checkpoint(effect: &Effect, past: &mut Past, seed: u64) {
    match effect {
        Effect::PrepareLocation { checkpoint } | Effect::PrepareSavepoint { checkpoint, .. } => {
            assert!(checkpoint.0 > past.last_prepared, "seed {seed}: ids grow strictly");
            past.last_prepared = checkpoint.0;
        }
        Effect::PersistMetadata { checkpoint, .. } => past.open_record = Some(checkpoint.0),
        Effect::NotifyComplete { checkpoint, .. } => {
            assert!(past.persisted.contains(&checkpoint.0), "seed {seed}: no record yet");
            past.latest = past.latest.max(checkpoint.0);
        }
        Effect::Failed { checkpoint, .. } => {
            assert_ne!(past.open_record, Some(checkpoint.0), "seed {seed}: it may exist");
        }
        Effect::FailJob { .. } | Effect::Stopping { .. } => {
            panic!("seed {seed}: the job acts on it itself")
        }
        Effect::TriggerSources { .. }
        | Effect::NotifyAborted { .. }
        | Effect::DiscardSavepoint { .. }
        | Effect::Discard { .. }
        | Effect::DiscardClaimed { .. }
        | Effect::Answer { .. }
        | Effect::Completed { .. } => {}
    }
}

/// The world obeys: the open record is found to exist, every task goes.
fn wind_up(f: &mut Fixture, past: &mut Past, seed: u64) {
    f.job.handle(f.now(), JobInput::Cancel);
    check_effects(f, past, seed);
    while let Some(id) = past.open_record.take() {
        past.persisted.insert(id);
        f.job.handle(f.now(), persisted(id));
        check_effects(f, past, seed);
    }
    for name in ["s0", "k0"] {
        f.job.handle(f.now(), canceled(past.next_attempt - 1, name));
        check_effects(f, past, seed);
    }
}
