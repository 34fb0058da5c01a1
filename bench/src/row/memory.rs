//! What the client's proxy holds: idle, for each idle connection, and after many have gone.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{labelled, rounds};
use crate::figure::{Figure, Promise};
use crate::load::idle;
use crate::memory::Memory;
use crate::pair::Pair;
use crate::peer::{Peer, Work};
use crate::site::Site;

/// Memory hardly differs from one start to the next, and settling takes time.
const ROUNDS: u8 = 3;
/// Held at once, idle.
const IDLE: usize = 2000;
/// Held before all go.
const MANY: usize = 8000;
/// How long a proxy may settle: what it gives back in a moment of quiet it has given back by then.
const SETTLE: Duration = Duration::from_secs(2);
/// After so long memory should be given back.
const BACK: Duration = Duration::from_secs(30);

/// What a proxy holds that has just started, and with idle connections.
struct Held {
    idle: Memory,
    connected: Memory,
}

pub(super) fn measure(site: &Site) -> Result<Vec<Figure>> {
    let held = rounds(ROUNDS.min(site.rounds), &Peer::ALL, |peer| hold(site, *peer).with_context(|| peer.name()))?;
    let back = give_back(site)?;
    let figure = |work, unit, promise, value: &dyn Fn(&Held) -> f64| {
        let values = held.iter().map(|samples| samples.iter().map(value).collect()).collect();
        Figure { work, unit, series: labelled(Peer::ALL, values), promise }
    };
    let times = |work, promise, value: &dyn Fn(&(Memory, Memory)) -> f64| {
        let values = back.iter().map(|both| vec![value(both)]).collect();
        Figure { work, unit: "times idle", series: labelled(Peer::ALL, values), promise }
    };
    let each = |held: &Held| (held.connected.anonymous - held.idle.anonymous) * 1024.0 / IDLE as f64;
    Ok(vec![
        figure("idle, resident", "MB", Promise::absolute(12.0, 8.0), &|held| held.idle.resident),
        figure("idle, anonymous", "MB", Promise::absolute(2.0, 1.0), &|held| held.idle.anonymous),
        figure("an idle L7 client connection, anonymous", "KB", Promise::absolute(4.0, 1.0), &each),
        times("30 s after 8,000 connections closed, resident", Promise::absolute(2.0, 2.0), &|(idle, after)| {
            after.resident / idle.resident
        }),
        times("30 s after 8,000 connections closed, anonymous", None, &|(idle, after)| {
            after.anonymous / idle.anonymous
        }),
    ])
}

fn hold(site: &Site, peer: Peer) -> Result<Held> {
    let pair = Pair::start(site, peer, Work::Http1)?;
    sleep(SETTLE);
    let idle = Memory::of(pair.client.id())?;
    let connections = site.as_load(|| idle::open(pair.target, IDLE))?;
    sleep(SETTLE);
    let connected = Memory::of(pair.client.id())?;
    drop(connections);
    Ok(Held { idle, connected })
}

/// What each holds before many connections, and some time after they have gone. All wait at the same time.
fn give_back(site: &Site) -> Result<Vec<(Memory, Memory)>> {
    let pairs = Pair::all(site, &Peer::ALL, Work::Http1)?;
    sleep(SETTLE);
    let mut waiting = Vec::new();
    for pair in &pairs {
        let idle = Memory::of(pair.client.id())?;
        site.as_load(|| idle::open(pair.target, MANY)).with_context(|| pair.state()).map(drop)?;
        waiting.push((pair, idle, Instant::now() + BACK));
    }
    let after = |(pair, idle, due): (&Pair, Memory, Instant)| {
        sleep(due.saturating_duration_since(Instant::now()));
        Ok((idle, Memory::of(pair.client.id())?))
    };
    waiting.into_iter().map(after).collect()
}
