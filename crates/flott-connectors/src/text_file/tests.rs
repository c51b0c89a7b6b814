//! File sources, stepped by hand.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use flott_core::Timestamp;
use flott_datastream::{DataStream, StreamExecutionEnvironment};
use flott_runtime::Progress;
use tempfile::TempDir;

use super::{ReadTextFile, TextFileSource};
use crate::harness::Harness;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn read(path: &Path) -> impl Fn(&StreamExecutionEnvironment) -> DataStream<String> + use<> {
    let path = path.to_str().unwrap().to_owned();
    move |env| env.read_text_file(&path)
}

fn follow(path: &Path) -> impl Fn(&StreamExecutionEnvironment) -> DataStream<String> + use<> {
    let source = TextFileSource::new(path.to_str().unwrap());
    move |env| env.read_text_file_with(source.clone().monitor_continuously(Duration::from_secs(1)))
}

/// `count` files of `lines` lines each, and all of their lines in order.
fn many(count: usize, lines: usize) -> (TempDir, Vec<String>) {
    let folder = folder(&[]);
    let mut all = Vec::new();
    for file in 0..count {
        let lines: Vec<String> = (0..lines).map(|line| format!("{file:02}-{line:02}")).collect();
        // One line end at the end in every other file.
        let end = if file % 2 == 0 { "\n" } else { "" };
        let text = lines.join(if file % 3 == 0 { "\r\n" } else { "\n" }) + end;
        fs::write(folder.path().join(format!("{file}.txt")), text).unwrap();
        all.extend(lines);
    }
    all.sort();
    (folder, all)
}

#[test]
fn a_file_is_read_to_its_end_with_its_last_line() {
    let folder = folder(&[("f", "one\r\n\ntwo\nlast")]);
    let mut job = Harness::new(1, read(&folder.path().join("f")));
    job.run_to_end();
    assert_eq!(job.collected_by(0), ["one", "", "two", "last"]);
}

#[test]
fn every_line_of_a_directory_comes_once_whatever_the_parallelism() {
    let (folder, all) = many(7, 10);
    for parallelism in [1, 2, 3, 10] {
        let mut job = Harness::new(parallelism, read(folder.path()));
        job.run_to_end();
        assert_eq!(job.collected(), all);
    }
}

#[test]
fn restored_at_any_point_with_any_parallelism_no_line_is_lost_or_doubled() {
    let (folder, all) = many(5, 9);
    for (before, after) in [(1, 1), (1, 3), (3, 2), (2, 5)] {
        for steps in 0..12 {
            let mut job = Harness::new(before, read(folder.path()));
            (0..steps).for_each(|_| job.step());
            let mut lines = job.collected();
            let checkpoint = job.checkpoint();
            if job.collected().len() == all.len() {
                // The job had ended, or was about to.
                break;
            }
            let mut again = Harness::restored(after, read(folder.path()), &checkpoint);
            again.run_to_end();
            lines.extend(again.collected());
            lines.sort();
            assert_eq!(lines, all, "from {before} to {after} after {steps} steps");
        }
    }
}

#[test]
fn a_bounded_source_lists_its_files_once_in_its_life() {
    let folder = folder(&[("a", "1\n2\n3\n4\n5\n")]);
    let mut job = Harness::new(1, read(folder.path()));
    job.step();
    let checkpoint = job.checkpoint();
    fs::write(folder.path().join("b"), "new\n").unwrap();
    let mut again = Harness::restored(1, read(folder.path()), &checkpoint);
    again.run_to_end();
    assert_eq!(again.collected(), ["5"]);
}

#[test]
fn a_path_without_files_is_an_error_before_any_record() {
    let folder = folder(&[(".hidden", "x\n")]);
    for name in ["", "*.txt"] {
        let mut job = Harness::new(2, read(&folder.path().join(name)));
        let error = job.run_to_failure();
        assert!(error.contains("there is nothing to read at"), "{error}");
    }
    let error = Harness::new(1, read(&folder.path().join("missing"))).run_to_failure();
    assert!(error.contains("missing"), "{error}");
}

#[test]
fn a_restored_file_that_is_missing_or_shorter_is_named() {
    let folder = folder(&[("f", "one\ntwo\nthree\nfour\nfive\n")]);
    let path = folder.path().join("f");
    let mut job = Harness::new(1, read(&path));
    job.step();
    let checkpoint = job.checkpoint();
    fs::write(&path, "one\n").unwrap();
    let error = Harness::restored(1, read(&path), &checkpoint).run_to_failure();
    assert!(error.contains("f\" was read up to byte 19 and has only 4 bytes"), "{error}");
    fs::remove_file(&path).unwrap();
    let error = Harness::restored(1, read(&path), &checkpoint).run_to_failure();
    assert!(error.contains("f\" was read up to byte 19 and is gone"), "{error}");
}

#[test]
fn a_file_that_is_no_text_is_named_with_the_place() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("f"), b"good\nb\xffd\n").unwrap();
    let error = Harness::new(1, read(folder.path())).run_to_failure();
    assert!(error.contains("f\" that begins at byte 5 is not UTF-8"), "{error}");
}

#[test]
fn following_finds_new_lines_and_new_files() {
    let folder = folder(&[("a", "1\n2")]);
    let mut job = Harness::new(1, follow(folder.path()));
    job.step();
    job.step();
    // The second line has no end yet.
    assert_eq!(job.collected_by(0), ["1"]);
    assert_eq!(job.progress(0), Progress::Idle(Some(Timestamp(1000))));
    append(&folder.path().join("a"), "2\n3\n");
    fs::write(folder.path().join("b"), "4\n").unwrap();
    job.set_time(999);
    job.step();
    assert_eq!(job.collected_by(0), ["1"]);
    for millis in [1000, 1000, 1001] {
        job.set_time(millis);
        job.step();
    }
    assert_eq!(job.collected_by(0), ["1", "22", "3", "4"]);
}

#[test]
fn a_restored_follower_goes_on_where_it_was() {
    let folder = folder(&[("a", "1\n2\nhal"), ("b", "3\n")]);
    let mut job = Harness::new(1, follow(folder.path()));
    (0..3).for_each(|_| job.step());
    assert_eq!(job.collected(), ["1", "2", "3"]);
    let checkpoint = job.checkpoint();
    append(&folder.path().join("a"), "f\n");
    fs::write(folder.path().join("c"), "4\n").unwrap();
    for parallelism in [1, 3] {
        let mut again = Harness::restored(parallelism, follow(folder.path()), &checkpoint);
        (0..3).for_each(|_| again.step());
        assert_eq!(again.collected(), ["4", "half"]);
    }
}

#[test]
fn a_followed_file_that_shrinks_is_an_error_and_a_deleted_one_is_forgotten() {
    let folder = folder(&[("a", "1\n2\n"), ("b", "3\n")]);
    let mut job = Harness::new(1, follow(folder.path()));
    (0..3).for_each(|_| job.step());
    fs::remove_file(folder.path().join("b")).unwrap();
    job.set_time(1000);
    job.step();
    fs::write(folder.path().join("b"), "again\n").unwrap();
    job.set_time(2000);
    (0..2).for_each(|_| job.step());
    assert_eq!(job.collected(), ["1", "2", "3", "again"]);
    fs::write(folder.path().join("a"), "").unwrap();
    job.set_time(3000);
    assert!(job.run_to_failure().contains("was read up to byte 4 and has only 0 bytes"));
}

#[test]
fn a_file_that_was_read_to_its_end_is_needed_no_longer() {
    let folder = folder(&[("a", "1\n"), ("b", "2\n3\n4\n5\n6\n")]);
    let mut job = Harness::new(1, read(folder.path()));
    job.step();
    let checkpoint = job.checkpoint();
    fs::remove_file(folder.path().join("a")).unwrap();
    let mut again = Harness::restored(1, read(folder.path()), &checkpoint);
    again.run_to_end();
    assert_eq!(again.collected(), ["5", "6"]);
}
