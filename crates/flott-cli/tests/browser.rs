//! The dashboard of a cluster of the built binaries, in a real browser.

use std::fs;
use std::path::Path;
use std::process::Command;

use flott_testkit::processes::Cluster;

/// What the person does is in `browser/walk.mjs`. The pictures are for people, and left in the target folder.
#[test]
fn a_person_runs_a_job_watches_it_fail_stops_it_and_goes_on() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let binary = std::env::current_exe().unwrap();
    let binary = binary.parent().and_then(Path::parent).unwrap().join("examples/jobs");
    assert!(binary.exists(), "{binary:?} is missing: cargo build -p flott-cli --examples");
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
    let flott = Path::new(env!("CARGO_BIN_EXE_flott"));
    let cluster = Cluster::prepare(flott, &["taskmanager.numberOfTaskSlots: 2"]);
    cluster.start(1);
    let (feed, savepoints) = (cluster.path("feed"), cluster.path("savepoints"));
    fs::create_dir_all(&feed).unwrap();
    let walked = Command::new(tests.join("../../../scripts/browser"))
        .arg(tests.join("browser/walk.mjs"))
        .arg(format!("http://{}", cluster.address()))
        .args([&binary, &feed, &savepoints, &pictures])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&walked.stderr);
    assert!(walked.status.success(), "{said}\n{}", cluster.logs());
    let savepoint = String::from_utf8(walked.stdout).unwrap();
    let shown = cluster.done(&["state", "ls", savepoint.trim()]);
    assert!(shown.contains("sum"), "what the dashboard has taken can be read: {shown}");
}
