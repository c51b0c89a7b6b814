//! Versions of a job whose state changes its type, one after the other from each other's savepoints.

use serde_json::Value;

use crate::setup::{Cluster, jobs};

/// Starts a version of the job.
fn start(cluster: &Cluster, version: &str, from: Option<&str>) -> String {
    let (jobs, feed) = (jobs(), cluster.path("feed"));
    let mut arguments = vec!["-c", version];
    arguments.extend(from.iter().flat_map(|savepoint| ["-s", savepoint]));
    arguments.extend([jobs.to_str().unwrap(), "--pages", feed.to_str().unwrap()]);
    cluster.submit(&arguments)
}

/// Stops a version that has said this, and tells where its savepoint is.
fn stop(cluster: &Cluster, job: &str, said: &str) -> String {
    cluster.wait(said, || cluster.printed().iter().any(|line| line.contains(said)));
    let savepoints = cluster.path("savepoints");
    let stopped = cluster.done(&["stop", "-p", savepoints.to_str().unwrap(), "--json", job]);
    let stopped: Value = serde_json::from_str(&stopped).unwrap();
    stopped["location"].as_str().unwrap().to_owned()
}

#[test]
fn a_job_reads_what_earlier_versions_remember_or_says_why_not() {
    let cluster = Cluster::start(1, &[]);
    let first = start(&cluster, "visits_1", None);
    cluster.feed("1", "Home\nHome\n");
    let savepoint = stop(&cluster, &first, "Home: 2 HOME");
    let second = start(&cluster, "visits_2", Some(&savepoint));
    cluster.feed("2", "Home\nNews\n");
    let savepoint = stop(&cluster, &second, "Home: 3 long ago HOME");
    let third = start(&cluster, "visits_3", Some(&savepoint));
    cluster.feed("3", "Home\nHome\n");
    let savepoint = stop(&cluster, &third, "Home: 5 long ago before: HOME");
    // The same version reads it, another one does not, and says which field that is due to.
    let fourth = start(&cluster, "visits_4", Some(&savepoint));
    cluster.wait("it is refused", || cluster.status(&fourth) == "FAILED");
    let exceptions = cluster.get(&format!("/jobs/{fourth}/exceptions")).to_string();
    for expected in ["visits", "field `times` was i64, is String", "change the type so that"] {
        assert!(exceptions.contains(expected), "no {expected} in {exceptions}");
    }
    let again = start(&cluster, "visits_3", Some(&savepoint));
    cluster.feed("4", "Home\n");
    stop(&cluster, &again, "Home: 6 long ago before: HOME");
}
