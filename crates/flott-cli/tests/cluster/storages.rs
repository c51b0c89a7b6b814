//! Jobs whose state is kept elsewhere: the same story on this machine's files and on real servers.

use flott_testkit::servers::Server;

use crate::setup::{Cluster, kill};

#[test]
fn a_job_recovers_rescales_and_resumes_on_local_files() {
    let folder = tempfile::tempdir().unwrap();
    recovers_and_resumes(&[], folder.path().to_str().unwrap());
}

#[test]
fn a_job_recovers_rescales_and_resumes_on_s3() {
    let server = Server::s3();
    let options = server.s3_options();
    recovers_and_resumes(&options.each_ref().map(String::as_str), "s3://flott/state");
}

#[test]
fn a_job_recovers_rescales_and_resumes_on_hdfs() {
    let server = Server::hdfs();
    recovers_and_resumes(&[], &format!("hdfs://{}/state", server.address()));
}

#[test]
fn a_worker_that_takes_the_place_of_another_one_reads_the_copies_on_its_machine() {
    let server = Server::s3();
    let own = server.s3_options();
    let cluster = Cluster::start(1, &own.each_ref().map(String::as_str));
    let job = cluster.run_totals(&[
        "-D",
        "execution.checkpointing.dir=s3://flott/checkpoints",
        "-D",
        "execution.checkpointing.data-inline-threshold=0",
        "-D",
        "execution.checkpointing.local-backup.enabled=true",
        // Only when it is asked for.
        "-D",
        "execution.checkpointing.interval=1 h",
    ]);
    cluster.feed("1", "hello,1\n");
    cluster.wait_for_total("hello", 1);
    cluster.wait_for_tasks(&job);
    cluster.done(&["checkpoint", &job]);
    // Whoever wants to read the state there finds none.
    let folder = server.folder().join("flott/checkpoints").join(&job).join("chk-1");
    let states = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let states: Vec<_> = states.filter(|path| path.extension().is_some()).collect();
    assert!(!states.is_empty());
    states.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    kill(cluster.workers()[0], "-KILL");
    cluster.feed("2", "hello,10\n");
    cluster.wait_for_total("hello", 11);
    cluster.done(&["cancel", &job]);
}

#[test]
fn a_job_survives_its_job_manager_on_s3() {
    let server = Server::s3();
    let own = server.s3_options();
    let options = own.iter().map(String::as_str).chain([
        "high-availability.type: filesystem",
        "high-availability.storageDir: s3://flott/ha",
        "high-availability.leader-election.lease-duration: 1 s",
    ]);
    let mut cluster = Cluster::start(2, &options.collect::<Vec<_>>());
    let checkpoints = "execution.checkpointing.dir=s3://flott/checkpoints";
    let job = cluster.run_totals(&["-p", "2", "-D", checkpoints]);
    cluster.feed("1", "hello,1\n");
    cluster.wait_for_total("hello", 1);
    cluster.wait_for_checkpoint(&job);
    let workers = cluster.workers();
    for round in 1..=2 {
        kill(cluster.jobmanager(), "-KILL");
        cluster.add_jobmanager();
        cluster.wait("the job is taken over", || {
            cluster.try_get(&format!("/jobs/{job}")).is_some_and(|job| job["state"] == "RUNNING")
        });
        cluster.wait_for_checkpoint(&job);
        cluster.feed(&format!("after {round}"), "hello,10\n");
        cluster.wait_for_total("hello", 1 + 10 * round);
    }
    assert_eq!(cluster.workers(), workers, "no other worker was started: {}", cluster.logs());
    // Who reaches the store with which key is written down nowhere.
    let record = server.folder().join("flott/ha/default/jobs").join(&job);
    for record in std::fs::read_dir(record).unwrap() {
        let text = std::fs::read_to_string(record.unwrap().path()).unwrap();
        assert!(text.contains("s3.endpoint") && !text.contains("flott-secret"), "{text}");
    }
    assert!(!cluster.logs().contains("flott-secret"), "{}", cluster.logs());
    // The binary is there, too, for workers that are started later.
    kill(workers[0], "-KILL");
    cluster.feed("last", "hello,100\n");
    cluster.wait_for_total("hello", 121);
    cluster.done(&["cancel", &job]);
    cluster.wait("the job is over", || cluster.status(&job) == "CANCELED");
}

fn recovers_and_resumes(options: &[&str], base: &str) {
    let options: Vec<&str> =
        options.iter().copied().chain(["taskmanager.numberOfTaskSlots: 2"]).collect();
    let cluster = Cluster::start(2, &options);
    let checkpoints = format!("execution.checkpointing.dir={base}/checkpoints");
    // Every state in a file of its own.
    let files = "execution.checkpointing.data-inline-threshold=0";
    let run = |options: &[&str]| {
        cluster.run_totals(&[&["-D", &checkpoints, "-D", files], options].concat())
    };

    // A worker dies: what it knew is read back.
    let job = run(&["-p", "2"]);
    cluster.feed("1", "hello,1\nworld,2\n");
    cluster.wait_for_total("hello", 1);
    cluster.wait_for_total("world", 2);
    cluster.wait_for_checkpoint(&job);
    kill(cluster.workers()[0], "-KILL");
    // Who is left goes on for a moment, as if nothing had been.
    cluster.wait("it is missed", || {
        let exceptions = cluster.get(&format!("/jobs/{job}/exceptions"));
        !exceptions["exceptionHistory"]["entries"].as_array().unwrap().is_empty()
    });
    cluster.feed("2", "hello,10\nworld,20\n");
    cluster.wait_for_total("hello", 11);
    cluster.wait_for_total("world", 22);

    // Stopped with a savepoint, and resumed from it with another parallelism.
    cluster.wait_for_tasks(&job);
    let stopped = cluster.done(&["stop", "--savepointPath", &format!("{base}/savepoints"), &job]);
    let path = stopped.lines().find_map(|line| line.strip_prefix("Savepoint completed. Path: "));
    let savepoint = path.unwrap_or_else(|| panic!("{stopped}"));
    assert!(savepoint.contains(base), "{stopped}");
    let job = run(&["-p", "3", "-s", savepoint]);
    cluster.feed("3", "hello,100\nworld,100\n");
    cluster.wait_for_total("hello", 111);
    cluster.wait_for_total("world", 122);
    cluster.wait_for_checkpoint(&job);
    cluster.done(&["cancel", &job]);
    cluster.wait("the job is over", || cluster.status(&job) == "CANCELED");

    // From the newest checkpoint that it has left; the savepoint is nobody's any more.
    cluster.done(&["savepoint", "-d", savepoint]);
    let gone =
        cluster.flott(&["run", "-d", "-s", savepoint, crate::setup::jobs().to_str().unwrap()]);
    assert_ne!(gone.code, 0, "{gone:?}");
    let job = run(&["-p", "1", "-s", "latest"]);
    cluster.feed("4", "hello,1000\n");
    cluster.wait_for_total("hello", 1111);
    cluster.done(&["cancel", &job]);
    cluster.wait("the job is over", || cluster.status(&job) == "CANCELED");

    // What was lost on the way goes, and what is needed stays.
    let directory = format!("{base}/checkpoints");
    let gc = |options: &[&str]| {
        let told = cluster.done(&[&["checkpoint", "gc", &directory, "--json"], options].concat());
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert!(!told["folders"].as_array().unwrap().is_empty(), "{told}");
        told["files"].as_u64().unwrap()
    };
    assert_eq!(gc(&[]), 0, "all of it is young");
    let found = gc(&["--dry-run", "--min-age", "0 ms"]);
    assert_eq!(gc(&["--min-age", "0 ms"]), found);
    assert_eq!(gc(&["--min-age", "0 ms"]), 0, "it has gone");
    cluster.done(&["state", "verify", &directory]);
}
