//! As much of an HTTP/1.1 client as the loads of our own need: one request after the other on a connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// No answer comes later.
const PATIENCE: Duration = Duration::from_secs(10);
/// Heads of answers are shorter.
const LONGEST_HEAD: usize = 16 * 1024;

/// A connection on which requests are asked.
pub(crate) struct Connection<S> {
    stream: S,
    heard: Vec<u8>,
}

/// Connects, with a bound on every read and write.
pub(crate) fn connect(to: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE).with_context(|| format!("connecting to {to}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A request for `/`.
pub(crate) fn get(authority: &str) -> String {
    request(authority, "/")
}

/// The status of a page.
pub(crate) fn status(at: SocketAddr, path: &str) -> Result<u16> {
    Connection::new(connect(at)?).ask(request("localhost", path).as_bytes())
}

fn request(authority: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n\r\n")
}

impl<S: Read + Write> Connection<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, heard: Vec::new() }
    }

    /// Sends a request and takes its whole answer, of which the status is returned.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).context("sending the request")?;
        let head = loop {
            if let Some(at) = self.heard.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            ensure!(self.heard.len() < LONGEST_HEAD, "the head of the answer does not end");
            self.hear()?;
        };
        let (status, length) = parse(&self.heard[..head])?;
        while self.heard.len() < head + length {
            self.hear()?;
        }
        ensure!(self.heard.len() == head + length, "there is more than the answer");
        self.heard.clear();
        Ok(status)
    }

    /// The same; anything but 200 is an error.
    pub(crate) fn ask_well(&mut self, request: &[u8]) -> Result<()> {
        match self.ask(request)? {
            200 => Ok(()),
            status => bail!("the answer is {status}"),
        }
    }

    fn hear(&mut self) -> Result<()> {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer).context("waiting for the answer")?;
        ensure!(count > 0, "the connection was closed before the answer");
        self.heard.extend_from_slice(&buffer[..count]);
        Ok(())
    }
}

/// Status and length of the body.
fn parse(head: &[u8]) -> Result<(u16, usize)> {
    let head = std::str::from_utf8(head).context("the head of the answer is no text")?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    match (status, length) {
        (Some(status), Some(length)) => Ok((status, length)),
        _ => bail!("the answer has no status or no length: {head}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn an_answer_is_taken_whole() {
        let whole = b"HTTP/1.1 404 Not Found\r\ncontent-Length: 3\r\n\r\nabc";
        assert_eq!(parse(&whole[..whole.len() - 3]).unwrap(), (404, 3));
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        // The request is written over the beginning, the answer follows.
        let mut both = vec![b' '; 5];
        both.extend_from_slice(whole);
        assert_eq!(Connection::new(Cursor::new(both)).ask(b"asked").unwrap(), 404);
        let mut cut = vec![b' '; 5];
        cut.extend_from_slice(&whole[..whole.len() - 1]);
        assert!(Connection::new(Cursor::new(cut)).ask(b"asked").is_err());
    }
}
