//! The file sink, written to by hand.

mod crash;
mod faulty;

use std::fs;
use std::path::Path;
use std::time::Duration;

use flott_core::CheckpointId;
use flott_datastream::{NO_TIMESTAMP, OperatorInstance, TwoPhaseCommitSink};
use tempfile::TempDir;

use super::FileSink;
use super::state::{FileCommittable, FileWriterState};
use super::writer::FileWriter;
use crate::harness;

/// What tests write: lines.
type Sink<'a> = dyn TwoPhaseCommitSink<&'static str, Committable = FileCommittable, WriterState = FileWriterState>
    + 'a;

fn open(
    sink: &FileSink,
    instance: &OperatorInstance,
    restored: Vec<FileWriterState>,
) -> flott_core::Result<FileWriter> {
    let mut writer = FileWriter::new(sink.clone());
    as_sink(&mut writer).open(instance, restored)?;
    Ok(writer)
}

fn as_sink(writer: &mut FileWriter) -> &mut Sink<'static> {
    writer
}

fn started(sink: &FileSink) -> FileWriter {
    open(sink, &harness::instance(0, 1), Vec::new()).unwrap()
}

fn write(writer: &mut FileWriter, lines: &[&'static str]) {
    lines.iter().for_each(|line| as_sink(writer).write(line, NO_TIMESTAMP).unwrap());
}

fn prepare(writer: &mut FileWriter) -> (Vec<FileCommittable>, Vec<FileWriterState>) {
    let committables = as_sink(writer).prepare_commit(CheckpointId(1)).unwrap();
    (committables, as_sink(writer).writer_state(CheckpointId(1)).unwrap())
}

fn commit(writer: &mut FileWriter, committables: &[FileCommittable]) {
    committables.iter().for_each(|committable| as_sink(writer).commit(committable).unwrap());
}

/// The names in a directory: what readers see, or the rest.
fn names(directory: &Path, visible: bool) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with('.') != visible).collect();
    names.sort();
    names
}

/// The lines of all committed parts, in the order of names.
fn lines(directory: &Path) -> Vec<String> {
    let parts = names(directory, true).into_iter();
    let texts = parts.map(|name| fs::read_to_string(directory.join(name)).unwrap());
    texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn folder() -> (TempDir, FileSink) {
    let folder = tempfile::tempdir().unwrap();
    let sink = FileSink::new(folder.path().join("out")).roll_on_checkpoint();
    (folder, sink)
}

fn out(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("out")
}

#[test]
fn lines_are_seen_when_they_are_committed() {
    let (folder, sink) = folder();
    let mut writer = started(&sink.part_suffix(".txt"));
    write(&mut writer, &["a", "b"]);
    let (committables, states) = prepare(&mut writer);
    assert!(names(&out(&folder), true).is_empty());
    assert_eq!(states[0].pending.len(), 1);
    commit(&mut writer, &committables);
    assert_eq!(lines(&out(&folder)), ["a", "b"]);
    let name = names(&out(&folder), true).remove(0);
    assert!(name.starts_with("part-") && name.ends_with("-00000-0000000000.txt"), "{name}");
    assert!(prepare(&mut writer).1[0].pending.is_empty());
}

#[test]
fn a_checkpoint_without_lines_makes_no_part() {
    let (folder, sink) = folder();
    let mut writer = started(&sink);
    assert!(prepare(&mut writer).0.is_empty());
    assert!(names(&out(&folder), false).is_empty());
}

#[test]
fn to_commit_twice_is_to_commit_once() {
    let (folder, sink) = folder();
    let mut writer = started(&sink);
    write(&mut writer, &["a"]);
    let (committables, states) = prepare(&mut writer);
    commit(&mut writer, &committables);
    commit(&mut writer, &committables);
    let mut again = open(&sink, &harness::instance(0, 1), states).unwrap();
    commit(&mut again, &committables);
    assert_eq!(lines(&out(&folder)), ["a"]);
}

#[test]
fn somebody_else_may_commit_the_same_part_at_any_moment() {
    for operations in 0..8 {
        let (folder, sink) = folder();
        let disk = faulty::Faulty::default();
        let mut writer = started(&sink.on(std::sync::Arc::new(disk.clone())));
        write(&mut writer, &["a"]);
        let (committables, _) = prepare(&mut writer);
        let hidden = names(&out(&folder), false).remove(0);
        let part = out(&folder).join(&committables[0].part);
        disk.is_renamed_after(operations, out(&folder).join(hidden), part);
        commit(&mut writer, &committables);
        assert_eq!(lines(&out(&folder)), ["a"], "after {operations} operations");
        assert!(names(&out(&folder), false).is_empty());
    }
}

#[test]
fn a_part_without_a_trace_is_an_error_unless_readers_take_parts() {
    let (folder, sink) = folder();
    let mut writer = started(&sink);
    write(&mut writer, &["a"]);
    let (committables, _) = prepare(&mut writer);
    commit(&mut writer, &committables);
    fs::remove_file(out(&folder).join(&committables[0].part)).unwrap();
    let error = as_sink(&mut writer).commit(&committables[0]).unwrap_err().to_string();
    assert!(error.contains(&committables[0].part) && error.contains("no trace"), "{error}");
    let mut writer = started(&sink.readers_take_parts());
    commit(&mut writer, &committables);
}

#[test]
fn another_file_of_the_same_name_is_not_overwritten() {
    let (folder, sink) = folder();
    let mut writer = started(&sink);
    write(&mut writer, &["a"]);
    let (committables, _) = prepare(&mut writer);
    let path = out(&folder).join(&committables[0].part);
    fs::write(&path, "other").unwrap();
    let error = as_sink(&mut writer).commit(&committables[0]).unwrap_err().to_string();
    assert!(error.contains("not overwritten"), "{error}");
    assert_eq!(fs::read_to_string(path).unwrap(), "other");
}

#[test]
fn a_part_rolls_when_it_is_long_enough_or_old_enough() {
    let (folder, _) = folder();
    let sink = FileSink::new(out(&folder)).max_part_bytes(4);
    let mut writer = started(&sink.rollover_interval(Duration::from_secs(5)));
    write(&mut writer, &["a", "b", "c"]);
    let (committables, states) = prepare(&mut writer);
    assert_eq!(committables.iter().map(|part| part.length).collect::<Vec<_>>(), [4]);
    assert_eq!(states[0].in_progress.as_ref().unwrap().length, 2);
    for millis in [0, 4999] {
        as_sink(&mut writer).on_processing_time(harness::at(millis)).unwrap();
        assert!(prepare(&mut writer).0.is_empty());
    }
    as_sink(&mut writer).on_processing_time(harness::at(5000)).unwrap();
    assert_eq!(prepare(&mut writer).0.len(), 1);
    assert_eq!(as_sink(&mut writer).next_processing_time(), None);
}

#[test]
fn a_part_that_was_committed_since_the_checkpoint_is_an_error() {
    let (folder, _) = folder();
    let sink = FileSink::new(out(&folder));
    let mut writer = started(&sink);
    write(&mut writer, &["a"]);
    let (_, old) = prepare(&mut writer);
    write(&mut writer, &["b"]);
    as_sink(&mut writer).finish().unwrap();
    let (committables, _) = prepare(&mut writer);
    commit(&mut writer, &committables);
    let error = open(&sink, &harness::instance(0, 1), old).err().unwrap().to_string();
    assert!(error.contains("it was committed as"), "{error}");
}

#[test]
fn a_part_that_has_become_shorter_is_an_error() {
    let (folder, _) = folder();
    let sink = FileSink::new(out(&folder));
    let mut writer = started(&sink);
    write(&mut writer, &["abc"]);
    let (_, states) = prepare(&mut writer);
    let hidden = names(&out(&folder), false).remove(0);
    fs::write(out(&folder).join(&hidden), "ab").unwrap();
    let error = open(&sink, &harness::instance(0, 1), states).err().unwrap().to_string();
    assert!(error.contains(&hidden) && error.contains("has 2 bytes, and 4 belong"), "{error}");
}

#[test]
fn what_an_earlier_attempt_has_left_is_deleted_and_nothing_else() {
    let (folder, sink) = folder();
    let mut of_11 = open(&sink, &harness::instance(11, 12), Vec::new()).unwrap();
    write(&mut of_11, &["needed by subtask 11"]);
    let (_, states) = prepare(&mut of_11);
    for subtask in [0, 1, 5, 11] {
        let mut left = open(&sink, &harness::instance(subtask, 12), states.clone()).unwrap();
        write(&mut left, &["left"]);
    }
    let mut other = harness::instance(1, 12);
    other.job = flott_core::JobId::from_u128(99);
    let mut of_other_job = open(&sink, &other, Vec::new()).unwrap();
    write(&mut of_other_job, &["of another job"]);
    fs::write(out(&folder).join(".part-1.inprogress"), "of somebody else").unwrap();
    let count = || names(&out(&folder), false).len();
    assert_eq!(count(), 7);
    // Subtask 1 of 5 takes care of its own and of 11's, of which one part is needed.
    open(&sink, &harness::instance(1, 5), states.clone()).unwrap();
    assert_eq!(count(), 5);
    open(&sink, &harness::instance(0, 5), states.clone()).unwrap();
    assert_eq!(count(), 3);
    assert!(out(&folder).join(super::names::in_progress(&states[0].pending[0])).exists());
}

#[test]
fn what_a_job_without_a_checkpoint_has_left_is_deleted_by_the_next_from_the_same_checkpoint() {
    let (folder, sink) = folder();
    let (_, states) = prepare(&mut started(&sink));
    for job in [20, 21, 22] {
        let mut instance = harness::instance(0, 1);
        instance.job = flott_core::JobId::from_u128(job);
        let mut writer = open(&sink, &instance, states.clone()).unwrap();
        assert!(names(&out(&folder), false).is_empty(), "before job {job}");
        write(&mut writer, &["left"]);
    }
}

#[test]
fn names_do_not_come_again() {
    let (folder, sink) = folder();
    let mut writer = started(&sink);
    let (_, states) = prepare(&mut writer);
    write(&mut writer, &["a"]);
    let (committables, _) = prepare(&mut writer);
    commit(&mut writer, &committables);
    // The state is older than the part.
    let mut again = open(&sink, &harness::instance(0, 1), states).unwrap();
    write(&mut again, &["b"]);
    let (committables, _) = prepare(&mut again);
    commit(&mut again, &committables);
    assert_eq!(lines(&out(&folder)), ["a", "b"]);
}

#[test]
fn names_that_are_paths_or_hidden_are_refused() {
    let (_folder, sink) = folder();
    for sink in [
        sink.clone().part_prefix(""),
        sink.clone().part_prefix(".x"),
        sink.clone().part_prefix("a/b"),
        sink.part_suffix("/x"),
    ] {
        let error = open(&sink, &harness::instance(0, 1), Vec::new()).err().unwrap();
        assert!(error.to_string().contains("parts cannot be called"), "{error}");
    }
}
