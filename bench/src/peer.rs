//! Who is measured, and how each does the work.

mod envoy;
mod haproxy;
mod nginx;
mod weft;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

pub(crate) use envoy::binary as envoy_binary;
pub(crate) use weft::{ControlPlane, objects, sidecar};

use crate::site::Site;

/// A proxy beside others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Debian's.
    Haproxy,
    /// Stock, with what Istio configures.
    Envoy,
    /// Debian's.
    Nginx,
    /// Ours, driven by istiod.
    Weft,
}

/// What a pair of proxies, or one, does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// HTTP/1.1 in plain text, by the client's proxy alone.
    Hop,
    /// HTTP/1.1 all the way, over mutual TLS between the two.
    Http1,
    /// The same with HTTP/2 between the two.
    Http2,
    /// gRPC all the way.
    Grpc,
    /// Bytes, in which HTTP/1.1 is spoken.
    Tcp,
    /// Bytes of iperf3.
    Bulk,
}

/// A side of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Beside the load.
    Client,
    /// Beside the origin.
    Server,
}

/// How a proxy is started.
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Where it accepts connections of the work.
    pub(crate) door: SocketAddr,
    /// A page that says whether it is ready, where an open door does not say that.
    pub(crate) ready: Option<(SocketAddr, &'static str)>,
}

/// Where a client finds the service.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) authority: &'static str,
}

/// Where peers listen that do not tell by the original destination what a connection is for; in the order of [`Peer`], of
/// which ours is the last. The same in both pods.
const DOORS: [u16; 3] = [18001, 18002, 18003];
/// What is redirected there in the client's pod: port 80 of `10.96.1.1` and so on, a service for each peer.
const SERVICES: [u8; 3] = [1, 2, 3];
/// What is redirected there in the server's pod.
const INBOUND: [u16; 3] = [19001, 19002, 19003];
/// The name by which clients ask the peers for the service.
const AUTHORITY: &str = "origin.example.com";

/// The rules by which connections come to the peers, as arguments of iptables: redirected as those to a sidecar are, so that
/// the kernel does the same for everybody.
pub(crate) fn redirections(side: Side) -> impl Iterator<Item = String> {
    DOORS.into_iter().zip(SERVICES).zip(INBOUND).map(move |((door, last), inbound)| match side {
        Side::Client => format!("-t nat -I OUTPUT -d 10.96.1.{last} -p tcp -j REDIRECT --to-ports {door}"),
        Side::Server => format!("-t nat -I PREROUTING -p tcp --dport {inbound} -j REDIRECT --to-ports {door}"),
    })
}

impl Peer {
    pub(crate) const ALL: [Self; 4] = [Self::Haproxy, Self::Envoy, Self::Nginx, Self::Weft];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Haproxy => "HAProxy",
            Self::Envoy => "Envoy",
            Self::Nginx => "nginx",
            Self::Weft => "Weft",
        }
    }

    /// As ratios name it.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Haproxy => 'H',
            Self::Envoy => 'E',
            Self::Nginx => 'N',
            Self::Weft => 'W',
        }
    }

    /// How its proxy on a side is started for some work, with files in `directory`.
    pub(crate) fn launch(self, site: &Site, work: Work, side: Side, directory: &Path) -> Result<Launch> {
        match self {
            Self::Haproxy => haproxy::launch(site, work, side, directory),
            Self::Envoy => envoy::launch(site, work, side, directory),
            Self::Nginx => nginx::launch(site, work, side, directory),
            Self::Weft => weft::launch(site, side, directory),
        }
    }

    /// Where a client finds the service.
    pub(crate) fn target(self, work: Work) -> Target {
        match SERVICES.get(self as usize) {
            Some(last) => Target { address: ([10, 96, 1, *last], 80).into(), authority: AUTHORITY },
            None => weft::target(work),
        }
    }

    /// Where other proxies find the server's.
    pub(crate) fn server(self, site: &Site, work: Work) -> SocketAddr {
        (site.server(), INBOUND.get(self as usize).copied().unwrap_or_else(|| work.origin().port())).into()
    }

    /// Whether it lets in by identity, and not only by authority.
    pub(crate) fn authorizes(self) -> bool {
        matches!(self, Self::Envoy | Self::Weft)
    }

    /// Where the proxy on a side listens, if it is told where.
    fn listen(self, site: &Site, side: Side) -> Result<SocketAddr> {
        let Some(port) = DOORS.get(self as usize) else { bail!("{} is told by nobody where to listen", self.name()) };
        Ok(match side {
            Side::Client => ([127, 0, 0, 1], *port).into(),
            Side::Server => (site.server(), *port).into(),
        })
    }

    /// Where the proxy on a side connects to.
    fn upstream(self, site: &Site, work: Work, side: Side) -> Result<SocketAddr> {
        match (work, side) {
            (Work::Hop, _) => Ok(site.direct()),
            (_, Side::Client) => Ok(self.server(site, work)),
            (_, Side::Server) => Ok(work.origin()),
        }
    }
}

impl Work {
    /// Where the origin is, for the proxy beside it.
    fn origin(self) -> SocketAddr {
        use crate::site::origin;
        let port = match self {
            Self::Hop => origin::PLAIN,
            Self::Http1 | Self::Http2 => origin::HTTP,
            Self::Grpc => origin::GRPC,
            Self::Tcp => origin::TCP,
            Self::Bulk => origin::BULK,
        };
        ([127, 0, 0, 1], port).into()
    }

    /// No HTTP is seen.
    pub(crate) fn is_bytes(self) -> bool {
        matches!(self, Self::Tcp | Self::Bulk)
    }

    /// Between the two proxies.
    fn is_http2_between(self) -> bool {
        matches!(self, Self::Http2 | Self::Grpc)
    }
}
