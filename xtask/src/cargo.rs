//! Running cargo in the workspace.

use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// The folder of the workspace: that in which cargo runs this program, which may have been built in another checkout.
pub(crate) fn root() -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let mut root = own.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    root.pop();
    root
}

/// Runs cargo and passes its exit code on.
pub(crate) fn run(arguments: Vec<String>) -> Result<ExitCode, String> {
    let status = command().args(&arguments).status().map_err(|e| not_started(&e))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// What cargo prints to its standard output.
pub(crate) fn output(arguments: &str) -> Result<String, String> {
    let output = command()
        .args(arguments.split_whitespace())
        .output()
        .map_err(|error| not_started(&error))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`cargo {arguments}` failed: {}", text.trim()));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| format!("`cargo {arguments}` printed something that is not UTF-8"))
}

/// The cargo that runs this program, if one does.
fn command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

fn not_started(error: &io::Error) -> String {
    format!("cannot start cargo: {error}")
}
