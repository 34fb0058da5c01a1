//! What each end tells the other before it begins (RFC 9113, section 6.5).

use super::frame::{self, Code};
use super::{Fatal, Role};

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;
/// RFC 8441.
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// The window of a connection, and of each stream before settings say otherwise.
pub(super) const DEFAULT_WINDOW: u32 = 65_535;
/// The largest window.
pub(super) const MOST_WINDOW: i64 = 0x7fff_ffff;

/// What we take from a peer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Streams that the peer may have open.
    pub streams: u32,
    /// Bytes of one stream's body that may wait to be read.
    pub stream_window: u32,
    /// Bytes of all bodies together that may wait to be read; at least 65,535.
    pub connection_window: u32,
    /// Bytes of a message's head, as HPACK counts them.
    pub max_head: usize,
    /// Fields of a message's head.
    pub max_fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams: 1024,
            stream_window: 256 * 1024,
            connection_window: 4 * 1024 * 1024,
            max_head: 64 * 1024,
            max_fields: 100,
        }
    }
}

impl Limits {
    /// Appends the settings, and the credit that makes the connection's window as large as it should be.
    pub(super) fn announce(&self, role: Role, out: &mut Vec<u8>) {
        let mut pairs = vec![
            (INITIAL_WINDOW_SIZE, self.stream_window),
            (MAX_HEADER_LIST_SIZE, u32::try_from(self.max_head).unwrap_or(u32::MAX)),
        ];
        match role {
            Role::Client => pairs.push((ENABLE_PUSH, 0)),
            Role::Server => pairs.extend([(MAX_CONCURRENT_STREAMS, self.streams), (ENABLE_CONNECT_PROTOCOL, 1)]),
        }
        frame::begin(pairs.len() * 6, frame::SETTINGS, 0, 0, out);
        for (name, value) in pairs {
            out.extend_from_slice(&name.to_be_bytes());
            out.extend_from_slice(&value.to_be_bytes());
        }
        if self.connection_window > DEFAULT_WINDOW {
            frame::window_update(0, self.connection_window - DEFAULT_WINDOW, out);
        }
    }
}

/// What the peer told us.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) header_table: usize,
    pub(super) streams: u32,
    pub(super) window: u32,
    pub(super) frame: usize,
    pub(super) connect_protocol: bool,
    /// They have come at least once.
    pub(super) heard: bool,
}

impl Default for Peer {
    fn default() -> Self {
        // Until the settings come, no more streams are opened than anybody would allow.
        Self {
            header_table: 4096,
            streams: 100,
            window: DEFAULT_WINDOW,
            frame: frame::LARGEST,
            connect_protocol: false,
            heard: false,
        }
    }
}

impl Peer {
    /// Reads the payload of a SETTINGS frame, which is a multiple of six bytes.
    pub(super) fn read(&mut self, payload: &[u8], from: Role) -> Result<(), Fatal> {
        let invalid = Fatal::new(Code::Protocol, "a setting has a value that it may not have");
        if !std::mem::replace(&mut self.heard, true) {
            self.streams = u32::MAX;
        }
        for pair in payload.chunks_exact(6) {
            let value = frame::number(&pair[2..]);
            match u16::from_be_bytes([pair[0], pair[1]]) {
                HEADER_TABLE_SIZE => self.header_table = value as usize,
                ENABLE_PUSH if value > 1 || value == 1 && from == Role::Server => return Err(invalid),
                MAX_CONCURRENT_STREAMS => self.streams = value,
                INITIAL_WINDOW_SIZE if i64::from(value) > MOST_WINDOW => {
                    return Err(Fatal::new(Code::FlowControl, "the initial window is too large"));
                }
                INITIAL_WINDOW_SIZE => self.window = value,
                MAX_FRAME_SIZE if !(16_384..=16_777_215).contains(&value) => return Err(invalid),
                MAX_FRAME_SIZE => self.frame = value as usize,
                ENABLE_CONNECT_PROTOCOL if value > 1 => return Err(invalid),
                ENABLE_CONNECT_PROTOCOL => self.connect_protocol = value == 1,
                _ => {}
            }
        }
        Ok(())
    }
}
