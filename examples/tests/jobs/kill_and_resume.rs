//! `word_totals`, killed again and again: each run starts from the newest checkpoint of the one
//! before, and its totals must be those of a prefix of what was fed.

use std::collections::BTreeMap;
use std::path::Path;

use crate::checkpoints::{self, Checkpoint};
use crate::socket::{Connection, connect};
use crate::support::{JobProcess, Launch, Random, job};
use crate::word_totals::printed_total;

const WORDS: [&str; 5] = ["hello", "world", "flott", "a", "z"];
const KILLS: usize = 20;

/// Totals by word; a word that is missing has none.
type Totals = BTreeMap<String, i64>;

type Fed = (&'static str, i64);

#[test]
fn a_killed_job_goes_on_with_the_totals_of_its_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let (mut job, _server, mut connection) = connect(totals(directory.path(), 1));
    connection.send(["hello,1", "hello,2", "world,5"]);
    let before = ["(\"hello\", 1)", "(\"hello\", 3)", "(\"world\", 5)"];
    assert_eq!(job.printed_lines(3), before);
    job.completed_after_now(directory.path());
    assert_eq!(job.kill().code, None);

    let newest = checkpoints::newest(directory.path()).unwrap();
    let resumed = totals(directory.path(), 1).resume(&newest.path);
    let (mut job, _server, mut connection) = connect(resumed);
    connection.send(["hello,1"]);
    assert_eq!(job.printed(), "(\"hello\", 4)");
}

#[test]
fn totals_survive_twenty_kills_in_one_subtask() {
    survive(1, &[1]);
}

#[test]
fn totals_survive_twenty_kills_in_two_subtasks() {
    survive(2, &[2]);
}

#[test]
fn totals_survive_twenty_kills_with_another_parallelism_each_time() {
    survive(3, &[1, 2, 3]);
}

fn totals(directory: &Path, parallelism: u32) -> Launch {
    job("word_totals").checkpoints(directory, 10).parallelism(parallelism)
}

/// What may be in the checkpoint that the next run starts from: everything before the last batch,
/// and between `least` and `most` lines of it, from its start.
struct Expected {
    before: Totals,
    batch: Vec<Fed>,
    least: usize,
    most: usize,
}

impl Expected {
    fn exactly(before: Totals) -> Self {
        Self { before, batch: Vec::new(), least: 0, most: 0 }
    }

    /// There is one source, so a consistent cut is a prefix of what was fed, for all words at once.
    fn allows(&self, found: &Totals) -> bool {
        let mut totals = self.before.clone();
        self.batch[..self.least].iter().for_each(|fed| add(&mut totals, fed));
        totals == *found
            || self.batch[self.least..self.most].iter().any(|fed| {
                add(&mut totals, fed);
                totals == *found
            })
    }
}

/// Feeds, kills and resumes, with each parallelism in turn.
fn survive(seed: u64, parallelisms: &[u32]) {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let mut random = Random(seed << 32);
    let mut expected = Expected::exactly(zeros());
    let mut resume: Option<Checkpoint> = None;
    for (round, parallelism) in parallelisms.iter().cycle().enumerate().take(KILLS + 1) {
        let launch = totals(directory, *parallelism);
        let launch = match &resume {
            Some(checkpoint) => launch.resume(&checkpoint.path),
            None => launch,
        };
        let (mut job, _server, mut connection) = connect(launch);
        let mut totals = restored(&mut job, &mut connection);
        assert!(
            expected.allows(&totals),
            "seed {seed}, round {round}: {totals:?} is not {:?} and {} to {} of the lines that \
             were fed then",
            expected.before,
            expected.least,
            expected.most,
        );
        if round == KILLS {
            return;
        }
        let settled = settle(&mut job, &mut connection, &mut totals, &mut random, directory);
        expected = Expected::exactly(totals);
        if random.below(3) == 0 {
            for _ in 0..random.below(3) {
                job.completed();
            }
        } else {
            fault(&mut job, &mut connection, &mut expected, &mut random, directory);
        }
        let safe = expected.least;
        expected.least = 0;
        let begun = checkpoints::begun(directory);
        // `safe` lines were done before any checkpoint after `begun` was begun.
        job.kill();
        let newest = checkpoints::newest(directory).unwrap();
        assert!(newest.number >= settled.number, "{newest:?} is older than {settled:?}");
        if newest.number == settled.number {
            expected.most = 0;
        }
        if newest.number > begun {
            expected.least = safe;
        }
        resume = Some(newest);
    }
}

/// Feeds a batch, and waits for a checkpoint that certainly contains it.
fn settle(
    job: &mut JobProcess,
    connection: &mut Connection,
    totals: &mut Totals,
    random: &mut Random,
    directory: &Path,
) -> Checkpoint {
    let batch = batch(random, 200);
    connection.send(batch.iter().map(line));
    let mut printed: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (word, total) in job.printed_lines(batch.len()).iter().map(|line| printed_total(line)) {
        printed.entry(word).or_default().push(total);
    }
    for (word, printed) in printed {
        // Lines of a word may overtake each other before they are added up: each is added once.
        let before = totals[&word];
        let starts = std::iter::once(&before).chain(&printed);
        let mut added: Vec<i64> = printed.iter().zip(starts).map(|(to, from)| to - from).collect();
        let mut fed: Vec<i64> =
            batch.iter().filter(|(fed, _)| *fed == word).map(|(_, count)| *count).collect();
        added.sort_unstable();
        fed.sort_unstable();
        assert_eq!(added, fed, "\"{word}\" was {before} and became {printed:?}");
    }
    batch.iter().for_each(|fed| add(totals, fed));
    job.completed_after_now(directory)
}

/// Feeds a batch that takes the job longer than the time between two checkpoints, so that barriers
/// meet full channels, and waits for the moment of the kill: a number of its records printed, or some
/// checkpoints completed.
fn fault(
    job: &mut JobProcess,
    connection: &mut Connection,
    expected: &mut Expected,
    random: &mut Random,
    directory: &Path,
) {
    expected.batch = batch(random, 60_000);
    expected.most = expected.batch.len();
    connection.send(expected.batch.iter().map(line));
    if random.below(2) == 0 {
        let count = random.between(1, expected.batch.len());
        job.printed_lines(count);
        expected.least = count;
    } else {
        for _ in 0..random.between(1, 2) {
            job.completed();
        }
    }
    assert!(checkpoints::newest(directory).is_some());
}

/// The totals that the job has, asked for by adding nothing.
fn restored(job: &mut JobProcess, connection: &mut Connection) -> Totals {
    connection.send(WORDS.map(|word| format!("{word},0")));
    job.printed_lines(WORDS.len()).iter().map(|line| printed_total(line)).collect()
}

fn zeros() -> Totals {
    WORDS.map(|word| (word.to_owned(), 0)).into()
}

fn batch(random: &mut Random, most: usize) -> Vec<Fed> {
    let count = random.between(1, most);
    (0..count).map(|_| (WORDS[random.below(WORDS.len())], random.between(1, 9) as i64)).collect()
}

fn add(totals: &mut Totals, (word, count): &Fed) {
    *totals.entry((*word).to_owned()).or_default() += count;
}

fn line((word, count): &Fed) -> String {
    format!("{word},{count}")
}
