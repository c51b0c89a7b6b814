//! What is measured, and what is wanted of it.

use flott::{Error, Result};

use crate::engines::{Engine, Engines};

/// A workload under some circumstances.
pub(crate) struct Case {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) workload: &'static str,
    pub(crate) parallelism: u32,
    /// Options of jobs; Flink and Flott have the same keys.
    pub(crate) options: &'static [&'static str],
    /// Who takes part, with how many events: a second's worth of work or more, and enough for Flink's compiler.
    contestants: &'static [(Engine, u64)],
    /// How many times as fast as each the target says that Flott is to be.
    pub(crate) targets: &'static [(Engine, f64)],
}

/// Who takes part in a case.
pub(crate) struct Contestant {
    pub(crate) engine: Engine,
    pub(crate) events: u64,
}

use Engine::{Flink, Flott, Loop, Renoir, Timely};

pub(crate) const CHECKPOINTS: &[&str] = &[
    "execution.checkpointing.interval=1 s",
    "execution.checkpointing.storage=filesystem",
    "execution.checkpointing.dir={folder}",
];

const ON_DISK: &[&str] = &["state.backend.type={disk}", "taskmanager.memory.managed.size=256m"];

const ON_DISK_CHECKPOINTED: &[&str] = &[
    "state.backend.type={disk}",
    "taskmanager.memory.managed.size=256m",
    "execution.checkpointing.incremental=true",
    "execution.checkpointing.interval=1 s",
    "execution.checkpointing.storage=filesystem",
    "execution.checkpointing.dir={folder}",
];

const W1: &[(Engine, u64)] = &[
    (Flott, 40_000_000),
    (Loop, 40_000_000),
    (Timely, 40_000_000),
    (Renoir, 20_000_000),
    (Flink, 10_000_000),
];
const W2: &[(Engine, u64)] = &[
    (Flott, 10_000_000),
    (Loop, 10_000_000),
    (Timely, 8_000_000),
    (Renoir, 3_000_000),
    (Flink, 3_000_000),
];
const W3: &[(Engine, u64)] =
    &[(Flott, 300_000), (Loop, 300_000), (Timely, 200_000), (Renoir, 150_000), (Flink, 300_000)];

/// A query of Nexmark.
const fn nexmark(name: &'static str, title: &'static str) -> Case {
    Case {
        name,
        title,
        workload: name,
        parallelism: 1,
        options: &[],
        contestants: &[(Flott, 4_000_000), (Flink, 5_000_000)],
        targets: &[],
    }
}

/// All of them.
pub(crate) const CASES: [Case; 31] = [
    Case {
        name: "w1",
        title: "W1, stateless: map and filter, one core",
        workload: "W1",
        parallelism: 1,
        options: &[],
        contestants: W1,
        targets: &[(Loop, 0.6), (Timely, 1.0), (Renoir, 1.0), (Flink, 12.0)],
    },
    Case {
        name: "w1x2",
        title: "W1 with parallelism 2",
        workload: "W1",
        parallelism: 2,
        options: &[],
        contestants: W1,
        targets: &[(Timely, 1.0), (Renoir, 1.0), (Flink, 12.0)],
    },
    Case {
        name: "w2",
        title: "W2, running sum of a million keys, one core",
        workload: "W2",
        parallelism: 1,
        options: &[],
        contestants: W2,
        targets: &[(Loop, 0.6), (Timely, 1.0), (Renoir, 1.0), (Flink, 15.0)],
    },
    Case {
        name: "w2x2",
        title: "W2 with parallelism 2",
        workload: "W2",
        parallelism: 2,
        options: &[],
        contestants: W2,
        targets: &[(Timely, 1.0), (Renoir, 1.0), (Flink, 15.0)],
    },
    Case {
        name: "w2c",
        title: "W2 with a checkpoint each second",
        workload: "W2",
        parallelism: 1,
        options: CHECKPOINTS,
        contestants: &[(Flott, 20_000_000), (Flink, 2_000_000)],
        targets: &[(Flink, 30.0)],
    },
    Case {
        name: "w3",
        title: "W3, word count, per line of ten words, one core",
        workload: "W3",
        parallelism: 1,
        options: &[],
        contestants: W3,
        targets: &[(Loop, 0.4), (Timely, 1.0), (Renoir, 1.0), (Flink, 5.0)],
    },
    Case {
        name: "w3x2",
        title: "W3 with parallelism 2",
        workload: "W3",
        parallelism: 2,
        options: &[],
        contestants: W3,
        targets: &[(Timely, 1.0), (Renoir, 1.0), (Flink, 5.0)],
    },
    Case {
        name: "w4",
        title: "W4, count per key in event-time windows of a second, ten thousand keys, one core",
        workload: "W4",
        parallelism: 1,
        options: &[],
        contestants: &[(Flott, 10_000_000), (Loop, 40_000_000), (Flink, 10_000_000)],
        targets: &[(Loop, 0.4), (Flink, 20.0)],
    },
    Case {
        name: "w5",
        title: "W5, a million keys in the disk backend (lsm; Flink: RocksDB), which fit into its memory",
        workload: "W5",
        parallelism: 1,
        options: ON_DISK,
        contestants: &[(Flott, 10_000_000), (Flink, 400_000)],
        targets: &[(Flink, 8.0)],
    },
    Case {
        name: "w5l",
        title: "W5 with ten million keys, which do not fit into its memory",
        workload: "W5L",
        parallelism: 1,
        options: ON_DISK,
        contestants: &[(Flott, 2_000_000), (Flink, 2_000_000)],
        targets: &[(Flink, 2.0)],
    },
    Case {
        name: "w5c",
        title: "W5 with an incremental checkpoint each second",
        workload: "W5",
        parallelism: 1,
        options: ON_DISK_CHECKPOINTED,
        contestants: &[(Flott, 10_000_000), (Flink, 300_000)],
        targets: &[(Flink, 8.0)],
    },
    nexmark("q0", "Nexmark q0, bids as they are"),
    nexmark("q1", "Nexmark q1, prices in euros"),
    nexmark("q2", "Nexmark q2, bids for some auctions"),
    nexmark("q3", "Nexmark q3, what people of some states sell: a join without windows"),
    nexmark("q4", "Nexmark q4, average closing prices of categories: q9, then windows that slide"),
    nexmark("q5", "Nexmark q5, hot items: windows that slide, then the most of each"),
    nexmark("q7", "Nexmark q7, the highest bid of each ten seconds"),
    nexmark("q8", "Nexmark q8, new people who sell: a join in windows"),
    nexmark("q9", "Nexmark q9, winning bids: a join that a timer ends"),
    nexmark("q11", "Nexmark q11, bids of a session"),
    nexmark("q13", "Nexmark q13, bids with values of a table"),
    nexmark("q14", "Nexmark q14, a calculation"),
    nexmark("q15", "Nexmark q15, distinct bidders and auctions of each day"),
    nexmark("q16", "Nexmark q16, distinct bidders and auctions of each channel and day"),
    nexmark("q17", "Nexmark q17, statistics of each auction and day"),
    nexmark("q18", "Nexmark q18, the last bid of each bidder for each auction"),
    nexmark("q19", "Nexmark q19, the ten highest bids of each auction"),
    nexmark("q20", "Nexmark q20, bids with their auction: a join without windows"),
    nexmark("q21", "Nexmark q21, numbers of channels"),
    nexmark("q22", "Nexmark q22, parts of pages"),
];

/// With how many events results are compared, and if there are windows of event time: for many of them to fire.
const COMPARED: u64 = 100_000;
const COMPARED_IN_WINDOWS: u64 = 1_000_000;

impl Case {
    /// A workload for Flott alone.
    pub(crate) const fn alone(workload: &'static str, parallelism: u32) -> Self {
        let title = "";
        Self {
            name: workload,
            title,
            workload,
            parallelism,
            options: &[],
            contestants: &[],
            targets: &[],
        }
    }

    /// Whether a name on the command line means it: `w2` is also all that begin so, `nexmark` all queries.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name.starts_with(name) || (name == "nexmark" && self.name.starts_with('q'))
    }

    /// Flott, and those of `against` that take part.
    pub(crate) fn contestants(&self, against: &[Engine]) -> Vec<Contestant> {
        let all = self.contestants.iter();
        let wanted = all.filter(|(engine, _)| *engine == Flott || against.contains(engine));
        wanted.map(|(engine, events)| Contestant { engine: *engine, events: *events }).collect()
    }

    /// Runs all of them with the same events.
    ///
    /// # Errors
    /// If one fails, or has another result than the others.
    pub(crate) fn compare(&self, engines: &Engines, all: &[Contestant]) -> Result<()> {
        let has_windows = ["W4", "q4", "q5", "q7", "q8", "q9", "q11"].contains(&self.workload);
        let events = if has_windows { COMPARED_IN_WINDOWS } else { COMPARED };
        let mut expected = None;
        for Contestant { engine, .. } in all {
            let run = engines.run(*engine, self, events)?;
            if *expected.get_or_insert(run.check) != run.check {
                return Err(Error::internal(format!(
                    "{}: {engine} has another result: {}",
                    self.title, run.check
                )));
            }
        }
        Ok(())
    }
}
