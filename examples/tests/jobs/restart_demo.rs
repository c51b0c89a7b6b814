//! `restart_demo`: which failures a job survives, and with what.

use crate::checkpoints::COMPLETED;
use crate::socket::{Connection, Server, connect};
use crate::support::{JobProcess, Launch, job};

const RESTARTED: &str = "switched from state RESTARTING to RUNNING";
const DELAY: &str = "restart-strategy.failure-rate.delay";
const MAX_FAILURES: &str = "restart-strategy.failure-rate.max-failures-per-interval";
const INTERVAL: &str = "restart-strategy.failure-rate.failure-rate-interval";

/// The job, with a wait that tests have time for.
fn demo() -> Launch {
    job("restart_demo").set(DELAY, "10 ms")
}

/// Makes the job fail, and accepts the connection of the restarted job.
#[track_caller]
fn fail(job: &mut JobProcess, server: &Server, mut connection: Connection) -> Connection {
    connection.send(["bug,1"]);
    let connection = server.accept(job);
    job.logged(RESTARTED);
    connection
}

#[test]
fn three_failures_are_survived_and_the_fourth_is_not() {
    let (mut job, server, mut connection) = connect(demo());
    for _ in 0..3 {
        connection.send(["a,1"]);
        // Without checkpoints every attempt begins with nothing.
        assert_eq!(job.printed(), "(\"a\", 1)");
        connection = fail(&mut job, &server, connection);
    }
    connection.send(["a,1"]);
    assert_eq!(job.printed(), "(\"a\", 1)");
    connection.send(["bug,1"]);
    let ended = job.end();
    ended.expect(
        1,
        [
            "switched from state FAILING to FAILED",
            "\nThe job failed: Recovery is suppressed by Failure rate restart with maximum of 3 \
             failures within interval PT2M and fixed delay PT0.01S.\n\
             Caused by: operator \"map\" (1/1) failed\n\
             Caused by: the word \"bug\" was found",
        ],
    );
    assert_eq!(ended.logged.matches(RESTARTED).count(), 3);
}

#[test]
fn with_checkpoints_totals_from_before_the_failure_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (mut job, server, mut connection) = connect(demo().checkpoints(directory.path(), 50));
    for total in 1..=3 {
        connection.send(["a,1"]);
        assert_eq!(job.printed(), format!("(\"a\", {total})"));
        job.completed_after_now(directory.path());
        connection = fail(&mut job, &server, connection);
    }
    connection.send(["a,1", "bug,1"]);
    let ended = job.end();
    ended.expect(1, ["Caused by: the word \"bug\" was found"]);
    // What came with the fatal line in one batch may not have been printed.
    assert!(ended.printed.len() <= 4 && ended.printed[2] == "(\"a\", 3)", "{:?}", ended.printed);
}

#[test]
fn checkpoints_in_memory_keep_the_totals_too() {
    let launch = demo().set("execution.checkpointing.interval", "50 ms");
    let (mut job, server, mut connection) = connect(launch);
    connection.send(["a,1"]);
    assert_eq!(job.printed(), "(\"a\", 1)");
    // The total is the only state: a checkpoint that has any has it.
    while job.logged(COMPLETED).contains("(0 bytes") {}
    let mut connection = fail(&mut job, &server, connection);
    connection.send(["a,1"]);
    assert_eq!(job.printed(), "(\"a\", 2)");
}

#[test]
fn the_number_of_survived_failures_can_be_set() {
    let (mut job, server, connection) = connect(demo().set(MAX_FAILURES, "1"));
    let mut connection = fail(&mut job, &server, connection);
    connection.send(["bug,1"]);
    let ended = job.end();
    ended.expect(1, ["maximum of 1 failures within interval PT2M", "the word \"bug\" was found"]);
    assert_eq!(ended.logged.matches(RESTARTED).count(), 1);
}

#[test]
fn failures_that_are_further_apart_than_the_interval_are_all_survived() {
    let launch = demo().set(MAX_FAILURES, "1").set(INTERVAL, "1 ms");
    let (mut job, server, mut connection) = connect(launch);
    for _ in 0..6 {
        connection = fail(&mut job, &server, connection);
    }
    connection.send(["a,1"]);
    assert_eq!(job.printed(), "(\"a\", 1)");
}

#[test]
fn the_delay_can_be_set_and_a_waiting_job_can_be_cancelled() {
    let (mut job, server, mut connection) = connect(job("restart_demo").set(DELAY, "1 h"));
    connection.send(["bug,1"]);
    job.logged("switched from state RUNNING to RESTARTING");
    job.logged("the word \"bug\" was found");
    job.interrupt();
    job.end().expect(0, ["to CANCELED"]);
    assert!(server.is_untouched(), "the job did not wait");
}

#[test]
fn another_strategy_can_be_chosen() {
    let launch = demo().set("restart-strategy.type", "none");
    let (job, _server, mut connection) = connect(launch);
    connection.send(["bug,1"]);
    job.end().expect(1, ["Recovery is suppressed by Restart deactivated."]);

    let launch = demo()
        .set("restart-strategy.type", "exponential-delay")
        .set("restart-strategy.exponential-delay.initial-backoff", "10 ms")
        .set("restart-strategy.exponential-delay.max-backoff", "20 ms")
        .set("restart-strategy.exponential-delay.attempts-before-reset-backoff", "2");
    let (mut job, server, mut connection) = connect(launch);
    for _ in 0..2 {
        connection = fail(&mut job, &server, connection);
    }
    connection.send(["bug,1"]);
    job.end().expect(1, ["Restart with exponential delay", "the word \"bug\" was found"]);
}
