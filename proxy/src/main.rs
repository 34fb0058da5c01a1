//! `weft-proxy`: the data plane's process. In Istio's image it is `pilot-agent`.

mod agent;

use std::process::ExitCode;
use std::time::Duration;

use axum::http::{Method, Uri};
use clap::{Parser, Subcommand, ValueEnum};
use mesh_runtime::{LogFormat, LogLevels, drain, logging};
use mesh_types::{NodeKind, ports};
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
        /// Least level of the log, by Envoy's words. Istio's agent and its Envoy have a level each; this is both, and the
        /// more verbose level counts.
        #[arg(long = "proxyLogLevel", hide = true, default_value = "warning")]
        proxy_level: LogLevels,
        /// Levels of parts of Envoy, which are not there.
        #[arg(long = "proxyComponentLogLevel", hide = true)]
        _proxy_component_levels: Option<String>,
    },
    /// Redirects the pod's traffic to the proxy, with the flags of weft-cni-init, which it becomes.
    #[command(name = "istio-iptables", disable_help_flag = true)]
    Iptables {
        /// Flags of weft-cni-init.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        flags: Vec<std::ffi::OsString>,
    },
    /// Waits until the proxy beside it is ready.
    Wait {
        /// The proxy's readiness page.
        #[arg(long, default_value = "http://localhost:15021/healthz/ready")]
        url: Uri,
        /// Seconds until it gives up.
        #[arg(long = "timeoutSeconds", default_value_t = 60)]
        timeout_seconds: u64,
        /// Milliseconds between tries.
        #[arg(long = "periodMillis", default_value_t = 500)]
        period_millis: u64,
    },
    /// Sends a request to the proxy beside it and prints the answer.
    Request {
        /// The port that is asked.
        #[arg(long = "debug-port", default_value_t = ports::ADMIN)]
        port: u16,
        /// GET or POST.
        method: Method,
        /// Such as drain or config_dump.
        path: String,
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
    let result = match Arguments::parse().command {
        Command::Proxy { role, domain, levels, proxy_level, json, .. } => {
            run(role, domain, &levels.at_least(&proxy_level), json)
        }
        Command::Iptables { flags } => agent::iptables(flags),
        Command::Wait { url, timeout_seconds, period_millis } => {
            agent::wait(&url, Duration::from_secs(timeout_seconds), Duration::from_millis(period_millis))
        }
        Command::Request { port, method, path } => agent::request(port, method, &path),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weft-proxy: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(role: Role, domain: Option<String>, levels: &LogLevels, json: bool) -> anyhow::Result<()> {
    let format = if json { LogFormat::Json } else { LogFormat::Text };
    if let Err(error) = logging::init(levels, format) {
        eprintln!("weft-proxy: {error}");
    }
    let kind = match role {
        Role::Sidecar => NodeKind::Sidecar,
        Role::Router => NodeKind::Router,
    };
    app::run(Settings::read(kind, domain)?, drain::termination())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(flags: &[&str]) -> String {
        let arguments = ["weft-proxy", "proxy", "sidecar"].iter().chain(flags);
        match Arguments::parse_from(arguments).command {
            Command::Proxy { levels, proxy_level, .. } => levels.at_least(&proxy_level).to_string(),
            _ => panic!("another command"),
        }
    }

    #[test]
    fn the_level_of_envoys_log_counts() {
        assert_eq!(levels(&[]), "default:info");
        assert_eq!(levels(&["--proxyLogLevel=warning"]), "default:info");
        // As the injector gives them.
        let agent = "--log_output_level=default:info";
        assert_eq!(levels(&["--proxyLogLevel=debug", "--proxyComponentLogLevel=misc:error", agent]), "default:debug");
        for (word, level) in
            [("trace", "trace"), ("info", "info"), ("error", "info"), ("critical", "info"), ("off", "info")]
        {
            assert_eq!(levels(&[&format!("--proxyLogLevel={word}"), agent]), format!("default:{level}"), "{word}");
        }
    }
}
