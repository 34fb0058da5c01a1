//! From configuration to decision without sockets: the resources that a control plane would send, through the very code
//! that decodes them and decides about traffic.

use std::net::SocketAddr;
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryResponse, Resource};
use mesh_http::RequestHead;

use crate::accept::{Facts, choose};
use crate::authz::{self, Subject};
use crate::conn::{ConnInfo, PeerTls};
use crate::model::{FilterChain, Snapshot, Terminal, Transport, Type};
use crate::route::{self, Action, Decision};
use crate::xds::{Config, State};

/// A proxy without sockets.
pub struct Simulation {
    config: Config,
}

/// A connection to be thought through.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The listener that would capture it: `virtualOutbound`, `virtualInbound`, or a gateway's.
    pub listener: String,
    /// Where it was meant to go.
    pub destination: SocketAddr,
    /// Where it comes from.
    pub source: SocketAddr,
    /// The caller's SPIFFE URI, over mutual TLS.
    pub identity: Option<String>,
    /// What its first bytes are.
    pub opening: Opening,
}

/// What a connection begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A request of HTTP.
    Http,
    /// A ClientHello that asks for this server name; what follows may be a request.
    Tls(String),
    /// Neither.
    Bytes,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is sent to this cluster.
    Cluster(String),
    /// It is answered here, with this status and these response code details.
    Answer(u16, String),
    /// The connection carries bytes to this cluster.
    Bytes(String),
    /// The connection is refused, for this reason.
    Refused(String),
}

impl Simulation {
    /// Takes resources as a control plane sends them, by type URL, name and message.
    ///
    /// # Errors
    /// With every resource that would be refused, by name and field.
    pub fn load(resources: Vec<(String, Resource)>) -> Result<Self, Vec<String>> {
        let mut state = State::default();
        let mut refused = Vec::new();
        for (url, resource) in resources {
            let Some(kind) = Type::of(&url) else {
                refused.push(format!("{url} is not a type of ours"));
                continue;
            };
            let response = DeltaDiscoveryResponse { resources: vec![resource], ..Default::default() };
            let found = state.take(kind, response);
            refused.extend(found.iter().map(|one| format!("{} {}: {}", one.kind, one.name, one.reason)));
        }
        if !refused.is_empty() {
            return Err(refused);
        }
        let mut snapshot = Snapshot::default();
        state.write(&mut snapshot);
        Ok(Self { config: Config::fixed(snapshot) })
    }

    /// What becomes of a request on a connection.
    pub async fn request(&self, connection: &Connection, head: &mut RequestHead) -> Fate {
        let snapshot = self.config.current();
        let Some(captured) = snapshot.listeners.get(connection.listener.as_str()) else {
            return Fate::Refused(format!("there is no listener {}", connection.listener));
        };
        let redirected = if captured.hands_on() { snapshot.listener_for(connection.destination) } else { None };
        let listener = redirected.unwrap_or(captured);
        let (transport, server_name, spoken) = match &connection.opening {
            _ if connection.identity.is_some() => (Transport::Tls, None, Some("istio-http/1.1")),
            Opening::Http => (Transport::Raw, None, Some("http/1.1")),
            Opening::Tls(name) => (Transport::Tls, Some(name.to_ascii_lowercase().into()), None),
            Opening::Bytes => (Transport::Raw, None, None),
        };
        let facts = Facts {
            destination: connection.destination,
            source: connection.source.ip(),
            transport,
            server_name,
            protocols: spoken.into_iter().map(Into::into).collect(),
        };
        match choose(listener, &facts) {
            None => Fate::Refused(format!("no filter chain of {} takes it", listener.name)),
            Some(chain) => self.through(&snapshot, listener.kind, &listener.name, chain, connection, head).await,
        }
    }

    async fn through(
        &self,
        snapshot: &Arc<Snapshot>,
        kind: crate::model::ListenerKind,
        listener: &mesh_types::Name,
        chain: &FilterChain,
        connection: &Connection,
        head: &mut RequestHead,
    ) -> Fate {
        let identity = connection.identity.as_ref();
        let is_understood = match &chain.tls {
            None => identity.is_none(),
            Some(_) if identity.is_some() => true,
            Some(tls) => matches!(connection.opening, Opening::Tls(_)) && !tls.require_client_certificate,
        };
        if !is_understood {
            return Fate::Refused("plain text meets TLS, TLS plain text, or a certificate is asked for".to_owned());
        }
        let session = || identity.map_or_else(PeerTls::default, |uri| PeerTls::with_peer(uri));
        let tls = chain.tls.as_ref().map(|_| PeerTls { version: "TLSv1.3", ..session() });
        let conn = ConnInfo { tls, ..ConnInfo::new(kind, listener.clone(), connection.source, connection.destination) };
        if let Err(fault) = authz::check(&chain.rbac, &Subject { conn: &conn, head: None }) {
            return Fate::Refused(fault.details().into_owned());
        }
        match &chain.terminal {
            Terminal::Tcp(proxy) => Fate::Bytes(proxy.clusters[0].name.to_string()),
            Terminal::Http(http) => fate(&route::decide(&self.config, snapshot.clone(), &conn, http, head).await),
        }
    }
}

fn fate(decision: &Decision) -> Fate {
    match &decision.action {
        Action::Forward(forward) => Fate::Cluster(forward.destination.name().to_string()),
        Action::Answer(answer) => Fate::Answer(answer.head.status, answer.details.to_string()),
    }
}
