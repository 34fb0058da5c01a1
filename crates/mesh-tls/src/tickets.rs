//! Sessions that a client can resume.

use std::collections::HashMap;
use std::fmt;

use parking_lot::Mutex;
use rustls::NamedGroup;
use rustls::client::{ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

/// Servers of which other sessions are kept.
const SERVERS: usize = 64;
/// Tickets that are kept in all; one with the peer's certificate takes about two kilobytes.
const MOST: usize = 1024;
/// Tickets that are kept of one server. Each is used once (RFC 8446, appendix C.4), so it is as many connections that
/// can be opened at once without a full handshake; rustls's own store has eight.
const TICKETS: usize = 64;

/// Sessions in memory, the newest ticket first.
pub(crate) struct Sessions {
    tickets: Mutex<HashMap<ServerName<'static>, Vec<Tls13ClientSessionValue>>>,
    /// Everything but tickets of TLS 1.3.
    others: ClientSessionMemoryCache,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { tickets: Mutex::default(), others: ClientSessionMemoryCache::new(SERVERS) }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.others.set_kx_hint(server, group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.others.kx_hint(server)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.others.set_tls12_session(server, session);
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.others.tls12_session(server)
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.others.remove_tls12_session(server);
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        let mut all = self.tickets.lock();
        // Who has so many seldom needs an old one.
        if all.values().map(Vec::len).sum::<usize>() >= MOST {
            all.clear();
        }
        let held = all.entry(server).or_default();
        if held.len() == TICKETS {
            held.remove(0);
        }
        held.push(ticket);
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.tickets.lock().get_mut(server)?.pop()
    }
}
