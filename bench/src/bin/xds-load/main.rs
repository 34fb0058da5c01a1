//! Loads a control plane with simulated proxies over delta ADS and prints what they cost it: CPU, memory, bytes, and the
//! time from an edit to its arrival at the last proxy. Of CPU and memory only the control plane's own count.
//!
//! The load itself uses one thread, so that on two cores the control plane keeps one.

mod decode;
mod edit;
mod fleet;
mod held;
mod proxy;
mod rows;
mod run;
mod server;
mod table;
mod world;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

/// Measures a control plane under simulated proxies.
#[derive(Parser)]
struct Arguments {
    /// Only rows with one of these words in their name.
    rows: Vec<String>,
    /// Where istiod's binary is; absent means beside this one.
    #[arg(long)]
    istiod: Option<PathBuf>,
    /// Another xDS server that is running, in plain text; needs --services, --pid and --edit.
    #[arg(long, requires_all = ["services", "pid", "edit"])]
    server: Option<SocketAddr>,
    /// The other server's process, whose CPU and memory count.
    #[arg(long)]
    pid: Option<u32>,
    /// How many services the other server has, as --write writes them.
    #[arg(long)]
    services: Option<usize>,
    /// Makes an edit for the other server: a shell command that applies the YAML in $FILE, such as 'kubectl apply -f $FILE'.
    #[arg(long)]
    edit: Option<String>,
    /// Writes the world of --services as YAML into this directory, and does nothing else.
    #[arg(long, requires = "services")]
    write: Option<PathBuf>,
    /// Where the measurements go as JSON.
    #[arg(long, default_value = "target/bench/control-plane.json")]
    json: PathBuf,
}

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xds-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<()> {
    if let (Some(directory), Some(services)) = (&arguments.write, arguments.services) {
        return world::write(directory, services);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("the runtime")?;
    let mut table = table::Table::default();
    let measured = runtime.block_on(run::all(arguments, &mut table));
    // What was measured before something failed is worth reading too.
    table.print();
    table.write(&arguments.json)?;
    measured
}
