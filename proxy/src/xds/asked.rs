//! What first uses have asked the control plane for, kept over restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::demand::DemandKey;
use crate::model::Type;

/// Names, with the minute in which each was asked for last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    #[serde(with = "names")]
    pub(super) listeners: BTreeMap<String, u32>,
    #[serde(with = "names")]
    pub(super) hosts: BTreeMap<String, u32>,
    /// Only for as long as the process lives: routes and listeners name them again.
    #[serde(skip)]
    pub(super) clusters: BTreeSet<String>,
}

impl Asked {
    pub(super) fn add(&mut self, key: &DemandKey, minute: u32) {
        match key {
            DemandKey::Listener(destination) => {
                self.listeners.insert(of_address(*destination), minute);
                self.listeners.insert(of_port(destination.port()), minute);
            }
            DemandKey::Host(route, authority) => drop(self.hosts.insert(format!("{route}/{authority}"), minute)),
            DemandKey::Cluster(name) => drop(self.clusters.insert(name.to_string())),
        }
    }

    /// Keeps the names that `keep` picks, given type, name and minute.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(Type, &str, u32) -> bool) {
        self.listeners.retain(|name, minute| keep(Type::Listener, name, *minute));
        self.hosts.retain(|name, minute| keep(Type::VirtualHost, name, *minute));
    }

    /// Reads what an earlier process has written; nothing if there is nothing that can be read.
    pub(super) fn read(file: &Path) -> Self {
        let text = std::fs::read(file).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Writes the whole, or leaves what was there.
    pub(super) fn write(&self, file: &Path) -> io::Result<()> {
        let partial = file.with_extension("partial");
        std::fs::write(&partial, serde_json::to_vec(self)?)?;
        std::fs::rename(&partial, file)
    }
}

/// Names alone are written: minutes are those of one process.
mod names {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(names: &BTreeMap<String, u32>, to: S) -> Result<S::Ok, S::Error> {
        names.keys().collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, u32>, D::Error> {
        Ok(Vec::<String>::deserialize(from)?.into_iter().map(|name| (name, 0)).collect())
    }
}

/// Istio's name of the listener of an address.
fn of_address(destination: SocketAddr) -> String {
    match destination.ip() {
        IpAddr::V4(ip) => format!("{ip}_{}", destination.port()),
        IpAddr::V6(ip) => format!("[{ip}]_{}", destination.port()),
    }
}

/// Istio's name of the listener of a port on every address.
fn of_port(port: u16) -> String {
    of_address(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))
}

/// The addresses that a listener's name stands for; that of a port, in both families.
pub(super) fn listener_addresses(name: &str) -> Vec<SocketAddr> {
    let parsed = name.rsplit_once('_').and_then(|(address, port)| {
        let ip: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
        Some((ip, port.parse().ok()?))
    });
    match parsed {
        Some((ip, port)) if ip.is_unspecified() => {
            vec![(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()]
        }
        Some((ip, port)) => vec![SocketAddr::new(ip, port)],
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_addresses() {
        for text in ["10.0.0.1:80", "[2001:db8::1]:80"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(listener_addresses(&of_address(address)), [address]);
        }
        assert_eq!(listener_addresses("0.0.0.0_80").len(), 2);
        assert!(listener_addresses("virtualOutbound").is_empty());
    }

    #[test]
    fn names_survive_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("asked.json");
        assert_eq!(Asked::read(&file), Asked::default());
        let mut asked = Asked::default();
        asked.add(&DemandKey::Host("80".into(), "reviews".into()), 7);
        asked.add(&DemandKey::Listener(([10, 0, 0, 1], 80).into()), 7);
        asked.write(&file).unwrap();
        let again = Asked::read(&file);
        assert_eq!(again.hosts.keys().collect::<Vec<_>>(), ["80/reviews"]);
        assert_eq!(again.listeners.keys().collect::<Vec<_>>(), ["0.0.0.0_80", "10.0.0.1_80"]);
    }
}
