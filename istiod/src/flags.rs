//! The command line: Istio's flags where they exist there. A flag that is not known is refused by its name.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use injector::NativeSidecars;
use mesh_runtime::LogLevels;
use mesh_types::ports;

/// How the control plane runs.
#[derive(Args, Clone, Debug)]
pub(crate) struct Discovery {
    /// A directory of YAML that describes the mesh, in place of Kubernetes.
    #[arg(long, requires = "ca_dir")]
    pub(crate) config_dir: Option<PathBuf>,
    /// The directory of the certificate authority where there is no Kubernetes; an empty one is filled.
    #[arg(long, requires = "config_dir")]
    pub(crate) ca_dir: Option<PathBuf>,
    /// How to reach the API server; absent means as a pod does, or as `KUBECONFIG` says.
    #[arg(long, conflicts_with = "config_dir")]
    pub(crate) kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// xDS and certificates in plain text.
    #[arg(long = "grpcAddr", default_value = ":15010", value_parser = address)]
    pub(crate) plain: SocketAddr,
    /// xDS and certificates over TLS.
    #[arg(long = "secureGRPCAddr", default_value = ":15012", value_parser = address)]
    pub(crate) secure: SocketAddr,
    /// Webhooks.
    #[arg(long = "httpsAddr", default_value = ":15017", value_parser = address)]
    pub(crate) webhooks: SocketAddr,
    /// Metrics.
    #[arg(long = "monitoringAddr", default_value = ":15014", value_parser = address)]
    pub(crate) monitoring: SocketAddr,
    /// Readiness and debug pages.
    #[arg(long = "httpAddr", default_value = ":8080", value_parser = address)]
    pub(crate) http: SocketAddr,
    /// Levels of the log for `istioctl admin log`, on loopback, on Kubernetes.
    #[arg(long = "ctrlz_port", default_value_t = ports::SCOPES)]
    pub(crate) scopes: u16,
    /// The DNS domain of the cluster.
    #[arg(long, default_value = "cluster.local", value_parser = domain)]
    pub(crate) domain: String,
    /// Proxies are asked to come again after so long, so that they spread over the replicas; absent means never.
    #[arg(long = "keepaliveMaxServerConnectionAge", value_parser = duration)]
    pub(crate) connection_age: Option<Duration>,
    /// More names under which proxies reach this process.
    #[arg(long = "dns-names", value_delimiter = ',')]
    pub(crate) names: Vec<String>,
    /// Levels of the log, such as default:info,pilot:debug.
    #[arg(long = "log_output_level", default_value = "default:info")]
    pub(crate) levels: LogLevels,
    /// Log in JSON.
    #[arg(long = "log_as_json")]
    pub(crate) json: bool,
}

/// Where in a cluster this replica is, as Istio's chart tells it.
#[derive(Args, Clone, Debug)]
pub(crate) struct Place {
    /// The control plane's namespace.
    #[arg(long, short, env = "POD_NAMESPACE", default_value = "istio-system")]
    pub(crate) namespace: String,
    /// This replica.
    #[arg(long, env = "POD_NAME", default_value = "istiod", hide = true)]
    pub(crate) pod: String,
    /// The control plane's revision.
    #[arg(long, env = "REVISION", default_value = "default", hide = true)]
    pub(crate) revision: String,
    /// Istio's name of the configuration of the injecting webhook; absent means that somebody else looks after it.
    #[arg(long, env = "INJECTION_WEBHOOK_CONFIG_NAME", hide = true)]
    pub(crate) injection_webhook: Option<String>,
    /// Istio's name of the configuration of the validating webhook; absent means that it is not for us to make it binding.
    #[arg(long, env = "VALIDATION_WEBHOOK_CONFIG_NAME", hide = true)]
    pub(crate) validation_webhook: Option<String>,
    /// Whether injected proxies are native sidecars: auto, true or false.
    #[arg(long, env = "ENABLE_NATIVE_SIDECARS", default_value = "auto", hide = true)]
    pub(crate) native_sidecars: NativeSidecars,
    /// Where Kubernetes mounts an authority that was plugged in (Secret `cacerts`).
    #[arg(long, default_value = "/etc/cacerts", hide = true)]
    pub(crate) cacerts: PathBuf,
    /// The token by which other replicas know this one, for the audience `istio-ca`.
    #[arg(long, default_value = "/var/run/secrets/tokens/istio-token", hide = true)]
    pub(crate) token: PathBuf,
}

impl Place {
    /// As these flags have it.
    #[cfg(test)]
    pub(crate) fn of_flags(flags: &[&str]) -> Self {
        #[derive(clap::Parser)]
        struct Whole {
            #[command(flatten)]
            place: Place,
        }
        <Whole as clap::Parser>::parse_from(["istiod"].iter().chain(flags)).place
    }

    /// The name of this revision's Service.
    pub(crate) fn service(&self) -> String {
        mesh_types::control_plane(&self.revision)
    }

    /// What of the cluster is ours.
    pub(crate) fn scope(&self) -> galley::Scope {
        galley::Scope { namespace: self.namespace.as_str().into(), revision: self.revision.as_str().into() }
    }

    /// True for the revision that needs no name.
    pub(crate) fn is_default(&self) -> bool {
        mesh_types::is_default_revision(&self.revision)
    }
}

/// `:15014` is every address of the host, of both families.
fn address(text: &str) -> Result<SocketAddr, String> {
    let error = || format!("{text:?} is no address such as :15014, 127.0.0.1:15014 or [::1]:15014");
    match text.strip_prefix(':') {
        Some(port) => port.parse().map(|port| (Ipv6Addr::UNSPECIFIED, port).into()).map_err(|_| error()),
        None => text.parse().map_err(|_| error()),
    }
}

fn domain(text: &str) -> Result<String, String> {
    if text == "cluster.local" {
        return Ok(text.to_owned());
    }
    Err("only cluster.local is supported by this version".to_owned())
}

/// A duration as Go writes it, such as `30m` or `1h30m`.
fn duration(text: &str) -> Result<Duration, String> {
    let error = || format!("{text:?} is no duration such as 30m, 1h30m or 10s");
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
        let number: u32 = rest[..digits].parse().map_err(|_| error())?;
        let after = &rest[digits..];
        let unit = &after[..after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len())];
        let one = match unit {
            "h" => Duration::from_secs(3600),
            "m" => Duration::from_secs(60),
            "s" => Duration::from_secs(1),
            "ms" => Duration::from_millis(1),
            _ => return Err(error()),
        };
        total += one.checked_mul(number).ok_or_else(error)?;
        rest = &after[unit.len()..];
    }
    if total.is_zero() { Err(error()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Whole {
        #[command(flatten)]
        discovery: Discovery,
    }

    fn parse(arguments: &[&str]) -> Result<Discovery, String> {
        let all = ["istiod"].iter().chain(arguments);
        Whole::try_parse_from(all).map(|whole| whole.discovery).map_err(|error| error.to_string())
    }

    #[test]
    fn the_charts_flags_are_taken() {
        let flags = "--monitoringAddr=:15014 --log_output_level=default:info --domain cluster.local \
                     --keepaliveMaxServerConnectionAge 30m";
        let settings = parse(&flags.split_whitespace().collect::<Vec<_>>()).unwrap();
        assert_eq!(settings.monitoring, "[::]:15014".parse().unwrap());
        assert_eq!(settings.connection_age, Some(Duration::from_secs(1800)));
        assert!(settings.config_dir.is_none());
    }

    #[test]
    fn what_is_not_served_is_refused_by_name() {
        for (flags, named) in [
            (&["--domain", "corp.example"][..], "--domain"),
            (&["--registries", "Mock"], "--registries"),
            (&["--httpAddr", "8080"], "--httpAddr"),
            (&["--keepaliveMaxServerConnectionAge", "30"], "--keepaliveMaxServerConnectionAge"),
            (&["--config-dir", "/tmp"], "--ca-dir"),
        ] {
            let error = parse(flags).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn durations_are_gos() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for bad in ["", "30", "m", "-1s", "1d", "0s", "99999999999h"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }
}
