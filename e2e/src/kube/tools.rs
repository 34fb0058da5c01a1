//! Programs that are not ours.

use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// The program that a variable names, or the one of that name on the `PATH`.
pub(super) fn named(variable: &str, name: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| PathBuf::from(name), PathBuf::from)
}

/// What a command writes, once it has succeeded. Fails with what it complained of.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    success(command, &output)
}

/// What a command wrote, if it has succeeded. Fails with what it complained of.
pub(super) fn success(command: &Command, output: &Output) -> Result<String> {
    if !output.status.success() {
        let said = [&*output.stderr, &*output.stdout].concat();
        let arguments: Vec<_> = command.get_args().skip(2).map(|one| one.to_string_lossy()).collect();
        bail!(
            "{} {}: {}",
            command.get_program().to_string_lossy().rsplit('/').next().unwrap_or_default(),
            arguments.join(" "),
            String::from_utf8_lossy(&said).trim(),
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
