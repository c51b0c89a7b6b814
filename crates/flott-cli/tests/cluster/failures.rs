//! Processes that die, at moments that are observed.

use std::fs;
use std::path::Path;

use crate::setup::{Cluster, is_running, jobs, kill};
use crate::soak::{files, is_hidden};

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
    cluster.wait("it is shown to run", || cluster.status(job) == "RUNNING");
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
fn a_task_that_exchanges_nothing_with_the_lost_ones_goes_on() {
    let cluster = Cluster::start(2, &[]);
    let (jobs, feed, out) = (jobs(), cluster.path("feed"), cluster.path("out"));
    let checkpoints =
        format!("execution.checkpointing.dir={}", cluster.path("checkpoints").display());
    let interval = "execution.checkpointing.interval=100 ms";
    let (jobs, from, to) = (jobs.to_str().unwrap(), feed.to_str().unwrap(), out.to_str().unwrap());
    let copy = ["-c", "copy_lines", "-p", "2", "-D", &checkpoints, "-D", interval, jobs];
    let job = cluster.submit(&[&copy[..], &["--from", from, "--follow", "--to", to]].concat());
    let feed = |name: &str| cluster.feed(name, &format!("{name}\n"));
    let copied = |count: usize| {
        cluster.wait("all is copied", || lines(&out).len() >= count);
        lines(&out)
    };
    let names: Vec<String> = (100..140).map(|name| name.to_string()).collect();
    names[..20].iter().for_each(|name| feed(name));
    assert_eq!(copied(20), names[..20]);
    let killed = cluster.workers()[0];
    kill(killed, "-KILL");
    cluster.wait("it is told", || {
        let exceptions = cluster.get(&format!("/jobs/{job}/exceptions")).to_string();
        exceptions.contains("is lost") || exceptions.contains("signal: 9")
    });
    cluster.wait_for_tasks(&job);
    names[20..].iter().for_each(|name| feed(name));
    assert_eq!(copied(40), names, "once each");
    // The task on the other worker is still the one that was started first.
    let log = cluster.logs();
    let begun = |attempt: u32, count: &str| {
        log.contains(&format!("Attempt {attempt} of job {job} begins with {count} tasks"))
    };
    assert!(begun(0, "2 of 2") && begun(1, "1 of 2"), "{log}");
}

/// What was copied, in order.
fn lines(out: &Path) -> Vec<String> {
    let parts = files(out).into_iter().filter(|path| !is_hidden(path));
    let texts: Vec<String> = parts.map(|path| fs::read_to_string(path).unwrap()).collect();
    let mut lines: Vec<String> =
        texts.iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
    lines.sort();
    lines
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

/// A job on two TaskManagers whose JobManager may die.
fn counted_with_high_availability(folder: &std::path::Path, more: &[&str]) -> (Cluster, String) {
    let own = high_availability(folder);
    let options: Vec<&str> = own.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let cluster = Cluster::start(2, &options);
    let job = cluster.run_totals(&["-p", "2"]);
    cluster.feed("1", "hello,1\nworld,2\n");
    cluster.wait_for_total("hello", 1);
    cluster.wait_for_total("world", 2);
    cluster.wait_for_checkpoint(&job);
    (cluster, job)
}

#[test]
fn tasks_go_on_without_their_job_manager_and_belong_to_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let (mut cluster, job) = counted_with_high_availability(folder.path(), &[]);
    let workers = cluster.workers();
    for round in 1..=3 {
        kill(cluster.jobmanager(), "-KILL");
        // Nobody leads, and records go through.
        let word = format!("word{round}");
        cluster.feed(&word, &format!("hello,10\n{word},7\n"));
        cluster.wait_for_total("hello", 1 + 10 * round);
        cluster.wait_for_total(&word, 7);
        cluster.add_jobmanager();
        cluster.wait("the job is taken over", || {
            cluster.try_get(&format!("/jobs/{job}")).is_some_and(|job| job["state"] == "RUNNING")
        });
        cluster.wait_for_checkpoint(&job);
        let details = cluster.get(&format!("/jobs/{job}"));
        assert!(details["timestamps"]["RECONCILING"].as_i64().unwrap() > 0, "{details}");
        assert_eq!(details["timestamps"]["RESTARTING"], 0, "{details}");
        assert_eq!(cluster.get("/overview")["slots-available"], 0);
    }
    assert_eq!(cluster.workers(), workers, "no other worker was started");
    assert!(workers.iter().all(|pid| is_running(*pid)), "{}", cluster.logs());
    // It is a cluster like any other: what fails now is replaced.
    kill(workers[0], "-KILL");
    cluster.feed("last", "hello,100\n");
    cluster.wait_for_total("hello", 131);
    cluster.done(&["cancel", &job]);
    cluster.wait("the job is over", || cluster.status(&job) == "CANCELED");
    assert_eq!(std::fs::read_dir(folder.path().join("default/jobs")).unwrap().count(), 0);
    cluster.wait("no worker is left", || cluster.running(Some("worker")).is_empty());
}

#[test]
fn a_worker_that_dies_while_nobody_leads_is_missed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    // Far longer than this test.
    let more = ["high-availability.reattach-timeout: 10 min"];
    let (mut cluster, job) = counted_with_high_availability(folder.path(), &more);
    let workers = cluster.workers();
    kill(cluster.jobmanager(), "-KILL");
    kill(workers[0], "-KILL");
    cluster.wait("it is gone", || !is_running(workers[0]));
    cluster.add_jobmanager();
    cluster.wait("it answers", || cluster.try_get("/overview").is_some());
    // Whether the other worker is part of that depends on whose TaskManager comes back first.
    goes_on(&cluster, &job);
}

#[test]
fn a_job_whose_workers_are_all_gone_is_restarted_when_they_do_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let more = ["high-availability.reattach-timeout: 1 s"];
    let (mut cluster, job) = counted_with_high_availability(folder.path(), &more);
    let mut gone = cluster.taskmanagers();
    gone.extend(cluster.workers());
    gone.push(cluster.jobmanager());
    gone.iter().for_each(|pid| kill(*pid, "-KILL"));
    cluster.wait("all are gone", || !gone.iter().any(|pid| is_running(*pid)));
    cluster.add_jobmanager();
    cluster.add_taskmanager();
    cluster.add_taskmanager();
    cluster.wait("it answers", || cluster.try_get("/overview").is_some());
    goes_on(&cluster, &job);
}

#[test]
fn a_job_manager_that_was_paused_is_replaced_and_ends_when_it_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let own = high_availability(folder.path());
    let options = own.iter().map(String::as_str).chain([
        "high-availability.leader-election.lease-duration: 1 s",
        "heartbeat.interval: 100 ms",
        "heartbeat.timeout: 1 s",
    ]);
    let mut cluster = Cluster::start(2, &options.collect::<Vec<_>>());
    let job = cluster.run_totals(&["-p", "2"]);
    cluster.feed("1", "hello,1\nworld,2\n");
    cluster.wait_for_total("hello", 1);
    cluster.wait_for_total("world", 2);
    cluster.wait_for_checkpoint(&job);
    let (paused, workers) = (cluster.jobmanager(), cluster.workers());
    kill(paused, "-STOP");
    // Both of its ports are still taken by the one that is paused.
    let rest = cluster.free_port();
    let ports = [format!("rest.port={rest}"), "jobmanager.rpc.port=0".to_owned()];
    cluster.add("jobmanager", &["-D", &ports[0], "-D", &ports[1]]);
    cluster.wait("it leads", || cluster.logs().contains("after one that may still be there"));
    cluster.answer_at(rest);
    cluster.wait("the job is taken over", || {
        cluster.try_get(&format!("/jobs/{job}")).is_some_and(|job| job["state"] == "RUNNING")
    });
    cluster.wait_for_checkpoint(&job);
    kill(paused, "-CONT");
    cluster.wait("it ends", || !is_running(paused));
    assert!(cluster.logs().contains("what it has begun does not count"), "{}", cluster.logs());
    goes_on(&cluster, &job);
    assert_eq!(cluster.workers(), workers, "no other worker was started: {}", cluster.logs());
}

#[test]
fn a_standby_waits_until_the_leader_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let options = high_availability(folder.path());
    let mut cluster = Cluster::start(1, &options.each_ref().map(String::as_str));
    // On another port: those who look for it find it nevertheless.
    cluster.add("jobmanager", &["-D", "jobmanager.rpc.port=0"]);
    cluster.wait("it waits", || cluster.logs().contains("Another JobManager leads"));
    let job = cluster.run_totals(&[]);
    cluster.feed("1", "hello,1\n");
    cluster.wait_for_total("hello", 1);
    cluster.wait_for_checkpoint(&job);
    let before = cluster.logs().matches("This JobManager leads").count();
    let workers = cluster.workers();
    kill(cluster.jobmanager(), "-KILL");
    cluster.wait("it leads", || cluster.logs().matches("This JobManager leads").count() > before);
    cluster.feed("2", "hello,10\n");
    cluster.wait_for_total("hello", 11);
    cluster.wait("it answers", || cluster.try_get("/overview").is_some());
    cluster.wait("it runs", || cluster.status(&job) == "RUNNING");
    assert_eq!(cluster.workers(), workers, "{}", cluster.logs());
}
