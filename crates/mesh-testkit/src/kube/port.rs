//! Ports that nobody else is given.

use anyhow::Result;
use socket2::{Domain, SockAddr, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr};

/// A port of loopback, held by a socket that never listens: the kernel gives it to nobody who asks for any port, while
/// a server that shares ports may listen on it.
#[derive(Debug)]
pub(super) struct Port {
    _held: Socket,
    number: u16,
}

impl Port {
    pub(super) fn reserve() -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_port(true)?;
        socket.bind(&SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))?;
        let number = socket.local_addr()?.as_socket().map(|address| address.port()).unwrap_or_default();
        Ok(Self { _held: socket, number })
    }

    pub(super) fn number(&self) -> u16 {
        self.number
    }
}
