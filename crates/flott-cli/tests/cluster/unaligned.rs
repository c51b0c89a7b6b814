//! Checkpoints of a job that cannot keep up: what is in flight is part of them, whatever becomes of the job.

use std::fs;

use serde_json::Value;

use crate::setup::{Cluster, jobs, kill};

const NUMBERS: i64 = 400_000;

impl Cluster {
    fn run_backlog(&self, options: &[&str]) -> String {
        let checkpoints =
            format!("execution.checkpointing.dir={}", self.path("checkpoints").display());
        let (jobs, gate, to) = (jobs(), self.path("gate"), NUMBERS.to_string());
        let mut arguments = vec!["-c", "backlog", "-D", &checkpoints];
        arguments.extend(["-D", "execution.checkpointing.interval=100 ms"]);
        arguments.extend(["-D", "execution.checkpointing.unaligned.enabled=true"]);
        arguments.extend(["-D", "taskmanager.network.memory.max-bytes-per-channel=16 kb"]);
        arguments.extend(options);
        arguments.extend([jobs.to_str().unwrap(), "--to", &to, "--gate", gate.to_str().unwrap()]);
        self.submit(&arguments)
    }

    /// Waits for a checkpoint with many records in flight that began after this call; returns it.
    fn wait_for_overtaking(&self, job: &str) -> Value {
        let before = self.completed(job);
        let mut newest = Value::Null;
        self.wait("a checkpoint with records in flight", || {
            if self.completed(job) < before + 2 {
                return false;
            }
            let checkpoints = self.get(&format!("/jobs/{job}/checkpoints"));
            newest = checkpoints["latest"]["completed"].clone();
            newest["persisted_data"].as_i64().is_some_and(|bytes| bytes > 10_000)
        });
        assert_eq!(newest["checkpoint_type"], "UNALIGNED_CHECKPOINT");
        newest
    }

    /// Cancels the job, and returns its newest checkpoint, which is kept.
    fn cancel_with_backlog(&self, job: &str) -> String {
        self.done(&["cancel", job]);
        self.wait("the job is over", || self.status(job) == "CANCELED");
        let checkpoints = self.get(&format!("/jobs/{job}/checkpoints"));
        checkpoints["latest"]["completed"]["external_path"].as_str().unwrap().to_owned()
    }
}

#[test]
fn records_in_flight_outlive_workers_jobs_and_parallelisms() {
    let cluster = Cluster::start(3, &["taskmanager.numberOfTaskSlots: 2"]);
    let mut job = cluster.run_backlog(&["-p", "2"]);
    cluster.wait_for_overtaking(&job);
    // Twice: the second time with what the first one has left.
    for worker in [0, 1] {
        kill(cluster.workers()[worker], "-KILL");
        cluster.wait_for_overtaking(&job);
    }
    let steps = [("3", "hashmap"), ("5", "lsm"), ("1", "hashmap"), ("4", "lsm")];
    for (parallelism, backend) in steps {
        let retained = cluster.cancel_with_backlog(&job);
        assert!(cluster.done(&["state", "verify", &retained]).contains("whole"));
        let listed = cluster.done(&["state", "ls", &retained]);
        assert!(listed.contains("records in flight"), "{listed}");
        let backend = format!("state.backend.type={backend}");
        job = cluster.run_backlog(&["-p", parallelism, "-D", &backend, "-s", &retained]);
        cluster.wait_for_overtaking(&job);
    }
    // A savepoint has nothing in flight: it is complete when all of that has been processed.
    fs::write(cluster.path("gate"), "").unwrap();
    let savepoint =
        cluster.done(&["savepoint", &job, cluster.path("savepoints").to_str().unwrap()]);
    let savepoint = savepoint.lines().find_map(|line| line.split_once("Path: "));
    let (_, savepoint) = savepoint.unwrap();
    let listed = cluster.done(&["state", "ls", savepoint.trim()]);
    assert!(!listed.contains("records in flight"), "{listed}");
    cluster.wait("the job ends", || cluster.status(&job) == "FINISHED");

    let printed = cluster.printed();
    for key in 0..20 {
        let all = || (1..=NUMBERS).filter(|number| number % 20 == key);
        let expected = format!("key {key}: {} numbers, {}", all().count(), all().sum::<i64>());
        let said = printed.iter().filter(|line| line.contains(&format!("key {key}:")));
        let said: Vec<&String> = said.collect();
        assert!(said.len() == 1 && said[0].contains(&expected), "{expected}: {said:?}");
    }
}
