//! How jobs end, and what becomes of their checkpoints.

use std::fs;

use crate::checkpoints;
use crate::socket::connect;
use crate::support::{job, text};

#[test]
fn an_interrupted_job_is_cancelled_and_can_be_resumed() {
    let directory = tempfile::tempdir().unwrap();
    let totals = || job("word_totals").checkpoints(directory.path(), 20);
    let (mut job, _server, mut connection) = connect(totals());
    connection.send(["hello,7"]);
    assert_eq!(job.printed(), "(\"hello\", 7)");
    let safe = job.completed_after_now(directory.path());
    job.interrupt();
    job.end().expect(0, ["from state RUNNING to CANCELLING", "from state CANCELLING to CANCELED"]);

    let kept = checkpoints::completed(directory.path());
    assert_eq!(kept.len(), 1, "the last checkpoint is kept, and only that: {kept:?}");
    assert!(kept[0].number >= safe.number);
    let (mut job, _server, mut connection) = connect(totals().resume(&kept[0].path));
    connection.send(["hello,1"]);
    assert_eq!(job.printed(), "(\"hello\", 8)");
}

#[test]
fn a_finished_job_leaves_no_checkpoint_behind() {
    let directory = tempfile::tempdir().unwrap();
    let (mut job, _server, connection) =
        connect(job("word_totals").checkpoints(directory.path(), 20));
    let checkpoint = job.completed();
    drop(connection);
    job.end().expect(0, ["to FINISHED"]);
    assert_eq!(checkpoints::begun(directory.path()), 0, "in {:?}", checkpoint.job_folder());
}

#[test]
fn a_finished_copy_leaves_its_files_and_no_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("lines.txt"), "one\ntwo\n").unwrap();
    let ended = job("copy_lines")
        .checkpoints(&path("checkpoints"), 20)
        .arguments(["--from", text(&path("lines.txt")), "--to", text(&path("copy"))])
        .run();
    ended.expect(0, ["to FINISHED", "Completed checkpoint"]);
    assert_eq!(checkpoints::begun(&path("checkpoints")), 0);
    let copies = crate::support::files(&path("copy"));
    let copied: String = copies.iter().map(|part| fs::read_to_string(part).unwrap()).collect();
    assert_eq!(copied, "one\ntwo\n", "{copies:?}");
}

#[test]
fn a_failed_job_keeps_its_last_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let totals = || job("word_totals").checkpoints(directory.path(), 20);
    let (mut job, _server, mut connection) = connect(totals().set("restart-strategy.type", "none"));
    connection.send(["hello,7"]);
    assert_eq!(job.printed(), "(\"hello\", 7)");
    job.completed_after_now(directory.path());
    connection.send(["nonsense"]);
    job.end().expect(1, ["to FAILED"]);

    let newest = checkpoints::newest(directory.path()).unwrap();
    let (mut job, _server, mut connection) = connect(totals().resume(&newest.path));
    connection.send(["hello,1"]);
    assert_eq!(job.printed(), "(\"hello\", 8)");
}
