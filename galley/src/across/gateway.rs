//! Servers of Gateways that would take the same connections. Plain HTTP is not among them: there, hosts are served together.
//! Nor is TLS that passes through, of which VirtualServices say which connections they take.

use std::collections::BTreeMap;

use mesh_types::{Labels, Protocol};

use super::warning;
use crate::api::{Gateway, Server, ServerTlsMode};
use crate::diagnostic::{Code, Diagnostic};
use crate::object::Object;
use crate::objects::Objects;
use crate::path::FieldPath;

/// A server that takes a host's connections.
struct Taker<'a> {
    gateway: &'a Object<Gateway>,
    index: usize,
}

/// A warning for each host for which an older server on the same port of the same pods is used.
pub(super) fn hidden(objects: &Objects) -> Vec<Diagnostic> {
    let mut gateways: Vec<_> = objects.gateways.values().collect();
    gateways.sort_by(|one, other| one.meta.precedence().cmp(&other.meta.precedence()));
    let mut found = Vec::new();
    let mut takers: BTreeMap<(u16, &str), Vec<Taker<'_>>> = BTreeMap::new();
    for gateway in gateways {
        for (index, server) in gateway.spec.servers.iter().enumerate().filter(|(_, server)| is_alone(server)) {
            let Some(port) = server.port.as_ref().map(|port| port.number) else { continue };
            for (place, host) in hosts(server) {
                let known = takers.entry((port, host)).or_default();
                match known.iter().find(|one| meet(&one.gateway.spec.selector, &gateway.spec.selector)) {
                    Some(first) => found.push(of(gateway, index, place, host, port, first)),
                    None => known.push(Taker { gateway, index }),
                }
            }
        }
    }
    found
}

/// True for a server whose connections no other can take as well.
fn is_alone(server: &Server) -> bool {
    let protocol = server.port.as_ref().and_then(|port| Protocol::parse(&port.protocol)).unwrap_or(Protocol::Tcp);
    match &server.tls {
        Some(tls) if tls.mode == ServerTlsMode::Passthrough => false,
        Some(tls) => !(protocol.is_http() && tls.https_redirect),
        None => !protocol.is_http(),
    }
}

/// The names by which connections are told apart, each with the place of its host. All are taken if TLS tells none, or
/// if one of the hosts stands for all.
fn hosts(server: &Server) -> Vec<(usize, &str)> {
    let names = || server.hosts.iter().map(|host| host.split_once('/').map_or(host.as_str(), |(_, name)| name));
    match names().position(|name| name == "*") {
        Some(place) => vec![(place, "*")],
        None if server.tls.is_none() => vec![(0, "*")],
        None => names().enumerate().collect(),
    }
}

/// True if whatever pod the narrower selects, the other selects too.
fn meet(one: &Labels, other: &Labels) -> bool {
    let within = |wide: &Labels, narrow: &Labels| wide.iter().all(|(key, value)| narrow.get(key) == Some(value));
    within(one, other) || within(other, one)
}

fn of(gateway: &Object<Gateway>, index: usize, place: usize, host: &str, port: u16, first: &Taker<'_>) -> Diagnostic {
    let meta = &first.gateway.meta;
    let message = format!(
        "connections for {host} on port {port} are taken by servers[{}] of Gateway {}/{}, which comes first; this server \
         is not used for them",
        first.index, meta.namespace, meta.name
    );
    let path = FieldPath::default().field("spec").field("servers").index(index).field("hosts").index(place);
    warning(gateway, Code::Conflict, &path, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TLS: &str = "tls: {mode: SIMPLE, credentialName: key}";

    fn gateway(name: &str, selector: &str, servers: &[String]) -> String {
        format!(
            "\n---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}}}\nspec: {{selector: {{{selector}}}, servers: [{}]}}\n",
            servers.join(", ")
        )
    }

    fn server(number: u16, protocol: &str, hosts: &str, more: &str) -> String {
        format!("{{port: {{number: {number}, name: p{number}, protocol: {protocol}}}, hosts: [{hosts}], {more}}}")
    }

    fn said(gateways: &[String]) -> Vec<String> {
        let loaded = crate::load(&"test.yaml".into(), &gateways.concat());
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        let found = hidden(&Objects::new(loaded.objects));
        let about = |one: &Diagnostic| one.object.as_ref().map(ToString::to_string).unwrap_or_default();
        found.iter().map(|one| format!("{}: {}: {}", about(one), one.path, one.message)).collect()
    }

    #[test]
    fn a_host_that_another_server_takes_is_told_of() {
        let first = gateway("a", "istio: edge", &[server(443, "HTTPS", "x.org", TLS)]);
        let with = |second: String| said(&[first.clone(), gateway("b", "istio: edge", &[second])]);
        assert_eq!(
            with(server(443, "HTTPS", "y.org, other/x.org", TLS)),
            [
                "Gateway default/b: spec.servers[0].hosts[1]: connections for x.org on port 443 are taken by servers[0] of Gateway default/a, which comes first; this server is not used for them"
            ]
        );
        for apart in [
            server(443, "HTTPS", "y.org", TLS),
            server(443, "HTTPS", "'*'", TLS),
            server(8443, "HTTPS", "x.org", TLS),
            server(443, "TLS", "x.org", "tls: {mode: PASSTHROUGH}"),
            server(443, "HTTP", "x.org", ""),
        ] {
            assert_eq!(with(apart.clone()), Vec::<String>::new(), "{apart}");
        }
    }

    #[test]
    fn bytes_without_tls_tell_no_host() {
        let tcp = |host: &str| server(3306, "TCP", host, "");
        let words = said(&[gateway("a", "istio: edge", &[tcp("a.org")]), gateway("b", "", &[tcp("b.org")])]);
        assert_eq!(words.len(), 1, "{words:?}");
        assert!(words[0].contains("connections for * on port 3306"), "{words:?}");
    }

    #[test]
    fn other_pods_have_ports_of_their_own() {
        let one = |name: &str, selector: &str| gateway(name, selector, &[server(443, "HTTPS", "x.org", TLS)]);
        assert_eq!(said(&[one("a", "istio: edge"), one("b", "istio: inner")]), Vec::<String>::new());
        assert_eq!(said(&[one("a", "istio: edge"), one("b", "istio: edge, zone: b")]).len(), 1);
    }
}
