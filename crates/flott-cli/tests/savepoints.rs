//! Savepoints, from the command to a job that starts from one.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a failed test")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use flott::cluster::EmbeddedCluster;
use flott::core::config::{Configuration, Origin};
use flott::dashboard::{Server, serve};
use flott::prelude::*;

/// The greatest count of each key that was seen.
type Seen = Arc<Mutex<[u64; 10]>>;

/// A job that counts numbers by key without end; what it counts shows in `seen`.
struct Run {
    server: Server,
    thread: JoinHandle<flott::Result<JobExecutionResult>>,
    cluster: flott::cluster::CancelHandle,
    seen: Seen,
}

impl Run {
    fn start(options: &[(&str, &str)]) -> Self {
        let cluster = EmbeddedCluster::new();
        let server = serve("0", &cluster).unwrap();
        let mut config = Configuration::new();
        for (key, value) in options {
            config.set_text(key, value, Origin::CommandLine).unwrap();
        }
        let (seen, cancel) = (Seen::default(), cluster.cancel_handle());
        let shown = seen.clone();
        let body = move || {
            let env = StreamExecutionEnvironment::new(config, Arc::new(cluster));
            let numbers = Generator::new(None, |i| i).rate_limited(2000.0);
            let counted = env.generate_with("numbers", numbers).map(|i| (i % 10, 1u64));
            let counts = counted.key_by(|(key, _)| *key).sum(|(_, count)| count);
            counts
                .map(move |(key, count): (u64, u64)| shown.lock().unwrap()[key as usize] = count)
                .discard();
            env.execute("counts")
        };
        let thread = Builder::new().name("job".into()).spawn(body).unwrap();
        Self { server, thread, cluster: cancel, seen }
    }

    /// Runs the command; exit code, output, errors.
    fn flott(&self, arguments: &[&str]) -> (i32, String, String) {
        let address = self.server.address().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_flott"));
        let output = command.args(arguments).args(["-m", &address]).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// The job's id, once every key was counted.
    fn id(&self) -> String {
        self.wait(|seen| seen.iter().all(|count| *count > 0));
        let (_, listed, error) = self.flott(&["list", "--json"]);
        let jobs: serde_json::Value = serde_json::from_str(&listed).unwrap_or_default();
        jobs[0]["jid"].as_str().unwrap_or_else(|| panic!("{listed}{error}")).to_owned()
    }

    fn wait(&self, is_wanted: impl Fn(&[u64; 10]) -> bool) {
        while !is_wanted(&self.seen.lock().unwrap()) {
            assert!(!self.thread.is_finished(), "the job has ended");
            std::thread::yield_now();
        }
    }

    fn end(self) {
        self.cluster.cancel();
        assert!(self.thread.join().unwrap().unwrap().cancelled);
    }
}

/// The path in what `flott savepoint` has printed.
fn path_of(printed: &str) -> PathBuf {
    let line =
        printed.lines().find_map(|line| line.strip_prefix("Savepoint completed. Path: file:"));
    PathBuf::from(line.unwrap_or_else(|| panic!("no path in {printed}")))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_job_starts_from_a_savepoint_that_was_moved_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let [checkpoints, savepoints] =
        ["checkpoints", "savepoints"].map(|name| folder.path().join(name));
    let run = Run::start(&[
        ("execution.checkpointing.interval", "20 ms"),
        ("execution.checkpointing.dir", text(&checkpoints)),
        ("execution.checkpointing.data-inline-threshold", "0"),
        ("parallelism.default", "2"),
    ]);
    let id = run.id();
    // A job that starts anew counts from 1.
    run.wait(|seen| seen.iter().all(|count| *count > 100));
    let before = *run.seen.lock().unwrap();
    let (code, printed, error) = run.flott(&["savepoint", &id, text(&savepoints)]);
    assert_eq!(code, 0, "{error}");
    let savepoint = path_of(&printed);
    let name = savepoint.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(savepoint.parent().unwrap(), savepoints);
    assert!(name.starts_with(&format!("savepoint-{}-", &id[..6])) && name.len() == 29, "{name}");
    assert!(savepoint.join("_metadata").exists());
    let after = *run.seen.lock().unwrap();
    // The job goes on, and so do its checkpoints.
    run.wait(|seen| seen.iter().zip(&after).all(|(now, then)| now > then));
    let (code, _, error) = run.flott(&["checkpoint", &id]);
    assert_eq!(code, 0, "{error}");
    run.end();

    std::fs::remove_dir_all(&checkpoints).unwrap();
    let moved = folder.path().join("elsewhere");
    std::fs::rename(&savepoint, &moved).unwrap();
    let resumed = Run::start(&[
        ("execution.state-recovery.path", text(&moved)),
        ("parallelism.default", "3"),
    ]);
    // The first count of each key that is seen is one more than that in the savepoint.
    resumed.wait(|seen| seen.iter().all(|count| *count > 0));
    let now = *resumed.seen.lock().unwrap();
    for key in 0..10 {
        assert!(now[key] > before[key], "key {key}: {now:?} after {before:?}");
    }
    resumed.end();
    assert!(moved.join("_metadata").exists(), "it is the user's");
}

#[test]
fn a_savepoint_needs_neither_checkpoints_nor_a_directory_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::start(&[("execution.checkpointing.savepoint-dir", text(folder.path()))]);
    let id = run.id();
    let (code, printed, error) = run.flott(&["savepoint", &id, "--json"]);
    assert_eq!(code, 0, "{error}");
    let answer: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let location = answer["location"].as_str().unwrap();
    let savepoint = Path::new(location.strip_prefix("file:").unwrap()).to_owned();
    assert!(savepoint.join("_metadata").exists());

    // What else lies there stays.
    std::fs::write(savepoint.join("notes"), "mine").unwrap();
    let (code, printed, error) = run.flott(&["savepoint", "-d", location]);
    assert_eq!(code, 0, "{error}");
    let expected = format!(
        "Disposing savepoint '{location}'.\nWaiting for response...\nSavepoint '{location}' \
         disposed.\n"
    );
    assert_eq!(printed, expected);
    let left: Vec<_> =
        std::fs::read_dir(&savepoint).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["notes"]);
    let (code, _, error) = run.flott(&["savepoint", "-d", location]);
    assert_eq!(code, 1);
    assert!(error.contains("_metadata\" is missing"), "{error}");
    run.end();
}

#[test]
fn a_savepoint_that_cannot_be_taken_says_why_and_the_job_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::start(&[]);
    let id = run.id();
    let (code, _, error) = run.flott(&["savepoint", &id]);
    assert_eq!(code, 1);
    assert!(error.contains("[execution.checkpointing.savepoint-dir] is not set"), "{error}");
    let (code, _, error) = run.flott(&["savepoint", &id, "nosuchfs://x/y"]);
    assert_eq!(code, 1);
    assert!(error.contains("the scheme nosuchfs:// is not supported"), "{error}");
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let (code, _, error) = run.flott(&["savepoint", &id, text(&file)]);
    assert_eq!(code, 1);
    assert!(error.contains("cannot create the folder") && error.contains(text(&file)), "{error}");
    let seen = *run.seen.lock().unwrap();
    run.wait(|now| now.iter().zip(&seen).all(|(now, then)| now > then));
    let (code, printed, error) = run.flott(&["savepoint", &id, text(folder.path())]);
    assert_eq!(code, 0, "{error}");
    assert!(path_of(&printed).join("_metadata").exists());
    run.end();
}
