//! `weft-proxy`: the data plane's process.

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use mesh_runtime::{LogFormat, LogLevels, drain, logging};
use mesh_types::NodeKind;
use weft_proxy::app;
use weft_proxy::config::Settings;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Weft's data plane.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the proxy.
    Proxy {
        /// What it is for.
        role: Role,
        /// DNS domain of the workload's namespace, such as default.svc.cluster.local.
        #[arg(long)]
        domain: Option<String>,
        /// Levels of the log, such as default:info,weft_proxy::xds:debug.
        #[arg(long = "log_output_level", default_value = "default:info")]
        levels: LogLevels,
        /// Log in JSON.
        #[arg(long = "log_as_json")]
        json: bool,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    /// Beside a workload.
    Sidecar,
    /// A gateway.
    Router,
}

fn main() -> ExitCode {
    let Command::Proxy { role, domain, levels, json } = Arguments::parse().command;
    let format = if json { LogFormat::Json } else { LogFormat::Text };
    if let Err(error) = logging::init(&levels, format) {
        eprintln!("weft-proxy: {error}");
    }
    let kind = match role {
        Role::Sidecar => NodeKind::Sidecar,
        Role::Router => NodeKind::Router,
    };
    let settings = Settings::read(kind, domain).map_err(anyhow::Error::from);
    let result = settings.and_then(|settings| app::run(settings, drain::termination()));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weft-proxy: {error:#}");
            ExitCode::FAILURE
        }
    }
}
