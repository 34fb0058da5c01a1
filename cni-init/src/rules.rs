//! The rules, as data: Istio's chains in the order of its goldens, written as `iptables-save` prints them, so that
//! what is wanted can be compared with what the kernel holds.

use ipnet::IpNet;

use crate::apply::Family;
use crate::settings::{Only, Settings};

/// Our chains, in the order in which they are declared.
pub const CHAINS: [&str; 4] = ["ISTIO_INBOUND", "ISTIO_IN_REDIRECT", "ISTIO_OUTPUT", "ISTIO_REDIRECT"];

/// Rules of the `nat` table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Rules in the kernel's own chains that lead to ours, and those of interfaces that are left alone.
    pub hooks: Vec<String>,
    /// Rules of our chains.
    pub chains: Vec<String>,
}

impl Rules {
    /// As input of `iptables-restore --noflush`: declaring a chain empties it, so the whole is one replacement.
    pub fn render(&self) -> String {
        if self.chains.is_empty() {
            return "*nat\nCOMMIT\n".to_owned();
        }
        let declarations = CHAINS.iter().map(|chain| format!(":{chain} - [0:0]\n"));
        let rules = self.hooks.iter().chain(&self.chains).map(|rule| format!("-A {rule}\n"));
        format!("*nat\n{}{}COMMIT\n", declarations.collect::<String>(), rules.collect::<String>())
    }
}

/// The rules for one address family.
pub fn rules(settings: &Settings, family: Family) -> Rules {
    if !settings.intercept {
        return Rules::default();
    }
    let mut chains = inbound(settings);
    chains.push(format!("ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports {}", settings.inbound_port));
    chains.extend(outbound(settings, family));
    chains.push(format!("ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports {}", settings.outbound_port));
    Rules { hooks: hooks(settings, family), chains }
}

/// Marks rules in the kernel's own chains that lead to none of ours, so that they are found again.
pub const OURS: &str = "-m comment --comment istio";

/// Rules of the kernel's own chains, chain by chain, as `iptables-save` prints them.
fn hooks(settings: &Settings, family: Family) -> Vec<String> {
    let left_alone = &settings.exclude_interfaces;
    let mut hooks: Vec<String> =
        left_alone.iter().map(|interface| format!("PREROUTING -i {interface} {OURS} -j RETURN")).collect();
    for interface in &settings.reroute_interfaces {
        match &settings.outbound_networks {
            Only::All => hooks.push(format!("PREROUTING -i {interface} -p tcp -j ISTIO_REDIRECT")),
            Only::These(networks) => {
                hooks.extend(networks.iter().filter(|network| family.owns(network)).map(|network| {
                    format!("PREROUTING -d {} -i {interface} -p tcp -j ISTIO_REDIRECT", network.trunc())
                }))
            }
        }
        hooks.push(format!("PREROUTING -i {interface} {OURS} -j RETURN"));
    }
    hooks.push("PREROUTING -p tcp -j ISTIO_INBOUND".to_owned());
    hooks.extend(left_alone.iter().map(|interface| format!("OUTPUT -o {interface} {OURS} -j RETURN")));
    hooks.push("OUTPUT -p tcp -j ISTIO_OUTPUT".to_owned());
    hooks
}

fn inbound(settings: &Settings) -> Vec<String> {
    let port = |port: u16, target: &str| format!("ISTIO_INBOUND -p tcp -m tcp --dport {port} -j {target}");
    let mut rules = vec![port(settings.tunnel_port, "RETURN")];
    match &settings.inbound_ports {
        Only::All => {
            rules.extend(settings.inbound_exclude.iter().map(|excluded| port(*excluded, "RETURN")));
            rules.push("ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT".to_owned());
        }
        Only::These(ports) => rules.extend(ports.iter().map(|included| port(*included, "ISTIO_IN_REDIRECT"))),
    }
    rules
}

fn outbound(settings: &Settings, family: Family) -> Vec<String> {
    let rule = |text: String| format!("ISTIO_OUTPUT {text}");
    let mut rules = Vec::new();
    for port in &settings.outbound_exclude_ports {
        rules.push(rule(format!("-p tcp -m tcp --dport {port} -j RETURN")));
    }
    // The proxy hands inbound connections to the application from this address: they have been through it.
    rules.push(rule(format!("-s {} -o lo -j RETURN", family.passthrough_source())));
    let loopback = family.loopback();
    let owners = settings.uids.iter().map(|id| format!("--uid-owner {id}"));
    let owners = owners.chain(settings.gids.iter().map(|id| format!("--gid-owner {id}")));
    for owner in owners {
        // The proxy calling its own pod's address goes through inbound, as a call from elsewhere would.
        rules.push(rule(format!(
            "! -d {loopback} -o lo -p tcp -m tcp ! --dport {} -m owner {owner} -j ISTIO_IN_REDIRECT",
            settings.tunnel_port
        )));
        rules.push(rule(format!("-o lo -m owner ! {owner} -j RETURN")));
        rules.push(rule(format!("-m owner {owner} -j RETURN")));
    }
    rules.push(rule(format!("-d {loopback} -j RETURN")));
    let networks = |networks: &[IpNet], target: &str| -> Vec<String> {
        let own = networks.iter().filter(|network| family.owns(network));
        own.map(|network| rule(format!("-d {} -j {target}", network.trunc()))).collect()
    };
    rules.extend(networks(&settings.outbound_exclude_networks, "RETURN"));
    for port in &settings.outbound_ports {
        rules.push(rule(format!("-p tcp -m tcp --dport {port} -j ISTIO_REDIRECT")));
    }
    match &settings.outbound_networks {
        Only::All => rules.push(rule("-j ISTIO_REDIRECT".to_owned())),
        Only::These(included) => rules.extend(networks(included, "ISTIO_REDIRECT")),
    }
    rules
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::settings::Flags;

    fn rendered(args: &[&str], family: Family) -> String {
        let flags = Flags::try_parse_from(std::iter::once("weft-cni-init").chain(args.iter().copied())).unwrap();
        rules(&Settings::try_from(flags).unwrap(), family).render()
    }

    const DEFAULTS: [&str; 2] = ["-d", "15090,15021,15020"];

    #[test]
    fn the_default_pod() {
        let want = "\
*nat
:ISTIO_INBOUND - [0:0]
:ISTIO_IN_REDIRECT - [0:0]
:ISTIO_OUTPUT - [0:0]
:ISTIO_REDIRECT - [0:0]
-A PREROUTING -p tcp -j ISTIO_INBOUND
-A OUTPUT -p tcp -j ISTIO_OUTPUT
-A ISTIO_INBOUND -p tcp -m tcp --dport 15008 -j RETURN
-A ISTIO_INBOUND -p tcp -m tcp --dport 15090 -j RETURN
-A ISTIO_INBOUND -p tcp -m tcp --dport 15021 -j RETURN
-A ISTIO_INBOUND -p tcp -m tcp --dport 15020 -j RETURN
-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT
-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
-A ISTIO_OUTPUT -s 127.0.0.6/32 -o lo -j RETURN
-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m tcp ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m tcp ! --dport 15008 -m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --gid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN
-A ISTIO_OUTPUT -j ISTIO_REDIRECT
-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
COMMIT
";
        assert_eq!(rendered(&DEFAULTS, Family::V4), want);
    }

    #[test]
    fn ipv6_uses_its_own_addresses_and_networks() {
        let text = rendered(&["-x", "10.0.0.0/8,fd00::/8"], Family::V6);
        assert!(text.contains("-A ISTIO_OUTPUT -s ::6/128 -o lo -j RETURN"));
        assert!(text.contains("-A ISTIO_OUTPUT -d ::1/128 -j RETURN"));
        assert!(text.contains("-A ISTIO_OUTPUT -d fd00::/8 -j RETURN"));
        assert!(!text.contains("10.0.0.0"));
    }

    #[test]
    fn lists_include_and_exclude() {
        let text = rendered(
            &["-b", "80,443", "-i", "10.96.0.0/12", "-q", "5432", "-o", "25", "-c", "net1", "-k", "virbr0"],
            Family::V4,
        );
        for line in [
            "-A PREROUTING -i net1 -m comment --comment istio -j RETURN",
            "-A OUTPUT -o net1 -m comment --comment istio -j RETURN",
            "-A PREROUTING -d 10.96.0.0/12 -i virbr0 -p tcp -j ISTIO_REDIRECT",
            "-A ISTIO_INBOUND -p tcp -m tcp --dport 80 -j ISTIO_IN_REDIRECT",
            "-A ISTIO_INBOUND -p tcp -m tcp --dport 443 -j ISTIO_IN_REDIRECT",
            "-A ISTIO_OUTPUT -p tcp -m tcp --dport 25 -j RETURN",
            "-A ISTIO_OUTPUT -p tcp -m tcp --dport 5432 -j ISTIO_REDIRECT",
            "-A ISTIO_OUTPUT -d 10.96.0.0/12 -j ISTIO_REDIRECT",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing from\n{text}");
        }
        assert!(!text.contains("ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT"));
        assert!(!text.contains("-A ISTIO_OUTPUT -j ISTIO_REDIRECT"));
    }

    #[test]
    fn no_interception_means_no_rules() {
        assert_eq!(rendered(&["-m", "NONE"], Family::V4), "*nat\nCOMMIT\n");
    }
}
