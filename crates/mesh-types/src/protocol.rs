//! Protocols of service ports, chosen as Istio chooses them.

use std::fmt;

/// What a port speaks, as far as it was declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP/1.1 (HTTP/1.0 accepted).
    Http,
    /// HTTP/2 in clear text.
    Http2,
    /// gRPC: HTTP/2 with trailers and gRPC status.
    Grpc,
    /// gRPC-Web: HTTP that is carried as it is. Its server speaks it, or has its own bridge to gRPC.
    GrpcWeb,
    /// HTTPS: opaque TLS to the mesh, terminated by a gateway.
    Https,
    /// TLS that the mesh does not terminate.
    Tls,
    /// Opaque TCP. MongoDB, MySQL and Redis are carried as such.
    Tcp,
    /// UDP: neither captured nor proxied.
    Udp,
    /// Not declared: the first bytes decide.
    Auto,
}

impl Protocol {
    /// The protocol of a Kubernetes service port, by Istio's precedence: `appProtocol`, the prefix of the port's
    /// name, well-known TCP ports, and otherwise detection. `transport` is the port's `protocol` (`TCP` if empty).
    pub fn of_port(port: u16, name: &str, app_protocol: Option<&str>, transport: &str) -> Self {
        if transport.eq_ignore_ascii_case("udp") {
            return Self::Udp;
        }
        if let Some(protocol) = app_protocol.and_then(Self::from_app_protocol) {
            return protocol;
        }
        if let Some(protocol) = Self::from_port_name(name) {
            return protocol;
        }
        match port {
            25 | 53 | 3306 | 27017 => Self::Tcp,
            _ => Self::Auto,
        }
    }

    /// Reads a protocol word, as in `Gateway.servers.port.protocol` and `ServiceEntry.ports.protocol`; any case.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "http" | "http_proxy" | "http-proxy" => Self::Http,
            "http2" => Self::Http2,
            "grpc" => Self::Grpc,
            "grpc-web" => Self::GrpcWeb,
            "https" => Self::Https,
            "tls" => Self::Tls,
            "tcp" | "mongo" | "redis" | "mysql" => Self::Tcp,
            "udp" => Self::Udp,
            _ => return None,
        })
    }

    fn from_app_protocol(word: &str) -> Option<Self> {
        match word {
            "kubernetes.io/h2c" => Some(Self::Http2),
            "kubernetes.io/ws" => Some(Self::Http),
            "kubernetes.io/wss" => Some(Self::Https),
            _ => Self::parse(word),
        }
    }

    fn from_port_name(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        if lower == "grpc-web" || lower.starts_with("grpc-web-") {
            return Some(Self::GrpcWeb);
        }
        Self::parse(lower.split('-').next().unwrap_or_default())
    }

    /// True if the proxy reads this protocol as HTTP without looking.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Http2 | Self::Grpc | Self::GrpcWeb)
    }

    /// True if upstream connections speak HTTP/2.
    pub fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Grpc | Self::GrpcWeb)
    }

    /// True if connections begin with a ClientHello that the mesh passes on.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }

    /// True if the proxy never looks for HTTP inside.
    pub fn is_opaque(self) -> bool {
        matches!(self, Self::Https | Self::Tls | Self::Tcp)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP",
            Self::Http2 => "HTTP2",
            Self::Grpc => "GRPC",
            Self::GrpcWeb => "GRPC-Web",
            Self::Https => "HTTPS",
            Self::Tls => "TLS",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Auto => "AUTO",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn istio_precedence() {
        let cases = [
            (80, "http", None, "TCP", Protocol::Http),
            (80, "http-web", None, "TCP", Protocol::Http),
            (80, "httpweb", None, "TCP", Protocol::Auto),
            (80, "grpc-web", None, "TCP", Protocol::GrpcWeb),
            (80, "grpc-api", None, "", Protocol::Grpc),
            (80, "http", Some("grpc"), "TCP", Protocol::Grpc),
            (80, "", Some("kubernetes.io/h2c"), "TCP", Protocol::Http2),
            (3306, "", None, "TCP", Protocol::Tcp),
            (3306, "http", None, "TCP", Protocol::Http),
            (53, "dns", None, "UDP", Protocol::Udp),
            (9999, "mystery", Some("unheard-of"), "TCP", Protocol::Auto),
        ];
        for (port, name, app, transport, want) in cases {
            assert_eq!(Protocol::of_port(port, name, app, transport), want, "{port} {name} {app:?} {transport}");
        }
    }
}
