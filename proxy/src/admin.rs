//! What operators, kubelets and Prometheus see: admin on 15000 (loopback only), status on 15020 and 15021, metrics on
//! 15090.

mod dump;
mod pages;
mod stats;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::response::Html;
use axum::routing::{get, post};
use mesh_runtime::{Drain, DrainTrigger, Readiness, front_page};
use mesh_types::ports;
use tokio::net::TcpListener;

use crate::app_health::Application;
use crate::config::Node;
use crate::record::Registry;
use crate::upstream::Shared;
use crate::xds::Config;

pub use dump::configs as config_dump;

/// What the pages show.
#[derive(Clone)]
pub struct State {
    /// Configuration.
    pub config: Config,
    /// Metrics.
    pub registry: Registry,
    /// What is under way towards others.
    pub upstreams: Arc<Shared>,
    /// Whether the proxy is ready.
    pub readiness: Readiness,
    /// Whether it drains.
    pub drain: Drain,
    /// Begins it.
    pub trigger: DrainTrigger,
    /// Who we are.
    pub node: Arc<Node>,
    /// Whom we stand beside.
    pub application: Arc<Application>,
}

/// Where the pages are.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// For operators: everything, and the means to end the process.
    pub admin: SocketAddr,
    /// For kubelets and Prometheus: with what the application says of its health and its metrics.
    pub application: SocketAddr,
    /// For kubelets and Prometheus: the proxy alone.
    pub status: Vec<SocketAddr>,
}

impl Default for Addresses {
    /// Istio's ports.
    fn default() -> Self {
        let everywhere = |port| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
        Self {
            admin: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), ports::ADMIN),
            application: everywhere(ports::STATUS),
            status: [ports::READY, ports::PROMETHEUS].map(everywhere).to_vec(),
        }
    }
}

/// What of the admin port is for reading.
const PAGES: [(&str, &str); 6] = [
    ("/clusters", "Endpoints of all that the application calls, and how they are"),
    ("/config_dump", "Everything in force, and what was refused"),
    ("/listeners", "Addresses that are listened on"),
    ("/server_info", "Version and state"),
    ("/stats", "Counters"),
    ("/stats/prometheus", "Metrics"),
];

/// Opens the ports and serves them on this runtime.
///
/// # Errors
/// If a port is taken.
pub async fn serve(addresses: &Addresses, state: State) -> Result<()> {
    let status = Router::new()
        .route("/healthz/ready", get(pages::ready))
        .route("/ready", get(pages::ready))
        .route("/stats/prometheus", get(pages::metrics))
        .route("/metrics", get(pages::metrics));
    let front = front_page("istio-proxy", &PAGES);
    let admin = status
        .clone()
        .route("/", get(async || Html(front)))
        .route("/config_dump", get(pages::config_dump))
        .route("/clusters", get(pages::clusters))
        .route("/listeners", get(pages::listeners))
        .route("/server_info", get(pages::server_info))
        .route("/stats", get(stats::page))
        .route("/logging", post(pages::logging))
        .route("/quitquitquit", post(pages::quit));
    open(addresses.admin, admin, &state).await?;
    // Istio's agent serves these on its status port.
    let application = Router::new()
        .route("/healthz/ready", get(pages::ready))
        .route("/stats/prometheus", get(pages::all_metrics))
        .route("/metrics", get(pages::all_metrics))
        .route("/quitquitquit", post(pages::quit_if_local))
        .route("/drain", post(pages::drain_if_local))
        .fallback(pages::application);
    open(addresses.application, application, &state).await?;
    for address in &addresses.status {
        open(*address, status.clone(), &state).await?;
    }
    Ok(())
}

async fn open(address: SocketAddr, pages: Router<State>, state: &State) -> Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("the port {address}"))?;
    let pages = pages.with_state(state.clone());
    tokio::spawn(async move {
        let pages = pages.into_make_service_with_connect_info::<SocketAddr>();
        if let Err(error) = axum::serve(listener, pages).await {
            tracing::error!("{address}: {error}");
        }
    });
    Ok(())
}
