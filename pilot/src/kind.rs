//! Types of resources.

/// Types of resources, in the order in which they are sent: what is referred to comes before what refers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// CDS.
    Cluster,
    /// EDS.
    Endpoints,
    /// LDS.
    Listener,
    /// RDS.
    Route,
    /// VHDS.
    VirtualHost,
    /// SDS.
    Secret,
}

impl Kind {
    /// All of them, in order.
    pub const ALL: [Self; 6] =
        [Self::Cluster, Self::Endpoints, Self::Listener, Self::Route, Self::VirtualHost, Self::Secret];

    /// The type's URL on the wire.
    pub fn url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::VirtualHost => "type.googleapis.com/envoy.config.route.v3.VirtualHost",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        }
    }

    /// What people are told of.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Endpoints => "Endpoints",
            Self::Listener => "Listener",
            Self::Route => "Route",
            Self::VirtualHost => "VirtualHost",
            Self::Secret => "Secret",
        }
    }

    /// The type of a URL.
    pub fn of(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.url() == url)
    }

    /// The host, or the address, on which it depends whether there is a resource of this name.
    pub(crate) fn host_in(self, name: &str) -> &str {
        let host = match self {
            Self::Cluster | Self::Endpoints => name.rsplit('|').next().unwrap_or(name),
            Self::Listener => name.rsplit_once('_').map_or(name, |(address, _)| address),
            Self::Route => name.rsplit_once(':').map_or(name, |(host, _)| host),
            Self::VirtualHost => name.split_once('/').map_or(name, |(_, authority)| authority),
            Self::Secret => name,
        };
        host.trim_matches(['[', ']']).trim_end_matches('.')
    }

    /// True for types of which a proxy that names nothing gets everything.
    pub fn is_wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_of_hosts() {
        for (kind, name, host) in [
            (Kind::Cluster, "outbound|80|v1|a.default.svc.cluster.local", "a.default.svc.cluster.local"),
            (Kind::Endpoints, "outbound|80||a.example.com", "a.example.com"),
            (Kind::Listener, "10.0.0.1_80", "10.0.0.1"),
            (Kind::Listener, "[2001:db8::1]_80", "2001:db8::1"),
            (Kind::Route, "a.example.com:80", "a.example.com"),
            (Kind::VirtualHost, "80/a.example.com.", "a.example.com"),
            (Kind::VirtualHost, "80/[2001:db8::1]", "2001:db8::1"),
            (Kind::VirtualHost, "nonsense", "nonsense"),
        ] {
            assert_eq!(kind.host_in(name), host);
        }
    }
}
