//! Processes that die, at moments that are observed.

use crate::setup::{Cluster, is_running, kill};

/// A job on two TaskManagers that has counted, and has a checkpoint of that.
fn counted() -> (Cluster, String) {
    let cluster = Cluster::start(2, &[]);
    let job = cluster.run_totals(&["-p", "2"]);
    cluster.feed("1", "hello,1\nworld,2\n");
    cluster.wait_for_total("hello", 1);
    cluster.wait_for_total("world", 2);
    cluster.wait_for_checkpoint(&job);
    (cluster, job)
}

/// Totals go on: nothing was lost, nothing counted twice.
fn goes_on(cluster: &Cluster, job: &str) {
    cluster.feed("2", "hello,10\nworld,20\n");
    cluster.wait_for_total("hello", 11);
    cluster.wait_for_total("world", 22);
    assert_eq!(cluster.status(job), "RUNNING");
}

#[test]
fn a_killed_worker_is_replaced_and_the_other_one_goes_on() {
    let (cluster, job) = counted();
    let before = cluster.workers();
    kill(before[1], "-KILL");
    goes_on(&cluster, &job);
    let after = cluster.workers();
    assert_eq!((before.len(), after.len()), (2, 3), "{}", cluster.logs());
    assert!(is_running(before[0]), "it was not lost");
    cluster.wait("the failure is told", || {
        let exceptions = cluster.get(&format!("/jobs/{job}/exceptions")).to_string();
        exceptions.contains("is lost") || exceptions.contains("signal: 9")
    });
}

#[test]
fn a_killed_task_manager_takes_its_workers_with_it_and_another_takes_its_place() {
    let (mut cluster, job) = counted();
    let (workers, task_managers) = (cluster.workers(), cluster.taskmanagers());
    kill(task_managers[0], "-KILL");
    cluster.wait("it is missed", || cluster.get("/overview")["taskmanagers"] == 1);
    cluster
        .wait("its worker is gone", || workers.iter().filter(|pid| is_running(**pid)).count() == 1);
    cluster.add_taskmanager();
    goes_on(&cluster, &job);
    assert_eq!(cluster.get("/overview")["taskmanagers"], 2);
}

#[test]
fn a_worker_that_was_paused_for_too_long_changes_nothing_any_more() {
    let timeouts = ["heartbeat.interval: 100 ms", "heartbeat.timeout: 1 s"];
    let cluster = Cluster::start(2, &timeouts);
    let job = cluster.run_totals(&["-p", "2"]);
    cluster.feed("1", "hello,1\nworld,2\n");
    cluster.wait_for_total("hello", 1);
    cluster.wait_for_total("world", 2);
    cluster.wait_for_checkpoint(&job);
    let paused = cluster.workers()[0];
    kill(paused, "-STOP");
    goes_on(&cluster, &job);
    // It was killed: it could not end by itself.
    cluster.wait("the paused worker is gone", || !is_running(paused));
}

#[test]
fn a_job_manager_that_ends_takes_its_jobs_with_it() {
    let (cluster, _) = counted();
    let workers = cluster.workers();
    cluster.done(&["cluster", "stop"]);
    assert!(!workers.into_iter().any(is_running), "a worker is left");
}
