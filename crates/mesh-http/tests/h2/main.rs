//! HTTP/2: two of our ends against each other in any pieces, each against the h2 crate, and against what nobody should send.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod hostile;
mod library;
mod pair;

use std::collections::HashMap;

use mesh_http::h2::{Connection, Event, Fatal, Limits, Role};
use mesh_http::{BodyLength, Fields, RequestHead, ResponseHead};

/// One end, with what it has to send.
struct End {
    conn: Connection<Vec<u8>>,
    out: Vec<u8>,
    /// What came, by stream.
    requests: HashMap<u32, RequestHead>,
    responses: HashMap<u32, ResponseHead>,
    trailers: HashMap<u32, Fields>,
}

impl End {
    fn new(role: Role) -> Self {
        Self::with(role, Limits::default())
    }

    fn with(role: Role, limits: Limits) -> Self {
        let mut out = Vec::new();
        let conn = Connection::new(role, limits, &mut out);
        Self { conn, out, requests: HashMap::new(), responses: HashMap::new(), trailers: HashMap::new() }
    }

    /// Reads all that is there, as long as there is any, and says what it meant; bodies are collected with their streams and released.
    fn read(&mut self, mut input: &[u8]) -> Result<(Vec<Event>, usize), Fatal> {
        let (mut events, before) = (Vec::new(), input.len());
        while !input.is_empty() {
            let received = self.conn.receive(input, &mut self.out)?;
            if received.consumed == 0 && received.event.is_none() {
                break;
            }
            match &received.event {
                Some(Event::Data { stream, range, .. }) => {
                    self.conn.kept(*stream).unwrap().extend_from_slice(&input[range.clone()]);
                    self.conn.release(*stream, range.len(), &mut self.out);
                }
                Some(Event::Request { stream, .. }) => {
                    _ = self.requests.insert(*stream, self.conn.take_request(RequestHead::default()))
                }
                Some(Event::Response { stream, .. }) => {
                    _ = self.responses.insert(*stream, self.conn.take_response(ResponseHead::default()))
                }
                Some(Event::Trailers { stream }) => _ = self.trailers.insert(*stream, self.conn.take_trailers()),
                _ => {}
            }
            input = &input[received.consumed..];
            events.extend(received.event);
        }
        Ok((events, before - input.len()))
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

fn request(method: &str, path: &str) -> RequestHead {
    let mut head = RequestHead::default();
    head.set_method(method.as_bytes());
    head.set_scheme(b"http");
    head.set_authority(b"shop:8080");
    head.set_path(path.as_bytes());
    head
}

/// A request with a body.
fn sending(method: &str, path: &str) -> RequestHead {
    let mut head = request(method, path);
    head.body = BodyLength::Stream;
    head
}
