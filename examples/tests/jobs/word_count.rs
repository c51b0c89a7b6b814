//! `word_count`: against words counted here.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

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

#[track_caller]
fn assert_counts(file: &str, parallelism: u32, wanted: &[String]) {
    let ended = job("word_count").parallelism(parallelism).arguments(["--file", file]).run();
    ended.expect(0, ["to FINISHED"]);
    let without_subtask =
        |line: &String| line.split_once("> ").map_or(line.clone(), |(_, record)| record.to_owned());
    let mut printed: Vec<String> = ended.printed.iter().map(without_subtask).collect();
    printed.sort();
    assert_eq!(printed, wanted, "{file} with parallelism {parallelism}");
}

#[test]
fn the_words_of_files_are_counted_once_each_whatever_the_parallelism() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let mut random = Random(7);
    let texts = ["1.txt", "2.txt", "3.txt", "4.md"].map(|name| write_text(&path(name), &mut random));
    fs::write(path(".hidden"), "secret").unwrap();
    for parallelism in [1, 2] {
        assert_counts(text(&path("1.txt")), parallelism, &count(&texts[..1]));
        assert_counts(text(directory.path()), parallelism, &count(&texts));
        assert_counts(text(&path("*.txt")), parallelism, &count(&texts[..3]));
    }
}
