//! `count_window_average`: keyed state by hand.

use crate::checkpoints;
use crate::socket::connect;
use crate::support::job;

#[test]
fn every_two_values_of_a_key_are_averaged() {
    let (job, _server, mut connection) = connect(job("count_window_average"));
    connection.send(["a 1", "b 10", "a 3", "a 5", "b 20", "a 8", "b 7", "c 1"]);
    drop(connection);
    let ended = job.end();
    ended.expect(0, ["to FINISHED"]);
    assert_eq!(ended.printed, ["(\"a\", 2)", "(\"b\", 15)", "(\"a\", 6)"]);
}

#[test]
fn half_an_average_survives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let average = || job("count_window_average").checkpoints(directory.path(), 20);
    let (mut job, _server, mut connection) = connect(average());
    // The pair tells that the first value was processed.
    connection.send(["a 4", "b 1", "b 3"]);
    assert_eq!(job.printed(), "(\"b\", 2)");
    job.completed_after_now(directory.path());
    job.kill();

    let newest = checkpoints::newest(directory.path()).unwrap();
    let (mut job, _server, mut connection) = connect(average().resume(&newest.path));
    connection.send(["b 100", "a 8"]);
    assert_eq!(job.printed(), "(\"a\", 6)");
}
