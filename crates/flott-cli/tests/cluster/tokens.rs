//! Who may ask a cluster: tokens, roles, and TLS.

use std::fs;

use crate::setup::{Cluster, jobs};

#[test]
fn a_viewer_looks_a_deployer_runs_and_nobody_else_does_anything() {
    let cluster = Cluster::prepare(&[
        "security.rest.token-file: {folder}/tokens",
        "security.ssl.rest.enabled: true",
        "security.ssl.rest.certificate: {folder}/cert.pem",
        "security.ssl.rest.key: {folder}/key.pem",
    ]);
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certified = rcgen::generate_simple_self_signed(names).unwrap();
    fs::write(cluster.path("cert.pem"), certified.cert.pem()).unwrap();
    fs::write(cluster.path("key.pem"), certified.signing_key.serialize_pem()).unwrap();

    let started = cluster.done(&["cluster", "start"]);
    assert!(started.contains("wants a token: https://localhost:"), "{started}");
    let token = |name, role| cluster.done(&["token", "create", name, "--role", role]);
    let (bob, ci) = (token("bob", "viewer"), token("ci", "deployer"));
    let listed = cluster.done(&["token", "list"]);
    assert!(listed.contains("bob  viewer  expires: never") && !listed.contains(bob.trim()));

    let unknown = cluster.flott(&["list"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.error.contains("wants a token: set FLOTT_TOKEN"), "{}", unknown.error);
    assert_eq!(cluster.flott_as(&bob, &["list"]).code, 0);
    let binary = jobs();
    let run = ["run", "-c", "count", binary.to_str().unwrap(), "--", "--to", "3"];
    let refused = cluster.flott_as(&bob, &run);
    assert_eq!(refused.code, 1);
    assert!(
        refused.error.contains("bob is a viewer, and this needs a deployer"),
        "{}",
        refused.error
    );
    let ran = cluster.flott_as(&ci, &run);
    assert_eq!(ran.code, 0, "{}", ran.error);
    assert!(cluster.logs().contains("ci: POST \"/v1/jars/upload\": 200."), "{}", cluster.logs());
    assert!(!cluster.logs().contains(ci.trim()), "a token is nowhere in a log");

    cluster.done(&["token", "revoke", "ci"]);
    assert_eq!(cluster.flott_as(&ci, &["list"]).code, 1, "at once");
}
