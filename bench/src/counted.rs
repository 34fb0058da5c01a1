//! What work costs in instructions and allocations: counted by callgrind, so that neither the machine's speed nor what else
//! it does changes them, and held to budgets.
//!
//! The proxies are those of the measurements, driven by istiod, one connection or request after the other.

mod budget;
mod callgrind;

use std::net::TcpStream;

use anyhow::{Context, Result, bail};
use mesh_testkit::lab;

use budget::{Budgets, Cost};
use callgrind::Counted;

use crate::http::{self, Connection};
use crate::peer::{Peer, Side, Target, Work};
use crate::site::Site;

/// Something that is done again and again.
struct Deed {
    name: &'static str,
    work: Work,
    /// Each on a connection of its own.
    connects: bool,
    count: u32,
}

/// So many first, of each, that are not counted: connections are opened, memory is taken, configuration comes.
const WARM: u32 = 50;

const DEEDS: &[Deed] = &[
    Deed { name: "a plaintext HTTP/1.1 hop", work: Work::Hop, connects: false, count: 1000 },
    Deed { name: "an mTLS pair, HTTP/1.1 between", work: Work::Http1, connects: false, count: 1000 },
    Deed { name: "an mTLS pair, HTTP/2 between", work: Work::Http2, connects: false, count: 1000 },
    Deed { name: "an mTLS pair carrying bytes", work: Work::Tcp, connects: false, count: 1000 },
    Deed { name: "an mTLS pair, with a new client connection", work: Work::Http1, connects: true, count: 200 },
    Deed {
        name: "an mTLS pair carrying bytes, with a new client connection",
        work: Work::Tcp,
        connects: true,
        count: 100,
    },
];

/// Counts, and compares or writes the budgets. True if all of them hold.
pub(crate) fn run(write: bool) -> Result<bool> {
    if let Err(obstacle) = callgrind::check().and_then(|()| lab::become_root().map(drop)) {
        if write || std::env::var_os("CI").is_some() {
            return Err(obstacle.context("NOTHING IS COUNTED"));
        }
        println!("NOTHING IS COUNTED: SKIPPED, since {obstacle:#}");
        return Ok(true);
    }
    super::end_on_signals()?;
    let counted = count()?;
    if write {
        counted.write()?;
        return Ok(true);
    }
    Ok(counted.hold(&Budgets::read()?))
}

fn count() -> Result<Budgets> {
    let site = Site::open(1)?;
    let _origin = site.http_origin()?;
    let server = Counted::start(&site, Side::Server)?;
    let client = Counted::start(&site, Side::Client)?;
    let mut counted = Budgets::default();
    for deed in DEEDS {
        let cost = deed.cost(&site, &[&client, &server]).with_context(|| {
            format!("{}; the client's proxy says:\n{}\nthe server's:\n{}", deed.name, client.output(), server.output())
        })?;
        println!("{}: {cost}", deed.name);
        counted.insert(deed.name, cost);
    }
    Ok(counted)
}

impl Deed {
    /// What one costs all proxies together.
    fn cost(&self, site: &Site, proxies: &[&Counted<'_>]) -> Result<Cost> {
        let target = Peer::Weft.target(self.work);
        site.as_load(|| {
            let mut caller = Caller::new(target, self.connects);
            caller.call(WARM)?;
            proxies.iter().try_for_each(|proxy| proxy.take().map(drop))?;
            caller.call(self.count)?;
            let spent = proxies.iter().map(|proxy| proxy.take()).collect::<Result<Vec<_>>>()?;
            Ok(spent.into_iter().sum::<Cost>() / f64::from(self.count))
        })
    }
}

/// Who asks, again and again.
struct Caller {
    target: Target,
    connects: bool,
    connection: Option<Connection<TcpStream>>,
}

impl Caller {
    fn new(target: Target, connects: bool) -> Self {
        Self { target, connects, connection: None }
    }

    fn call(&mut self, count: u32) -> Result<()> {
        let request = http::get(self.target.authority);
        for _ in 0..count {
            if self.connects || self.connection.is_none() {
                self.connection = Some(Connection::new(http::connect(self.target.address)?));
            }
            match &mut self.connection {
                Some(connection) => connection.ask_well(request.as_bytes())?,
                None => bail!("nobody is connected"),
            }
        }
        Ok(())
    }
}
