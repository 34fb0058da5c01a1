//! What a request costs both proxies of a pair, at full load.

use anyhow::Result;

use super::micros;
use crate::figure::{Figure, Promise};
use crate::load::requests::After;
use crate::load::{grpc as calls, requests};
use crate::pair::Pair;
use crate::peer::{Peer, Work};
use crate::site::Site;

use Peer::{Envoy, Haproxy, Nginx, Weft};

pub(super) fn plain(site: &Site) -> Result<Vec<Figure>> {
    let promise = Promise::at_most(Haproxy, 0.95, 0.75);
    measure(site, "one plaintext HTTP/1.1 hop", &[Haproxy, Envoy, Nginx, Weft], Work::Hop, After::Keep, promise)
}

pub(super) fn http1(site: &Site) -> Result<Vec<Figure>> {
    let (work, promise) = ("mTLS pair, HTTP/1.1 client, HTTP/1.1 between", Promise::at_most(Haproxy, 0.75, 0.5));
    measure(site, work, &[Haproxy, Envoy, Nginx, Weft], Work::Http1, After::Keep, promise)
}

pub(super) fn http2(site: &Site) -> Result<Vec<Figure>> {
    let promise = Promise::at_most(Haproxy, 0.75, 0.5);
    let work = "mTLS pair, HTTP/1.1 client, HTTP/2 between";
    measure(site, work, &[Haproxy, Envoy, Weft], Work::Http2, After::Keep, promise)
}

pub(super) fn grpc(site: &Site) -> Result<Vec<Figure>> {
    let pairs = Pair::all(site, &[Haproxy, Envoy, Weft], Work::Grpc)?;
    let series = micros(site, &pairs, |pair, lasting| calls::run(site, pair.target, lasting))?;
    let promise = Promise::at_most(Haproxy, 0.85, 0.6);
    Ok(vec![Figure { work: "mTLS pair, gRPC", unit: "CPU µs/call", series, promise }])
}

pub(super) fn tcp(site: &Site) -> Result<Vec<Figure>> {
    let promise = Promise::at_most(Haproxy, 0.85, 0.65);
    let work = "L4 mTLS pair carrying keep-alive HTTP";
    measure(site, work, &[Haproxy, Envoy, Weft], Work::Tcp, After::Keep, promise)
}

pub(super) fn churn(site: &Site) -> Result<Vec<Figure>> {
    let promise = Promise::at_most(Haproxy, 0.95, 0.75);
    let work = "new client connection per request, L7 pair";
    measure(site, work, &[Haproxy, Envoy, Weft], Work::Http1, After::Close, promise)
}

pub(super) fn churn_tcp(site: &Site) -> Result<Vec<Figure>> {
    let promise = Promise::at_most(Envoy, 0.22, 0.11);
    let work = "new client connection per request, L4 pair";
    measure(site, work, &[Haproxy, Envoy, Weft], Work::Tcp, After::Close, promise)
}

fn measure(
    site: &Site,
    what: &'static str,
    peers: &[Peer],
    work: Work,
    after: After,
    promise: Option<Promise>,
) -> Result<Vec<Figure>> {
    let pairs = Pair::all(site, peers, work)?;
    let series = micros(site, &pairs, |pair, lasting| requests::run(site, pair.target, after, lasting))?;
    Ok(vec![Figure { work: what, unit: "CPU µs/request", series, promise }])
}
