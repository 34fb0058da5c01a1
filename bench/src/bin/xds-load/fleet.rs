//! Simulated proxies together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use super::proxy::{Event, Proxy, Shared, Style};

/// Whatever takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many proxies connect at a time.
const TOGETHER: usize = 20;

/// Proxies that follow one control plane.
pub(crate) struct Fleet {
    shared: Arc<Shared>,
    marker: watch::Sender<Arc<str>>,
    events: mpsc::UnboundedReceiver<Event>,
    running: Vec<AbortHandle>,
}

impl Fleet {
    /// Nobody yet.
    pub(crate) fn new(server: SocketAddr, style: Style, services: usize) -> Self {
        let (marker, marks) = watch::channel(Arc::from(""));
        let (sender, events) = mpsc::unbounded_channel();
        let shared = Shared { server, style, services, bytes: AtomicU64::new(0), marker: marks, events: sender };
        Self { shared: Arc::new(shared), marker, events, running: Vec::new() }
    }

    /// Connects proxies until there are so many, spread over the services, and waits until all are configured.
    pub(crate) async fn grow(&mut self, to: usize) -> Result<()> {
        while self.running.len() < to {
            let more = TOGETHER.min(to - self.running.len());
            for _ in 0..more {
                // A prime apart, so that they are of all namespaces.
                let service = (1 + self.running.len() * 7919) % self.shared.services;
                let proxy = Proxy::new(self.shared.clone(), service);
                self.running.push(tokio::spawn(proxy.run()).abort_handle());
            }
            self.configured(more).await?;
        }
        Ok(())
    }

    /// Waits until so many have what they asked for.
    pub(crate) async fn configured(&mut self, count: usize) -> Result<()> {
        self.until(count, "are not configured", |event| matches!(event, Event::Configured)).await
    }

    /// From now on resources are looked at for this text; what happened before does not matter any more.
    pub(crate) fn look_for(&mut self, marker: &str) {
        while self.events.try_recv().is_ok() {}
        self.marker.send_replace(marker.into());
    }

    /// When the last proxy got what is looked for.
    pub(crate) async fn last_arrival(&mut self) -> Result<Instant> {
        let mut last = Instant::now();
        let arrived = |event: &Event| match event {
            Event::Arrived(at) => {
                last = *at;
                true
            }
            _ => false,
        };
        self.until(self.running.len(), "have not got the edit", arrived).await?;
        Ok(last)
    }

    /// Waits for so many events; of those that never come it says what their proxies lack.
    async fn until(&mut self, count: usize, lack: &str, mut is_one: impl FnMut(&Event) -> bool) -> Result<()> {
        let (mut waiting, mut lost) = (count, None);
        let deadline = Instant::now() + PATIENCE;
        while waiting > 0 {
            match timeout_at(deadline, self.events.recv()).await {
                Ok(Some(Event::Lost(why))) => lost = Some(why),
                Ok(Some(event)) => waiting -= usize::from(is_one(&event)),
                Ok(None) | Err(_) => {
                    let why = lost.map(|why| format!("; the last stream that was lost: {why}")).unwrap_or_default();
                    let server = self.shared.server;
                    bail!("{waiting} of {count} proxies {lack} by {server} after {PATIENCE:?}{why}");
                }
            }
        }
        Ok(())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.running.len()
    }

    /// Bytes of all responses so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.running.iter().for_each(AbortHandle::abort);
    }
}
