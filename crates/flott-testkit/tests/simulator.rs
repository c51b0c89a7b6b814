//! The simulator finds nothing, the same way each time; and it finds every bug that is put back.

use flott_testkit::sim::{Report, run_seed};

const SEEDS: u64 = 300;

#[test]
fn nothing_is_found() {
    let mut total = Report::default();
    let mut findings = Vec::new();
    for seed in 0..SEEDS {
        match run_seed(seed, false) {
            Ok(report) => {
                total.task_failures += report.task_failures;
                total.kills += report.kills;
                total.checkpoints += report.checkpoints;
                total.savepoints += report.savepoints;
                total.transactions += report.transactions;
            }
            Err(finding) => findings.push(format!("seed {seed}: {finding}")),
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    // A simulation in which nothing goes wrong finds nothing, either.
    assert!(total.task_failures > SEEDS / 2, "{total:?}");
    assert!(total.kills > SEEDS / 10, "{total:?}");
    assert!(total.savepoints > SEEDS / 3, "{total:?}");
    assert!(total.checkpoints > SEEDS && total.transactions > SEEDS, "{total:?}");
}

#[test]
fn the_same_seed_gives_the_same_report_twice() {
    for seed in (0..SEEDS).step_by(10) {
        assert_eq!(run_seed(seed, false), run_seed(seed, false), "seed {seed}");
    }
}

#[cfg(feature = "mutants")]
#[test]
fn every_mutant_is_found() {
    use flott_core::mutant::Mutant;

    let survives = |mutant: &Mutant| {
        Mutant::with(Some(*mutant), || (0..SEEDS).all(|seed| run_seed(seed, false).is_ok()))
    };
    let survivors: Vec<Mutant> = Mutant::ALL.into_iter().filter(survives).collect();
    assert!(survivors.is_empty(), "not found within {SEEDS} seeds: {survivors:?}");
}
