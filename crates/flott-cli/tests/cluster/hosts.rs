//! A cluster of four hosts, whose network fails: network namespaces of this machine.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use crate::setup::Cluster;

/// Set in the process that has namespaces of its own.
const INSIDE: &str = "FLOTT_TEST_HOSTS";

fn script() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../scripts/hosts")
}

fn hosts(arguments: &[&str]) {
    let status = Command::new(script()).args(arguments).status().unwrap();
    assert!(status.success(), "hosts {arguments:?}");
}

/// This program, for one test, in namespaces in which hosts can be made; nothing if there are none here.
fn unshared(test: &str) -> Option<Command> {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "--mount"]);
    let mut probe = Command::new("unshare");
    probe.args(["--user", "--map-root-user", "--net", "--mount"]);
    let can = "mount -t tmpfs none /run && ip link add name probe0 type veth peer name probe1";
    let works = probe.args(["sh", "-c", can]).output().is_ok_and(|output| output.status.success());
    command.arg(std::env::current_exe().unwrap()).args([test, "--exact", "--nocapture"]);
    works.then_some(command)
}

#[test]
fn a_job_on_four_hosts_goes_on_when_their_network_fails_and_heals() {
    if std::env::var_os(INSIDE).is_some() {
        return on_four_hosts();
    }
    let test = "hosts::a_job_on_four_hosts_goes_on_when_their_network_fails_and_heals";
    match unshared(test) {
        Some(mut command) => assert!(command.env(INSIDE, "1").status().unwrap().success()),
        None => {
            // Past what catches the output of a test that passes.
            let why = "NO HOSTS: this machine lets nobody make network namespaces (unshare, ip).";
            let _ = writeln!(std::io::stderr(), "{why}");
            on_loopback_addresses();
        }
    }
}

/// What every process of the cluster is told.
const OPTIONS: [&str; 4] = [
    "taskmanager.numberOfTaskSlots: 2",
    "taskmanager.load-balance.mode: SLOTS",
    "heartbeat.interval: 100 ms",
    "heartbeat.timeout: 2 s",
];

fn on_four_hosts() {
    hosts(&["make", "4"]);
    let own = [
        "security.unprotected-network-is-trusted: true",
        "jobmanager.rpc.address: 192.0.2.1",
        "slot.request.timeout: 10 min",
    ];
    let mut cluster = Cluster::prepare(&[&OPTIONS[..], &own].concat());
    cluster.put_on_hosts(&script());
    cluster.add_on(1, "jobmanager", &[]);
    for host in 2..=4 {
        cluster.add_on(host, "taskmanager", &["-D", &format!("taskmanager.host=192.0.2.{host}")]);
    }
    cluster.wait("all have come", || cluster.logged("has come, with 2 slots") == 3);
    assert!(cluster.logs().contains("192.0.2.1:"), "{}", cluster.logs());
    let job = cluster.run_totals(&["-p", "3"]);
    let goes_on = |round: i64| {
        let word = format!("word{round}");
        cluster.feed(&word, &format!("hello,10\n{word},7\nworld,1\n"));
        cluster.wait_for_total("hello", 10 * round);
        cluster.wait_for_total(&word, 7);
        cluster.wait_for_total("world", round);
        // What was lost may be noticed at one end after the other: the job may restart once more.
        cluster.wait("a checkpoint", || cluster.flott(&["checkpoint", &job]).code == 0);
    };
    goes_on(1);
    assert_eq!(cluster.workers().len(), 3, "one on each host");

    // Two workers lose each other, and nobody else anyone: nothing is answered, nothing refused.
    let before = cluster.logged("is lost");
    hosts(&["cut", "2", "3"]);
    hosts(&["cut", "3", "2"]);
    cluster.wait("the silence is noticed", || {
        cluster.logged("the connection to the worker at 192.0.2.") > 0
            && cluster.logged("is lost") > before
    });
    hosts(&["heal", "2", "3"]);
    hosts(&["heal", "3", "2"]);
    goes_on(2);

    // A host is cut off: what it has is replaced on the others.
    let before = cluster.logged("nothing was heard of it");
    hosts(&["down", "4"]);
    cluster.wait("it is missed", || cluster.logged("nothing was heard of it") > before);
    goes_on(3);

    // It comes back: its worker, which has not heard that it was given up, changes nothing.
    hosts(&["up", "4"]);
    cluster.wait("it is back", || cluster.logged("has come, with 2 slots") == 4);
    goes_on(4);
    cluster.done(&["cancel", &job]);
    cluster.wait("the workers have ended", || {
        cluster.logged("is started, with pid") == cluster.logged("has ended: ")
    });
    cluster.end();
    cluster.wait("no process is left", || cluster.running(None).is_empty());
}

/// The next best: each process has an address of its own, and the network is one.
fn on_loopback_addresses() {
    let own = ["jobmanager.rpc.address: 127.0.0.11"];
    let mut cluster = Cluster::prepare(&[&OPTIONS[..], &own].concat());
    cluster.add_jobmanager();
    for host in 12..=14 {
        cluster.add("taskmanager", &["-D", &format!("taskmanager.host=127.0.0.{host}")]);
    }
    cluster.wait("all have come", || {
        cluster.try_get("/overview").is_some_and(|overview| overview["taskmanagers"] == 3)
    });
    let job = cluster.run_totals(&["-p", "3"]);
    cluster.feed("1", "hello,10\nworld,1\n");
    cluster.wait_for_total("hello", 10);
    cluster.wait_for_total("world", 1);
    cluster.done(&["cancel", &job]);
}
