//! State on disk and on the heap: a savepoint of one is a savepoint of the other.

use std::fs;
use std::path::Path;

use crate::setup::{Cluster, kill};

/// Words that make up so much state that one part in ten of it is all the memory that there is.
const WORDS: u32 = 160_000;
const MEMORY: &str = "taskmanager.memory.managed.size: 2 mb";
const ON_DISK: [&str; 2] = [
    "-D",
    if cfg!(feature = "rocksdb") { "state.backend.type=rocksdb" } else { "state.backend.type=lsm" },
];

fn word(number: u32) -> String {
    format!("{number}-a-word-that-is-as-long-as-an-identifier-in-many-an-application")
}

impl Cluster {
    /// Stops a job, and tells where its savepoint is.
    fn stop(&self, job: &str) -> String {
        let savepoints = self.path("savepoints");
        let stopped = self.done(&["stop", "-p", savepoints.to_str().unwrap(), "--json", job]);
        let stopped: serde_json::Value = serde_json::from_str(&stopped).unwrap();
        stopped["location"].as_str().unwrap().to_owned()
    }

    /// Whether a worker keeps state on disk: the folders of the trees, or databases, in which it is.
    fn has_trees(&self) -> bool {
        let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
        let folders = entries(&self.path("work")).map(|entry| entry.path());
        let mut own = folders.filter(|path| path.to_string_lossy().contains("flott-state-"));
        let is_store = |path: &Path| path.join("tables").is_dir() || path.join("CURRENT").exists();
        own.any(|folder| entries(&folder).any(|store| is_store(&store.path())))
    }

    /// Two snapshots have the same in them, entry by entry.
    fn assert_same(&self, one: &str, other: &str) {
        let verified = self.done(&["state", "verify", other]);
        assert!(!verified.is_empty());
        let difference = self.done(&["state", "diff", one, other]);
        assert!(difference.contains("Both have the same"), "{difference}");
    }
}

#[test]
fn more_state_than_memory_outlives_its_processes_and_changes_its_backend() {
    let cluster = Cluster::prepare(&[MEMORY, "io.tmp.dirs: {folder}/work"]);
    fs::create_dir(cluster.path("work")).unwrap();
    (*cluster).start(3);
    let words: String = (0..WORDS).map(|number| format!("{},1\n", word(number))).collect();
    assert!(2 * words.len() > 10 * (2 << 20), "it is state ten times: key and value");
    let last = word(WORDS - 1);

    // Killed while it runs, with increments before that.
    let job = cluster.run_totals(&[&ON_DISK[..], &["-p", "2"]].concat());
    cluster.feed("1", &words);
    cluster.wait_for_total(&last, 1);
    cluster.wait_for_checkpoint(&job);
    assert!(cluster.has_trees(), "state is on disk");
    cluster.feed("2", &format!("{last},1\n{},1\n", word(0)));
    cluster.wait_for_total(&last, 2);
    cluster.wait_for_checkpoint(&job);
    let newest = cluster.get(&format!("/jobs/{job}/checkpoints"))["latest"]["completed"].clone();
    let size = |name: &str| newest[name].as_u64().unwrap();
    assert!(size("checkpointed_size") < size("state_size") / 10, "{newest}");
    kill(cluster.workers()[0], "-KILL");
    cluster.feed("3", &format!("{last},1\n{},1\n", word(0)));
    cluster.wait_for_total(&last, 3);
    cluster.wait_for_total(&word(0), 3);
    let on_disk = cluster.stop(&job);

    // What was never on disk.
    let job = cluster.run_totals(&["-p", "3"]);
    cluster.wait("it has counted, too", || {
        let printed = cluster.printed();
        [&last, &word(0)].into_iter().all(|word| {
            let total = format!("(\"{word}\", 3)");
            printed.iter().filter(|line| line.ends_with(&total)).count() >= 2
        })
    });
    assert!(!cluster.has_trees(), "what has ended has gone, and this state is not on disk");
    let on_heap = cluster.stop(&job);
    cluster.assert_same(&on_heap, &on_disk);

    // From one to the other and back, with other numbers of subtasks.
    let mut before = on_heap;
    for (options, parallelism) in [(&ON_DISK[..], "1"), (&ON_DISK[..], "3"), (&[], "2")] {
        let job = cluster.run_totals(&[options, &["-p", parallelism, "-s", &before]].concat());
        cluster.wait_for_tasks(&job);
        let after = cluster.stop(&job);
        cluster.assert_same(&before, &after);
        before = after;
    }
}
