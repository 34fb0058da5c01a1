//! Delta ADS: each proxy gets what it subscribed to, and then only what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use envoy_types::pb::envoy::config::core::v3::ControlPlane;
use envoy_types::pb::envoy::service::discovery::v3 as ads;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use crate::authenticate::{Anybody, Authenticate, Grant};
use crate::kind::Kind;
use crate::progress::Progress;
use crate::proxy::Proxy;
use crate::view::View;
use crate::world::World;

/// A proxy that names more than this is refused.
const MOST_NAMES: usize = 200_000;

/// The server of delta ADS. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    world: watch::Receiver<Arc<World>>,
    connections: Arc<Mutex<BTreeMap<u64, Shown>>>,
    next: Arc<AtomicU64>,
    authenticate: Arc<dyn Authenticate>,
}

/// What the debug pages show of a connection.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Shown {
    /// Node id.
    pub proxy: String,
    /// Resources sent and not yet acknowledged, by type.
    pub pending: BTreeMap<String, usize>,
    /// What the proxy refused last, by type.
    pub refused: BTreeMap<String, String>,
    /// Responses sent.
    pub sent: u64,
    /// Resources sent, in all responses.
    pub resources: u64,
    /// Responses acknowledged.
    pub acknowledged: u64,
    /// The newest world of which it has taken everything that it was sent.
    pub has: Option<u64>,
}

impl Server {
    /// A server of the newest world for anybody who asks; keys are told to nobody.
    pub fn new(world: watch::Receiver<Arc<World>>) -> Self {
        Self { world, connections: Arc::default(), next: Arc::default(), authenticate: Arc::new(Anybody) }
    }

    /// The same connections behind a door that proves who is who.
    #[must_use]
    pub fn with_authentication(&self, authenticate: Arc<dyn Authenticate>) -> Self {
        Self { authenticate, ..self.clone() }
    }

    /// As a gRPC service.
    pub fn service(&self) -> AggregatedDiscoveryServiceServer<Self> {
        AggregatedDiscoveryServiceServer::new(self.clone())
    }

    /// All connections now.
    pub fn connections(&self) -> Vec<Shown> {
        self.connections.lock().values().cloned().collect()
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Server {
    type StreamAggregatedResourcesStream = Pin<Box<dyn Stream<Item = Result<ads::DiscoveryResponse, Status>> + Send>>;
    type DeltaAggregatedResourcesStream =
        Pin<Box<dyn Stream<Item = Result<ads::DeltaDiscoveryResponse, Status>> + Send>>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<ads::DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("only delta ADS is served: set ads_config.api_type to DELTA_GRPC"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<ads::DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let metadata = request.metadata().clone();
        let mut requests = request.into_inner();
        let first = requests.message().await?.ok_or_else(|| Status::invalid_argument("the stream ended at once"))?;
        let node =
            first.node.clone().ok_or_else(|| Status::invalid_argument("the first request must name the node"))?;
        let proxy = Proxy::from_node(&node).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let grant = self.authenticate.authenticate(&metadata, &proxy).await?;
        let (sender, responses) = mpsc::channel(16);
        let mut world = self.world.clone();
        let view = View::new(world.borrow_and_update().clone(), proxy.clone());
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = Connection {
            id,
            shown: Shown { proxy: proxy.id.to_string(), ..Shown::default() },
            server: self.clone(),
            grant,
            progress: Progress::new(view.generation()),
            world,
            sender,
            held: BTreeMap::new(),
            view,
            nonce: 0,
        };
        tokio::spawn(connection.run(first, requests));
        Ok(Response::new(Box::pin(ReceiverStream::new(responses))))
    }
}

/// One proxy's stream.
struct Connection {
    id: u64,
    server: Server,
    grant: Grant,
    progress: Progress,
    world: watch::Receiver<Arc<World>>,
    sender: mpsc::Sender<Result<ads::DeltaDiscoveryResponse, Status>>,
    held: BTreeMap<Kind, Subscription>,
    view: View,
    nonce: u64,
    shown: Shown,
}

/// What a proxy asked for of one type, and what it has.
#[derive(Default)]
struct Subscription {
    wildcard: bool,
    names: BTreeSet<String>,
    /// Names that were sent along since what the proxy asked for mentions them; it will ask for them next.
    implied: BTreeSet<String>,
    /// Versions that it was sent.
    versions: BTreeMap<String, String>,
    /// Names that it was told do not exist.
    gone: BTreeSet<String>,
    answered: bool,
}

impl Connection {
    async fn run(mut self, first: ads::DeltaDiscoveryRequest, mut requests: Streaming<ads::DeltaDiscoveryRequest>) {
        tracing::info!(proxy = %self.shown.proxy, "connected");
        let ended = match self.take(first).await {
            Ok(()) => self.serve(&mut requests).await,
            Err(error) => Err(error),
        };
        self.server.connections.lock().remove(&self.id);
        let why = ended.as_ref().err().map(|status| status.message());
        tracing::info!(proxy = %self.shown.proxy, why, "disconnected");
        if let Err(status) = ended {
            let _ = self.sender.send(Err(status)).await;
        }
    }

    async fn serve(&mut self, requests: &mut Streaming<ads::DeltaDiscoveryRequest>) -> Result<(), Status> {
        loop {
            tokio::select! {
                request = requests.next() => match request {
                    Some(request) => self.take(request?).await?,
                    None => return Ok(()),
                },
                changed = self.world.changed() => {
                    if changed.is_err() {
                        return Err(Status::unavailable("the control plane is ending"));
                    }
                    let world = self.world.borrow_and_update().clone();
                    self.view.follow(world);
                    self.follow_mentions();
                    self.push_all().await?;
                    self.progress.sent_all_of(self.view.generation());
                    self.show();
                }
            }
        }
    }

    async fn push_all(&mut self) -> Result<(), Status> {
        for kind in Kind::ALL {
            self.push(kind, false).await?;
        }
        Ok(())
    }

    async fn take(&mut self, request: ads::DeltaDiscoveryRequest) -> Result<(), Status> {
        let Some(kind) = Kind::of(&request.type_url) else {
            return Err(Status::invalid_argument(format!("{} is not served", request.type_url)));
        };
        if !request.response_nonce.is_empty() {
            self.heard(kind, &request);
        }
        let first = !self.held.contains_key(&kind);
        let returns = !request.initial_resource_versions.is_empty();
        let subscription = self.held.entry(kind).or_default();
        if first {
            subscription.wildcard = kind.is_wildcard() && request.resource_names_subscribe.is_empty();
            subscription.versions = request.initial_resource_versions.into_iter().collect();
        }
        let asks = first || !request.resource_names_subscribe.is_empty();
        for name in request.resource_names_subscribe {
            if name == "*" {
                subscription.wildcard = true;
            } else {
                // Asking again is asking to be sent again, but not for what was just sent along.
                subscription.gone.remove(&name);
                if !subscription.implied.remove(&name) && !first {
                    subscription.versions.remove(&name);
                }
                subscription.names.insert(name);
            }
        }
        for name in request.resource_names_unsubscribe {
            subscription.wildcard &= name != "*";
            subscription.names.remove(&name);
            subscription.implied.remove(&name);
            subscription.versions.remove(&name);
            subscription.gone.remove(&name);
        }
        if subscription.names.len() > MOST_NAMES {
            return Err(Status::resource_exhausted("too many names"));
        }
        if !asks {
            return Ok(());
        }
        if self.view.is_on_demand() && !returns {
            // What it asks for mentions what it would ask for next: one round trip for all. A proxy that comes back will
            // say by itself what it has.
            self.follow_mentions();
            for other in Kind::ALL.into_iter().filter(|other| *other != kind) {
                self.push(other, false).await?;
            }
        }
        self.push(kind, first).await
    }

    /// Adds what the proxy's resources mention to what it is sent, from kind to kind.
    fn follow_mentions(&mut self) {
        if !self.view.is_on_demand() {
            return;
        }
        for kind in [Kind::Listener, Kind::Route, Kind::VirtualHost, Kind::Cluster] {
            let Some(subscription) = self.held.get(&kind) else { continue };
            let names = subscription.names.iter().chain(&subscription.implied);
            let mentions: Vec<_> =
                names.filter_map(|name| self.view.get(kind, name)).flat_map(|one| one.mentions.clone()).collect();
            for (kind, name) in mentions {
                let held = self.held.entry(kind).or_default();
                if !held.names.contains(&name) && !self.view.has_own(kind, &name) {
                    held.implied.insert(name);
                }
            }
        }
    }

    /// An ACK, or a NACK, which is kept to be shown.
    fn heard(&mut self, kind: Kind, request: &ads::DeltaDiscoveryRequest) {
        let name = format!("{kind:?}");
        self.shown.acknowledged += 1;
        self.shown.pending.remove(&name);
        match &request.error_detail {
            Some(error) => {
                tracing::warn!(proxy = %self.shown.proxy, kind = %name, "the proxy refused: {}", error.message);
                self.shown.refused.insert(name, error.message.clone());
            }
            None => {
                self.shown.refused.remove(&name);
                self.progress.taken(kind, &request.response_nonce);
            }
        }
        self.show();
    }

    /// Sends what the proxy lacks of a type; `always` sends even nothing, since a first question wants an answer.
    async fn push(&mut self, kind: Kind, always: bool) -> Result<(), Status> {
        let hidden = kind == Kind::Secret && !self.grant.keys;
        let Some(subscription) = self.held.get_mut(&kind) else { return Ok(()) };
        let mut response = ads::DeltaDiscoveryResponse {
            type_url: kind.url().to_owned(),
            // By this a proxy knows whether it was sent everything, or is to ask.
            control_plane: Some(ControlPlane { identifier: self.view.identifier().to_owned() }),
            ..Default::default()
        };
        let named = subscription.names.iter().chain(&subscription.implied);
        let wanted: BTreeSet<&String> =
            if subscription.wildcard { self.view.own(kind).chain(named).collect() } else { named.collect() };
        let mut lost: BTreeSet<String> =
            subscription.versions.keys().filter(|name| !wanted.contains(name)).cloned().collect();
        for name in &wanted {
            match self.view.get(kind, name).filter(|_| !hidden) {
                Some(resource) if subscription.versions.get(*name) != Some(&resource.version) => {
                    subscription.versions.insert((*name).clone(), resource.version.clone());
                    subscription.gone.remove(*name);
                    response.resources.push(ads::Resource {
                        name: (*name).clone(),
                        version: resource.version.clone(),
                        resource: Some(resource.body.clone()),
                        ..Default::default()
                    });
                }
                Some(_) => {}
                None => {
                    if subscription.gone.insert((*name).clone()) {
                        lost.insert((*name).clone());
                    }
                    subscription.versions.remove(*name);
                }
            }
        }
        for name in lost {
            subscription.versions.remove(&name);
            subscription.implied.remove(&name);
            response.removed_resources.push(name);
        }
        let empty = response.resources.is_empty() && response.removed_resources.is_empty();
        if empty && (!always || subscription.answered) {
            return Ok(());
        }
        subscription.answered = true;
        self.nonce += 1;
        response.nonce = self.nonce.to_string();
        self.progress.sent(self.nonce, kind, self.view.generation());
        self.shown.sent += 1;
        self.shown.resources += response.resources.len() as u64;
        self.shown.pending.insert(format!("{kind:?}"), response.resources.len());
        self.show();
        self.sender.send(Ok(response)).await.map_err(|_| Status::cancelled("the proxy went away"))
    }

    fn show(&mut self) {
        self.shown.has = self.progress.has();
        self.server.connections.lock().insert(self.id, self.shown.clone());
    }
}
