//! Storage that fails while a job runs, as a full disk does: something else stands where a file or a
//! folder is to be made.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::socket::connect;
use crate::support::{files, job, text};

/// The folder of a job, taken away while this lives.
struct Taken {
    folder: PathBuf,
    elsewhere: PathBuf,
}

impl Taken {
    fn away(folder: &Path) -> Self {
        let elsewhere = folder.with_extension("away");
        fs::rename(folder, &elsewhere).unwrap();
        fs::write(folder, "").unwrap();
        Self { folder: folder.to_owned(), elsewhere }
    }

    fn put_back(self) {
        fs::remove_file(&self.folder).unwrap();
        fs::rename(&self.elsewhere, &self.folder).unwrap();
    }
}

#[test]
fn a_failed_checkpoint_is_logged_and_the_job_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let (mut job, _server, mut connection) = connect(
        job("word_totals")
            .checkpoints(directory.path(), 20)
            .set("execution.checkpointing.tolerable-failed-checkpoints", "100000"),
    );
    connection.send(["hello,1"]);
    assert_eq!(job.printed(), "(\"hello\", 1)");
    let before = job.completed();

    let taken = Taken::away(before.job_folder());
    for _ in 0..3 {
        let line = job.logged(" failed. ");
        assert!(line.contains("Checkpoint "), "{line}");
    }
    connection.send(["hello,2"]);
    assert_eq!(job.printed(), "(\"hello\", 3)", "the job does not go on");
    taken.put_back();

    let after = job.completed_after_now(directory.path());
    assert!(after.number > before.number);
    assert!(after.metadata().exists() || job.completed().number > after.number);
    assert_eq!(job.count_logged("RESTARTING"), 0);
    job.kill();
    let newest = crate::checkpoints::newest(directory.path()).unwrap();
    let resumed = crate::support::job("word_totals").resume(&newest.path);
    let (mut job, _server, mut connection) = connect(resumed);
    connection.send(["hello,1"]);
    assert_eq!(job.printed(), "(\"hello\", 4)");
}

#[test]
fn too_many_failed_checkpoints_in_a_row_restart_the_job_from_the_last_good_one() {
    let directory = tempfile::tempdir().unwrap();
    let (mut job, server, mut connection) = connect(
        job("word_totals")
            .checkpoints(directory.path(), 20)
            .set("execution.checkpointing.tolerable-failed-checkpoints", "2")
            .set("restart-strategy.exponential-delay.initial-backoff", "10 ms"),
    );
    connection.send(["hello,1"]);
    assert_eq!(job.printed(), "(\"hello\", 1)");
    let good = job.completed_after_now(directory.path());

    let taken = Taken::away(good.job_folder());
    job.logged("RUNNING to RESTARTING");
    job.logged("Exceeded checkpoint tolerable failure threshold");
    assert!(job.count_logged(" failed. ") >= 3, "three failures are one too many");
    taken.put_back();
    connection = server.accept(&mut job);
    connection.send(["hello,1"]);
    assert_eq!(job.printed(), "(\"hello\", 2)");
    job.completed_after_now(directory.path());
}

/// Puts another file where one of each of the checkpoints `numbers` is to be: none is replaced.
fn block(job_folder: &Path, numbers: Range<u64>, file: &str) {
    for number in numbers {
        let folder = job_folder.join(format!("chk-{number}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(file), "in the way").unwrap();
    }
}

#[test]
fn a_checkpoint_whose_state_cannot_be_written_fails_and_a_later_one_completes() {
    let directory = tempfile::tempdir().unwrap();
    let (mut job, _server, mut connection) = connect(
        job("word_totals")
            .checkpoints(directory.path(), 50)
            .set("execution.checkpointing.data-inline-threshold", "0")
            // So that each has a file of its own.
            .set("execution.checkpointing.incremental", "false")
            .set("execution.checkpointing.num-retained", "100"),
    );
    connection.send(["hello,1"]);
    assert_eq!(job.printed(), "(\"hello\", 1)");
    let good = job.completed_after_now(directory.path());
    let states = files(&good.path).into_iter().filter_map(|path| {
        let name = path.file_name()?.to_str()?.to_owned();
        name.ends_with(".state").then_some(name)
    });
    let states: Vec<String> = states.collect();
    let [state] = states.as_slice() else { panic!("one state file is expected: {states:?}") };
    let blocked = good.number + 10..good.number + 12;
    block(good.job_folder(), blocked.clone(), state);

    for number in blocked.clone() {
        let line = job.logged(&format!("Checkpoint {number} failed. "));
        assert!(
            line.contains(&format!("cannot write the state file chk-{number}/{state}")),
            "{line}"
        );
    }
    let next = job.completed();
    assert_eq!(next.number, blocked.end);
    connection.send(["hello,1"]);
    assert_eq!(job.printed(), "(\"hello\", 2)");
    assert_eq!(job.count_logged("RESTARTING"), 0);
    let later = job.completed_after_now(directory.path());
    job.kill();
    for number in blocked {
        let folder = good.job_folder().join(format!("chk-{number}"));
        assert!(!folder.join("_metadata").exists(), "{folder:?} is no checkpoint");
    }
    let resumed = crate::support::job("word_totals").resume(&later.path);
    let (mut job, _server, mut connection) = connect(resumed);
    connection.send(["hello,1"]);
    assert_eq!(job.printed(), "(\"hello\", 3)");
}

#[test]
fn output_that_belongs_to_a_failed_checkpoint_is_committed_with_a_later_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::create_dir(path("input")).unwrap();
    let feed = |name: &str| fs::write(path("input").join(name), format!("{name}\n")).unwrap();
    feed("first");
    let mut job = job("copy_lines")
        .checkpoints(&path("checkpoints"), 20)
        .set("execution.checkpointing.tolerable-failed-checkpoints", "100000")
        .arguments(["--from", text(&path("input")), "--to", text(&path("copy")), "--follow"])
        .start();
    let good = job.completed();
    let blocked = good.number + 3..good.number + 33;
    block(good.job_folder(), blocked.clone(), "_metadata");
    job.logged(&format!("Checkpoint {} failed. ", blocked.start));
    let fed: Vec<String> = (0..20).map(|number| format!("line {number:02}")).collect();
    for name in &fed {
        feed(name);
        job.logged(" failed. ");
    }
    let wanted = 1 + fed.len();
    let copied = || {
        let parts = files(&path("copy")).into_iter();
        let parts = parts.filter(|part| !part.to_string_lossy().contains(".inprogress"));
        let mut lines: Vec<String> = parts
            .flat_map(|part| {
                fs::read_to_string(part).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        lines.sort();
        lines
    };
    assert!(copied().len() <= 1, "output of a failed checkpoint can be seen: {:?}", copied());
    job.logged(&format!("Completed checkpoint {} ", blocked.end));
    job.until("line of the copy", || (copied().len() >= wanted).then_some(()));
    assert_eq!(copied(), [vec!["first".to_owned()], fed].concat());
    assert_eq!(job.count_logged("RESTARTING"), 0);
}
