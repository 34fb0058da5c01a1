//! Where a redirected connection was meant to go.

use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsFd;

use nix::sys::socket::{getsockopt, sockopt};
use tokio::net::TcpStream;

/// The destination before iptables' `REDIRECT`; `None` for a connection that was not redirected.
pub(super) fn destination(socket: &TcpStream, local: SocketAddr) -> Option<SocketAddr> {
    let found = if local.is_ipv4() {
        let raw = getsockopt(&socket.as_fd(), sockopt::OriginalDst).ok()?;
        let ip = u32::from_be(raw.sin_addr.s_addr);
        SocketAddr::V4(SocketAddrV4::new(ip.into(), u16::from_be(raw.sin_port)))
    } else {
        let raw = getsockopt(&socket.as_fd(), sockopt::Ip6tOriginalDst).ok()?;
        SocketAddr::V6(SocketAddrV6::new(raw.sin6_addr.s6_addr.into(), u16::from_be(raw.sin6_port), 0, 0))
    };
    (found != local).then_some(found)
}
