//! `istiod`: the control plane in one process.

mod control;
mod pages;
mod report;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use mesh_runtime::{LogFormat, LogLevels, logging};

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
    Discovery(Discovery),
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

/// Istio's flags where they exist there.
#[derive(Args, Clone, Debug)]
struct Discovery {
    /// The directory of YAML that describes the mesh.
    #[arg(long)]
    config_dir: PathBuf,
    /// The directory of the certificate authority; an empty one is filled.
    #[arg(long)]
    ca_dir: PathBuf,
    /// xDS and certificates in plain text.
    #[arg(long = "grpcAddr", default_value = "[::]:15010")]
    plain: SocketAddr,
    /// xDS and certificates over TLS.
    #[arg(long = "secureGRPCAddr", default_value = "[::]:15012")]
    secure: SocketAddr,
    /// Metrics.
    #[arg(long = "monitoringAddr", default_value = "[::]:15014")]
    monitoring: SocketAddr,
    /// Readiness and debug pages.
    #[arg(long = "httpAddr", default_value = "[::]:8080")]
    http: SocketAddr,
    /// More names under which proxies reach this process.
    #[arg(long = "dns-names", value_delimiter = ',')]
    names: Vec<String>,
    /// Levels of the log, such as default:info,pilot:debug.
    #[arg(long = "log_output_level", default_value = "default:info")]
    levels: LogLevels,
    /// Log in JSON.
    #[arg(long = "log_as_json")]
    json: bool,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Discovery(settings) => discovery(&settings),
        Command::Token { namespace, service_account, ca_dir, hours } => {
            token(&ca_dir, citadel::Caller { namespace, service_account }, hours)
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
    logging::init(&settings.levels, if settings.json { LogFormat::Json } else { LogFormat::Text })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime")?;
    runtime.block_on(control::run(settings))
}

fn token(ca_dir: &std::path::Path, caller: citadel::Caller, hours: u64) -> Result<()> {
    let (_, tokens) = citadel::open(ca_dir)?;
    let token = tokens.make(&caller, Duration::from_secs(hours * 3600)).map_err(anyhow::Error::msg)?;
    println!("{token}");
    Ok(())
}
