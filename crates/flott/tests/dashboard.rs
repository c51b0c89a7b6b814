//! A job in this process, seen through its dashboard.
#![cfg(feature = "dashboard")]
#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::Builder;

use flott::cluster::EmbeddedCluster;
use flott::core::config::{Configuration, Origin};
use flott::dashboard::{Server, serve};
use flott::prelude::*;
use serde_json::Value;

fn get(server: &Server, path: &str) -> Value {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    serde_json::from_str(body).unwrap()
}

/// Asks until the answer is as wanted.
fn wait_for(server: &Server, path: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let answer = get(server, path);
        if is_wanted(&answer) {
            return answer;
        }
        std::thread::yield_now();
    }
}

/// Numbers without end, counted by key, with a checkpoint now and then.
fn endless(cluster: EmbeddedCluster) -> flott::Result<()> {
    let mut config = Configuration::new();
    for (key, value) in [
        ("parallelism.default", "2"),
        ("taskmanager.driver-threads", "2"),
        ("execution.checkpointing.interval", "50 ms"),
    ] {
        config.set_text(key, value, Origin::Program)?;
    }
    let env = StreamExecutionEnvironment::new(config, Arc::new(cluster));
    let numbers = Generator::new(None, |i| i).rate_limited(1000.0);
    let counted = env.generate_with("numbers", numbers).map(|i| (i % 10, 1u64));
    counted.key_by(|(key, _)| *key).sum(|(_, count)| count).discard();
    env.execute("endless").map(drop)
}

#[test]
fn a_running_job_is_seen_with_its_records_and_checkpoints_until_it_is_cancelled() {
    let cluster = EmbeddedCluster::new();
    let server = serve("0", &cluster).unwrap();
    assert_eq!(get(&server, "/jobs/overview")["jobs"].as_array().unwrap().len(), 0);
    let cancel = cluster.cancel_handle();
    let job = Builder::new().name("job".into()).spawn(move || endless(cluster)).unwrap();

    let jobs = wait_for(&server, "/jobs/overview", |answer| {
        let job = &answer["jobs"][0];
        job["state"] == "RUNNING" && job["tasks"]["running"] == job["tasks"]["total"]
    });
    assert_eq!(jobs["jobs"][0]["name"], "endless");
    let path = format!("/v1/jobs/{}", jobs["jobs"][0]["jid"].as_str().unwrap());
    wait_for(&server, &path, |job| {
        let read = |vertex: usize| job["vertices"][vertex]["metrics"]["read-records"].as_i64();
        job["vertices"][1]["status"] == "RUNNING" && read(0) == Some(0) && read(1) > Some(0)
    });
    wait_for(&server, &format!("{path}/checkpoints"), |stats| {
        stats["latest"]["completed"]["num_acknowledged_subtasks"] == 4
    });

    cancel.cancel();
    job.join().unwrap().unwrap();
    let jobs = get(&server, "/jobs/overview");
    assert_eq!(jobs["jobs"][0]["state"], "CANCELED");
    assert_eq!(get(&server, "/overview")["jobs-cancelled"], 1);
}
