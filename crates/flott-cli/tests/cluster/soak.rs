//! A job that copies lines from files to files, exactly once, while processes of its cluster are killed
//! and paused: JobManager, TaskManagers, workers. A few rounds here; `FLOTT_SOAK_MINUTES=30` makes it
//! longer.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::setup::{Cluster, jobs, kill};

/// Kills and pauses, if nobody wants it longer.
const ROUNDS: u64 = 6;

/// Lines in each file that is fed.
const LINES: u64 = 2_000;

/// Which faults, by turns; the seed only chooses the victim.
const FAULTS: [(&str, &str); 6] = [
    ("worker", "-KILL"),
    ("taskmanager", "-KILL"),
    ("worker", "-STOP"),
    ("jobmanager", "-KILL"),
    ("taskmanager", "-STOP"),
    ("jobmanager", "-STOP"),
];

#[test]
fn every_line_is_copied_once_whatever_is_killed() {
    let ha = tempfile::tempdir().unwrap();
    let storage = format!("high-availability.storageDir: {}", ha.path().display());
    let options = [
        "high-availability.type: filesystem",
        &storage,
        "heartbeat.interval: 200 ms",
        "heartbeat.timeout: 2 s",
    ];
    let mut cluster = Cluster::start(3, &options);
    let (jobs, feed, out) = (jobs(), cluster.path("feed"), cluster.path("out"));
    let checkpoints =
        format!("execution.checkpointing.dir={}", cluster.path("checkpoints").display());
    let job = cluster.submit(&[
        "-c",
        "copy_lines",
        "-p",
        "2",
        "-D",
        &checkpoints,
        "-D",
        "execution.checkpointing.interval=200 ms",
        jobs.to_str().unwrap(),
        "--from",
        feed.to_str().unwrap(),
        "--follow",
        "--to",
        out.to_str().unwrap(),
    ]);
    let minutes = std::env::var("FLOTT_SOAK_MINUTES").ok().and_then(|text| text.parse().ok());
    let end = minutes.map(|minutes: u64| now() + Duration::from_secs(60 * minutes));
    let (mut fed, mut counter) = (0, Counter::default());
    for round in 0.. {
        let goes_on = end.map_or(round < ROUNDS, |end| now() < end);
        if !goes_on {
            break;
        }
        // In the midst of work, and with a checkpoint to go on from.
        for _ in 0..3 {
            feed_file(&cluster, &mut fed);
        }
        let copied = counter.count(&out);
        cluster.wait("something is copied", || counter.count(&out) > copied);
        let (kind, signal) = FAULTS[round as usize % FAULTS.len()];
        let victims = cluster.running(Some(kind));
        let Some(victim) = victims.get(round as usize % victims.len().max(1)) else { continue };
        kill(*victim, signal);
        feed_file(&cluster, &mut fed);
        recover(&mut cluster, kind, signal, *victim);
        if end.is_some() {
            // About every ten seconds something happens.
            let next = now() + Duration::from_secs(5);
            cluster.wait("the next round", || now() >= next);
        }
    }
    cluster.wait("all is copied", || counter.count(&out) >= fed * LINES);
    cluster.wait("it runs", || cluster.try_get("/overview").is_some());
    let savepoints = cluster.path("savepoints");
    cluster.done(&["stop", "-p", savepoints.to_str().unwrap(), &job]);
    check(&out, fed);
    let hidden: Vec<_> = files(&out).into_iter().filter(|path| is_hidden(path)).collect();
    assert!(hidden.is_empty(), "left behind: {hidden:?}");
    cluster.wait("the workers have ended", || cluster.running(Some("worker")).is_empty());
    cluster.end();
    assert!(cluster.running(None).is_empty(), "left behind: {:?}", cluster.running(None));
}

/// What an operator or a supervisor does: starts again what was killed, and lets go on what was paused.
fn recover(cluster: &mut Cluster, kind: &str, signal: &str, victim: i32) {
    match (kind, signal) {
        ("taskmanager", "-KILL") => cluster.add_taskmanager(),
        ("jobmanager", "-KILL") => cluster.add_jobmanager(),
        ("taskmanager", _) => {
            // Long enough that it is missed.
            cluster.wait("it is missed", || {
                cluster.try_get("/overview").is_some_and(|overview| overview["taskmanagers"] == 2)
            });
            kill(victim, "-CONT");
        }
        ("jobmanager", _) => {
            // Long enough that its TaskManagers miss it.
            let missed = cluster.logs().matches("is lost: nothing was heard").count();
            cluster.wait("it is missed", || {
                cluster.logs().matches("is lost: nothing was heard").count() > missed
            });
            kill(victim, "-CONT");
        }
        _ => {}
    }
    cluster.wait("all TaskManagers are there", || {
        cluster.try_get("/overview").is_some_and(|overview| overview["taskmanagers"] == 3)
    });
}

fn feed_file(cluster: &Cluster, fed: &mut u64) {
    let lines: String = (0..LINES).map(|line| format!("{fed}-{line}\n")).collect();
    cluster.feed(&format!("file-{fed:06}"), &lines);
    *fed += 1;
}

pub(crate) fn files(out: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(out).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

pub(crate) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

/// Counts committed lines; a part does not change any more once it is seen.
#[derive(Default)]
struct Counter(BTreeMap<PathBuf, u64>);

impl Counter {
    fn count(&mut self, out: &Path) -> u64 {
        for path in files(out).into_iter().filter(|path| !is_hidden(path)) {
            self.0.entry(path).or_insert_with_key(|path| {
                fs::read_to_string(path).map_or(0, |text| text.lines().count() as u64)
            });
        }
        self.0.values().sum()
    }
}

/// Every line is there once.
fn check(out: &Path, fed: u64) {
    let mut times: BTreeMap<String, u64> = BTreeMap::new();
    for path in files(out).into_iter().filter(|path| !is_hidden(path)) {
        for line in fs::read_to_string(path).unwrap().lines() {
            *times.entry(line.to_owned()).or_default() += 1;
        }
    }
    for file in 0..fed {
        for line in 0..LINES {
            let line = format!("{file}-{line}");
            assert_eq!(times.remove(&line), Some(1), "line {line} of {fed} files");
        }
    }
    assert!(times.is_empty(), "lines that nobody wrote: {times:?}");
}

#[expect(clippy::disallowed_methods, reason = "how long it goes on is for a clock to say")]
fn now() -> Instant {
    Instant::now()
}
