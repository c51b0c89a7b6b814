//! `flott info`: plans of job binaries that are asked, and never run here.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use flott::cluster::extract::{Outcome, Settings, describe};

/// The example `jobs` of this package; `cargo test` builds it.
fn jobs() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let jobs = test.parent().and_then(Path::parent).unwrap().join("examples/jobs");
    assert!(jobs.exists(), "{jobs:?} is missing: cargo build -p flott-cli --examples");
    jobs
}

/// Exit code, output, errors.
fn info(arguments: &[&str]) -> (i32, String, String) {
    let jobs = jobs();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flott"));
    let output = command.arg("info").arg(jobs).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_plan_of_a_job_is_shown_as_text_and_as_json() {
    let (code, text, error) = info(&["-c", "count", "-p", "2", "--", "--to", "9"]);
    assert_eq!(code, 0, "{error}");
    assert!(text.starts_with("----------------------- Execution Plan"), "{text}");
    assert!(
        text.contains("\"Source: Sequence Source -> add -> Sink: Print to Std. Out\""),
        "{text}"
    );
    assert!(text.contains("parallelism 2,"), "{text}");

    let (code, text, error) = info(&["-c", "count", "--json", "--", "--to", "9"]);
    assert_eq!(code, 0, "{error}");
    let plan: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&plan["name"], &plan["type"]), (&"count".into(), &"STREAMING".into()));
    assert_eq!(plan["vertices"][0]["operators"][1]["name"], "add");
    let again = info(&["-c", "count", "--json", "--", "--to", "9"]).1;
    assert_eq!(text, again, "the same program has the same plan in every process");

    let (code, text, _) = info(&["-c", "executes"]);
    assert_eq!(code, 0, "a job function may execute by itself; nothing is run");
    assert!(text.contains("\"Source: Sequence Source -> Sink: "), "{text}");
}

#[test]
fn what_is_wrong_with_a_job_is_said() {
    for (arguments, reason) in [
        (&["-c", "missing"][..], "has no job \"missing\"; its jobs are count, hangs, panics"),
        (&[], "has several jobs, name one with -c: count, hangs"),
        (&["-c", "count"], "required arguments were not provided"),
        (&["-c", "count", "--", "--to", "x"], "invalid value 'x' for '--to <TO>'"),
        (&["-c", "count", "-D", "no.such=1", "--", "--to", "1"], "unknown option \"no.such\""),
        (
            &["-c", "count", "-p", "200", "-D", "pipeline.max-parallelism=100", "--", "--to", "1"],
            "200",
        ),
        (&["-c", "panics"], "the job function panicked: no plan today"),
        (&["-c", "nothing"], "the job function builds no program"),
    ] {
        let (code, _, error) = info(arguments);
        assert_eq!(code, 1, "{arguments:?}");
        assert!(error.contains(reason), "{arguments:?}: {error}");
    }
}

#[test]
fn a_job_function_that_hangs_is_killed() {
    let limit = Duration::from_millis(200);
    let error = describe(&jobs(), &["hangs".into()], &Settings::new(), limit).unwrap_err().report();
    assert!(error.contains("did not give the plan of its job within 200ms"), "{error}");
}

#[test]
fn a_binary_says_which_jobs_it_has() {
    let binary = describe(&jobs(), &[], &Settings::new(), Duration::from_secs(60)).unwrap();
    assert!(matches!(binary.outcome, Outcome::Nothing));
    let jobs: Vec<_> = binary.jobs.iter().map(|job| (&*job.name, job.about.as_deref())).collect();
    assert_eq!(jobs[0], ("count", Some("Counts up")));
    assert_eq!(jobs.len(), 14);
}

#[test]
fn what_is_no_job_binary_is_not_started() {
    let own = std::env::current_exe().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let text = copy.path().join("text");
    std::fs::write(&text, "not a program").unwrap();
    for (file, reason) in
        [(&text, "it is no Linux executable"), (&copy.path().join("x"), "cannot read")]
    {
        let error =
            describe(file, &[], &Settings::new(), Duration::from_secs(60)).unwrap_err().report();
        assert!(error.contains(reason), "{error}");
    }
    // It has the marker in it, since it knows it, but does not describe itself.
    let error = describe(&own, &["--list".into()], &Settings::new(), Duration::from_secs(60))
        .unwrap_err()
        .report();
    assert!(error.contains("did not describe itself, but ended: exit status: 0"), "{error}");
}

/// Before it is submitted, not when its tasks begin.
#[test]
#[cfg(not(feature = "rocksdb"))]
fn a_backend_that_the_binary_was_built_without_is_refused() {
    let (code, _, error) =
        info(&["-c", "count", "-D", "state.backend.type=rocksdb", "--", "--to", "1"]);
    assert_eq!(code, 1);
    assert!(error.contains("rocksdb is not in this job binary: build it with"), "{error}");
}
