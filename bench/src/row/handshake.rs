//! What a full handshake costs the server's proxy, of a caller that shows a certificate and does not resume.

use anyhow::{Context, Result};

use super::{LASTING, WARM, labelled, rounds};
use crate::cpu;
use crate::figure::{Figure, Promise, Series};
use crate::load::handshake::{Caller, Then};
use crate::pair::Pair;
use crate::peer::{Peer, Work};
use crate::site::Site;

const PEERS: [Peer; 3] = [Peer::Haproxy, Peer::Envoy, Peer::Weft];

pub(super) fn measure(site: &Site) -> Result<Vec<Figure>> {
    let pairs = Pair::all(site, &PEERS, Work::Http1)?;
    let caller = Caller::known(&site.certificates.identity("client")?)?;
    let both: Vec<(&Pair, Then)> = pairs.iter().flat_map(|pair| [(pair, Then::Ask), (pair, Then::Close)]).collect();
    let samples =
        rounds(site.rounds, &both, |(pair, then)| sample(site, pair, &caller, *then).with_context(|| pair.state()))?;
    let all = labelled(both.iter().map(|(pair, _)| pair.peer), samples);
    let of = |then: Then| -> Vec<Series> {
        let chosen = all.iter().zip(&both).filter(|(_, (_, other))| *other == then);
        chosen.map(|(series, _)| Series { peer: series.peer, samples: series.samples.clone() }).collect()
    };
    // The promise is of a handshake alone against Envoy's with a request: what was measured of it once.
    let (alone, with_request) = (of(Then::Close), of(Then::Ask));
    let ours = alone.iter().filter(|series| series.peer == Peer::Weft);
    let theirs = with_request.iter().filter(|series| series.peer != Peer::Weft);
    let promised = theirs.chain(ours).map(|series| Series { peer: series.peer, samples: series.samples.clone() });
    let unit = "server's CPU µs";
    Ok(vec![
        Figure {
            work: "full mTLS handshake, of peers with one GET",
            unit,
            series: promised.collect(),
            promise: Promise::at_most(Peer::Envoy, 0.48, 0.36),
        },
        Figure { work: "full mTLS handshake, of everybody alone", unit, series: alone, promise: None },
        Figure { work: "full mTLS handshake, of everybody with one GET", unit, series: with_request, promise: None },
    ])
}

fn sample(site: &Site, pair: &Pair, caller: &Caller, then: Then) -> Result<f64> {
    let (process, door) = pair.server()?;
    let load = |lasting| site.as_proxy(|| caller.repeat(*door, pair.target.authority, then, lasting));
    load(WARM / 4)?;
    let before = cpu::spent(process.id())?;
    let count = load(LASTING)?;
    Ok((cpu::spent(process.id())? - before).as_secs_f64() * 1e6 / count)
}
