//! The workspace passes its own checks, so that `cargo test` is enough to know.

use std::process::Command;

#[test]
fn the_workspace_is_tidy() {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask")).arg("tidy").output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "\n{complaints}");
}
