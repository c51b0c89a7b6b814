//! What an operator does: submit, look, savepoint, stop, and go on from there.

use std::fs;

use crate::setup::{Cluster, is_running, jobs, kill};

/// The path in what a command has printed.
fn path_of(printed: &str) -> String {
    let line = printed.lines().find_map(|line| line.strip_prefix("Savepoint completed. Path: "));
    line.unwrap_or_else(|| panic!("{printed}")).to_owned()
}

#[test]
fn totals_go_on_over_savepoints_stops_and_other_parallelisms() {
    let cluster = Cluster::start(2, &["taskmanager.numberOfTaskSlots: 2"]);
    let job = cluster.run_totals(&["-p", "2"]);
    cluster.feed("1", "hello,1\nworld,2\n");
    cluster.wait_for_total("hello", 1);
    cluster.wait_for_total("world", 2);
    let listed = cluster.done(&["list"]);
    assert!(listed.contains(&format!("{job} : word_totals (RUNNING)")), "{listed}");
    assert_eq!(cluster.get("/overview")["slots-available"], 2);

    let savepoints = cluster.path("savepoints");
    cluster.wait_for_tasks(&job);
    let savepoint = cluster.done(&["savepoint", &job, savepoints.to_str().unwrap()]);
    cluster.feed("2", "hello,10\n");
    cluster.wait_for_total("hello", 11);
    let stopped = cluster.done(&["stop", "--savepointPath", savepoints.to_str().unwrap(), &job]);
    assert!(
        stopped.starts_with(&format!("Suspending job \"{job}\" with a CANONICAL")),
        "{stopped}"
    );
    assert_eq!(cluster.status(&job), "FINISHED");
    assert_eq!(cluster.get("/overview")["slots-available"], 4);

    // From the last savepoint, with another parallelism: what was counted before is not again.
    let job = cluster.run_totals(&["-p", "3", "-s", &path_of(&stopped)]);
    cluster.feed("3", "hello,100\nworld,100\n");
    cluster.wait_for_total("hello", 111);
    cluster.wait_for_total("world", 102);
    cluster.wait_for_checkpoint(&job);
    cluster.done(&["cancel", &job]);
    cluster.wait("the job is over", || cluster.status(&job) == "CANCELED");

    // From the retained checkpoint, by its folder and by its name.
    let folder = cluster.path("checkpoints").join(&job);
    let chk = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let chk = chk.filter(|path| path.to_string_lossy().contains("chk-")).max().unwrap();
    let job = cluster.run_totals(&["-p", "1", "-s", chk.to_str().unwrap()]);
    cluster.feed("4", "hello,1000\n");
    cluster.wait_for_total("hello", 1111);
    cluster.wait_for_checkpoint(&job);
    cluster.done(&["cancel", &job]);
    cluster.wait("the job is over", || cluster.status(&job) == "CANCELED");
    let job = cluster.run_totals(&["-p", "2", "-s", "latest"]);
    cluster.feed("5", "hello,10000\n");
    cluster.wait_for_total("hello", 11111);
    cluster.done(&["cancel", &job]);

    // From the first savepoint everything after it is counted again.
    let job = cluster.run_totals(&["-s", &path_of(&savepoint)]);
    cluster.wait("all is counted again", || {
        let printed = cluster.printed();
        printed.iter().filter(|line| line.ends_with("(\"hello\", 11111)")).count() == 2
    });
    cluster.done(&["cancel", &job]);
    let workers = cluster.workers();
    drop(cluster);
    assert!(!workers.into_iter().any(is_running), "a worker is left");
}

#[test]
fn a_claimed_checkpoint_is_the_jobs_and_one_that_is_not_claimed_is_not() {
    let cluster = Cluster::start(1, &[]);
    let job = cluster.run_totals(&[]);
    cluster.feed("1", "hello,1\n");
    cluster.wait_for_total("hello", 1);
    let savepoints = cluster.path("savepoints");
    let savepoints = savepoints.to_str().unwrap();
    cluster.wait_for_tasks(&job);
    let said = cluster.done(&["cancel", "-s", savepoints, &job]);
    assert!(said.contains(&format!("Cancelled job {job}. Savepoint stored in file:")), "{said}");
    cluster.wait("the job is over", || cluster.status(&job) == "CANCELED");
    let savepoint = said.trim().rsplit(' ').next().unwrap().trim_end_matches('.');
    let exists = || fs::exists(format!("{}/_metadata", savepoint.trim_start_matches("file:")));
    for (mode, total, stays) in [("no_claim", 11, true), ("claim", 11, false)] {
        assert!(exists().unwrap(), "{mode}: it is the user's");
        let printed = cluster.printed().len();
        let job = cluster.run_totals(&["-s", savepoint, "-cm", mode]);
        cluster.feed(mode, "hello,10\n");
        cluster.wait("it goes on from there", || {
            cluster.printed()[printed..].iter().any(|line| line.ends_with(&format!("{total})")))
        });
        cluster.wait_for_checkpoint(&job);
        cluster.wait("what is claimed goes", || exists().unwrap() == stays);
        cluster.done(&["cancel", &job]);
        cluster.wait("the job is over", || cluster.status(&job) == "CANCELED");
    }
    assert_eq!(fs::read_dir(savepoints).unwrap().count(), 0, "nothing of it is left");

    // A retained checkpoint can be claimed, too.
    let checkpoints = |job: &str| -> Vec<_> {
        let entries = fs::read_dir(cluster.path("checkpoints").join(job)).unwrap();
        let names = entries.map(|entry| entry.unwrap().path());
        names.filter(|path| path.join("_metadata").exists()).collect()
    };
    let job = cluster.run_totals(&[]);
    cluster.wait_for_checkpoint(&job);
    cluster.done(&["cancel", &job]);
    cluster.wait("the job is over", || cluster.status(&job) == "CANCELED");
    let retained = checkpoints(&job);
    assert_eq!(retained.len(), 1);
    let next = cluster.run_totals(&["-s", retained[0].to_str().unwrap(), "--claimMode", "CLAIM"]);
    cluster.wait_for_checkpoint(&next);
    cluster.wait("it goes", || !retained[0].exists());
    cluster.done(&["cancel", &next]);
}

#[test]
fn a_command_that_ends_before_its_job_takes_it_along() {
    let cluster = Cluster::start(1, &[]);
    let (jobs, feed) = (jobs(), cluster.path("feed"));
    let arguments = ["run", "-sae", "-c", "word_totals", jobs.to_str().unwrap(), "--"];
    let arguments = [&arguments[..], &["--file", feed.to_str().unwrap(), "--follow"]].concat();
    let mut command = cluster.spawn(&arguments);
    cluster.feed("1", "hello,1\n");
    cluster.wait_for_total("hello", 1);
    kill(i32::try_from(command.id()).unwrap(), "-INT");
    assert!(!command.wait().unwrap().success());
    let listed = cluster.done(&["list", "-a"]);
    assert!(listed.contains("(CANCELED)"), "{listed}");
}

#[test]
fn a_bounded_job_is_awaited_and_its_runtime_is_told() {
    let cluster = Cluster::start(1, &[]);
    let jobs = jobs();
    let jobs = jobs.to_str().unwrap();
    let text = cluster.done(&["run", "-c", "count", jobs, "--to", "3"]);
    assert!(
        text.contains("Program execution finished") && text.contains("Job Runtime: "),
        "{text}"
    );
    let accumulators = text.lines().skip_while(|line| *line != "Accumulator Results:");
    let accumulators: Vec<&str> = accumulators.skip(1).collect();
    assert_eq!(accumulators, ["- largest (LongMaximum): 3", "- seen (LongCounter): 3"]);
    assert_eq!(cluster.printed(), ["2", "3", "4"]);
    // The binary is there already.
    cluster.done(&["run", "-d", "-c", "count", jobs, "--to", "3"]);
    cluster.wait("the second run", || cluster.printed().len() == 6);
    assert_eq!(cluster.get("/jars")["files"].as_array().unwrap().len(), 1);
    let listed = cluster.done(&["list", "-a"]);
    assert!(listed.contains("Terminated Jobs") && listed.contains("(FINISHED)"), "{listed}");
}
