//! `weft`: the command line.

mod inject;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use galley::{Diagnostic, Directory};

/// Weft's command line.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Says what is wrong with files or directories of YAML, where, and what was meant.
    Analyze {
        /// Files and directories.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// How findings are printed.
        #[arg(short, long, default_value = "log")]
        output: Output,
    },
    /// Adds the proxy to the pods and workloads of files, as the webhook does.
    Inject(inject::Inject),
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// A line a finding.
    Log,
    /// One JSON list.
    Json,
}

/// 0 if nothing is refused, 1 if something is, 2 if the command itself fails.
fn main() -> ExitCode {
    let accepted = match Arguments::parse().command {
        Command::Analyze { paths, output } => analyze(&paths).and_then(|findings| {
            print(&findings, output)?;
            Ok(!findings.iter().any(Diagnostic::is_error))
        }),
        Command::Inject(inject) => inject.run(),
    };
    match accepted {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("weft: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn analyze(paths: &[PathBuf]) -> Result<Vec<Diagnostic>> {
    let mut findings = Vec::new();
    for path in paths {
        findings.extend(analyze_one(path).with_context(|| path.display().to_string())?);
    }
    Ok(findings)
}

fn analyze_one(path: &Path) -> Result<Vec<Diagnostic>> {
    if path.is_dir() {
        let mut directory = Directory::new(path);
        directory.read()?;
        return Ok(directory.state().diagnostics.to_vec());
    }
    let file: Arc<str> = path.display().to_string().into();
    Ok(galley::load(&file, &std::fs::read_to_string(path)?).diagnostics)
}

fn print(findings: &[Diagnostic], output: Output) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut out, findings)?;
            writeln!(out)?;
        }
        Output::Log if findings.is_empty() => writeln!(out, "No findings.")?,
        Output::Log => findings.iter().try_for_each(|finding| writeln!(out, "{finding}"))?,
    }
    Ok(())
}
