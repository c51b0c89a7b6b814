//! `word_totals`: what it prints, from a socket and from files.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::checkpoints;
use crate::socket::connect;
use crate::support::{job, text};

/// The word and the total of a printed line, with or without the number of the subtask.
#[track_caller]
pub(crate) fn printed_total(line: &str) -> (String, i64) {
    let record = line.split_once("> ").map_or(line, |(_, record)| record);
    let fields = record.strip_prefix("(\"").and_then(|rest| rest.strip_suffix(')'));
    let fields = fields.and_then(|fields| fields.split_once("\", "));
    let parsed = fields.and_then(|(word, total)| Some((word.to_owned(), total.parse().ok()?)));
    parsed.unwrap_or_else(|| panic!("\"{line}\" is no total of a word"))
}

#[test]
fn one_subtask_prints_each_total_on_a_line_of_its_own() {
    let (mut job, _server, mut connection) = connect(job("word_totals").parallelism(1));
    connection.send(["hello,1", "hello, 2", " world ,5", "hello,-4"]);
    drop(connection);
    let lines = ["(\"hello\", 1)", "(\"hello\", 3)", "(\"world\", 5)", "(\"hello\", -1)"];
    assert_eq!(job.printed_lines(4), lines);
    let ended = job.end();
    ended.expect(0, ["switched from state RUNNING to FINISHED"]);
    assert_eq!(ended.printed.len(), 4);
}

#[test]
fn of_two_subtasks_each_line_begins_with_its_number() {
    let (mut job, _server, mut connection) = connect(job("word_totals").parallelism(2));
    let words = ["a", "b", "c", "d", "e", "f", "g", "h"];
    connection.send(words.map(|word| format!("{word},1")));
    let mut lines = job.printed_lines(8);
    connection.send(words.map(|word| format!("{word},2")));
    lines.extend(job.printed_lines(8));
    for word in words {
        let of_word: Vec<&String> =
            lines.iter().filter(|line| printed_total(line).0 == word).collect();
        let (subtask, _) = of_word[0].split_once("> ").unwrap();
        assert!(["1", "2"].contains(&subtask), "{lines:?}");
        let wanted = [1, 3].map(|total| format!("{subtask}> (\"{word}\", {total})"));
        assert_eq!(of_word, wanted.iter().collect::<Vec<_>>(), "a word has one subtask");
    }
    for subtask in ["1> ", "2> "] {
        assert!(lines.iter().any(|line| line.starts_with(subtask)), "{subtask} did nothing");
    }
}

#[test]
fn in_batch_mode_only_the_final_totals_are_printed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("words.txt");
    fs::write(&file, "hello,1\nworld,5\nhello,2\n").unwrap();
    let batch = || job("word_totals").set("execution.runtime-mode", "batch");
    let mut ended = batch().arguments(["--file", text(&file)]).run();
    ended.expect(0, ["switched from state RUNNING to FINISHED"]);
    ended.printed.sort();
    assert_eq!(ended.printed, ["(\"hello\", 3)", "(\"world\", 5)"]);

    let followed = batch().arguments(["--file", text(&file), "--follow"]).run();
    followed.expect(1, ["source \"File Source\" has no end", "AUTOMATIC"]);
}

#[test]
fn a_file_is_read_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("words.txt");
    fs::write(&file, "hello,1\nworld,5\r\nhello,2").unwrap();
    let ended = job("word_totals").arguments(["--file", text(&file)]).run();
    ended.expect(0, ["switched from state RUNNING to FINISHED"]);
    assert_eq!(ended.printed, ["(\"hello\", 1)", "(\"world\", 5)", "(\"hello\", 3)"]);
}

#[test]
fn a_followed_file_goes_on_where_the_checkpoint_was_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let [file, checkpoints] = ["words.txt", "checkpoints"].map(|name| directory.path().join(name));
    fs::write(&file, "hello,1\nhel").unwrap();
    let follow = || {
        let launch = job("word_totals").checkpoints(&checkpoints, 20);
        launch.arguments(["--file", text(&file), "--follow"])
    };
    let mut job = follow().start();
    assert_eq!(job.printed(), "(\"hello\", 1)");
    append(&file, "lo,2\nworld,5\n");
    assert_eq!(job.printed_lines(2), ["(\"hello\", 3)", "(\"world\", 5)"]);
    job.completed_after_now(&checkpoints);
    job.kill();

    append(&file, "hello,10\n");
    let newest = checkpoints::newest(&checkpoints).unwrap();
    let mut job = follow().resume(&newest.path).start();
    assert_eq!(job.printed(), "(\"hello\", 13)", "a line of the file is lost or was read twice");
    job.interrupt();
    job.end().expect(0, ["to CANCELED"]);
}

fn append(file: &Path, lines: &str) {
    let mut file = OpenOptions::new().append(true).open(file).unwrap();
    file.write_all(lines.as_bytes()).unwrap();
}
