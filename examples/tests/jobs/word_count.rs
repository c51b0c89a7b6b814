//! `word_count`: against words counted here.

use std::collections::{BTreeMap, BTreeSet};
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

/// A printed record, without the number of the subtask.
fn record(line: &str) -> String {
    line.split_once("> ").map_or(line, |(_, record)| record).to_owned()
}

#[track_caller]
fn assert_counts(file: &str, parallelism: u32, wanted: &[String]) {
    let ended = job("word_count").parallelism(parallelism).arguments(["--file", file]).run();
    ended.expect(0, ["to FINISHED"]);
    let mut printed: Vec<String> = ended.printed.iter().map(|line| record(line)).collect();
    printed.sort();
    assert_eq!(printed, wanted, "{file} with parallelism {parallelism}");
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
    for parallelism in [1, 2] {
        // A machine that counts fast and writes checkpoints slowly needs more text.
        let texts = [300_000, 1_000_000, 3_000_000].into_iter();
        let kills =
            texts.map(|lines| count_with_kills(parallelism, lines)).find(|kills| *kills > 2);
        assert!(kills.is_some(), "no kills hit the job at work with parallelism {parallelism}");
    }
}

/// Counts the words of a text that has as many lines, and says how many kills that took.
fn count_with_kills(parallelism: u32, lines: usize) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let [file, checkpoints] = ["text.txt", "checkpoints"].map(|name| directory.path().join(name));
    // Words come and go: the timer of one that does not come again is in the checkpoint only.
    let line = |n: usize| format!("word{} word{} the\n", n / 100, n / 200);
    let words: String = (0..lines).map(line).collect();
    fs::write(&file, &words).unwrap();
    let mut random = Random(8 << 32);
    let mut printed = BTreeSet::new();
    let mut kills = 0;
    loop {
        let mut launch = job("word_count").checkpoints(&checkpoints, 10).parallelism(parallelism);
        if let Some(newest) = checkpoints::newest(&checkpoints) {
            launch = launch.resume(&newest.path);
        }
        let mut run = launch.arguments(["--file", text(&file)]).start();
        let wanted = random.between(1, 4);
        run.until_of(&format!("checkpoint {wanted}"), |run| {
            let enough = run.count_logged(COMPLETED) >= wanted;
            (enough || run.count_logged("to FINISHED") > 0).then_some(())
        });
        let ended = run.kill();
        // At the end of the text counts are printed, once or, after a kill, again; the last line
        // may be cut off.
        let whole = ended.printed.iter().filter(|line| line.ends_with(')'));
        printed.extend(whole.map(|line| record(line)));
        if checkpoints::had_finished(&ended, &checkpoints) {
            assert_eq!(printed, count([&words]).into_iter().collect());
            return kills;
        }
        kills += 1;
    }
}
