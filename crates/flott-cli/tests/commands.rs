//! The built command, against a job that runs in this process.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use std::process::Command;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use flott::cluster::EmbeddedCluster;
use flott::core::config::{Configuration, Origin};
use flott::dashboard::{Server, serve};
use flott::prelude::*;

/// What the command did.
struct Done {
    code: i32,
    out: String,
    err: String,
}

fn flott(server: &Server, arguments: &[&str]) -> Done {
    let output = Command::new(env!("CARGO_BIN_EXE_flott"))
        .args(arguments)
        .args(["-m", &server.address().to_string()])
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// Numbers without end, counted by key. Periodic checkpoints are too far apart to be seen.
fn endless(cluster: EmbeddedCluster, directory: String) -> flott::Result<JobExecutionResult> {
    let mut config = Configuration::new();
    for (key, value) in
        [("execution.checkpointing.interval", "1 h"), ("execution.checkpointing.dir", &directory)]
    {
        config.set_text(key, value, Origin::Program)?;
    }
    let env = StreamExecutionEnvironment::new(config, Arc::new(cluster));
    let numbers = Generator::new(None, |i| i).rate_limited(1000.0);
    let counted = env.generate_with("numbers", numbers).map(|i| (i % 10, 1u64));
    counted.key_by(|(key, _)| *key).sum(|(_, count)| count).discard();
    env.execute("endless")
}

fn start(directory: &str) -> (Server, JoinHandle<flott::Result<JobExecutionResult>>) {
    let cluster = EmbeddedCluster::new();
    let server = serve("0", &cluster).unwrap();
    let directory = directory.to_owned();
    let job = Builder::new().name("job".into()).spawn(move || endless(cluster, directory));
    (server, job.unwrap())
}

/// The id of the job, once it runs with all its tasks: a checkpoint needs all of them.
fn running(server: &Server) -> String {
    loop {
        let listed = flott(server, &["list", "--running", "--json"]);
        assert_eq!(listed.code, 0, "{}", listed.err);
        let jobs: serde_json::Value = serde_json::from_str(&listed.out).unwrap();
        let Some(id) = jobs[0]["jid"].as_str() else { continue };
        if flott(server, &["checkpoint", id]).code == 0 {
            return id.to_owned();
        }
    }
}

#[test]
fn a_job_is_listed_checkpointed_and_cancelled() {
    let directory = tempfile::tempdir().unwrap();
    let (server, job) = start(directory.path().to_str().unwrap());
    let id = running(&server);

    let listed = flott(&server, &["list"]).out;
    let mut lines = listed.lines();
    assert_eq!(lines.next(), Some("Waiting for response..."));
    assert!(lines.next().unwrap().contains(" Running/Restarting Jobs "), "{listed}");
    let line = lines.next().unwrap();
    assert!(line.ends_with(&format!(" : {id} : endless (RUNNING)")), "{listed}");
    assert_eq!(listed.lines().last(), Some("No scheduled jobs."));

    let taken = flott(&server, &["checkpoint", &id]);
    assert_eq!(taken.code, 0, "{}", taken.err);
    let number = taken.out.split_once("\nCheckpoint ").unwrap().1.split(' ').next().unwrap();
    let record = directory.path().join(&id).join(format!("chk-{number}/_metadata"));
    assert!(record.exists(), "{record:?} is not there after\n{}", taken.out);

    let cancelled = flott(&server, &["cancel", &id]);
    assert_eq!(cancelled.code, 0, "{}", cancelled.err);
    assert_eq!(cancelled.out, format!("Cancelling job {id}.\nCancelled job {id}.\n"));
    assert!(job.join().unwrap().unwrap().cancelled);
    assert!(record.exists(), "the newest checkpoint is kept");

    let listed = flott(&server, &["list", "-a"]).out;
    assert!(listed.contains("No running jobs.\n"), "{listed}");
    assert!(listed.contains(&format!("{id} : endless (CANCELED)")), "{listed}");
    let late = flott(&server, &["checkpoint", &id]);
    assert_eq!((late.code, late.err), (1, format!("Job {id} is not running.\n")));
    assert_eq!(flott(&server, &["cancel", &id]).code, 0, "it is cancelled, as was wanted");
}

#[test]
fn what_is_wrong_is_said_and_the_exit_code_is_1() {
    let server = serve("0", &EmbeddedCluster::new()).unwrap();
    let listed = flott(&server, &["list"]);
    assert_eq!(listed.out, "Waiting for response...\nNo running jobs.\nNo scheduled jobs.\n");
    for (arguments, reason) in [
        (["cancel", "abc"], "Cannot parse JobID from \"abc\". The expected format is"),
        (["cancel", "00000000000000000000000000000000"], "not found"),
        (["checkpoint", "00000000000000000000000000000000"], "is not running"),
        (["stop", "00000000000000000000000000000000"], "is not running"),
        (["halt", "00000000000000000000000000000000"], "unrecognized subcommand"),
    ] {
        let done = flott(&server, &arguments);
        assert_eq!(done.code, 1, "{arguments:?}: {}", done.out);
        assert!(done.err.contains(reason), "{arguments:?}: {}", done.err);
    }
    let address = server.address().to_string();
    drop(server);
    let gone = Command::new(env!("CARGO_BIN_EXE_flott")).args(["list", "-m", &address]).output();
    let gone = gone.unwrap();
    let text = String::from_utf8(gone.stderr).unwrap();
    assert_eq!(gone.status.code(), Some(1));
    assert!(text.contains(&format!("cannot reach http://{address}")), "{text}");
}
