//! `istiod`: the control plane in one process.

mod certificates;
mod control;
mod door;
mod duties;
mod flags;
mod foundation;
mod ingress;
mod leader;
mod pages;
mod report;
mod scopes;
mod status;
mod trust_domain;
mod webhook;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use mesh_runtime::{LogFormat, logging};

use flags::Discovery;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Weft's control plane.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the control plane.
    Discovery(Box<Discovery>),
    /// Prints a token by which a workload proves who it is, where there is no Kubernetes to make one.
    Token {
        /// The workload's namespace.
        #[arg(long)]
        namespace: String,
        /// The workload's service account.
        #[arg(long)]
        service_account: String,
        /// The directory of the certificate authority.
        #[arg(long)]
        ca_dir: PathBuf,
        /// Hours until it expires.
        #[arg(long, default_value_t = 24 * 365)]
        hours: u64,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Discovery(settings) => discovery(&settings),
        Command::Token { namespace, service_account, ca_dir, hours } => {
            token(&ca_dir, &citadel::Caller::new(&namespace, &service_account), hours)
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("istiod: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn discovery(settings: &Discovery) -> Result<()> {
    // Whoever asks the API server says what came of it.
    let levels = settings.levels.clone().without("kube_client");
    logging::init(&levels, if settings.json { LogFormat::Json } else { LogFormat::Text })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime")?;
    runtime.block_on(control::run(settings))
}

fn token(ca_dir: &std::path::Path, caller: &citadel::Caller, hours: u64) -> Result<()> {
    let (_, tokens) = citadel::open(ca_dir)?;
    let token = tokens.make(caller, Duration::from_secs(hours * 3600)).map_err(anyhow::Error::msg)?;
    println!("{token}");
    Ok(())
}
