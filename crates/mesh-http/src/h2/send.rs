//! Sending.

use super::connection::Connection;
use super::flow::{ReceiveWindow, SendWindow};
use super::frame::{self, END_STREAM};
use super::head;
use super::settings::MOST_WINDOW;
use super::stream::{Half, Stream};
use crate::{BodyLength, Fields, RequestHead, ResponseHead, Version};

impl<S> Connection<S> {
    /// Opens a stream with a request, if [`Self::can_open`]; returns its identifier.
    pub fn open(&mut self, head: &RequestHead, kept: S, out: &mut Vec<u8>) -> Option<u32> {
        if !self.can_open() {
            return None;
        }
        let id = self.next;
        self.next += 2;
        let asks = head::asks(head);
        let no_trailers = head.version != Version::Http2;
        let end = (head.body == BodyLength::Empty || no_trailers && head.body.is_empty()) && !asks.tunnel;
        let start = frame::start_headers(out);
        head::write_request(&mut self.encoder, head, &asks, out);
        frame::finish_headers(start, id, end, self.peer.frame, out);
        let stream = Stream {
            receives: Half::Head,
            sends: if end { Half::Done } else { Half::Body },
            send_window: SendWindow::new(self.peer.window),
            receive_window: ReceiveWindow::new(self.limits.stream_window),
            promised: None,
            asks,
            reset: None,
            answered: false,
            kept,
        };
        self.streams.insert(id, stream);
        self.active += 1;
        Some(id)
    }

    /// Answers with an interim response (1xx).
    pub fn respond_interim(&mut self, id: u32, head: &ResponseHead, out: &mut Vec<u8>) {
        if self.sends(id) && head.status != 101 {
            let start = frame::start_headers(out);
            head::write_response(&mut self.encoder, head, BodyLength::Empty, out);
            frame::finish_headers(start, id, false, self.peer.frame, out);
        }
    }

    /// Answers; `body` is how long the body will be. [`BodyLength::Empty`] ends the stream here.
    pub fn respond(&mut self, id: u32, head: &ResponseHead, body: BodyLength, out: &mut Vec<u8>) {
        let Some(stream) = self.streams.get(id).filter(|_| self.sends(id)) else { return };
        let tunnel = stream.asks.tunnel && matches!(head.status, 101 | 200..=299);
        let bodiless = !tunnel && (stream.asks.head || matches!(head.status, 204 | 304));
        let end = !tunnel && (bodiless || body == BodyLength::Empty);
        let framing = match body {
            _ if bodiless => BodyLength::Empty,
            _ if tunnel => BodyLength::Stream,
            known => known,
        };
        let start = frame::start_headers(out);
        head::write_response(&mut self.encoder, head, framing, out);
        frame::finish_headers(start, id, end, self.peer.frame, out);
        self.ended(id, |stream| {
            stream.answered = true;
            if end {
                stream.sends = Half::Done;
            }
        });
    }

    /// Sends bytes of a body, as many as the windows allow: says how many. With `end`, and if all could be sent, they are
    /// the last.
    pub fn data(&mut self, id: u32, data: &[u8], end: bool, out: &mut Vec<u8>) -> usize {
        let (left, largest) = (self.send_window.left(), self.peer.frame);
        let Some(stream) = self.streams.get_mut(id) else { return data.len() };
        if stream.sends != Half::Body || stream.reset.is_some() {
            return data.len();
        }
        let count = data.len().min(left).min(stream.send_window.left());
        let whole = count == data.len();
        stream.send_window.take(count);
        self.send_window.take(count);
        if count > 0 {
            self.nuisance.sent();
        }
        let mut pieces = data[..count].chunks(largest).peekable();
        while let Some(piece) = pieces.next() {
            let last = end && whole && pieces.peek().is_none();
            frame::begin(piece.len(), frame::DATA, if last { END_STREAM } else { 0 }, id, out);
            out.extend_from_slice(piece);
        }
        if end && whole {
            if data.is_empty() {
                frame::begin(0, frame::DATA, END_STREAM, id, out);
            }
            self.ended(id, |stream| stream.sends = Half::Done);
        }
        count
    }

    /// Ends a body with trailers.
    pub fn trailers(&mut self, id: u32, trailers: &Fields, out: &mut Vec<u8>) {
        if !self.sends(id) {
            return;
        }
        let start = frame::start_headers(out);
        head::write_trailers(&mut self.encoder, trailers, out);
        frame::finish_headers(start, id, true, self.peer.frame, out);
        self.ended(id, |stream| stream.sends = Half::Done);
    }

    /// How many bytes of body the windows of a stream allow now.
    pub fn room(&self, id: u32) -> usize {
        let stream = self.streams.get(id).map_or(MOST_WINDOW as usize, |stream| stream.send_window.left());
        stream.min(self.send_window.left())
    }

    /// True if a body can still be sent on a stream.
    fn sends(&self, id: u32) -> bool {
        self.streams.get(id).is_some_and(|stream| stream.sends == Half::Body && stream.reset.is_none())
    }
}
