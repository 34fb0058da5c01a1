//! The process: a control thread for configuration, identity and administration, and worker threads for traffic.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use mesh_runtime::{Blocker, Drain, DrainTrigger, Readiness};
use tokio::runtime::{Builder, Handle, LocalOptions};
use tokio::time::Instant;

use crate::config::Settings;
use crate::record::{Recorder, Registry, Sink};
use crate::upstream::Shared;
use crate::worker::Worker;
use crate::xds;
use crate::{accept, admin, identity};

/// We end so long before we would be killed: a proxy that ends by itself writes its last lines.
const MARGIN: Duration = Duration::from_secs(2);
/// How often idle connections are looked at.
const TIDY: Duration = Duration::from_secs(5);

/// So long after a proxy was ready first its start is over, its first configuration and connections included.
const STARTED: Duration = Duration::from_secs(1);

/// Runs until it is told to end, drains, and returns. `end` is awaited on the control thread, within its runtime.
///
/// # Errors
/// If the operating system refuses threads or the administration's ports, or `end` fails.
pub fn run(settings: Settings, end: impl Future<Output = std::io::Result<()>>) -> Result<()> {
    raise_file_limit();
    let control = Builder::new_current_thread().enable_all().build().context("the control thread's runtime")?;
    control.block_on(async {
        let readiness = Readiness::new();
        let (trigger, drain) = Drain::new();
        let registry = Registry::default();
        let sink = Sink::start().context("the access log's thread")?;
        let node = Arc::new(settings.node.clone());
        let config = xds::start(&settings, readiness.block("configuration"));
        if let Some(identity) = node.identity() {
            config.set_identity_uri(&identity.to_string());
        }
        config.set_authority_crl(&settings.authority_crl);
        let shared = Shared::new(Handle::current());
        let state = admin::State {
            config: config.clone(),
            registry: registry.clone(),
            upstreams: shared.clone(),
            readiness: readiness.clone(),
            drain: drain.clone(),
            trigger: trigger.clone(),
            node: node.clone(),
            application: Arc::new(settings.application.clone()),
        };
        admin::serve(&settings.pages, state).await?;
        tokio::spawn(identity::keep(settings.clone(), config.clone(), readiness.block("certificate")));
        for index in 0..settings.concurrency {
            let (config, drain, shared) = (config.clone(), drain.clone(), shared.clone());
            let recorder = Recorder::new(node.clone(), &registry, &sink);
            let listeners = readiness.block("listeners");
            let body = move || work(|| Worker::new(config, drain, shared, recorder), listeners);
            std::thread::Builder::new().name(format!("worker-{index}")).spawn(body).context("a worker thread")?;
        }
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(TIDY).await;
                shared.tidy();
            }
        });
        tokio::spawn(settle(readiness));
        tracing::info!(workers = settings.concurrency, control_plane = %settings.discovery, "started");
        let began = tokio::spawn(when_begun(drain.clone()));
        end.await.context("signals")?;
        trigger.begin();
        finish(&settings, &trigger, &drain, began.await.unwrap_or_else(|_| Instant::now())).await;
        sink.flush();
        Ok(())
    })
}

/// A proxy will not start again: what of the program only a start runs need not stay in memory.
async fn settle(readiness: Readiness) {
    readiness.ready().await;
    tokio::time::sleep(STARTED).await;
    if let Err(error) = program_text::release() {
        tracing::warn!("the text of the program's start stays in memory: {error}");
    }
}

/// A pod that ends may have told us before its application was told (`/drain`).
async fn when_begun(drain: Drain) -> Instant {
    drain.begun().await;
    Instant::now()
}

/// Serves on for the callers that have not heard yet, then lets go of what is idle, and waits for what runs. Outbound
/// connections are the application's own: as long as it holds one, it may need us (P05).
async fn finish(settings: &Settings, trigger: &DrainTrigger, drain: &Drain, began: Instant) {
    tokio::time::sleep_until(began + settings.drain).await;
    trigger.close();
    let killed = began + settings.grace.saturating_sub(MARGIN);
    if tokio::time::timeout_at(killed, trigger.finished()).await.is_err() {
        tracing::warn!(connections = drain.running(), "time is up: what still runs is cut off");
    }
    tracing::info!("drained");
}

/// A worker thread's life.
fn work(make: impl FnOnce() -> Worker, listeners: Blocker) {
    let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("a worker has no runtime: {error}");
            return;
        }
    };
    runtime.block_on(async {
        let worker = Rc::new(make());
        let tidied = worker.clone();
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(TIDY).await;
                tidied.upstreams.tidy();
            }
        });
        accept::listen(worker, listeners).await;
    });
}

/// A proxy needs two sockets a connection.
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!("cannot raise the limit of open files to {hard}: {error}");
    }
}
