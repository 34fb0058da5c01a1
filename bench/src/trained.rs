//! What a release is guided by: our pair alone under the loads of the table, ended by asking, so that a proxy that was built
//! to count what it runs writes that down.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::load::handshake::{Caller, Then};
use crate::load::requests::After;
use crate::load::{bytes, grpc, open, requests};
use crate::pair::Pair;
use crate::peer::{Peer, Work};
use crate::site::Site;

/// Each load.
const LASTING: Duration = Duration::from_secs(5);
/// Requests a second where not as many are asked as are answered.
const RATE: u32 = 2000;
/// Longer than a proxy that nobody calls takes to end.
const FAREWELL: Duration = Duration::from_secs(60);

/// Runs every kind of work once.
pub(crate) fn run(site: &Site) -> Result<()> {
    let _origins = site.origins()?;
    for work in [Work::Hop, Work::Http1, Work::Http2, Work::Grpc, Work::Tcp, Work::Bulk] {
        println!("── {work:?}");
        let mut pair = Pair::start(site, Peer::Weft, work)?;
        load(site, &pair, work).with_context(|| pair.state())?;
        for proxy in std::iter::once(&mut pair.client).chain(pair.server.as_mut().map(|(process, _)| process)) {
            proxy.terminate()?;
            proxy.wait(FAREWELL)?;
        }
    }
    Ok(())
}

fn load(site: &Site, pair: &Pair, work: Work) -> Result<()> {
    let asked = |after| requests::run(site, pair.target, after, LASTING).map(drop);
    match work {
        Work::Hop | Work::Tcp => {
            asked(After::Keep)?;
            asked(After::Close)
        }
        Work::Http1 => {
            asked(After::Keep)?;
            asked(After::Close)?;
            site.as_load(|| open::run(pair.target, RATE, LASTING))?;
            let caller = Caller::known(&site.certificates.identity("client")?)?;
            let (_, door) = pair.server()?;
            site.as_proxy(|| caller.repeat(*door, pair.target.authority, Then::Ask, LASTING)).map(drop)
        }
        Work::Http2 => asked(After::Keep),
        Work::Grpc => grpc::run(site, pair.target, LASTING).map(drop),
        Work::Bulk => {
            [1, 32].iter().try_for_each(|connections| bytes::run(site, pair.target, *connections, LASTING).map(drop))
        }
    }
}
