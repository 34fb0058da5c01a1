//! Runs commands with a line on what runs and how long it took.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// A program of this repository, by its path under the root.
pub(crate) fn program(path: &str) -> Command {
    let mut command = Command::new(root().join(path));
    command.current_dir(root());
    command
}

/// Runs a command to its end. Fails if it does.
pub(crate) fn step(title: &str, command: &mut Command) -> Result<()> {
    println!("── {title}");
    let start = Instant::now();
    let status = crate::e2e::status(command)?;
    if !status.success() {
        bail!("{title}: failed ({status})");
    }
    println!("── {title}: done in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// What a command writes, once it has succeeded. Fails with what it complained of.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Becomes another program, so that signals reach it directly.
pub(crate) fn replace_with(path: &str, arguments: &[String]) -> Result<()> {
    let error = program(path).args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {path}"))
}
