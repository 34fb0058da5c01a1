//! rustls at work: all handshakes, and the records of TLS 1.2.

use std::io::IoSlice;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{ClientConfig, CommonState, Error, ProtocolVersion, ServerConfig};
use tokio::io::ReadBuf;

use super::records::{FRAGMENT, Kept, Records};
use super::window::Window;
use super::{Layer, Opened};

/// What a record has besides what it carries, of any version.
const OVERHEAD: usize = 256 + 5;

/// A connection of rustls that reads and writes memory of ours.
pub(super) struct Library {
    side: Side,
    heard: Heard,
}

enum Side {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// What the peer said that nobody has read yet.
#[derive(Default)]
struct Heard {
    plain: Vec<u8>,
    /// Of the bytes, as far as they were read.
    taken: usize,
    ended: bool,
}

/// How far rustls went.
pub(super) enum Step {
    /// There may be more to do.
    Again,
    /// More has to be read.
    Starved,
    /// All that came is used, and bytes may be sent.
    Ready,
}

impl Library {
    pub(super) fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Error> {
        UnbufferedClientConnection::new(config, name).map(|side| Self::of(Side::Client(side)))
    }

    pub(super) fn server(config: Arc<ServerConfig>) -> Result<Self, Error> {
        UnbufferedServerConnection::new(config).map(|side| Self::of(Side::Server(side)))
    }

    fn of(side: Side) -> Self {
        Self { side, heard: Heard::default() }
    }

    pub(super) fn state(&self) -> &CommonState {
        match &self.side {
            Side::Client(side) => side,
            Side::Server(side) => side,
        }
    }

    /// True once the handshake is done and all of it stands in what is to be sent.
    pub(super) fn has_shaken(&self) -> bool {
        !self.state().is_handshaking() && !self.state().wants_write()
    }

    /// Takes of what came, and adds to what is to be sent.
    ///
    /// # Errors
    /// If the peer does not keep to TLS, or is not to be believed. It is to be [told](Self::complain) so then, and no step to
    /// be taken any more.
    pub(super) fn step(&mut self, incoming: &mut Window, outgoing: &mut Window) -> Result<Step, Error> {
        let (used, step) = match &mut self.side {
            Side::Client(side) => handle(side.process_tls_records(incoming.bytes_mut()), &mut self.heard, outgoing),
            Side::Server(side) => handle(side.process_tls_records(incoming.bytes_mut()), &mut self.heard, outgoing),
        };
        incoming.consume(used);
        step
    }

    /// Adds the alert that tells the peer what was wrong.
    pub(super) fn complain(&mut self, incoming: &mut Window, outgoing: &mut Window) {
        // Nothing is opened before what waits is sent.
        while self.state().wants_write() && self.step(incoming, outgoing).is_ok() {}
    }

    /// Reads of what came.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub(super) fn open(
        &mut self,
        incoming: &mut Window,
        outgoing: &mut Window,
        buf: &mut ReadBuf<'_>,
    ) -> Result<Opened, Error> {
        loop {
            if self.heard(buf) {
                return Ok(Opened::Some);
            }
            if self.heard.ended {
                return Ok(Opened::Ended);
            }
            match self.step(incoming, outgoing)? {
                Step::Again => {}
                Step::Starved | Step::Ready => return incoming.check().map(|()| Opened::Nothing),
            }
        }
    }

    /// Gives what was opened already; true if there was something.
    pub(super) fn heard(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        self.heard.give(buf)
    }

    /// Seals of the first slice that has something, and tells how much.
    ///
    /// # Errors
    /// If nothing can be sealed any more.
    pub(super) fn seal(
        &mut self,
        incoming: &mut Window,
        outgoing: &mut Window,
        slices: &[IoSlice<'_>],
    ) -> Result<usize, Error> {
        let slice = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
        let part = &slice[..slice.len().min(FRAGMENT)];
        self.write(incoming, outgoing, Some(part))?;
        Ok(part.len())
    }

    /// Says that nothing more comes from us.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub(super) fn close(&mut self, incoming: &mut Window, outgoing: &mut Window) -> Result<(), Error> {
        self.write(incoming, outgoing, None)
    }

    /// Writes bytes, or the end.
    fn write(&mut self, incoming: &mut Window, outgoing: &mut Window, part: Option<&[u8]>) -> Result<(), Error> {
        // rustls lets nobody write before it has used what came.
        while let Step::Again = self.step(incoming, outgoing)? {}
        let room = outgoing.room(part.map_or(0, <[u8]>::len) + OVERHEAD);
        let written = match &mut self.side {
            Side::Client(side) => put(side.process_tls_records(incoming.bytes_mut()), part, room),
            Side::Server(side) => put(side.process_tls_records(incoming.bytes_mut()), part, room),
        };
        outgoing.filled(written?);
        Ok(())
    }

    /// What carries bytes once the handshake is done. A client's first bytes that came with the end of its handshake may be
    /// opened by then.
    ///
    /// # Errors
    /// If rustls does not give the secrets away.
    pub(super) fn into_layer(self, incoming: &mut Window) -> Result<Layer, Error> {
        if self.state().protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return Ok(Layer::Library(Box::new(self)));
        }
        let Heard { plain, ended, .. } = self.heard;
        let (secrets, kept) = match self.side {
            Side::Client(side) => {
                side.dangerous_into_kernel_connection().map(|(secrets, kept)| (secrets, Kept::Client(kept)))
            }
            Side::Server(side) => {
                side.dangerous_into_kernel_connection().map(|(secrets, kept)| (secrets, Kept::Server(kept)))
            }
        }?;
        let mut records = Records::new(secrets, kept)?;
        records.begin_with(incoming, &plain, ended);
        Ok(Layer::Records(Box::new(records)))
    }
}

impl Heard {
    /// True if there was something. Memory is freed with the last byte.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let rest = &self.plain[self.taken..];
        if rest.is_empty() {
            return false;
        }
        let fitting = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..fitting]);
        self.taken += fitting;
        if self.taken == self.plain.len() {
            (self.plain, self.taken) = (Vec::new(), 0);
        }
        true
    }
}

/// Does what rustls asks for; tells how much of what came is used.
fn handle<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    heard: &mut Heard,
    outgoing: &mut Window,
) -> (usize, Result<Step, Error>) {
    let UnbufferedStatus { mut discard, state } = status;
    let step = match state {
        Err(error) => Err(error),
        Ok(ConnectionState::EncodeTlsData(mut message)) => {
            let mut room = OVERHEAD;
            loop {
                match message.encode(outgoing.room(room)) {
                    Ok(count) => outgoing.filled(count),
                    Err(EncodeError::InsufficientSize(size)) => {
                        room = size.required_size;
                        continue;
                    }
                    Err(EncodeError::AlreadyEncoded) => {}
                }
                break Ok(Step::Again);
            }
        }
        Ok(ConnectionState::TransmitTlsData(sent)) => {
            // It stands in what is to be sent, which goes before anything is waited for.
            sent.done();
            Ok(Step::Again)
        }
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    heard.plain.extend_from_slice(record.payload);
                    discard += record.discard;
                }
                Some(Err(error)) => break Err(error),
                None => break Ok(Step::Again),
            }
        },
        Ok(ConnectionState::PeerClosed) => {
            heard.ended = true;
            Ok(Step::Again)
        }
        Ok(ConnectionState::BlockedHandshake) => Ok(Step::Starved),
        Ok(ConnectionState::WriteTraffic(_) | ConnectionState::Closed) => Ok(Step::Ready),
        // Early data is not offered; whatever else there may be one day is not known here.
        Ok(_) => Err(Error::General("TLS is in a state that is not known".to_owned())),
    };
    (discard, step)
}

fn put<Data>(status: UnbufferedStatus<'_, '_, Data>, part: Option<&[u8]>, room: &mut [u8]) -> Result<usize, Error> {
    let ConnectionState::WriteTraffic(mut traffic) = status.state? else {
        return Err(Error::General("the connection was closed in TLS".to_owned()));
    };
    let written = match part {
        Some(part) => traffic.encrypt(part, room),
        None => traffic.queue_close_notify(room),
    };
    written.map_err(|error| Error::General(error.to_string()))
}
