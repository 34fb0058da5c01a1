//! What kubelets and Prometheus ask of the application, asked on their behalf: a kubelet has no certificate of the mesh,
//! so the injector sends its probes here, and Prometheus reads the application's metrics together with ours.

mod ask;
mod grpc;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use axum::http::StatusCode;
use serde::Deserialize;

/// A kubelet's default.
const PROBE: Duration = Duration::from_secs(1);
/// Hooks have no time-out of their own; the kubelet's patience is the pod's grace period.
const HOOK: Duration = Duration::from_secs(30);
/// Prometheus' default.
const SCRAPE: Duration = Duration::from_secs(10);

/// The application beside us.
#[derive(Clone, Debug)]
pub struct Application {
    /// The pod's.
    pub address: IpAddr,
    /// Its probes and hooks by our path, such as `/app-health/web/livez` (`ISTIO_KUBE_APP_PROBERS`).
    pub probes: BTreeMap<String, Probe>,
    /// Where its metrics are (`ISTIO_PROMETHEUS_ANNOTATIONS`).
    pub metrics: Option<Scrape>,
}

/// A probe as Kubernetes has it; one of the three is there.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    http_get: Option<HttpGet>,
    tcp_socket: Option<TcpSocket>,
    grpc: Option<Grpc>,
    timeout_seconds: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpGet {
    #[serde(default)]
    path: String,
    port: u16,
    #[serde(default)]
    scheme: Scheme,
    #[serde(default)]
    http_headers: Vec<HttpHeader>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum Scheme {
    #[default]
    #[serde(alias = "HTTP", alias = "", rename = "http")]
    Http,
    #[serde(alias = "HTTPS", rename = "https")]
    Https,
}

#[derive(Clone, Debug, Deserialize)]
struct HttpHeader {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Clone, Debug, Deserialize)]
struct TcpSocket {
    port: u16,
}

#[derive(Clone, Debug, Deserialize)]
struct Grpc {
    port: u16,
    #[serde(default)]
    service: Option<String>,
}

/// The application's annotations for Prometheus.
#[derive(Clone, Debug, Deserialize)]
pub struct Scrape {
    #[serde(default)]
    scrape: String,
    #[serde(default)]
    port: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    scheme: Scheme,
}

impl Application {
    /// One of which nothing is told but where it is: without probes and metrics.
    pub fn at(address: IpAddr) -> Self {
        Self { address, probes: BTreeMap::new(), metrics: None }
    }

    /// The answer of a probe or hook; `None` if there is none of this path. The status of the application is passed on;
    /// what cannot be asked is a 500 that says why.
    pub async fn probe(&self, path: &str) -> Option<(StatusCode, String)> {
        let probe = self.probes.get(path)?;
        let default = if path.starts_with("/app-lifecycle/") { HOOK } else { PROBE };
        let patience = probe.timeout_seconds.map_or(default, Duration::from_secs);
        let answer = tokio::time::timeout(patience, self.answer(probe)).await;
        Some(match answer {
            Ok(Ok(status)) => (status, String::new()),
            Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, format!("no answer within {patience:?}\n")),
        })
    }

    async fn answer(&self, probe: &Probe) -> anyhow::Result<StatusCode> {
        if let Some(get) = &probe.http_get {
            let request = ask::request(get, self.address)?;
            Ok(ask::http(self.address, get.port, get.scheme == Scheme::Https, request).await?.status())
        } else if let Some(socket) = &probe.tcp_socket {
            ask::connect(self.address, socket.port).await?;
            Ok(StatusCode::OK)
        } else if let Some(health) = &probe.grpc {
            grpc::check(self.address, health.port, health.service.as_deref().unwrap_or_default()).await?;
            Ok(StatusCode::OK)
        } else {
            anyhow::bail!("the probe has neither httpGet nor tcpSocket nor grpc")
        }
    }

    /// The application's metrics, if it says that it has some.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn metrics(&self) -> anyhow::Result<Option<String>> {
        let Some(scrape) = self.metrics.as_ref().filter(|scrape| scrape.scrape == "true") else { return Ok(None) };
        let port = if scrape.port.is_empty() { 80 } else { scrape.port.parse()? };
        let get = HttpGet {
            path: if scrape.path.is_empty() { "/metrics".to_owned() } else { scrape.path.clone() },
            port,
            scheme: scrape.scheme,
            http_headers: vec![HttpHeader { name: "accept".into(), value: "text/plain;version=0.0.4".into() }],
        };
        let asked = async {
            let request = ask::request(&get, self.address)?;
            ask::text(ask::http(self.address, port, get.scheme == Scheme::Https, request).await?).await
        };
        tokio::time::timeout(SCRAPE, asked).await.map_err(|_| anyhow::anyhow!("no answer within {SCRAPE:?}"))?.map(Some)
    }
}

#[cfg(test)]
mod tests;
