//! The command line of the real Apache Flink, on our cluster.

use std::path::Path;
use std::process::Command;

use crate::setup::Cluster;

/// Runs it; returns its exit code and all that it says.
fn flink(cluster: &Cluster, arguments: &[&str]) -> (i32, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/flink-client");
    let (verb, rest) = arguments.split_first().unwrap();
    let mut command = Command::new(script);
    let output = command.arg(verb).args(["-m", &cluster.address()]).args(rest).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn flinks_client_lists_savepoints_stops_and_cancels() {
    let cluster = Cluster::start(1, &[]);
    let job = cluster.run_totals(&[]);
    cluster.wait_for_tasks(&job);
    cluster.feed("1.txt", "hello,1\n");
    cluster.wait_for_total("hello", 1);
    let savepoints = cluster.path("savepoints").display().to_string();
    let does = |arguments: &[&str], text: &str| {
        let (code, said) = flink(&cluster, arguments);
        assert_eq!(code, 0, "{arguments:?}: {said}");
        assert!(said.contains(text), "{arguments:?}: {said}");
        said
    };
    does(&["list"], &format!(": {job} : word_totals (RUNNING)"));
    let said = does(&["savepoint", &job, &savepoints], "Savepoint completed. Path: file:");
    let savepoint = said.split("Path: ").nth(1).unwrap().lines().next().unwrap();
    does(&["checkpoint", &job], "completed.\nYou can resume");
    let said = does(&["stop", "--savepointPath", &savepoints, &job], "Savepoint completed. Path: ");
    let last = said.split("Path: ").nth(1).unwrap().lines().next().unwrap();
    does(&["list", "-a"], &format!(": {job} : word_totals (FINISHED)"));
    does(&["savepoint", "-d", savepoint], "disposed");
    let job = cluster.run_totals(&["-s", last]);
    cluster.wait_for_tasks(&job);
    does(&["cancel", &job], "Cancelled job");
    cluster.wait("the end", || cluster.status(&job) == "CANCELED");

    // What goes wrong is said at once, and in words: its failures are Java's objects.
    for arguments in [
        &["savepoint", &job, &savepoints][..],
        &["stop", "--savepointPath", &savepoints, "000000000000000000000000000000ff"],
        &["savepoint", "-d", "/nowhere"],
    ] {
        let (code, said) = flink(&cluster, arguments);
        assert_ne!(code, 0, "{arguments:?}");
        assert!(said.contains("CheckpointException: "), "{arguments:?}: {said}");
        assert!(!said.contains("TimeoutException"), "{arguments:?}: {said}");
    }
}
