//! Connections that have asked once, and stay.

use std::net::TcpStream;

use anyhow::{Context, Result};

use crate::http::{self, Connection};
use crate::peer::Target;

/// Opens so many, one after the other. They close when they are dropped.
pub(crate) fn open(target: Target, count: usize) -> Result<Vec<Connection<TcpStream>>> {
    let request = http::get(target.authority);
    let one = |index: usize| {
        let mut connection = Connection::new(http::connect(target.address)?);
        connection.ask_well(request.as_bytes()).with_context(|| format!("connection {index}"))?;
        Ok(connection)
    };
    (0..count).map(one).collect()
}
