//! What is wrong is said in one message, and the cluster goes on.

use std::fs;

use crate::setup::{Cluster, jobs};

/// The error of a command that must fail.
fn refused(cluster: &Cluster, arguments: &[&str]) -> String {
    let output = cluster.flott(arguments);
    assert_eq!(output.code, 1, "{arguments:?}: {}", output.text);
    output.error
}

#[test]
fn bad_input_is_named_and_the_cluster_goes_on() {
    let cluster = Cluster::start(1, &["rest.server.max-content-length: 1 gb"]);
    let jobs = jobs();
    let jobs = jobs.to_str().unwrap();
    let script = cluster.path("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    let error = refused(&cluster, &["run", script.to_str().unwrap()]);
    assert!(error.contains("\"script\" is not a job binary: it is no Linux executable"), "{error}");
    let error = refused(&cluster, &["run", "/nowhere"]);
    assert!(error.contains("cannot read the job binary \"/nowhere\""), "{error}");
    let error = refused(&cluster, &["run", "-c", "word_total", jobs]);
    assert!(error.contains("has no job \"word_total\"; its jobs are "), "{error}");
    let error = refused(&cluster, &["run", jobs]);
    assert!(error.contains("has several jobs, name one with -c"), "{error}");
    let error = refused(&cluster, &["run", "-c", "panics", jobs]);
    assert!(error.contains("no plan today"), "{error}");
    let error = refused(&cluster, &["run", "-c", "count", jobs, "--", "--to", "x"]);
    assert!(error.contains("--to"), "{error}");
    let error = refused(&cluster, &["run", "-c", "count", "-s", "/nowhere", jobs, "--to", "1"]);
    assert!(error.contains("\"/nowhere\" does not exist"), "{error}");
    let property = "execution.checkpointing.intervall=1 s";
    let error = refused(&cluster, &["run", "-c", "count", "-D", property, jobs, "--to", "1"]);
    assert!(error.contains("did you mean \"execution.checkpointing.interval\"?"), "{error}");
    let unknown = "00000000000000000000000000000001";
    let error = refused(&cluster, &["cancel", unknown]);
    assert!(error.contains(&format!("Job {unknown} not found")), "{error}");

    // Whatever a job binary is, it does not become more.
    let running = cluster.run_totals(&[]);
    cluster.wait("a worker", || !cluster.running(Some("worker")).is_empty());
    let worker = cluster.running(Some("worker"))[0];
    let status = fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    cluster.done(&["cancel", &running]);
    cluster.wait("its slot", || cluster.get("/overview")["slots-available"] == 1);

    let text = cluster.done(&["run", "-c", "count", jobs, "--to", "3"]);
    let job = text.lines().next().unwrap().rsplit(' ').next().unwrap();
    let error = refused(&cluster, &["stop", "-p", "/tmp", job]);
    assert!(error.contains(&format!("Job {job} is not running.")), "{error}");
    let error = refused(&cluster, &["cancel", job]);
    assert!(error.contains("already reached another terminal state (FINISHED)"), "{error}");
}

#[test]
fn a_job_function_that_depends_on_its_process_is_refused() {
    let cluster = Cluster::start(1, &[]);
    let jobs = jobs();
    let error = refused(&cluster, &["run", "-c", "differs", jobs.to_str().unwrap()]);
    assert!(error.contains("does not build the same program in every process"), "{error}");
    assert!(error.contains("the operator \"in a worker\""), "{error}");
}

#[test]
fn a_job_that_gets_no_slots_says_how_many_are_missing() {
    let cluster = Cluster::start(1, &["slot.request.timeout: 100 ms"]);
    let jobs = jobs();
    let options = ["run", "-c", "count", "-p", "3", "-D", "restart-strategy.type=none"];
    let error = refused(&cluster, &[&options[..], &[jobs.to_str().unwrap(), "--to", "3"]].concat());
    let expected = "the job needs 3 slots and 1 are free on 1 TaskManagers: 2 are missing";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn an_upload_that_is_too_large_is_refused() {
    let cluster = Cluster::start(1, &["rest.server.max-content-length: 10 kb"]);
    let jobs = jobs();
    let error = refused(&cluster, &["run", "-c", "count", jobs.to_str().unwrap(), "--to", "3"]);
    assert!(error.contains("is larger than 10240 bytes"), "{error}");
}

#[test]
fn a_port_in_use_is_named() {
    let cluster = Cluster::start(0, &[]);
    let status = || cluster.flott(&["cluster", "status"]).text;
    cluster.wait("the JobManager answers", || status().contains("0 TaskManagers"));
    let second = cluster.flott(&["jobmanager"]);
    assert_eq!(second.code, 1);
    assert!(second.error.contains("is in use: does a cluster run already?"), "{}", second.error);
    let again = cluster.flott(&["cluster", "start"]);
    assert_eq!(again.code, 1);
    assert!(again.error.contains("a JobManager runs already"), "{}", again.error);
    assert!(status().contains("0 TaskManagers"));
}

#[test]
fn a_task_fails_with_a_reason_before_its_worker_takes_too_much_memory() {
    let cluster = Cluster::start(1, &["taskmanager.memory.process.size: 60 mb"]);
    let job = cluster.run_totals(&["-D", "restart-strategy.type=none"]);
    let words = (0..500_000).map(|number| format!("{number}-a-word-that-takes-some-memory,1\n"));
    cluster.feed("1", &words.collect::<String>());
    cluster
        .wait("the job has failed", || cluster.get(&format!("/jobs/{job}"))["state"] == "FAILED");
    let exceptions = cluster.get(&format!("/jobs/{job}/exceptions")).to_string();
    let expected =
        "it has 1 of 1 slots of a TaskManager with taskmanager.memory.process.size 60 MB";
    assert!(exceptions.contains("may take 60 MB") && exceptions.contains(expected), "{exceptions}");
    // Nothing was killed: the TaskManager is there, and takes the next job.
    cluster.wait("its slot", || cluster.get("/overview")["slots-available"] == 1);
    cluster.done(&["run", "-c", "count", jobs().to_str().unwrap(), "--to", "3"]);
}
