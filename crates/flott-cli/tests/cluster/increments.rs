//! Checkpoints that refer to what earlier ones have written, on files that a user can look at.

use std::fs;

use crate::setup::{Cluster, kill};

const WORDS: u32 = 20_000;

/// What the newest completed checkpoint has written, and what it refers to, in bytes.
fn newest(cluster: &Cluster, job: &str) -> (u64, u64) {
    let newest = cluster.get(&format!("/jobs/{job}/checkpoints"))["latest"]["completed"].clone();
    let size = |name: &str| newest[name].as_u64().unwrap();
    (size("checkpointed_size"), size("state_size"))
}

#[test]
fn a_job_goes_on_from_what_many_checkpoints_have_written() {
    let cluster = Cluster::start(3, &[]);
    let inline = ["-D", "execution.checkpointing.data-inline-threshold=0"];
    let job = cluster.run_totals(&[&inline[..], &["-p", "2"]].concat());
    let words: String = (0..WORDS).map(|word| format!("word{word},1\n")).collect();
    cluster.feed("all", &words);
    let last = format!("word{}", WORDS - 1);
    cluster.wait_for_total(&last, 1);
    cluster.wait_for_checkpoint(&job);
    for round in 2..5 {
        cluster.feed(&round.to_string(), &format!("{last},1\nnew{round},1\n"));
        cluster.wait_for_total(&last, round);
        cluster.wait_for_checkpoint(&job);
    }
    cluster.wait("little is written", || {
        let (written, whole) = newest(&cluster, &job);
        // A key group is written whole in its turn: four of 128 each time.
        whole > 100_000 && written < whole / 16
    });
    // Who takes the place of a lost worker reads what it needs of all of them.
    kill(cluster.workers()[0], "-KILL");
    cluster.feed("after", &format!("{last},10\nword0,10\nnew2,10\n"));
    cluster.wait_for_total(&last, 14);
    cluster.wait_for_total("word0", 11);
    cluster.wait_for_total("new2", 11);
    cluster.wait_for_checkpoint(&job);
    cluster.done(&["cancel", &job]);
    cluster.wait("the job is over", || cluster.status(&job) == "CANCELED");

    let folder = cluster.path("checkpoints").join(&job);
    let entries = || fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let retained = entries().find(|path| path.join("_metadata").exists()).unwrap();
    let restart = [&inline[..], &["-p", "3", "-s", retained.to_str().unwrap(), "-cm", "claim"]];
    let next = cluster.run_totals(&restart.concat());
    cluster.feed("next", &format!("{last},100\nword7,100\n"));
    cluster.wait_for_total(&last, 114);
    cluster.wait_for_total("word7", 101);
    cluster.wait_for_checkpoint(&next);
    cluster.wait("all of it that was claimed goes", || {
        entries().all(|path| !path.file_name().unwrap().to_string_lossy().starts_with("chk-"))
    });
    cluster.done(&["cancel", &next]);
}
