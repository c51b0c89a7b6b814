//! What is wrong with a command line, an option or a line of input is said clearly, and nothing is
//! started.

use std::fs;

use crate::socket::{Server, connect};
use crate::support::{Ended, Launch, files, job, text};

/// Runs a job that must be refused before it starts, and before it takes a line from anybody.
#[track_caller]
fn refuse<const N: usize>(launch: Launch, code: i32, texts: [&str; N]) -> Ended {
    let server = Server::start();
    let ended = launch.reading(&server).run();
    ended.expect(code, texts);
    assert!(!ended.was_started(), "{}", ended.logged);
    assert!(ended.printed.is_empty(), "{:?}", ended.printed);
    assert!(server.is_untouched(), "the job connected before it was refused");
    ended
}

#[test]
fn an_unknown_option_is_refused_and_the_nearest_is_named() {
    refuse(
        job("word_totals").set("execution.checkpointing.intervall", "1 s"),
        1,
        [
            "unknown option \"execution.checkpointing.intervall\"",
            "did you mean \"execution.checkpointing.interval\"?",
        ],
    );
}

#[test]
fn a_value_that_an_option_cannot_have_is_refused() {
    let cases = [
        ("execution.checkpointing.interval", "1 ms", "it must be at least 10 ms"),
        ("execution.checkpointing.interval", "soon", "\"soon\" is not a duration"),
        ("execution.checkpointing.mode", "TWICE", "EXACTLY_ONCE"),
        ("execution.checkpointing.max-concurrent-checkpoints", "0", "at least 1"),
        ("execution.checkpointing.timeout", "1 ms", "at least 10 ms"),
        ("restart-strategy.failure-rate.max-failures-per-interval", "-1", "at least 1"),
        ("pipeline.max-parallelism", "32769", "32768"),
    ];
    for (key, value, reason) in cases {
        refuse(job("word_totals").set(key, value), 1, [key, reason]);
    }
}

#[test]
fn a_parallelism_of_nothing_is_refused() {
    refuse(job("word_totals").options(["-p", "0"]), 1, ["-p 0", "parallelism.default"]);
    refuse(job("word_totals").options(["-p", "many"]), 1, ["-p many", "\"many\" is not"]);
}

#[test]
fn a_parallelism_above_the_max_parallelism_is_refused() {
    let launch = job("word_totals").parallelism(10).set("pipeline.max-parallelism", "4");
    refuse(launch, 1, ["has parallelism 10, above its max parallelism 4"]);
}

#[test]
fn an_option_without_a_value_is_refused() {
    refuse(job("word_totals").options(["-D", "parallelism.default"]), 1, ["expected key=value"]);
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let cases: [(Launch, &str); 4] = [
        (job("word_totals"), "--host <HOST>"),
        (job("word_tools"), "unrecognized subcommand 'word_tools'"),
        (job("word_totals").arguments(["--port", "http"]), "invalid value 'http'"),
        (job("word_totals").options(["--paralelism", "2"]), "'--paralelism'"),
    ];
    for (launch, reason) in cases {
        let ended = launch.run();
        ended.expect(2, [reason, "error: "]);
        assert!(!ended.was_started());
    }
}

#[test]
fn a_checkpoint_directory_that_cannot_be_written_is_found_before_the_job_starts() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let below = file.join("checkpoints");
    refuse(
        job("word_totals").checkpoints(&below, 20),
        1,
        ["checkpoints cannot be written; the job is not started", text(&below)],
    );
    assert_eq!(files(directory.path()), [file]);
}

#[test]
fn a_directory_that_no_storage_can_be_is_refused() {
    refuse(
        job("word_totals").set("execution.checkpointing.dir", "ftp://somewhere/checkpoints"),
        1,
        ["the scheme ftp:// is not supported"],
    );
}

#[test]
fn a_port_that_nobody_listens_on_is_named() {
    let port = Server::start().port();
    let place = format!("cannot connect to 127.0.0.1:{port}");
    let ended = job("restart_demo")
        .set("restart-strategy.type", "none")
        .arguments(["--host", "127.0.0.1", "--port", &port.to_string()])
        .run();
    ended.expect(1, ["operator \"Source: Socket Stream\" (1/1)", &place, "Connection refused"]);
}

#[test]
fn a_job_with_checkpoints_waits_for_whoever_listens_at_the_port() {
    let port = Server::start().port();
    let mut job = job("word_totals")
        .set("restart-strategy.exponential-delay.initial-backoff", "10 ms")
        .set("restart-strategy.exponential-delay.max-backoff", "20 ms")
        .arguments(["--host", "127.0.0.1", "--port", &port.to_string()])
        .start();
    job.logged(&format!("cannot connect to 127.0.0.1:{port}"));
    let server = Server::listen(port);
    let mut connection = server.accept(&mut job);
    connection.send(["hello,1"]);
    assert_eq!(job.printed(), "(\"hello\", 1)");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.txt");
    let ended = job("word_totals").arguments(["--file", text(&missing)]).run();
    ended.expect(1, ["cannot read", text(&missing), "operator \"Source: File Source\""]);

    let ended = job("word_count").arguments(["--file", text(&directory.path().join("*"))]).run();
    ended.expect(1, ["there is nothing to read at"]);
}

#[test]
fn a_line_that_cannot_be_parsed_is_named_with_its_operator() {
    let (job, _server, mut connection) =
        connect(job("word_totals").set("restart-strategy.type", "none"));
    connection.send(["hello,one"]);
    job.end().expect(
        1,
        ["operator \"map\" (1/1) failed", "the line \"hello,one\" is not `word,number`"],
    );
}
