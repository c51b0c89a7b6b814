//! `parse_numbers`: a line that is no number.

use crate::socket::connect;
use crate::support::job;

#[test]
fn numbers_are_printed() {
    let (job, _server, mut connection) = connect(job("parse_numbers"));
    connection.send(["1", " -2 ", "3"]);
    drop(connection);
    let ended = job.end();
    ended.expect(0, ["to FINISHED"]);
    assert_eq!(ended.printed, ["1", "-2", "3"]);
}

#[test]
fn a_bad_line_fails_the_job_after_three_restarts() {
    let launch = job("parse_numbers").set("restart-strategy.fixed-delay.delay", "10 ms");
    let (mut job, server, mut connection) = connect(launch);
    for attempt in 0..=3 {
        if attempt > 0 {
            job.logged("switched from state RUNNING to RESTARTING");
            connection = server.accept(&mut job);
        }
        connection.send([attempt.to_string()]);
        assert_eq!(job.printed(), attempt.to_string());
        connection.send(["oops"]);
    }
    let ended = job.end();
    ended.expect(
        1,
        [
            "switched from state FAILING to FAILED",
            "\nThe job failed: Recovery is suppressed by Restart with fixed delay (PT0.01S). #3 \
             restart attempts.\n\
             Caused by: operator \"parse\" (1/1) failed\n\
             Caused by: the line \"oops\" is no integer\n\
             Caused by: invalid digit found in string",
        ],
    );
    assert_eq!(ended.logged.matches("switched from state RESTARTING to RUNNING").count(), 3);
}
