//! The node id by which a proxy introduces itself over xDS: `sidecar~<ip>~<pod>.<namespace>~<domain>`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Node metadata of a proxy that asks for what it uses by name, with the value `true`.
pub const ON_DEMAND_METADATA: &str = "WEFT_ON_DEMAND";
/// How a control plane that heeds it introduces itself to that proxy; any other has sent all that there is.
pub const ON_DEMAND_CONTROL_PLANE: &str = "weft/on-demand";

/// What a proxy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// Beside a workload.
    Sidecar,
    /// A gateway.
    Router,
}

/// A parsed node id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeId {
    /// Sidecar or gateway.
    pub kind: NodeKind,
    /// The workload's first address.
    pub ip: IpAddr,
    /// The workload's name (the pod's).
    pub workload: String,
    /// The workload's namespace.
    pub namespace: String,
    /// The DNS domain of the namespace, such as `default.svc.cluster.local`.
    pub domain: String,
}

/// The string is not a node id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a node id of the form <sidecar|router>~<ip>~<workload>.<namespace>~<domain>")]
pub struct NodeIdError(String);

impl fmt::Display for NodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sidecar => "sidecar",
            Self::Router => "router",
        })
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}~{}~{}.{}~{}", self.kind, self.ip, self.workload, self.namespace, self.domain)
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let error = || NodeIdError(s.to_owned());
        let mut parts = s.split('~');
        let (Some(kind), Some(ip), Some(id), Some(domain), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(error());
        };
        let kind = match kind {
            "sidecar" => NodeKind::Sidecar,
            "router" => NodeKind::Router,
            _ => return Err(error()),
        };
        let (workload, namespace) = id.rsplit_once('.').ok_or_else(error)?;
        Ok(Self {
            kind,
            ip: ip.parse().map_err(|_| error())?,
            workload: workload.to_owned(),
            namespace: namespace.to_owned(),
            domain: domain.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for id in ["sidecar~10.0.0.1~reviews-v1-0.default~default.svc.cluster.local", "router~fd00::1~gw.ns~ns.svc.x"] {
            assert_eq!(id.parse::<NodeId>().unwrap().to_string(), id);
        }
        for bad in ["", "sidecar~x~a.b~c", "ztunnel~1.1.1.1~a.b~c", "sidecar~1.1.1.1~ab~c", "sidecar~1.1.1.1~a.b~c~d"] {
            assert!(bad.parse::<NodeId>().is_err());
        }
    }
}
