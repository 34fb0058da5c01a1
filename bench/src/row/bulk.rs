//! How many bytes a pair carries.

use anyhow::Result;

use super::{LASTING, series};
use crate::figure::{Figure, Promise};
use crate::load::bytes;
use crate::pair::Pair;
use crate::peer::{Peer, Work};
use crate::site::Site;

const PEERS: [Peer; 3] = [Peer::Haproxy, Peer::Envoy, Peer::Weft];

pub(super) fn measure(site: &Site) -> Result<Vec<Figure>> {
    let pairs = Pair::all(site, &PEERS, Work::Bulk)?;
    let carried = |connections: usize| series(site, &pairs, |pair| bytes::run(site, pair.target, connections, LASTING));
    Ok(vec![
        Figure {
            work: "raw TCP through the mTLS pair, 1 connection",
            unit: "GB/s",
            series: carried(1)?,
            promise: Promise::at_least(Peer::Envoy, 1.08, 1.2),
        },
        Figure {
            work: "raw TCP through the mTLS pair, 32 connections",
            unit: "GB/s",
            series: carried(32)?,
            promise: Promise::at_least(Peer::Envoy, 1.12, 1.3),
        },
    ])
}
