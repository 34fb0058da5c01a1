//! Records of TLS 1.3 (RFC 8446, 5) under the secrets that a handshake of rustls settled: sealed out of the writer's memory
//! into the block that goes to the socket, opened out of the block that came from it into the reader's memory.
//!
//! rustls copies what it seals once and what it opens three times, and grows and frees a buffer for each record: a
//! tenth of all the time of two sidecars that carry bytes. Its own door for others that seal and open
//! (`rustls::kernel`) gives the secrets and makes the next ones, and takes tickets.

mod direction;
#[cfg(test)]
mod tests;

use std::io::IoSlice;

use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{
    AlertDescription, ConnectionTrafficSecrets, ContentType, Error, ExtractedSecrets, HandshakeType, InvalidMessage,
    PeerMisbehaved,
};
use tokio::io::ReadBuf;

use super::Opened;
use super::window::Window;
use direction::{DATA, Direction, HEAD, OVERHEAD, TAG};

/// What one record carries at most (5.1).
pub(super) const FRAGMENT: usize = 16 * 1024;
/// So much is sealed for one write, at most.
const TURN: usize = 4 * FRAGMENT;
/// What a sealed record has after its head, at most (5.2).
const MOST_SEALED: usize = FRAGMENT + 256;
/// A ticket is no longer, nor is any message of TLS itself that comes after a handshake.
const MOST_TICKET: usize = 64 * 1024;
/// So many records that carry nothing the peer may send in a row: new keys, cancellations and empty ones.
const MOST_SILENT: u8 = 32;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;

const WARNING: u8 = 1;
const FATAL: u8 = 2;
const CLOSE_NOTIFY: u8 = 0;
const USER_CANCELED: u8 = 90;

/// One connection's records, both ways.
pub(super) struct Records {
    kept: Kept,
    sealing: Direction,
    opening: Direction,
    /// So many records may be sealed with one key (5.5).
    most_sealed: u64,
    /// So many bytes at the front of what came are plain already …
    plain: usize,
    /// … and so many after them are of no use any more.
    waste: usize,
    /// A message of TLS itself of which more is to come.
    message: Vec<u8>,
    /// Records that carried nothing since the peer sent something.
    silent: u8,
    /// The peer wants us to renew our key before we send anything.
    owes_update: bool,
    ended: bool,
    /// What is to be said once all that came before it was read.
    failed: Option<Error>,
}

/// What rustls keeps of a connection.
pub(super) enum Kept {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

/// What may come after a handshake (4.6).
enum Message {
    Ticket,
    KeyUpdate,
}

/// What came of one record.
enum One {
    /// It is not all there.
    Missing,
    /// It was read, or stands plain at the front of what came.
    Taken,
}

impl Records {
    /// # Errors
    /// If the suite is not one of TLS 1.3 that is known here.
    pub(super) fn new(secrets: ExtractedSecrets, kept: Kept) -> Result<Self, Error> {
        Ok(Self {
            sealing: Direction::new(secrets.tx)?,
            opening: Direction::new(secrets.rx)?,
            most_sealed: kept.most_sealed(),
            kept,
            plain: 0,
            waste: 0,
            message: Vec::new(),
            silent: 0,
            owes_update: false,
            ended: false,
            failed: None,
        })
    }

    /// Takes what rustls opened of these records, before the first of them is opened here.
    pub(super) fn begin_with(&mut self, incoming: &mut Window, plain: &[u8], ended: bool) {
        if !plain.is_empty() {
            incoming.put_first(plain);
        }
        (self.plain, self.ended) = (plain.len(), ended);
    }

    /// Seals of the slices, and tells how much.
    ///
    /// # Errors
    /// If no key can be made any more.
    pub(super) fn seal(&mut self, outgoing: &mut Window, slices: &[IoSlice<'_>]) -> Result<usize, Error> {
        let all: usize = slices.iter().map(|slice| slice.len()).sum();
        let total = all.min(TURN);
        let records = total.div_ceil(FRAGMENT);
        // The record that says so is one, too.
        if self.owes_update || self.sealing.number() + records as u64 >= self.most_sealed {
            self.renew(outgoing)?;
        }
        let mut room = outgoing.room(total + records * OVERHEAD);
        let mut sealed = 0;
        while sealed < total {
            let length = FRAGMENT.min(total - sealed);
            let (record, rest) = room.split_at_mut(length + OVERHEAD);
            self.sealing.seal(DATA, slices, sealed, record)?;
            sealed += length;
            room = rest;
        }
        outgoing.filled(total + records * OVERHEAD);
        Ok(total)
    }

    /// Says that nothing more comes from us.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub(super) fn close(&mut self, outgoing: &mut Window) -> Result<(), Error> {
        self.tell(outgoing, ALERT, &[WARNING, CLOSE_NOTIFY])
    }

    /// Says why nothing more is read.
    pub(super) fn complain(&mut self, outgoing: &mut Window, error: &Error) {
        if let Some(alert) = alert(error) {
            // Whoever cannot be told sees that the connection ends.
            let _ = self.tell(outgoing, ALERT, &[FATAL, alert.into()]);
        }
    }

    fn tell(&mut self, outgoing: &mut Window, kind: u8, content: &[u8]) -> Result<(), Error> {
        let length = content.len() + OVERHEAD;
        self.sealing.seal(kind, &[IoSlice::new(content)], 0, &mut outgoing.room(length)[..length])?;
        outgoing.filled(length);
        Ok(())
    }

    /// Takes the next key for what we seal, and says so under the one before (4.6.3).
    fn renew(&mut self, outgoing: &mut Window) -> Result<(), Error> {
        const NOT_REQUESTED: u8 = 0;
        self.tell(outgoing, HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, NOT_REQUESTED])?;
        self.sealing = Direction::new(self.kept.next_sealing()?)?;
        self.owes_update = false;
        Ok(())
    }

    /// Reads what came, as far as there is room and whole records are there.
    ///
    /// # Errors
    /// If a record is not what the peer sealed, or does not belong here. What came before it was read.
    pub(super) fn open(&mut self, incoming: &mut Window, buf: &mut ReadBuf<'_>) -> Result<Opened, Error> {
        let before = buf.filled().len();
        self.open_all(incoming, buf);
        if buf.filled().len() > before {
            return Ok(Opened::Some);
        }
        match self.failed.take() {
            Some(error) => Err(error),
            None if self.ended => Ok(Opened::Ended),
            None => Ok(Opened::Nothing),
        }
    }

    fn open_all(&mut self, incoming: &mut Window, buf: &mut ReadBuf<'_>) {
        loop {
            self.give(incoming, buf);
            if buf.remaining() == 0 || self.ended || self.failed.is_some() {
                return;
            }
            match self.open_one(incoming, buf) {
                Ok(One::Taken) => {}
                Ok(One::Missing) => return,
                Err(error) => self.failed = Some(error),
            }
        }
    }

    /// Gives of what is plain already.
    fn give(&mut self, incoming: &mut Window, buf: &mut ReadBuf<'_>) {
        let count = self.plain.min(buf.remaining());
        if count > 0 {
            buf.put_slice(&incoming.bytes()[..count]);
            incoming.consume(count);
            self.plain -= count;
        }
        if self.plain == 0 && self.waste > 0 {
            incoming.consume(std::mem::take(&mut self.waste));
        }
    }

    fn open_one(&mut self, incoming: &mut Window, buf: &mut ReadBuf<'_>) -> Result<One, Error> {
        let Some(whole) = length(incoming.bytes())?.filter(|whole| *whole <= incoming.bytes().len()) else {
            return Ok(One::Missing);
        };
        let inner = whole - HEAD - TAG;
        let fits = inner <= buf.remaining();
        let opened = if fits {
            let room = buf.initialize_unfilled_to(inner);
            self.opening.open(&incoming.bytes()[..whole], room)?;
            room
        } else {
            self.opening.open_in_place(&mut incoming.bytes_mut()[..whole])?
        };
        let (kind, count) = content(opened)?;
        let told = (kind != DATA).then(|| opened[..count].to_vec());
        if let Some(told) = told {
            incoming.consume(whole);
            self.hear(kind, &told)?;
        } else {
            self.pass(count)?;
            if fits {
                buf.advance(count);
                incoming.consume(whole);
            } else {
                incoming.consume(HEAD);
                (self.plain, self.waste) = (count, whole - HEAD - count);
            }
        }
        Ok(One::Taken)
    }

    /// Takes note of so many bytes of the peer's.
    fn pass(&mut self, count: usize) -> Result<(), Error> {
        if !self.message.is_empty() {
            return Err(PeerMisbehaved::MessageInterleavedWithHandshakeMessage.into());
        }
        if count > 0 {
            self.silent = 0;
            Ok(())
        } else {
            self.pass_over(PeerMisbehaved::TooManyEmptyFragments)
        }
    }

    /// Takes note of a record that carried nothing.
    ///
    /// # Errors
    /// With this reason if there were too many.
    fn pass_over(&mut self, reason: PeerMisbehaved) -> Result<(), Error> {
        self.silent += 1;
        if self.silent > MOST_SILENT { Err(reason.into()) } else { Ok(()) }
    }

    fn hear(&mut self, kind: u8, content: &[u8]) -> Result<(), Error> {
        match (kind, content) {
            (HANDSHAKE, []) => Err(InvalidMessage::InvalidEmptyPayload.into()),
            (HANDSHAKE, part) => self.hear_messages(part),
            _ if !self.message.is_empty() => Err(PeerMisbehaved::MessageInterleavedWithHandshakeMessage.into()),
            (ALERT, [_, CLOSE_NOTIFY]) => {
                self.ended = true;
                Ok(())
            }
            (ALERT, [_, USER_CANCELED]) => self.pass_over(PeerMisbehaved::TooManyWarningAlertsReceived),
            (ALERT, [_, alert]) => Err(Error::AlertReceived(AlertDescription::from(*alert))),
            (ALERT, _) => Err(InvalidMessage::MissingData("AlertMessagePayload").into()),
            _ => Err(inappropriate(kind)),
        }
    }

    /// Messages may be cut anywhere, and several may stand in one record.
    fn hear_messages(&mut self, part: &[u8]) -> Result<(), Error> {
        let mut all = std::mem::take(&mut self.message);
        all.extend_from_slice(part);
        let mut rest = &all[..];
        while let [kind, a, b, c, after @ ..] = rest {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            let kind = self.kind(*kind)?;
            if length > kind.most() {
                return Err(InvalidMessage::HandshakePayloadTooLarge.into());
            }
            let Some((message, after)) = after.split_at_checked(length) else { break };
            rest = after;
            match kind {
                Message::Ticket => self.kept.take_ticket(message)?,
                Message::KeyUpdate => self.renew_opening(message, rest.is_empty())?,
            }
        }
        let used = all.len() - rest.len();
        all.drain(..used);
        // Nothing is held while there is nothing to hold.
        self.message = if all.is_empty() { Vec::new() } else { all };
        Ok(())
    }

    /// Which of the messages that may come after a handshake this is.
    fn kind(&self, kind: u8) -> Result<Message, Error> {
        match (kind, &self.kept) {
            (NEW_SESSION_TICKET, Kept::Client(_)) => Ok(Message::Ticket),
            (KEY_UPDATE, _) => Ok(Message::KeyUpdate),
            _ => Err(Error::InappropriateHandshakeMessage {
                expect_types: vec![HandshakeType::KeyUpdate],
                got_type: HandshakeType::from(kind),
            }),
        }
    }

    /// Takes the peer's next key, which begins with its next record (4.6.3).
    fn renew_opening(&mut self, message: &[u8], is_last: bool) -> Result<(), Error> {
        if !is_last {
            return Err(PeerMisbehaved::KeyEpochWithPendingFragment.into());
        }
        let [requested @ 0..=1] = message else { return Err(InvalidMessage::InvalidKeyUpdate.into()) };
        self.pass_over(PeerMisbehaved::TooManyKeyUpdateRequests)?;
        self.opening = Direction::new(self.kept.next_opening()?)?;
        self.owes_update |= *requested == 1;
        Ok(())
    }
}

impl Message {
    /// How long one may be.
    fn most(&self) -> usize {
        match self {
            Self::Ticket => MOST_TICKET,
            Self::KeyUpdate => 1,
        }
    }
}

impl Kept {
    fn most_sealed(&self) -> u64 {
        let suite = match self {
            Self::Client(kept) => kept.negotiated_cipher_suite(),
            Self::Server(kept) => kept.negotiated_cipher_suite(),
        };
        suite.tls13().map_or(0, |suite| suite.common.confidentiality_limit)
    }

    fn take_ticket(&mut self, ticket: &[u8]) -> Result<(), Error> {
        match self {
            Self::Client(kept) => kept.handle_new_session_ticket(ticket),
            // Only a client is given tickets, and nothing else is taken for one.
            Self::Server(_) => Ok(()),
        }
    }

    fn next_sealing(&mut self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match self {
            Self::Client(kept) => kept.update_tx_secret(),
            Self::Server(kept) => kept.update_tx_secret(),
        }
    }

    fn next_opening(&mut self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match self {
            Self::Client(kept) => kept.update_rx_secret(),
            Self::Server(kept) => kept.update_rx_secret(),
        }
    }
}

/// The length of the first record with its head, if its head is there.
fn length(bytes: &[u8]) -> Result<Option<usize>, Error> {
    let [kind, _, _, high, low, ..] = bytes else { return Ok(None) };
    // After a handshake everything is sealed, and looks like data.
    if *kind != DATA {
        return Err(inappropriate(*kind));
    }
    match u16::from_be_bytes([*high, *low]).into() {
        ..=TAG => Err(Error::DecryptError),
        longer if longer > MOST_SEALED => Err(Error::PeerSentOversizedRecord),
        sealed => Ok(Some(HEAD + sealed)),
    }
}

/// The kind of what was opened, and how long it is without the kind and the padding after it (5.4).
fn content(opened: &[u8]) -> Result<(u8, usize), Error> {
    let length = opened.iter().rposition(|byte| *byte != 0).ok_or(PeerMisbehaved::IllegalTlsInnerPlaintext)?;
    if length > FRAGMENT { Err(Error::PeerSentOversizedRecord) } else { Ok((opened[length], length)) }
}

fn inappropriate(kind: u8) -> Error {
    Error::InappropriateMessage { expect_types: vec![ContentType::ApplicationData], got_type: ContentType::from(kind) }
}

/// What the peer is told (6.2).
fn alert(error: &Error) -> Option<AlertDescription> {
    Some(match error {
        Error::AlertReceived(_) => return None,
        Error::DecryptError => AlertDescription::BadRecordMac,
        Error::PeerSentOversizedRecord => AlertDescription::RecordOverflow,
        Error::InvalidMessage(_) => AlertDescription::DecodeError,
        Error::EncryptError | Error::General(_) => AlertDescription::InternalError,
        _ => AlertDescription::UnexpectedMessage,
    })
}
