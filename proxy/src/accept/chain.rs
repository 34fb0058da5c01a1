//! Which filter chain takes a connection. Pure: the same for traffic and for simulation.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::model::{FilterChain, Listener, Transport};

/// What is known of a connection when its chain is chosen.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where it was meant to go.
    pub destination: std::net::SocketAddr,
    /// Where it comes from.
    pub source: IpAddr,
    /// What its first bytes show.
    pub transport: Transport,
    /// Server name of the ClientHello, lower case.
    pub server_name: Option<Box<str>>,
    /// ALPN of the ClientHello, or what was sniffed: `http/1.0`, `http/1.1`, `h2c`.
    pub protocols: Vec<Box<str>>,
}

/// Envoy's rule: criterion by criterion, only the chains that meet it most specifically stay. Chains that a later
/// criterion rules out do not give way to ones that an earlier criterion ruled out.
pub fn choose<'a>(listener: &'a Listener, facts: &Facts) -> Option<&'a Arc<FilterChain>> {
    let mut left: Vec<&Arc<FilterChain>> = listener.chains.iter().collect();
    let destination = facts.destination.ip().to_canonical();
    keep_best(&mut left, |chain| match chain.matches.destination_port {
        None => Some(0),
        Some(port) => (port == facts.destination.port()).then_some(1),
    });
    keep_best(&mut left, |chain| most_specific(&chain.matches.destination, destination));
    keep_best(&mut left, |chain| server_name(&chain.matches.server_names, facts.server_name.as_deref()));
    keep_best(&mut left, |chain| match chain.matches.transport {
        None => Some(0),
        Some(transport) => (transport == facts.transport).then_some(1),
    });
    keep_best(&mut left, |chain| {
        let wanted = &chain.matches.application_protocols;
        if wanted.is_empty() { Some(0) } else { wanted.iter().any(|one| facts.protocols.contains(one)).then_some(1) }
    });
    keep_best(&mut left, |chain| most_specific(&chain.matches.source, facts.source.to_canonical()));
    left.first().copied().or(listener.default_chain.as_ref())
}

fn keep_best(left: &mut Vec<&Arc<FilterChain>>, rank: impl Fn(&FilterChain) -> Option<usize>) {
    let best = left.iter().filter_map(|chain| rank(chain)).max();
    left.retain(|chain| best.is_some() && rank(chain) == best);
}

/// The longest matching prefix; no prefixes match everything, least specifically.
fn most_specific(nets: &[IpNet], ip: IpAddr) -> Option<usize> {
    if nets.is_empty() {
        return Some(0);
    }
    nets.iter().filter(|net| net.contains(&ip)).map(|net| usize::from(net.prefix_len()) + 1).max()
}

/// An exact name, else the longest suffix (`.example.com` for `*.example.com`).
fn server_name(names: &[Box<str>], found: Option<&str>) -> Option<usize> {
    if names.is_empty() {
        return Some(0);
    }
    let found = found?;
    let rank = |name: &str| match name {
        exact if exact == found => Some(usize::MAX),
        suffix if suffix.starts_with('.') && found.len() > suffix.len() && found.ends_with(suffix) => {
            Some(suffix.len())
        }
        _ => None,
    };
    names.iter().filter_map(|name| rank(name)).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ChainMatch, Inspect, ListenerKind, TcpProxy, Terminal};

    fn chain(name: &str, matches: ChainMatch) -> Arc<FilterChain> {
        let tcp =
            TcpProxy { clusters: Vec::new(), idle_timeout: None, hashes_source: false, access_logs: Arc::new([]) };
        Arc::new(FilterChain {
            name: name.into(),
            matches,
            tls: None,
            rbac: Vec::new(),
            terminal: Terminal::Tcp(tcp.into()),
        })
    }

    fn listener(chains: Vec<Arc<FilterChain>>) -> Listener {
        Listener {
            name: "l".into(),
            addresses: Vec::new(),
            bind: true,
            kind: ListenerKind::Inbound,
            redirected: true,
            inspect: Inspect::default(),
            chains,
            default_chain: Some(chain("default", ChainMatch::default())),
            access_logs: Arc::new([]),
            last_use: Default::default(),
        }
    }

    fn facts(port: u16, name: Option<&str>) -> Facts {
        Facts {
            destination: ([10, 0, 0, 1], port).into(),
            source: [10, 0, 0, 2].into(),
            transport: if name.is_some() { Transport::Tls } else { Transport::Raw },
            server_name: name.map(Into::into),
            protocols: Vec::new(),
        }
    }

    #[test]
    fn earlier_criteria_weigh_more() {
        let by_port = ChainMatch { destination_port: Some(80), ..Default::default() };
        let names = |name: &str| ChainMatch { server_names: vec![name.into()], ..Default::default() };
        let listener = listener(vec![
            chain("any", ChainMatch::default()),
            chain("port", by_port.clone()),
            chain("port-tls", ChainMatch { transport: Some(Transport::Tls), ..by_port }),
            chain("suffix", names(".example.com")),
            chain("exact", names("a.example.com")),
        ]);
        let name = |facts: &Facts| choose(&listener, facts).unwrap().name.to_string();
        assert_eq!(name(&facts(81, None)), "any");
        assert_eq!(name(&facts(80, None)), "port");
        assert_eq!(name(&facts(80, Some("a.example.com"))), "port-tls");
        assert_eq!(name(&facts(81, Some("a.example.com"))), "exact");
        assert_eq!(name(&facts(81, Some("b.example.com"))), "suffix");
        assert_eq!(name(&facts(81, Some("example.org"))), "any");
    }

    #[test]
    fn nothing_matched_is_the_default() {
        let listener = listener(vec![chain("port", ChainMatch { destination_port: Some(80), ..Default::default() })]);
        assert_eq!(&*choose(&listener, &facts(81, None)).unwrap().name, "default");
    }
}
