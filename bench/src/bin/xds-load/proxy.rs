//! One simulated proxy: a stream of its own, and an application that calls five services.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind as Text};
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use super::decode::Kind;
use super::held::Held;
use super::world;

/// The largest message that is taken.
const MOST: usize = 256 * 1024 * 1024;
/// A lost stream is opened anew after so long.
const AGAIN: Duration = Duration::from_millis(50);
/// Whoever has not taken a connection after so long cannot be reached.
const CONNECT: Duration = Duration::from_secs(5);
/// Services that an application calls, besides the edited one.
const CALLED: usize = 4;

/// How a proxy subscribes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// As our own does: what its application uses.
    OnDemand,
    /// As a stock Envoy must: everything.
    Everything,
}

/// What happened to a proxy.
pub(crate) enum Event {
    /// It has everything that it asked for on this stream.
    Configured,
    /// It has decoded what the marker is in.
    Arrived(Instant),
    /// Its stream ended, or none could be opened, and why.
    Lost(String),
}

/// What all proxies share.
pub(crate) struct Shared {
    pub(crate) server: SocketAddr,
    pub(crate) style: Style,
    /// How many services there are to be called.
    pub(crate) services: usize,
    /// Bytes of all responses.
    pub(crate) bytes: AtomicU64,
    /// What an edit puts into a resource.
    pub(crate) marker: watch::Receiver<Arc<str>>,
    pub(crate) events: mpsc::UnboundedSender<Event>,
}

/// A proxy that runs.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    /// The service that its workload is of.
    service: usize,
    held: Held,
    /// Calls that its application has not made yet.
    calls: Vec<(Kind, Vec<String>)>,
    configured: bool,
}

impl Proxy {
    /// The proxy of a workload of a service.
    pub(crate) fn new(shared: Arc<Shared>, service: usize) -> Self {
        let calls = match shared.style {
            Style::OnDemand => calls(service, shared.services),
            Style::Everything => Vec::new(),
        };
        Self { held: Held::new(shared.style == Style::OnDemand), shared, service, calls, configured: false }
    }

    /// Follows the control plane, stream after stream.
    pub(crate) async fn run(mut self) {
        loop {
            let why = match self.stream().await {
                Ok(()) => "the server ended it".to_owned(),
                Err(error) => format!("{error:#}"),
            };
            let _ = self.shared.events.send(Event::Lost(why));
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn stream(&mut self) -> Result<()> {
        self.configured = false;
        let server = Endpoint::from_shared(format!("http://{}", self.shared.server))?.connect_timeout(CONNECT);
        let channel = server.connect().await?;
        let mut client = AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(MOST);
        let (requests, receiver) = mpsc::channel(64);
        for first in self.held.open(self.node()) {
            requests.send(first).await?;
        }
        let mut responses = client.delta_aggregated_resources(ReceiverStream::new(receiver)).await?.into_inner();
        while let Some(response) = responses.message().await? {
            let arrived = Instant::now();
            self.shared.bytes.fetch_add(response.encoded_len() as u64, Ordering::Relaxed);
            self.held.take(&response)?;
            if self.has_marker(&response) {
                let _ = self.shared.events.send(Event::Arrived(arrived));
            }
            let ack = DeltaDiscoveryRequest {
                type_url: response.type_url,
                response_nonce: response.nonce,
                ..Default::default()
            };
            self.say(&requests, ack).await?;
            self.go_on(&requests).await?;
        }
        Ok(())
    }

    fn has_marker(&self, response: &DeltaDiscoveryResponse) -> bool {
        let marker = self.shared.marker.borrow().clone();
        let bodies = response.resources.iter().filter_map(|one| one.resource.as_ref());
        !marker.is_empty()
            && bodies.into_iter().any(|any| memchr::memmem::find(&any.value, marker.as_bytes()).is_some())
    }

    /// Asks for what follows; once nothing does, the application makes its next call.
    async fn go_on(&mut self, requests: &mpsc::Sender<DeltaDiscoveryRequest>) -> Result<()> {
        loop {
            for change in self.held.changes() {
                self.say(requests, change).await?;
            }
            if !self.held.is_complete() {
                return Ok(());
            }
            let Some((kind, names)) = self.calls.pop() else { break };
            self.held.call(kind, names);
        }
        if !std::mem::replace(&mut self.configured, true) {
            let _ = self.shared.events.send(Event::Configured);
        }
        Ok(())
    }

    async fn say(&self, requests: &mpsc::Sender<DeltaDiscoveryRequest>, request: DeltaDiscoveryRequest) -> Result<()> {
        requests.send(request).await.context("the stream ended")
    }

    fn node(&self) -> Node {
        let text = |text: &str| Value { kind: Some(Text::StringValue(text.to_owned())) };
        let (name, namespace) = (world::name(self.service), world::namespace(self.service));
        let ip = world::address(self.service, 0).to_string();
        let labels = Struct { fields: [("app".to_owned(), text(&name))].into() };
        let mut fields = vec![
            ("NAME", text(&format!("{name}-0"))),
            ("NAMESPACE", text(&namespace)),
            ("SERVICE_ACCOUNT", text("default")),
            ("CLUSTER_ID", text("Kubernetes")),
            ("MESH_ID", text("cluster.local")),
            ("ISTIO_VERSION", text("1.31.0")),
            ("LABELS", Value { kind: Some(Text::StructValue(labels)) }),
            ("INSTANCE_IPS", text(&ip)),
        ];
        if self.shared.style == Style::OnDemand {
            fields.push((mesh_types::ON_DEMAND_METADATA, text("true")));
        }
        Node {
            id: format!("sidecar~{ip}~{name}-0.{namespace}~{namespace}.svc.cluster.local"),
            cluster: format!("{name}.{namespace}"),
            metadata: Some(Struct { fields: fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect() }),
            ..Default::default()
        }
    }
}

/// What the application's calls make a proxy ask for, the last first: the edited service and some of all others.
fn calls(service: usize, services: usize) -> Vec<(Kind, Vec<String>)> {
    let others = (1..=CALLED).map(|number| (service + number * services / (CALLED + 1)) % services);
    let mut calls = Vec::new();
    for called in others.chain([world::EDITED]) {
        let port = world::PORT;
        calls.push((Kind::VirtualHost, vec![format!("{port}/{}", world::host(called))]));
        calls.push((Kind::Listener, vec![format!("{}_{port}", world::cluster_ip(called)), format!("0.0.0.0_{port}")]));
    }
    calls
}
