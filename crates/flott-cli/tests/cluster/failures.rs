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
    let details = || cluster.get(&format!("/jobs/{job}"));
    cluster.wait("it says what it waits for", || {
        let details = details();
        let waits = details["waiting-for"].as_str().unwrap_or_default();
        waits.contains("1 are missing") && details["status-counts"]["CREATED"] == 2
    });
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

/// The options of a cluster whose jobs survive their JobManager.
fn high_availability(folder: &std::path::Path) -> [String; 2] {
    let folder = folder.display();
    ["high-availability.type: filesystem".into(), format!("high-availability.storageDir: {folder}")]
}

#[test]
fn a_killed_job_manager_that_is_started_again_goes_on_with_its_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let options = high_availability(folder.path());
    let mut cluster = Cluster::start(2, &options.each_ref().map(String::as_str));
    let job = cluster.run_totals(&["-p", "2"]);
    cluster.feed("1", "hello,1\nworld,2\n");
    cluster.wait_for_total("hello", 1);
    cluster.wait_for_total("world", 2);
    cluster.wait_for_checkpoint(&job);
    for round in 1..=2 {
        let workers = cluster.workers();
        kill(cluster.jobmanager(), "-KILL");
        cluster.add_jobmanager();
        cluster.wait("the TaskManagers are back", || {
            cluster.try_get("/overview").is_some_and(|overview| overview["taskmanagers"] == 2)
        });
        let word = format!("word{round}");
        cluster.feed(&word, &format!("hello,10\n{word},7\n"));
        cluster.wait_for_total("hello", 1 + 10 * round);
        cluster.wait_for_total(&word, 7);
        cluster.wait("old workers are gone", || !workers.iter().any(|pid| is_running(*pid)));
        cluster.wait_for_checkpoint(&job);
    }
    cluster.done(&["cancel", &job]);
    cluster.wait("the job is over", || cluster.status(&job) == "CANCELED");
    assert_eq!(std::fs::read_dir(folder.path().join("default/jobs")).unwrap().count(), 0);
}

#[test]
fn a_standby_waits_until_the_leader_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let options = high_availability(folder.path());
    let mut cluster = Cluster::start(1, &options.each_ref().map(String::as_str));
    cluster.add_jobmanager();
    cluster.wait("it waits", || cluster.logs().contains("Another JobManager leads"));
    let job = cluster.run_totals(&[]);
    cluster.feed("1", "hello,1\n");
    cluster.wait_for_total("hello", 1);
    cluster.wait_for_checkpoint(&job);
    let before = cluster.logs().matches("This JobManager leads").count();
    kill(cluster.jobmanager(), "-KILL");
    cluster.wait("it leads", || cluster.logs().matches("This JobManager leads").count() > before);
    cluster.feed("2", "hello,10\n");
    cluster.wait_for_total("hello", 11);
    cluster.wait("it answers", || cluster.try_get("/overview").is_some());
    cluster.wait("it runs", || cluster.status(&job) == "RUNNING");
}
