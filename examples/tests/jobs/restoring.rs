//! What happens with `-s PATH` when the path, the checkpoint behind it or the job is the wrong one:
//! it is refused with the reason, before the job runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::checkpoints::{self, Checkpoint};
use crate::socket::{Server, connect};
use crate::support::{Launch, files, job, text};
use crate::word_totals::printed_total;

/// A directory with the newest three checkpoints of a `word_totals` that knows `hello` and `world`.
struct Stored {
    directory: tempfile::TempDir,
    older: Checkpoint,
    newest: Checkpoint,
}

/// State goes into files of its own above `inline_bytes`.
fn store(inline_bytes: u32) -> Stored {
    let directory = tempfile::tempdir().unwrap();
    let (mut job, _server, mut connection) = connect(
        job("word_totals")
            .checkpoints(directory.path(), 20)
            .set("execution.checkpointing.num-retained", "3")
            // So that each has a file of its own.
            .set("execution.checkpointing.incremental", "false")
            .set("execution.checkpointing.data-inline-threshold", &inline_bytes.to_string()),
    );
    connection.send(["hello,1", "world,2"]);
    assert_eq!(job.printed_lines(2).len(), 2);
    job.completed_after_now(directory.path());
    for _ in 0..3 {
        job.completed();
    }
    job.interrupt();
    job.end().expect(0, ["to CANCELED"]);
    let kept = checkpoints::completed(directory.path());
    let [.., older, newest] = kept.as_slice() else { panic!("too few checkpoints: {kept:?}") };
    assert_eq!(kept.len(), 3, "{kept:?}");
    Stored { older: older.clone(), newest: newest.clone(), directory }
}

impl Stored {
    fn resume(&self, name: &str) -> Launch {
        job(name).resume(&self.newest.path)
    }

    /// The job is refused, says why, takes nothing from its source, and nothing is lost: `-s` works
    /// with the older checkpoint.
    #[track_caller]
    fn refuses<const N: usize>(&self, launch: Launch, texts: [&str; N]) {
        let before = files(self.newest.job_folder());
        let server = Server::start();
        let ended = launch.reading(&server).run();
        ended.expect(1, texts);
        assert!(!ended.logged.contains("to RUNNING"), "the job was started:\n{}", ended.logged);
        assert!(server.is_untouched(), "the job connected before it was refused");
        assert_eq!(files(self.newest.job_folder()), before, "checkpoints were touched");
        assert_resumes(&self.older.path);
    }

    /// As [`Stored::refuses`], and the older checkpoint is offered.
    #[track_caller]
    fn refuses_and_offers_the_older<const N: usize>(&self, texts: [&str; N]) {
        let offer = format!("intact checkpoint beside it is \"{}\"", text(&self.older.path));
        self.refuses(self.resume("word_totals"), [offer.as_str()]);
        self.refuses(self.resume("word_totals"), texts);
    }
}

/// The checkpoint is good.
#[track_caller]
fn assert_resumes(checkpoint: &Path) {
    let (mut job, _server, mut connection) = connect(job("word_totals").resume(checkpoint));
    connection.send(["hello,1"]);
    assert_eq!(job.printed(), "(\"hello\", 2)");
}

/// Changes one byte in the middle.
fn damage(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    fs::write(file, bytes).unwrap();
}

#[test]
fn the_folder_the_record_and_a_url_name_the_same_checkpoint() {
    let stored = store(20_000);
    assert_resumes(&stored.newest.path);
    assert_resumes(&stored.newest.metadata());
    assert_resumes(Path::new(&format!("file://{}", text(&stored.newest.path))));
}

#[test]
fn state_in_files_is_restored_whatever_keeps_the_new_checkpoints() {
    let stored = store(0);
    assert!(state_file(&stored.newest).exists());
    assert_resumes(&stored.newest.path);
    let launch = stored.resume("word_totals").checkpoints(stored.directory.path(), 20);
    let (mut job, _server, mut connection) = connect(launch);
    connection.send(["world,1"]);
    assert_eq!(job.printed(), "(\"world\", 3)");
    let own = job.completed_after_now(stored.directory.path());
    assert_ne!(own.job_folder(), stored.newest.job_folder());
    assert!(stored.newest.metadata().exists(), "a checkpoint of another job was deleted");
}

/// The files were written when the formats were new, from the lines `word0,0` to `word99,99` in two
/// subtasks; those of version 2 in two checkpoints, `word0,100` to `word9,100` and `word7,-5` between them. They are
/// never written again: who changes a format keeps them readable.
#[test]
fn a_checkpoint_of_every_version_of_the_formats_is_restored() {
    let more = |word: i64| i64::from(word < 10) * 100 - i64::from(word == 7) * 5;
    let versions: [(&str, &dyn Fn(i64) -> i64); 2] =
        [("v1/word_totals/chk-3", &|_| 0), ("v2/word_totals/chk-4", &more)];
    for (golden, more) in versions {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(golden);
        for parallelism in [1, 3] {
            let resumed = job("word_totals").resume(&golden).parallelism(parallelism);
            let (mut job, _server, mut connection) = connect(resumed);
            connection.send((0..100).map(|word| format!("word{word},1")));
            let lines = job.printed_lines(100);
            let totals: BTreeMap<_, _> = lines.iter().map(|line| printed_total(line)).collect();
            let expected = (0..100).map(|word| (format!("word{word}"), word + more(word) + 1));
            assert_eq!(totals, expected.collect(), "{golden:?}");
        }
    }
}

#[test]
fn a_path_that_is_not_there_is_named() {
    let stored = store(20_000);
    let missing = stored.directory.path().join("missing");
    let reason = format!("the checkpoint \"{}\" does not exist", text(&missing));
    stored.refuses(job("word_totals").resume(&missing), [&reason]);
}

#[test]
fn a_checkpoint_that_was_deleted_is_named_and_the_newest_one_offered() {
    let stored = store(20_000);
    let deleted = stored.newest.job_folder().join("chk-1");
    let reason = format!("the checkpoint \"{}\" does not exist", text(&deleted));
    let offer = format!("intact checkpoint beside it is \"{}\"", text(&stored.newest.path));
    stored.refuses(job("word_totals").resume(&deleted), [&reason, &offer]);
}

#[test]
fn a_directory_and_latest_mean_the_newest_checkpoint() {
    let stored = store(20_000);
    let directory = stored.directory.path();
    let says = format!("Starting from the newest checkpoint, {}", text(&stored.newest.path));
    for place in [directory, stored.newest.job_folder(), Path::new("latest")] {
        let resumed = job("word_totals").checkpoints(directory, 600_000).resume(place);
        let (mut job, _server, mut connection) = connect(resumed);
        job.logged(&says);
        connection.send(["hello,1"]);
        assert_eq!(job.printed(), "(\"hello\", 2)");
    }
    // A run that started from it and went on has the newest.
    let resumed = job("word_totals").checkpoints(directory, 20).resume(Path::new("latest"));
    let (mut later, _server, mut connection) = connect(resumed);
    connection.send(["hello,1"]);
    later.printed();
    later.completed_after_now(directory);
    later.kill();
    let resumed = job("word_totals").checkpoints(directory, 20).resume(Path::new("latest"));
    let (mut job, _server, mut connection) = connect(resumed);
    connection.send(["hello,1"]);
    assert_eq!(job.printed(), "(\"hello\", 3)");
}

#[test]
fn latest_is_of_the_same_job_and_needs_a_directory() {
    let stored = store(20_000);
    stored.refuses(
        job("word_totals").resume(Path::new("latest")),
        ["\"-s latest\" looks in execution.checkpointing.dir, which is not set"],
    );
    let directory = stored.directory.path();
    stored.refuses(
        job("parse_numbers").checkpoints(directory, 600_000).resume(Path::new("latest")),
        ["there is no checkpoint of a job \"parse_numbers\" in", text(directory)],
    );
}

#[test]
fn a_damaged_record_that_may_be_the_newest_is_not_passed_over() {
    let stored = store(20_000);
    damage(&stored.newest.metadata());
    let directory = stored.directory.path();
    stored.refuses(
        job("word_totals").checkpoints(directory, 600_000).resume(Path::new("latest")),
        ["the newest checkpoint cannot be chosen, it may be", text(&stored.newest.path)],
    );
}

#[test]
fn what_is_not_a_checkpoint_is_refused() {
    let stored = store(20_000);
    let folder = stored.directory.path().join("chk-empty");
    fs::create_dir(&folder).unwrap();
    stored.refuses(
        job("word_totals").resume(&folder),
        [text(&folder), "is not a checkpoint: it has no readable file _metadata"],
    );
    fs::write(stored.newest.metadata(), "# how to restore\n").unwrap();
    let record = stored.newest.metadata();
    stored.refuses_and_offers_the_older([text(&record), "is not a checkpoint of Flott"]);
}

#[test]
fn a_checkpoint_of_a_newer_version_is_refused() {
    let stored = store(20_000);
    let record = stored.newest.metadata();
    let mut bytes = fs::read(&record).unwrap();
    // The version follows the eight magic bytes.
    bytes[8..10].copy_from_slice(&99_u16.to_le_bytes());
    fs::write(&record, bytes).unwrap();
    stored.refuses_and_offers_the_older([
        text(&record),
        "was written by a newer version of Flott: its format is 99",
    ]);
}

#[test]
fn a_damaged_record_is_refused() {
    let stored = store(20_000);
    let record = stored.newest.metadata();
    damage(&record);
    stored.refuses_and_offers_the_older([text(&record), "is damaged"]);
}

#[test]
fn a_truncated_record_is_refused() {
    let stored = store(20_000);
    let record = stored.newest.metadata();
    let bytes = fs::read(&record).unwrap();
    fs::write(&record, &bytes[..bytes.len() - 7]).unwrap();
    stored.refuses_and_offers_the_older([text(&record), "is truncated"]);
}

#[test]
fn a_damaged_state_file_is_refused() {
    let stored = store(0);
    let state = state_file(&stored.newest);
    damage(&state);
    stored.refuses_and_offers_the_older([text(&stored.newest.path), text(&state), "is damaged"]);
}

#[test]
fn a_missing_state_file_is_refused() {
    let stored = store(0);
    let state = state_file(&stored.newest);
    fs::remove_file(&state).unwrap();
    stored.refuses_and_offers_the_older([text(&stored.newest.path), text(&state)]);
}

#[test]
fn a_truncated_state_file_is_refused() {
    let stored = store(0);
    let state = state_file(&stored.newest);
    let bytes = fs::read(&state).unwrap();
    fs::write(&state, &bytes[..bytes.len() - 1]).unwrap();
    stored.refuses_and_offers_the_older([text(&stored.newest.path), text(&state)]);
}

#[test]
fn a_checkpoint_that_is_offered_has_intact_state() {
    let stored = store(0);
    fs::remove_file(stored.newest.metadata()).unwrap();
    damage(&state_file(&stored.older));
    let ended = stored.resume("word_totals").reading(&Server::start()).run();
    let oldest = &checkpoints::completed(stored.directory.path())[0];
    assert!(oldest < &stored.older);
    ended.expect(1, ["beside it is", text(&oldest.path)]);
}

fn state_file(checkpoint: &Checkpoint) -> std::path::PathBuf {
    let all = files(&checkpoint.path).into_iter();
    let states: Vec<_> =
        all.filter(|file| file.extension().is_some_and(|ending| ending == "state")).collect();
    let [state] = states.as_slice() else { panic!("one state file is expected: {states:?}") };
    state.clone()
}

#[test]
fn state_of_another_job_is_refused_unless_it_may_be_left_out() {
    let stored = store(20_000);
    stored.refuses(
        stored.resume("count_window_average"),
        ["for operator", "(uid \"sum\", name \"sum\")", "not available in the new program", "-n"],
    );

    let launch = stored.resume("count_window_average").options(["-n"]);
    let (mut job, _server, mut connection) = connect(launch);
    connection.send(["hello 3", "hello 5"]);
    assert_eq!(job.printed(), "(\"hello\", 4)");
}

#[test]
fn more_subtasks_than_the_state_has_key_groups_are_refused() {
    let stored = store(20_000);
    stored.refuses(
        stored.resume("word_totals").parallelism(129),
        ["operator \"sum\"", "parallelism 129", "max parallelism 128"],
    );
}

#[test]
fn another_max_parallelism_than_that_of_the_state_is_refused() {
    let stored = store(20_000);
    stored.refuses(
        stored.resume("word_totals").set("pipeline.max-parallelism", "64"),
        ["operator \"sum\"", "max parallelism 64", "was written with max parallelism 128"],
    );
}

#[test]
fn the_max_parallelism_of_the_state_is_kept_when_nobody_sets_one() {
    let directory = tempfile::tempdir().unwrap();
    let launch = job("word_totals")
        .checkpoints(directory.path(), 20)
        .parallelism(2)
        .set("pipeline.max-parallelism", "3");
    let (mut job, _server, mut connection) = connect(launch);
    connection.send(["hello,1"]);
    job.printed();
    job.completed_after_now(directory.path());
    job.kill();

    let newest = checkpoints::newest(directory.path()).unwrap();
    let resumed = |parallelism| {
        crate::support::job("word_totals").resume(&newest.path).parallelism(parallelism)
    };
    let ended = resumed(4).reading(&Server::start()).run();
    ended.expect(1, ["operator \"sum\"", "parallelism 4", "max parallelism 3"]);
    let (mut job, _server, mut connection) = connect(resumed(3));
    connection.send(["hello,1"]);
    assert!(job.printed().ends_with("(\"hello\", 2)"));
}

#[test]
fn without_folders_of_their_own_jobs_do_not_write_over_each_others_checkpoints() {
    let directory = tempfile::tempdir().unwrap();
    let shared = |launch: Launch| {
        let launch = launch.checkpoints(directory.path(), 20);
        launch.set("execution.checkpointing.create-subdir", "false")
    };
    let (mut first, _server, mut connection) = connect(shared(job("word_totals")));
    connection.send(["hello,1"]);
    first.printed();
    let (old, new) = (first.completed(), first.completed());
    assert!(new.number > old.number);
    first.kill();

    let server = Server::start();
    let refused = shared(job("word_totals")).reading(&server).run();
    refused.expect(1, ["is the checkpoint of another run", "start from it with -s"]);
    let (mut job, _server, mut connection) =
        connect(shared(job("word_totals").resume(directory.path())));
    connection.send(["hello,1"]);
    assert_eq!(job.printed(), "(\"hello\", 2)");
    assert!(job.completed().number > new.number);
}

/// The job came back to it by itself, and must not do so for ever.
#[test]
fn state_that_is_damaged_when_a_job_restarts_ends_it_and_another_checkpoint_is_offered() {
    for destroy in [damage as fn(&Path), |file: &Path| fs::remove_file(file).unwrap()] {
        let stored = store(0);
        let resumed = stored
            .resume("word_totals")
            .checkpoints(stored.directory.path(), 600_000)
            .set("restart-strategy.type", "fixed-delay")
            .set("restart-strategy.fixed-delay.delay", "10 ms");
        let (mut job, _server, mut connection) = connect(resumed);
        connection.send(["hello,1"]);
        assert_eq!(job.printed(), "(\"hello\", 2)");
        let file = state_file(&stored.newest);
        destroy(&file);
        connection.send(["no number"]);
        let damaged = format!("is damaged (\"{}\")", text(&stored.newest.path));
        let offered =
            format!("other intact one is \"{}\": use it with -s", text(&stored.older.path));
        job.end().expect(1, [damaged.as_str(), offered.as_str(), text(&file)]);
        assert_resumes(&stored.older.path);
    }
}
