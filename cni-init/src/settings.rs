//! Istio's flags, read and checked whole before anything is done.

use std::fmt;
use std::net::SocketAddr;

use clap::Parser;
use ipnet::IpNet;

/// Flags of `istio-iptables`, with Istio's names, short forms and defaults.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "weft-cni-init",
    version,
    about = "Redirects a pod's traffic to the proxy beside it",
    args_override_self = true
)]
pub struct Flags {
    /// Port to which outbound connections are redirected.
    #[arg(short = 'p', long, default_value_t = 15001)]
    envoy_port: u16,
    /// Port to which inbound connections are redirected.
    #[arg(short = 'z', long, default_value_t = 15006)]
    inbound_capture_port: u16,
    /// Port of inbound tunnels, never redirected.
    #[arg(short = 'e', long, default_value_t = 15008)]
    inbound_tunnel_port: u16,
    /// User ids of the proxy, comma-separated.
    #[arg(short = 'u', long, default_value = "1337")]
    proxy_uid: String,
    /// Group ids of the proxy, comma-separated. Same as the user ids if not given.
    #[arg(short = 'g', long)]
    proxy_gid: Option<String>,
    /// REDIRECT, or NONE for no rules.
    #[arg(short = 'm', long, default_value = "REDIRECT")]
    istio_inbound_interception_mode: String,
    /// Inbound ports to redirect: `*`, or a comma-separated list; empty for none.
    #[arg(short = 'b', long, default_value = "*")]
    istio_inbound_ports: String,
    /// Inbound ports not to redirect (`traffic.sidecar.istio.io/excludeInboundPorts`). Only with `-b '*'`.
    #[arg(short = 'd', long, default_value = "")]
    istio_local_exclude_ports: String,
    /// Outbound networks to redirect: `*`, or a comma-separated list; empty for none.
    #[arg(short = 'i', long, default_value = "*")]
    istio_service_cidr: String,
    /// Outbound networks not to redirect. Only with `-i '*'`.
    #[arg(short = 'x', long, default_value = "")]
    istio_service_exclude_cidr: String,
    /// Outbound ports to redirect even if their network is not.
    #[arg(short = 'q', long, default_value = "")]
    istio_outbound_ports: String,
    /// Outbound ports not to redirect.
    #[arg(short = 'o', long, default_value = "")]
    istio_local_outbound_ports_exclude: String,
    /// Interfaces whose arriving connections count as outbound (KubeVirt, nested containers).
    #[arg(short = 'k', long, default_value = "")]
    kube_virt_interfaces: String,
    /// Interfaces that are left alone.
    #[arg(short = 'c', long, default_value = "")]
    istio_exclude_interfaces: String,
    /// Print the rules and do nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Prove from inside that connections are redirected; exit code 126 if not.
    #[arg(long, visible_alias = "run-validation")]
    verify: bool,
    /// Do not touch the rules (with `--verify`).
    #[arg(long)]
    skip_rule_apply: bool,
    /// Remove our rules.
    #[arg(long)]
    cleanup_only: bool,
    /// Accepted for compatibility: applying is always idempotent.
    #[arg(long)]
    force_apply: bool,
    /// Redirect DNS. Refused: this version has no DNS proxy.
    #[arg(long)]
    redirect_dns: bool,
    /// Accepted for compatibility with injected manifests.
    #[arg(long = "log_output_level", hide = true)]
    log_output_level: Option<String>,
    /// Internal: connect there, as the proxy's user, and exit.
    #[arg(long, hide = true)]
    pub verify_inbound_client: Option<SocketAddr>,
}

/// What is asked, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Outbound capture port.
    pub outbound_port: u16,
    /// Inbound capture port.
    pub inbound_port: u16,
    /// Tunnel port.
    pub tunnel_port: u16,
    /// The proxy's users.
    pub uids: Vec<u32>,
    /// The proxy's groups.
    pub gids: Vec<u32>,
    /// Whether there are any rules.
    pub intercept: bool,
    /// Which inbound ports.
    pub inbound_ports: Only<u16>,
    /// Inbound ports left alone.
    pub inbound_exclude: Vec<u16>,
    /// Which outbound networks.
    pub outbound_networks: Only<IpNet>,
    /// Outbound networks left alone.
    pub outbound_exclude_networks: Vec<IpNet>,
    /// Outbound ports redirected in any case.
    pub outbound_ports: Vec<u16>,
    /// Outbound ports left alone.
    pub outbound_exclude_ports: Vec<u16>,
    /// Interfaces whose arriving connections are outbound.
    pub reroute_interfaces: Vec<String>,
    /// Interfaces left alone.
    pub exclude_interfaces: Vec<String>,
    /// Print only.
    pub dry_run: bool,
    /// Prove it.
    pub verify: bool,
    /// Leave the rules as they are.
    pub skip_rule_apply: bool,
    /// Remove the rules.
    pub cleanup_only: bool,
}

/// Everything, or only what is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Only<T> {
    /// `*`.
    All,
    /// These, maybe none.
    These(Vec<T>),
}

/// A flag that cannot be understood.
#[derive(Debug, PartialEq, Eq)]
pub struct FlagError {
    flag: &'static str,
    problem: String,
}

impl fmt::Display for FlagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.flag, self.problem)
    }
}

impl TryFrom<Flags> for Settings {
    type Error = Vec<FlagError>;

    /// Reports every flag that is wrong, not only the first.
    fn try_from(flags: Flags) -> Result<Self, Self::Error> {
        let mut read = Reader::default();
        let uids = read.list("--proxy-uid", &flags.proxy_uid, "a user id");
        let gids = match &flags.proxy_gid {
            Some(gids) => read.list("--proxy-gid", gids, "a group id"),
            None => uids.clone(),
        };
        let intercept = match flags.istio_inbound_interception_mode.as_str() {
            "REDIRECT" => true,
            "NONE" => false,
            "TPROXY" => read.refuse("--istio-inbound-interception-mode", "TPROXY is not served; use REDIRECT or NONE"),
            other => read.refuse(
                "--istio-inbound-interception-mode",
                &format!("{other:?} is not an interception mode; use REDIRECT or NONE"),
            ),
        };
        if flags.redirect_dns {
            read.refuse("--redirect-dns", "DNS capture is not served; leave ISTIO_META_DNS_CAPTURE unset");
        }
        let settings = Self {
            outbound_port: flags.envoy_port,
            inbound_port: flags.inbound_capture_port,
            tunnel_port: flags.inbound_tunnel_port,
            uids,
            gids,
            intercept,
            inbound_ports: read.only("--istio-inbound-ports", &flags.istio_inbound_ports, "a port"),
            inbound_exclude: read.list("--istio-local-exclude-ports", &flags.istio_local_exclude_ports, "a port"),
            outbound_networks: read.networks("--istio-service-cidr", &flags.istio_service_cidr),
            outbound_exclude_networks: read.list(
                "--istio-service-exclude-cidr",
                &flags.istio_service_exclude_cidr,
                "a network such as 10.0.0.0/8",
            ),
            outbound_ports: read.list("--istio-outbound-ports", &flags.istio_outbound_ports, "a port"),
            outbound_exclude_ports: read.list(
                "--istio-local-outbound-ports-exclude",
                &flags.istio_local_outbound_ports_exclude,
                "a port",
            ),
            reroute_interfaces: read.interfaces("--kube-virt-interfaces", &flags.kube_virt_interfaces),
            exclude_interfaces: read.interfaces("--istio-exclude-interfaces", &flags.istio_exclude_interfaces),
            dry_run: flags.dry_run,
            verify: flags.verify,
            skip_rule_apply: flags.skip_rule_apply,
            cleanup_only: flags.cleanup_only,
        };
        if read.errors.is_empty() { Ok(settings) } else { Err(read.errors) }
    }
}

/// Reads values and collects what is wrong with them.
#[derive(Default)]
struct Reader {
    errors: Vec<FlagError>,
}

impl Reader {
    fn refuse(&mut self, flag: &'static str, problem: &str) -> bool {
        self.errors.push(FlagError { flag, problem: problem.to_owned() });
        false
    }

    fn list<T: std::str::FromStr>(&mut self, flag: &'static str, text: &str, what: &str) -> Vec<T> {
        let mut values = Vec::new();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            match item.parse() {
                Ok(value) => values.push(value),
                Err(_) => {
                    self.refuse(flag, &format!("{item:?} is not {what}"));
                }
            }
        }
        values
    }

    fn only<T: std::str::FromStr>(&mut self, flag: &'static str, text: &str, what: &str) -> Only<T> {
        if text.trim() == "*" { Only::All } else { Only::These(self.list(flag, text, what)) }
    }

    fn networks(&mut self, flag: &'static str, text: &str) -> Only<IpNet> {
        self.only(flag, text, "a network such as 10.0.0.0/8")
    }

    /// Names go into rules as they are, so only the kernel's own characters and limits pass.
    fn interfaces(&mut self, flag: &'static str, text: &str) -> Vec<String> {
        let names: Vec<String> = self.list(flag, text, "an interface");
        let valid = |name: &&String| {
            name.len() <= 15
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+'))
        };
        for name in names.iter().filter(|name| !valid(name)) {
            self.refuse(flag, &format!("{name:?} is not the name of a network interface"));
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(args: &[&str]) -> Result<Settings, Vec<String>> {
        let flags = Flags::try_parse_from(std::iter::once("weft-cni-init").chain(args.iter().copied())).unwrap();
        Settings::try_from(flags).map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn istios_own_command_line_is_understood() {
        let settings = read(&[
            "-p",
            "15001",
            "-z",
            "15006",
            "-u",
            "1337",
            "-m",
            "REDIRECT",
            "-i",
            "*",
            "-x",
            "",
            "-b",
            "*",
            "-d",
            "15090,15021,15020",
            "--log_output_level=default:info",
        ])
        .unwrap();
        assert_eq!((settings.inbound_ports, settings.outbound_networks), (Only::All, Only::All));
        assert_eq!((settings.inbound_exclude, settings.gids), (vec![15090, 15021, 15020], vec![1337]));
    }

    #[test]
    fn every_wrong_flag_is_named_at_once() {
        let errors = read(&["-d", "80,http", "-i", "10.0.0.0/33", "-m", "TPROXY", "-c", "eth0;reboot"]).unwrap_err();
        assert_eq!(
            errors,
            [
                "--istio-inbound-interception-mode: TPROXY is not served; use REDIRECT or NONE",
                "--istio-local-exclude-ports: \"http\" is not a port",
                "--istio-service-cidr: \"10.0.0.0/33\" is not a network such as 10.0.0.0/8",
                "--istio-exclude-interfaces: \"eth0;reboot\" is not the name of a network interface",
            ]
        );
    }

    proptest! {
        #[test]
        fn no_flag_value_gets_into_a_rule_unread(ports in "\\PC{0,20}", networks in "\\PC{0,20}", interface in "\\PC{0,20}") {
            let read = read(&[
                &format!("-d={ports}"), &format!("-x={networks}"), &format!("-c={interface}"),
            ]);
            if let Ok(settings) = read {
                for family in crate::apply::Family::ALL {
                    for line in crate::rules::rules(&settings, family).render().lines() {
                        prop_assert!(line.bytes().all(|b| (0x20..0x7f).contains(&b)) && !line.contains(';'));
                    }
                }
            }
        }
    }
}
