//! The settings of a connection, as the newest configuration has them: an edit reaches the next request of a connection
//! that is open already, and only a revoked permission ends it.

use std::sync::Arc;

use crate::accept::{Facts, Followed, Newest};
use crate::conn::ConnInfo;
use crate::model::{HttpConnection, Terminal};
use crate::worker::Worker;

/// A connection's settings, followed from request to request.
pub struct Live {
    http: Arc<HttpConnection>,
    /// `None` for settings that never change.
    followed: Option<Box<Followed>>,
}

impl Live {
    /// Settings that came with a snapshot of this version, for a connection of which this is known.
    pub fn new(http: Arc<HttpConnection>, facts: Facts, version: u64) -> Self {
        Self { http, followed: Some(Box::new(Followed::new(facts, Some(version)))) }
    }

    /// Settings that never change.
    pub fn fixed(http: Arc<HttpConnection>) -> Self {
        Self { http, followed: None }
    }

    /// The settings for the next request; `None` if the connection may not go on: a policy forbids it now, or it is in
    /// plain text where TLS has become a must. A listener that is gone leaves its connections as they are.
    pub(crate) fn newest(&mut self, worker: &Worker, conn: &ConnInfo) -> Option<Arc<HttpConnection>> {
        if let Some(followed) = &mut self.followed
            && !followed.is_newest(worker.version())
        {
            match followed.newest(&worker.snapshot(), conn) {
                Newest::AsBefore => {}
                Newest::Refused(_) => return None,
                Newest::Chain(chain) => {
                    if let Terminal::Http(http) = &chain.terminal {
                        self.http = http.clone();
                    }
                }
            }
        }
        Some(self.http.clone())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::{
        ChainMatch, CodecType, DownstreamTls, FilterChain, ForwardClientCert, HttpFilters, Inspect, Listener,
        ListenerKind, Policy, PolicyAction, Rbac, RouteSource, Snapshot, Transport,
    };
    use crate::xds::Config;

    fn settings(name: &str) -> Arc<HttpConnection> {
        Arc::new(HttpConnection {
            stat_prefix: name.into(),
            codec: CodecType::Auto,
            routes: RouteSource::Rds("r".into()),
            filters: HttpFilters::default(),
            access_logs: Arc::new([]),
            normalize_path: false,
            merge_slashes: false,
            unescape_slashes: false,
            use_remote_address: false,
            xff_trusted_hops: 0,
            forward_client_cert: ForwardClientCert::Sanitize,
            server_name: None,
            generate_request_id: false,
            idle_timeout: None,
            stream_idle_timeout: None,
            request_headers_timeout: None,
            http10: false,
            upgrades: Vec::new(),
            max_head: 60 * 1024,
        })
    }

    pub(crate) fn snapshot(name: &str, tls: bool, rbac: Vec<Arc<Rbac>>) -> Snapshot {
        let tls = tls.then(|| {
            Arc::new(DownstreamTls {
                certificates: Vec::new(),
                client_roots: None,
                client_crl: None,
                require_client_certificate: true,
                client_sans: Vec::new(),
                alpn: Vec::new(),
                tls13_only: false,
                tls12_only: false,
            })
        });
        let terminal = Terminal::Http(settings(name));
        let chain = FilterChain { name: "c".into(), matches: ChainMatch::default(), tls, rbac, terminal };
        let listener = Listener {
            name: "virtualInbound".into(),
            addresses: Vec::new(),
            bind: true,
            kind: ListenerKind::Inbound,
            redirected: true,
            inspect: Inspect::default(),
            chains: vec![Arc::new(chain)],
            default_chain: None,
            access_logs: Arc::new([]),
            last_use: Default::default(),
        };
        let mut snapshot = Snapshot::default();
        snapshot.listeners.insert("virtualInbound".into(), Arc::new(listener));
        snapshot
    }

    #[tokio::test]
    async fn an_edit_reaches_the_next_request_of_an_open_connection() {
        let config = Config::fixed(snapshot("first", false, Vec::new()));
        let (worker, _) = Worker::of_test(config.clone());
        let (peer, destination) = (([10, 0, 0, 2], 1).into(), ([10, 0, 0, 1], 80).into());
        let conn = ConnInfo::new(ListenerKind::Inbound, "virtualInbound".into(), peer, destination);
        let facts = Facts {
            destination,
            source: [10, 0, 0, 2].into(),
            transport: Transport::Raw,
            server_name: None,
            protocols: Vec::new(),
        };
        let mut live = Live::new(settings("first"), facts, worker.snapshot().version);
        let mut prefix = || live.newest(&worker, &conn).map(|http| http.stat_prefix.to_string());
        assert_eq!(prefix().as_deref(), Some("first"));
        config.publish(snapshot("second", false, Vec::new()));
        assert_eq!(prefix().as_deref(), Some("second"));
        config.publish(Snapshot::default());
        assert_eq!(prefix().as_deref(), Some("second"), "a listener that is gone leaves its connections");
        let nobody = Rbac { action: PolicyAction::Allow, policies: Vec::<Policy>::new(), shadow: false };
        config.publish(snapshot("third", false, vec![Arc::new(nobody)]));
        assert_eq!(prefix(), None, "a revoked permission ends it");
        assert_eq!(prefix(), None, "and whoever asks again hears the same");
        config.publish(snapshot("fourth", true, Vec::new()));
        assert_eq!(prefix(), None, "plain text ends where TLS is a must");
    }
}
