//! Readiness, metrics and debug pages.

use std::fmt::Write;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::get;
use mesh_runtime::front_page;
use pilot::Server;
use tokio::net::TcpListener;

/// Opens both ports. The pages answer once everything else is open, so that ready means ready.
pub(crate) async fn serve(http: SocketAddr, monitoring: SocketAddr, xds: Server) -> Result<()> {
    let front = front_page("istiod", &pilot::DEBUG_PAGES);
    let debug = Router::new().route("/debug", get(async || Html(front))).route("/debug/{page}", get(debug));
    open(http, Router::new().route("/ready", get(ready)).merge(debug.clone()).with_state(xds.clone())).await?;
    let own = debug.layer(from_fn(from_here));
    // istioctl asks for its version with two slashes.
    let version = Router::new().route("/version", get(version)).route("//version", get(version));
    let monitored = Router::new().route("/metrics", get(metrics)).merge(version).merge(own);
    open(monitoring, monitored.with_state(xds)).await
}

/// Passes who is in the pod, as whoever forwards a port is: `istioctl version` asks so for the versions of proxies.
async fn from_here(ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request, next: Next) -> Response {
    match peer.ip().to_canonical().is_loopback() {
        true => next.run(request).await,
        false => (StatusCode::FORBIDDEN, "only from within the pod; forward a port to it\n").into_response(),
    }
}

/// Serves pages at an address, of which the opening may fail and nothing else.
pub(crate) async fn open(address: SocketAddr, pages: Router) -> Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("the port {address}"))?;
    tokio::spawn(async move {
        let pages = pages.into_make_service_with_connect_info::<SocketAddr>();
        if let Err(error) = axum::serve(listener, pages).await {
            tracing::error!("{address}: {error}");
        }
    });
    Ok(())
}

/// As `istioctl version` asks every istiod.
async fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

async fn ready() -> &'static str {
    "ok\n"
}

/// What every proxy has been sent, has taken and has refused (`syncz`), and Istio's other debug pages that are served.
async fn debug(State(xds): State<Server>, Path(page): Path<String>) -> Response {
    match xds.debug_page(&page) {
        Some(page) => Json(page).into_response(),
        None => (StatusCode::NOT_FOUND, "no such page; /debug/list names those that there are\n").into_response(),
    }
}

/// Istio's names.
async fn metrics(State(xds): State<Server>) -> Response {
    let connections = xds.connections();
    let mut text = String::new();
    let sent: u64 = connections.iter().map(|one| one.sent).sum();
    let refused: usize = connections.iter().map(|one| one.refused.len()).sum();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# TYPE pilot_xds gauge\npilot_xds {}", connections.len());
    let _ = writeln!(text, "# TYPE pilot_xds_pushes gauge\npilot_xds_pushes {sent}");
    let _ = writeln!(text, "# TYPE pilot_total_xds_rejects gauge\npilot_total_xds_rejects {refused}");
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
