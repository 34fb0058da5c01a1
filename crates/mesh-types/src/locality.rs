//! Where a workload runs: region, zone and sub-zone, as in `topology.kubernetes.io/*` and Envoy's `Locality`.

use std::fmt;
use std::str::FromStr;

/// A locality. An empty part is unknown; a part without its parent is not meaningful.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Locality {
    /// `topology.kubernetes.io/region`.
    pub region: String,
    /// `topology.kubernetes.io/zone`.
    pub zone: String,
    /// `topology.istio.io/subzone`.
    pub subzone: String,
}

impl Locality {
    /// True if nothing is known.
    pub fn is_empty(&self) -> bool {
        self.region.is_empty() && self.zone.is_empty() && self.subzone.is_empty()
    }

    /// How many leading parts two localities share (0 to 3): Istio's default fail-over order.
    pub fn shared_prefix(&self, other: &Self) -> usize {
        let parts = [(&self.region, &other.region), (&self.zone, &other.zone), (&self.subzone, &other.subzone)];
        parts.iter().take_while(|(a, b)| a == b).count()
    }
}

impl fmt::Display for Locality {
    /// `region/zone/subzone`, without trailing empty parts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.region)?;
        if !self.zone.is_empty() || !self.subzone.is_empty() {
            write!(f, "/{}", self.zone)?;
        }
        if !self.subzone.is_empty() {
            write!(f, "/{}", self.subzone)?;
        }
        Ok(())
    }
}

impl FromStr for Locality {
    type Err = std::convert::Infallible;

    /// Reads `region/zone/subzone`; missing parts are empty.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let mut parts = s.splitn(3, '/').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Ok(Self { region: next(), zone: next(), subzone: next() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_compares() {
        let a: Locality = "eu/eu-1/a".parse().unwrap();
        let b: Locality = "eu/eu-2".parse().unwrap();
        assert_eq!(a.to_string(), "eu/eu-1/a");
        assert_eq!(b.to_string(), "eu/eu-2");
        assert_eq!((a.shared_prefix(&b), a.shared_prefix(&a)), (1, 3));
    }
}
