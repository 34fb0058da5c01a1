//! Reading what a peer sends.

use super::connection::Connection;
use super::flow::{ReceiveWindow, SendWindow};
use super::frame::{self, ACK, Code, END_HEADERS, END_STREAM, HAS_PRIORITY, HEADER, Header, LARGEST, PADDED, PREFACE};
use super::head::{self, Found};
use super::stream::{Half, Stream};
use super::{Event, Fatal, Received, ResetBy, Role};

/// A payload of which a part has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Payload {
    /// Bytes of a body, with padding after them.
    Data { stream: u32, left: usize, padding: usize, end: bool },
    /// Bytes of no interest.
    Skip(usize),
}

/// A field block of which a part has come.
#[derive(Debug)]
pub(super) struct Block {
    stream: u32,
    end: bool,
    bytes: Vec<u8>,
}

const CLOSED: &str = "a frame on a stream that is closed";

impl<S: Default> Connection<S> {
    /// Reads from the start of `input`, at most one frame; answers of the protocol's own (acknowledgements, credit,
    /// refusals) are appended to `out`.
    ///
    /// # Errors
    /// If the peer breaks the protocol: a GOAWAY is appended, to be sent before the connection is closed.
    pub fn receive(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Received, Fatal> {
        self.read(input, out).inspect_err(|fatal| self.go_away(fatal.code, fatal.reason, out))
    }

    fn read(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Received, Fatal> {
        if !self.begun {
            return self.preface(input);
        }
        if let Some(payload) = self.payload.take() {
            return Ok(self.payload(payload, input, out));
        }
        let Some(header) = Header::read(input) else { return Ok(Received::default()) };
        self.may_come(header)?;
        if header.kind == frame::DATA {
            return self.data_begins(header, input, out);
        }
        let Some(payload) = input[HEADER..].get(..header.length) else { return Ok(Received::default()) };
        let event = self.frame(header, payload, out)?;
        Ok(Received { consumed: HEADER + header.length, event })
    }

    fn preface(&mut self, input: &[u8]) -> Result<Received, Fatal> {
        let length = input.len().min(PREFACE.len());
        if input[..length] != PREFACE[..length] {
            return Err(Fatal::new(Code::Protocol, "this is not HTTP/2"));
        }
        if length < PREFACE.len() {
            return Ok(Received::default());
        }
        self.begun = true;
        Ok(Received { consumed: length, event: None })
    }

    /// What may not come at all, or not now.
    fn may_come(&self, header: Header) -> Result<(), Fatal> {
        if header.length > LARGEST {
            return Err(Fatal::new(Code::FrameSize, "a frame is larger than allowed"));
        }
        if !self.peer.heard && (header.kind != frame::SETTINGS || header.has(ACK)) {
            return Err(Fatal::new(Code::Protocol, "settings have to come first"));
        }
        match &self.block {
            Some(block) if header.kind != frame::CONTINUATION || header.stream != block.stream => {
                Err(Fatal::new(Code::Protocol, "a field block is interrupted"))
            }
            None if header.kind == frame::CONTINUATION => Err(Fatal::new(Code::Protocol, "a continuation of nothing")),
            _ => Ok(()),
        }
    }

    fn frame(&mut self, header: Header, payload: &[u8], out: &mut Vec<u8>) -> Result<Option<Event>, Fatal> {
        match header.kind {
            frame::HEADERS => self.headers(header, payload, out),
            frame::CONTINUATION => self.continuation(header, payload, out),
            frame::PRIORITY => self.priority(header, payload, out),
            frame::RST_STREAM => self.was_reset(header, payload),
            frame::SETTINGS => self.settings(header, payload, out).map(|()| None),
            frame::PUSH_PROMISE => Err(Fatal::new(Code::Protocol, "a push that nobody may send")),
            frame::PING => self.was_pinged(header, payload, out),
            frame::GOAWAY => self.goes_away(header, payload),
            frame::WINDOW_UPDATE => self.credit(header, payload, out),
            _ => self.nuisance.frame().map(|()| None),
        }
    }

    /// True for a stream that nobody has opened.
    fn is_idle(&self, id: u32) -> bool {
        match self.role {
            Role::Server => id.is_multiple_of(2) || id > self.highest,
            Role::Client => id.is_multiple_of(2) || id >= self.next,
        }
    }

    /// Resets a stream for what the peer sent on it. Who makes us do so before we have answered takes its request back, as if
    /// it had reset the stream itself (CVE-2025-8671).
    fn wrong(&mut self, id: u32, code: Code, reason: &'static str, out: &mut Vec<u8>) -> Result<Option<Event>, Fatal> {
        let open = self.streams.get(id).filter(|stream| stream.reset.is_none());
        let told = open.is_some();
        if self.role == Role::Server && open.is_some_and(|stream| !stream.answered) {
            self.nuisance.taken_back()?;
        }
        self.reset(id, code, out);
        Ok(told.then_some(Event::Reset { stream: id, code, by: ResetBy::Us(reason) }))
    }

    fn data_begins(&mut self, header: Header, input: &[u8], out: &mut Vec<u8>) -> Result<Received, Fatal> {
        let Header { length, stream: id, .. } = header;
        if id == 0 || self.is_idle(id) {
            return Err(Fatal::new(Code::Protocol, "data on a stream that is not open"));
        }
        let padded = usize::from(header.has(PADDED));
        if padded > length {
            return Err(Fatal::new(Code::FrameSize, "padding without its length"));
        }
        let Some(&padding) = input[HEADER..].get(..padded).map(|byte| byte.first().unwrap_or(&0)) else {
            return Ok(Received::default());
        };
        let data = (length - padded)
            .checked_sub(usize::from(padding))
            .ok_or(Fatal::new(Code::Protocol, "more padding than payload"))?;
        if !self.receive_window.take(length as u32) {
            return Err(Fatal::new(Code::FlowControl, "more data than the connection's window allows"));
        }
        let end = header.has(END_STREAM);
        let consumed = HEADER + padded;
        if let Err((code, reason)) = self.takes_data(id, length, data, end)? {
            let event = if self.was_reset_by_us(id) { None } else { self.wrong(id, code, reason, out)? };
            self.nuisance.frame()?;
            self.payload = (length > padded).then_some(Payload::Skip(length - padded));
            self.give_back(length as u32, out);
            return Ok(Received { consumed, event });
        }
        self.release(id, length - data, out);
        let begun = Payload::Data { stream: id, left: data, padding: usize::from(padding), end };
        if data == 0 {
            // No byte may follow that would call us again.
            return Ok(Received { consumed, ..self.payload(begun, &[], out) });
        }
        self.payload = Some(begun);
        Ok(Received { consumed, event: None })
    }

    /// Whether a stream takes so many bytes, of which some are padding; else why not.
    fn takes_data(
        &mut self,
        id: u32,
        length: usize,
        data: usize,
        end: bool,
    ) -> Result<Result<(), (Code, &'static str)>, Fatal> {
        let Some(stream) = self.streams.get_mut(id).filter(|stream| stream.reset.is_none()) else {
            return Ok(Err((Code::StreamClosed, CLOSED)));
        };
        if data == 0 && !end {
            self.nuisance.frame()?;
        } else {
            self.nuisance.data();
        }
        Ok(match stream.receives {
            Half::Done => Err((Code::StreamClosed, CLOSED)),
            Half::Head => Err((Code::Protocol, "data before the head of the response")),
            Half::Body => stream.takes(length, data, end),
        })
    }

    fn payload(&mut self, payload: Payload, input: &[u8], out: &mut Vec<u8>) -> Received {
        match payload {
            Payload::Skip(left) => {
                let consumed = left.min(input.len());
                self.payload = (left > consumed).then_some(Payload::Skip(left - consumed));
                Received { consumed, event: None }
            }
            Payload::Data { stream, left, padding, end } => {
                let count = left.min(input.len());
                if count < left {
                    self.payload = Some(Payload::Data { stream, left: left - count, padding, end });
                } else if padding > 0 {
                    self.payload = Some(Payload::Skip(padding));
                }
                let last = count == left && end;
                if last {
                    self.ended(stream, |stream| stream.receives = Half::Done);
                }
                if self.streams.get(stream).is_none() {
                    // Forgotten meanwhile: nobody else gives the credit back.
                    self.give_back(count as u32, out);
                    return Received { consumed: count, event: None };
                }
                let event = (count > 0 || last).then_some(Event::Data { stream, range: 0..count, end: last });
                Received { consumed: count, event }
            }
        }
    }

    fn headers(&mut self, header: Header, payload: &[u8], out: &mut Vec<u8>) -> Result<Option<Event>, Fatal> {
        let id = header.stream;
        if id == 0 || id.is_multiple_of(2) || self.role == Role::Client && self.is_idle(id) {
            return Err(Fatal::new(Code::Protocol, "a field block on a stream that cannot have one"));
        }
        let mut block = payload;
        if header.has(PADDED) {
            let (&padding, rest) =
                block.split_first().ok_or(Fatal::new(Code::FrameSize, "padding without its length"))?;
            let length = rest.len().checked_sub(usize::from(padding));
            block = &rest[..length.ok_or(Fatal::new(Code::Protocol, "more padding than payload"))?];
        }
        if header.has(HAS_PRIORITY) {
            let (priority, rest) = block.split_at_checked(5).ok_or(Fatal::new(Code::FrameSize, "half a priority"))?;
            if frame::number(priority) & 0x7fff_ffff == id {
                return Err(Fatal::new(Code::Protocol, "a stream depends on itself"));
            }
            block = rest;
        }
        let end = header.has(END_STREAM);
        if header.has(END_HEADERS) {
            return self.block(id, end, block, out);
        }
        self.block = Some(Block { stream: id, end, bytes: block.to_vec() });
        Ok(None)
    }

    fn continuation(&mut self, header: Header, payload: &[u8], out: &mut Vec<u8>) -> Result<Option<Event>, Fatal> {
        self.nuisance.frame()?;
        let Some(mut block) = self.block.take() else { return Ok(None) };
        if block.bytes.len() + payload.len() > self.limits.max_head + LARGEST {
            return Err(Fatal::new(Code::EnhanceYourCalm, "a field block without end"));
        }
        block.bytes.extend_from_slice(payload);
        if header.has(END_HEADERS) {
            return self.block(block.stream, block.end, &block.bytes, out);
        }
        self.block = Some(block);
        Ok(None)
    }

    /// A whole field block. It is read whatever becomes of it: the tables depend on it.
    fn block(&mut self, id: u32, end: bool, block: &[u8], out: &mut Vec<u8>) -> Result<Option<Event>, Fatal> {
        let broken = Fatal::new(Code::Compression, "a field block that is not HPACK");
        if self.role == Role::Server && id > self.highest {
            self.highest = id;
            let found = head::request(&mut self.decoder, block, &self.limits, end, &mut self.request);
            return self.opens(id, end, found.map_err(|_| broken)?, out);
        }
        let awaits = self.streams.get(id).filter(|stream| stream.reset.is_none()).map(|stream| stream.receives);
        if awaits == Some(Half::Head) {
            let asks = self.streams.get(id).map(|stream| stream.asks.clone()).unwrap_or_default();
            let found = head::response(&mut self.decoder, block, &self.limits, (end, &asks), &mut self.response);
            return self.answers(id, end, found.map_err(|_| broken)?, out);
        }
        let found = head::trailers(&mut self.decoder, block, &self.limits, &mut self.trailers).map_err(|_| broken)?;
        match awaits {
            Some(Half::Body) => self.ends(id, end, found, out),
            Some(_) => self.wrong(id, Code::StreamClosed, CLOSED, out),
            None if self.was_reset_by_us(id) => Ok(None),
            None => Err(Fatal::new(Code::StreamClosed, CLOSED)),
        }
    }

    /// A request.
    fn opens(&mut self, id: u32, end: bool, found: Found, out: &mut Vec<u8>) -> Result<Option<Event>, Fatal> {
        self.nuisance.stream();
        if id > self.last_of_ours {
            self.reset(id, Code::RefusedStream, out);
            return Ok(None);
        }
        if self.active >= self.limits.streams || self.streams.len() >= 2 * self.limits.streams as usize {
            self.nuisance.taken_back()?;
            self.reset(id, Code::RefusedStream, out);
            return Ok(None);
        }
        if let Found::Malformed(_) = found {
            self.nuisance.taken_back()?;
            self.reset(id, Code::Protocol, out);
            return Ok(None);
        }
        let stream = Stream {
            receives: if end { Half::Done } else { Half::Body },
            sends: Half::Body,
            send_window: SendWindow::new(self.peer.window),
            receive_window: ReceiveWindow::new(self.limits.stream_window),
            promised: head::promised(self.request.body),
            asks: head::asks(&self.request),
            reset: None,
            answered: false,
            kept: S::default(),
        };
        self.streams.insert(id, stream);
        self.active += 1;
        Ok(Some(Event::Request { stream: id, end, too_large: found == Found::TooLarge }))
    }

    /// The head of a response.
    fn answers(&mut self, id: u32, end: bool, found: Found, out: &mut Vec<u8>) -> Result<Option<Event>, Fatal> {
        match found {
            Found::Malformed(reason) => return self.wrong(id, Code::Protocol, reason, out),
            Found::TooLarge => return self.wrong(id, Code::EnhanceYourCalm, "the response's head is too large", out),
            Found::Good => {}
        }
        let status = self.response.status;
        if status >= 200 || status == 101 {
            let promised = head::promised(self.response.body);
            self.ended(id, |stream| {
                stream.promised = promised;
                stream.receives = if end { Half::Done } else { Half::Body };
            });
        }
        Ok(Some(Event::Response { stream: id, end }))
    }

    /// Trailers.
    fn ends(&mut self, id: u32, end: bool, found: Found, out: &mut Vec<u8>) -> Result<Option<Event>, Fatal> {
        match found {
            Found::Malformed(reason) => return self.wrong(id, Code::Protocol, reason, out),
            Found::TooLarge => return self.wrong(id, Code::EnhanceYourCalm, "the trailers are too large", out),
            Found::Good => {}
        }
        if !end {
            return self.wrong(id, Code::Protocol, "trailers that do not end the stream", out);
        }
        if !self.streams.get(id).is_some_and(Stream::may_end) {
            return self.wrong(id, Code::Protocol, "less data than the content-length", out);
        }
        self.ended(id, |stream| stream.receives = Half::Done);
        Ok(Some(Event::Trailers { stream: id }))
    }

    /// Priorities are read and not heeded (RFC 9113, section 5.3.2).
    fn priority(&mut self, header: Header, payload: &[u8], out: &mut Vec<u8>) -> Result<Option<Event>, Fatal> {
        self.nuisance.frame()?;
        if header.stream == 0 {
            return Err(Fatal::new(Code::Protocol, "a priority of no stream"));
        }
        if payload.len() != 5 {
            return Err(Fatal::new(Code::FrameSize, "half a priority"));
        }
        if frame::number(payload) & 0x7fff_ffff == header.stream {
            return self.wrong(header.stream, Code::Protocol, "a stream depends on itself", out);
        }
        Ok(None)
    }

    fn was_reset(&mut self, header: Header, payload: &[u8]) -> Result<Option<Event>, Fatal> {
        if payload.len() != 4 {
            return Err(Fatal::new(Code::FrameSize, "half a reset"));
        }
        let (id, code) = (header.stream, Code::of(frame::number(payload)));
        if id == 0 || self.is_idle(id) {
            return Err(Fatal::new(Code::Protocol, "a reset of a stream that is not open"));
        }
        let Some(stream) = self.streams.get(id).filter(|stream| stream.reset.is_none()) else {
            return self.nuisance.frame().map(|()| None);
        };
        // Having been answered in full, a server need not read on, and says so (RFC 9113, section 8.1).
        if stream.receives == Half::Done && self.role == Role::Client {
            self.ended(id, |stream| stream.sends = Half::Done);
            return Ok(None);
        }
        if self.role == Role::Server && !stream.answered {
            self.nuisance.taken_back()?;
        }
        self.ended(id, |stream| stream.reset = Some(code));
        Ok(Some(Event::Reset { stream: id, code, by: ResetBy::Peer }))
    }

    fn settings(&mut self, header: Header, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Fatal> {
        if header.stream != 0 {
            return Err(Fatal::new(Code::Protocol, "settings of a stream"));
        }
        if !payload.len().is_multiple_of(6) || header.has(ACK) && !payload.is_empty() {
            return Err(Fatal::new(Code::FrameSize, "half a setting"));
        }
        self.nuisance.frame()?;
        if header.has(ACK) {
            return Ok(());
        }
        let before = self.peer.window;
        let from = if self.role == Role::Client { Role::Server } else { Role::Client };
        self.peer.read(payload, from)?;
        self.encoder.resize(self.peer.header_table);
        let change = i64::from(self.peer.window) - i64::from(before);
        let too_large = Fatal::new(Code::FlowControl, "the initial window makes a stream's too large");
        if !self.streams.iter_mut().all(|(_, stream)| stream.send_window.add(change)) {
            return Err(too_large);
        }
        frame::begin(0, frame::SETTINGS, ACK, 0, out);
        Ok(())
    }

    fn was_pinged(&mut self, header: Header, payload: &[u8], out: &mut Vec<u8>) -> Result<Option<Event>, Fatal> {
        if payload.len() != 8 {
            return Err(Fatal::new(Code::FrameSize, "half a ping"));
        }
        if header.stream != 0 {
            return Err(Fatal::new(Code::Protocol, "a ping of a stream"));
        }
        self.nuisance.frame()?;
        if header.has(ACK) {
            return Ok(Some(Event::Pong));
        }
        frame::ping(ACK, payload, out);
        Ok(None)
    }

    fn goes_away(&mut self, header: Header, payload: &[u8]) -> Result<Option<Event>, Fatal> {
        if payload.len() < 8 {
            return Err(Fatal::new(Code::FrameSize, "half a farewell"));
        }
        if header.stream != 0 {
            return Err(Fatal::new(Code::Protocol, "a farewell of a stream"));
        }
        let last = frame::number(payload) & 0x7fff_ffff;
        self.last_of_theirs = self.last_of_theirs.min(last);
        // A first farewell says that one will follow which names the last stream.
        self.next = self.next.max(if last == 0x7fff_ffff { last } else { 0 });
        Ok(Some(Event::GoAway { last, code: Code::of(frame::number(&payload[4..])) }))
    }

    fn credit(&mut self, header: Header, payload: &[u8], out: &mut Vec<u8>) -> Result<Option<Event>, Fatal> {
        if payload.len() != 4 {
            return Err(Fatal::new(Code::FrameSize, "half a credit"));
        }
        let (id, credit) = (header.stream, frame::number(payload) & 0x7fff_ffff);
        let too_large = "a window would be larger than windows may be";
        if id == 0 {
            return match credit {
                0 => Err(Fatal::new(Code::Protocol, "a credit of nothing")),
                _ if !self.send_window.add(i64::from(credit)) => Err(Fatal::new(Code::FlowControl, too_large)),
                _ => self.few_credits(),
            };
        }
        if self.is_idle(id) {
            return Err(Fatal::new(Code::Protocol, "credit for a stream that is not open"));
        }
        let Some(stream) = self.streams.get_mut(id).filter(|stream| stream.reset.is_none()) else {
            return self.nuisance.frame().map(|()| None);
        };
        if credit == 0 {
            return self.wrong(id, Code::Protocol, "a credit of nothing", out);
        }
        if !stream.send_window.add(i64::from(credit)) {
            return self.wrong(id, Code::FlowControl, too_large, out);
        }
        self.few_credits()
    }

    /// Credit does no work by itself; what is sent by it does.
    fn few_credits(&mut self) -> Result<Option<Event>, Fatal> {
        self.nuisance.frame().map(|()| None)
    }
}
