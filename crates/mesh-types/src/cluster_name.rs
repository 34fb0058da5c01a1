//! Istio's names of clusters. Kiali, `istioctl` and dashboards parse them, so they are a contract.

use std::fmt;
use std::str::FromStr;

/// Where unknown outbound destinations go under `ALLOW_ANY`.
pub const PASSTHROUGH_CLUSTER: &str = "PassthroughCluster";
/// Where unknown outbound destinations go under `REGISTRY_ONLY`.
pub const BLACK_HOLE_CLUSTER: &str = "BlackHoleCluster";
/// Where inbound connections to undeclared ports go.
pub const INBOUND_PASSTHROUGH_CLUSTER: &str = "InboundPassthroughCluster";

/// Which way traffic flows, seen from the workload beside the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the workload to others.
    Outbound,
    /// From others to the workload.
    Inbound,
}

/// The parts of a structured cluster name, `outbound|<port>|<subset>|<host>` or `inbound|<port>||`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClusterName {
    /// Which way the cluster's traffic flows.
    pub direction: Direction,
    /// The service port (outbound) or the workload's port (inbound).
    pub port: u16,
    /// The `DestinationRule` subset; empty for the whole service.
    pub subset: String,
    /// The service's full host name; empty for inbound clusters.
    pub host: String,
}

impl ClusterName {
    /// The cluster of a service port, or of a subset of it.
    pub fn outbound(host: &str, port: u16, subset: &str) -> Self {
        Self { direction: Direction::Outbound, port, subset: subset.to_owned(), host: host.to_owned() }
    }

    /// The cluster of a port of the workload itself.
    pub fn inbound(port: u16) -> Self {
        Self { direction: Direction::Inbound, port, subset: String::new(), host: String::new() }
    }

    /// The SNI of automatic mutual TLS and of SNI routing between networks: `outbound_.<port>_.<subset>_.<host>`.
    pub fn sni(&self) -> String {
        format!("{}_.{}_.{}_.{}", self.direction, self.port, self.subset, self.host)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        })
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}|{}|{}", self.direction, self.port, self.subset, self.host)
    }
}

impl FromStr for ClusterName {
    type Err = ();

    /// Fails for names that are not structured, such as `PassthroughCluster`.
    fn from_str(s: &str) -> Result<Self, ()> {
        let mut parts = s.splitn(4, '|');
        let (Some(direction), Some(port), Some(subset), Some(host)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(());
        };
        let direction = match direction {
            "outbound" => Direction::Outbound,
            "inbound" => Direction::Inbound,
            _ => return Err(()),
        };
        let port = port.parse().map_err(|_| ())?;
        Ok(Self { direction, port, subset: subset.to_owned(), host: host.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in ["outbound|9080|v1|reviews.default.svc.cluster.local", "outbound|80||a.b", "inbound|8080||"] {
            assert_eq!(name.parse::<ClusterName>().unwrap().to_string(), name);
        }
        assert!("PassthroughCluster".parse::<ClusterName>().is_err());
        assert!("outbound|x||h".parse::<ClusterName>().is_err());
    }

    #[test]
    fn sni_is_istios() {
        let name = ClusterName::outbound("reviews.default.svc.cluster.local", 9080, "v1");
        assert_eq!(name.sni(), "outbound_.9080_.v1_.reviews.default.svc.cluster.local");
    }
}
