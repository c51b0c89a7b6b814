//! `word_count`: against words counted here.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::checkpoints::{self, COMPLETED};
use crate::support::{Random, job, text};

const WORDS: [&str; 8] = ["To", "be", "or", "not", "that", "IS", "the", "question"];
const SEPARATORS: [&str; 5] = [" ", ", ", "; ", "\n", "…\n\n"];

/// A text, its end without a line end.
fn write_text(path: &Path, random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..random.between(2000, 3000) {
        text.push_str(WORDS[random.below(WORDS.len())]);
        text.push_str(SEPARATORS[random.below(SEPARATORS.len())]);
    }
    text.push_str("end");
    fs::write(path, &text).unwrap();
    text
}

/// What the job is to print, in any order.
fn count<'a>(texts: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for text in texts {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.for_each(|word| *counts.entry(word.to_lowercase()).or_default() += 1);
    }
    counts.into_iter().map(|record| format!("{record:?}")).collect()
}

/// What a job has printed, in order and without the numbers of subtasks.
fn records(printed: &[String]) -> Vec<String> {
    let without_subtask =
        |line: &String| line.split_once("> ").map_or(line.clone(), |(_, record)| record.to_owned());
    let mut records: Vec<String> = printed.iter().map(without_subtask).collect();
    records.sort();
    records
}

#[track_caller]
fn assert_counts(file: &str, parallelism: u32, wanted: &[String]) {
    let ended = job("word_count").parallelism(parallelism).arguments(["--file", file]).run();
    ended.expect(0, ["to FINISHED"]);
    assert_eq!(records(&ended.printed), wanted, "{file} with parallelism {parallelism}");
}

#[test]
fn the_words_of_files_are_counted_once_each_whatever_the_parallelism() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let mut random = Random(7);
    let texts =
        ["1.txt", "2.txt", "3.txt", "4.md"].map(|name| write_text(&path(name), &mut random));
    fs::write(path(".hidden"), "secret").unwrap();
    for parallelism in [1, 2] {
        assert_counts(text(&path("1.txt")), parallelism, &count(&texts[..1]));
        assert_counts(text(directory.path()), parallelism, &count(&texts));
        assert_counts(text(&path("*.txt")), parallelism, &count(&texts[..3]));
    }
}

#[test]
fn the_count_survives_kills_and_so_do_the_timers_that_print_it() {
    [1, 2].into_iter().for_each(count_with_kills);
}

fn count_with_kills(parallelism: u32) {
    let directory = tempfile::tempdir().unwrap();
    let [file, checkpoints] = ["text.txt", "checkpoints"].map(|name| directory.path().join(name));
    // Words come and go: the timer of one that does not come again is in the checkpoint only.
    let line = |n: usize| format!("word{} word{} the\n", n / 100, n / 200);
    let words: String = (0..300_000).map(line).collect();
    fs::write(&file, &words).unwrap();
    let mut random = Random(8 << 32);
    let mut kills = 0;
    loop {
        let mut launch = job("word_count").checkpoints(&checkpoints, 10).parallelism(parallelism);
        if let Some(newest) = checkpoints::newest(&checkpoints) {
            launch = launch.resume(&newest.path);
        }
        let mut run = launch.arguments(["--file", text(&file)]).start();
        let wanted = random.between(1, 4);
        run.until_of(&format!("checkpoint {wanted}"), |run| {
            let enough = run.count_logged(COMPLETED) >= wanted || run.has_printed();
            (enough || run.count_logged("to FINISHED") > 0).then_some(())
        });
        if run.has_printed() || run.count_logged("to FINISHED") > 0 {
            // What is printed once is printed again after a kill: the end is to be let be.
            let ended = run.end();
            ended.expect(0, ["to FINISHED"]);
            assert_eq!(records(&ended.printed), count([&words]));
            break;
        }
        run.kill();
        kills += 1;
    }
    assert!(kills > 2, "only {kills} kills hit the job at work");
}
