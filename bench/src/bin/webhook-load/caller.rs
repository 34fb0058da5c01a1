//! One connection of the API server's.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// As the API server gives up on a webhook.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to the webhook, kept for one call after the other.
pub(crate) struct Caller(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Caller {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr, tls: &Arc<ClientConfig>, name: &'static str) -> Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        let connection = ClientConnection::new(tls.clone(), ServerName::try_from(name)?)?;
        Ok(Self(BufReader::new(StreamOwned::new(connection, socket))))
    }

    /// Posts a review; what is answered.
    pub(crate) fn post(&mut self, body: &[u8]) -> Result<Vec<u8>> {
        let head = format!(
            "POST /inject?timeout=10s HTTP/1.1\r\nhost: istiod.istio-system.svc:443\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let stream = self.0.get_mut();
        stream.write_all(&[head.as_bytes(), body].concat())?;
        stream.flush()?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Vec<u8>> {
        let mut status = String::new();
        self.0.read_line(&mut status)?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().context("content-length")?;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        ensure!(status.starts_with("HTTP/1.1 200 "), "{} {}", status.trim_end(), String::from_utf8_lossy(&body));
        Ok(body)
    }
}
