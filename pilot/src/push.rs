//! Delta ADS: each proxy gets what it subscribed to, and then only what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use envoy_types::pb::envoy::config::core::v3::{ControlPlane, Node};
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
use crate::operator;
use crate::progress::Progress;
use crate::proxy::{Proxy, text_of};
use crate::resource::Resource;
use crate::subscription::{Lacking, Subscription};
use crate::view::{Concerned, View};
use crate::world::World;

/// A proxy that names more than this is refused.
const MOST_NAMES: usize = 200_000;

/// Responses of a connection that wait for the network.
const WAITING: usize = 16;

/// The server of delta ADS. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    world: watch::Receiver<Arc<World>>,
    connections: Arc<Mutex<BTreeMap<u64, Arc<Known>>>>,
    next: Arc<AtomicU64>,
    authenticate: Arc<dyn Authenticate>,
    instance: Arc<str>,
}

/// What the debug pages show of a connection.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Shown {
    /// Node id.
    pub proxy: String,
    /// The version that it says it has (node metadata `ISTIO_VERSION`).
    #[serde(rename = "istio_version")]
    pub version: String,
    /// The cluster in which it says it runs (node metadata `CLUSTER_ID`).
    #[serde(rename = "cluster_id")]
    pub cluster: String,
    /// Types of which it was sent something.
    #[serde(skip)]
    pub told: BTreeSet<Kind>,
    /// Resources sent and not yet acknowledged, by type.
    pub pending: BTreeMap<&'static str, usize>,
    /// What the proxy refused last, by type.
    pub refused: BTreeMap<&'static str, String>,
    /// Responses sent.
    pub sent: u64,
    /// Resources sent, in all responses.
    #[serde(rename = "resources_sent")]
    pub resources: u64,
    /// Responses acknowledged.
    pub acknowledged: u64,
    /// The newest world of which it has taken everything that it was sent.
    pub has: Option<u64>,
}

/// What is known of a connected proxy.
#[derive(Default)]
pub(crate) struct Known {
    /// As the debug pages see it.
    pub(crate) shown: Mutex<Shown>,
    /// What it was sent, and has taken.
    pub(crate) held: Mutex<BTreeMap<Kind, Subscription>>,
}

impl Known {
    /// It has taken a response.
    fn taken(&self, kind: Kind, nonce: &str) {
        if let (Some(subscription), Ok(nonce)) = (self.held.lock().get_mut(&kind), nonce.parse()) {
            subscription.taken(nonce);
        }
    }
}

impl Shown {
    fn of(proxy: &Proxy, node: &Node) -> Self {
        let said = |key: &str| text_of(node, key).unwrap_or_default().to_owned();
        let (version, cluster) = (said("ISTIO_VERSION"), said("CLUSTER_ID"));
        Self { proxy: proxy.id.to_string(), version, cluster, ..Self::default() }
    }
}

impl Server {
    /// A server of the newest world for anybody who asks; keys are told to nobody.
    pub fn new(world: watch::Receiver<Arc<World>>) -> Self {
        Self {
            world,
            connections: Arc::default(),
            next: Arc::default(),
            authenticate: Arc::new(Anybody),
            instance: "istiod".into(),
        }
    }

    /// The same connections behind a door that proves who is who.
    #[must_use]
    pub fn with_authentication(&self, authenticate: Arc<dyn Authenticate>) -> Self {
        Self { authenticate, ..self.clone() }
    }

    /// The same, by the name by which operators know this replica.
    #[must_use]
    pub fn named(self, instance: &str) -> Self {
        Self { instance: instance.into(), ..self }
    }

    /// As a gRPC service.
    pub fn service(&self) -> AggregatedDiscoveryServiceServer<Self> {
        AggregatedDiscoveryServiceServer::new(self.clone())
    }

    /// All connections now.
    pub fn connections(&self) -> Vec<Shown> {
        self.connections.lock().values().map(|known| known.shown.lock().clone()).collect()
    }

    /// Istio's debug page of this name (`/debug/<name>`); `None` if it is not served.
    pub fn debug_page(&self, name: &str) -> Option<serde_json::Value> {
        operator::page(name, &self.connections())
    }

    /// What is known of the proxies that are connected now, in the order in which they came.
    pub(crate) fn known(&self) -> Vec<Arc<Known>> {
        self.connections.lock().values().cloned().collect()
    }

    fn connection(&self, proxy: &Proxy, node: &Node, grant: Grant, sender: Sender) -> Connection {
        let mut world = self.world.clone();
        let view = View::new(world.borrow_and_update().clone(), proxy.clone());
        Connection {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            known: Arc::new(Known { shown: Mutex::new(Shown::of(proxy, node)), ..Known::default() }),
            server: self.clone(),
            grant,
            progress: Progress::new(view.generation()),
            world,
            sender,
            view,
            nonce: 0,
            name: proxy.id.to_string(),
        }
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Server {
    type StreamAggregatedResourcesStream = Pin<Box<dyn Stream<Item = Result<ads::DiscoveryResponse, Status>> + Send>>;
    type DeltaAggregatedResourcesStream =
        Pin<Box<dyn Stream<Item = Result<ads::DeltaDiscoveryResponse, Status>> + Send>>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<ads::DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        let metadata = request.metadata().clone();
        let mut requests = request.into_inner();
        let first = requests.message().await?.ok_or_else(|| Status::invalid_argument("the stream ended at once"))?;
        operator::check(&first)?;
        self.authenticate.operator(&metadata).await?;
        let server = self.clone();
        let answers = tokio_stream::once(Ok(first)).chain(requests).filter_map(move |request| match request {
            // What acknowledges an answer asks for none.
            Ok(request) if operator::acknowledges(&request) => None,
            Ok(request) => Some(operator::answer(&server.instance, &request, &server.known())),
            Err(status) => Some(Err(status)),
        });
        Ok(Response::new(Box::pin(answers)))
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
        let (sender, responses) = mpsc::channel(WAITING);
        let connection = self.connection(&proxy, &node, grant, sender);
        tokio::spawn(connection.run(first, requests));
        Ok(Response::new(Box::pin(ReceiverStream::new(responses).map(|response| Ok(*response?)))))
    }
}

/// Why it is looked at what a proxy lacks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// It asks for the type for the first time.
    First,
    /// It asks for more.
    Asked,
    /// What it asks for mentions others.
    Mentioned,
    /// The world changed.
    Changed,
}

/// Boxed, since a channel has room for more than it lets wait.
type Sender = mpsc::Sender<Result<Box<ads::DeltaDiscoveryResponse>, Status>>;

/// One proxy's stream.
struct Connection {
    id: u64,
    server: Server,
    grant: Grant,
    progress: Progress,
    world: watch::Receiver<Arc<World>>,
    sender: Sender,
    view: View,
    nonce: u64,
    known: Arc<Known>,
    /// Node id.
    name: String,
}

impl Connection {
    async fn run(mut self, first: ads::DeltaDiscoveryRequest, mut requests: Streaming<ads::DeltaDiscoveryRequest>) {
        tracing::info!(proxy = %self.name, "connected");
        self.server.connections.lock().insert(self.id, self.known.clone());
        let ended = match self.take(first).await {
            Ok(()) => self.serve(&mut requests).await,
            Err(error) => Err(error),
        };
        self.server.connections.lock().remove(&self.id);
        let why = ended.as_ref().err().map(|status| status.message());
        tracing::info!(proxy = %self.name, why, "disconnected");
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
                    self.follow_mentions(true);
                    for kind in Kind::ALL {
                        self.push(kind, Why::Changed).await?;
                    }
                    self.progress.sent_all_of(self.view.generation());
                    self.known.shown.lock().has = self.progress.has();
                }
            }
        }
    }

    async fn take(&mut self, request: ads::DeltaDiscoveryRequest) -> Result<(), Status> {
        let Some(kind) = Kind::of(&request.type_url) else {
            return Err(Status::invalid_argument(format!("{} is not served", request.type_url)));
        };
        if !request.response_nonce.is_empty() {
            self.heard(kind, &request);
        }
        let first = !self.known.held.lock().contains_key(&kind);
        if !self.note(kind, &request, first)? {
            return Ok(());
        }
        let returns = !request.initial_resource_versions.is_empty();
        if self.view.is_on_demand() && !returns {
            // What it asks for mentions what it would ask for next: one round trip for all. A proxy that comes back will
            // say by itself what it has.
            self.follow_mentions(false);
            for other in Kind::ALL.into_iter().filter(|other| *other != kind) {
                self.push(other, Why::Mentioned).await?;
            }
        }
        self.push(kind, if first { Why::First } else { Why::Asked }).await
    }

    /// Keeps what the proxy says that it has, wants and lets go; true if it asks for something.
    fn note(&self, kind: Kind, request: &ads::DeltaDiscoveryRequest, first: bool) -> Result<bool, Status> {
        let mut held = self.known.held.lock();
        let subscription = held.entry(kind).or_insert_with(|| Subscription::new(kind));
        if first {
            subscription.open(kind.is_wildcard() && request.resource_names_subscribe.is_empty());
            request.initial_resource_versions.iter().for_each(|(name, version)| subscription.has(name, version));
        }
        request.resource_names_subscribe.iter().for_each(|name| subscription.ask(name, first));
        request.resource_names_unsubscribe.iter().for_each(|name| subscription.let_go(name));
        let asks = !request.resource_names_subscribe.is_empty();
        if asks && subscription.named(Concerned::Anything).count() > MOST_NAMES {
            return Err(Status::resource_exhausted("too many names"));
        }
        Ok(first || asks)
    }

    /// Adds what the proxy's resources mention to what it is sent, from kind to kind: what those mention that may be
    /// different since the world `changed`, or all.
    fn follow_mentions(&self, changed: bool) {
        if !self.view.is_on_demand() {
            return;
        }
        let mut held = self.known.held.lock();
        for kind in [Kind::Listener, Kind::Route, Kind::VirtualHost, Kind::Cluster] {
            let Some(subscription) = held.get(&kind) else { continue };
            let concerned = if changed { self.view.concerned(kind) } else { Concerned::Anything };
            let names = subscription.named(concerned);
            let resources: Vec<_> = names.filter_map(|name| self.view.get(kind, name)).collect();
            for (kind, name) in resources.iter().flat_map(|resource| &resource.mentions) {
                if !self.view.is_unasked(*kind, name) {
                    held.entry(*kind).or_insert_with(|| Subscription::new(*kind)).imply(name);
                }
            }
        }
    }

    /// An ACK, or a NACK, which is kept to be shown.
    fn heard(&mut self, kind: Kind, request: &ads::DeltaDiscoveryRequest) {
        let mut shown = self.known.shown.lock();
        shown.acknowledged += 1;
        shown.pending.remove(kind.word());
        match &request.error_detail {
            Some(error) => {
                tracing::warn!(proxy = %self.name, kind = kind.word(), "the proxy refused: {}", error.message);
                shown.refused.insert(kind.word(), error.message.clone());
            }
            None => {
                shown.refused.remove(kind.word());
                self.progress.taken(kind, &request.response_nonce);
                self.known.taken(kind, &request.response_nonce);
            }
        }
        shown.has = self.progress.has();
    }

    /// Sends what the proxy lacks of a type. A first question wants an answer, even if that is nothing.
    async fn push(&mut self, kind: Kind, why: Why) -> Result<(), Status> {
        let Some(lacking) = self.due(kind, why) else { return Ok(()) };
        self.nonce += 1;
        self.progress.sent(self.nonce, kind, self.view.generation());
        self.show(kind, lacking.resources.len());
        let response = ads::DeltaDiscoveryResponse {
            type_url: kind.url().to_owned(),
            // By this a proxy knows whether it was sent everything, or is to ask.
            control_plane: Some(ControlPlane { identifier: self.view.identifier().to_owned() }),
            nonce: self.nonce.to_string(),
            resources: lacking.resources.into_iter().map(|(name, resource)| sent(name, &resource)).collect(),
            removed_resources: lacking.removed,
            ..Default::default()
        };
        self.sender.send(Ok(Box::new(response))).await.map_err(|_| Status::cancelled("the proxy went away"))
    }

    /// What the next response tells of a type, if there is anything to tell.
    fn due(&self, kind: Kind, why: Why) -> Option<Lacking> {
        let hidden = kind == Kind::Secret && !self.grant.keys;
        let mut held = self.known.held.lock();
        let subscription = held.get_mut(&kind)?;
        let view = &self.view;
        let concerned = if why == Why::Changed { view.concerned(kind) } else { Concerned::Anything };
        let get = |name: &str| view.get(kind, name).filter(|_| !hidden);
        let lacking = subscription.lacking(self.nonce + 1, concerned, view.unasked(kind, concerned), get);
        if lacking.is_empty() && !(why == Why::First && subscription.is_unanswered()) {
            return None;
        }
        subscription.answered();
        Some(lacking)
    }

    fn show(&self, kind: Kind, resources: usize) {
        let mut shown = self.known.shown.lock();
        shown.sent += 1;
        shown.resources += resources as u64;
        shown.told.insert(kind);
        shown.pending.insert(kind.word(), resources);
        shown.has = self.progress.has();
    }
}

fn sent(name: String, resource: &Resource) -> ads::Resource {
    ads::Resource {
        name,
        version: resource.version_text(),
        resource: Some(resource.body.clone()),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: Kind = Kind::Cluster;

    fn node() -> Node {
        Node { id: "sidecar~10.0.0.9~client.default~default.svc.cluster.local".to_owned(), ..Node::default() }
    }

    fn request(nonce: &str, refuses: bool) -> ads::DeltaDiscoveryRequest {
        let error_detail = refuses.then(Default::default);
        let (type_url, response_nonce) = (CLUSTER.url().to_owned(), nonce.to_owned());
        ads::DeltaDiscoveryRequest { type_url, response_nonce, error_detail, ..Default::default() }
    }

    /// How many clusters the proxy has taken, and how many are under way.
    fn counts(known: &Known) -> [usize; 2] {
        let held = known.held.lock();
        let all: Vec<_> = held[&CLUSTER].held().map(|one| [one.taken.is_some(), one.under_way.is_some()]).collect();
        [0, 1].map(|which| all.iter().filter(|one| one[which]).count())
    }

    /// What operators are told that a proxy has is what it acknowledged.
    #[tokio::test]
    async fn a_proxy_has_what_it_acknowledged() {
        let (_world, worlds) = watch::channel(Arc::new(World::build(&Arc::default())));
        let (sender, mut responses) = mpsc::channel(WAITING);
        let proxy = Proxy::from_node(&node()).unwrap();
        let mut connection = Server::new(worlds).connection(&proxy, &node(), Grant::default(), sender);
        let known = connection.known.clone();
        connection.take(request("", false)).await.unwrap();
        let response = responses.recv().await.unwrap().unwrap();
        let all = response.resources.len();
        assert!(all > 0);
        assert_eq!(counts(&known), [0, all]);
        connection.take(request(&response.nonce, true)).await.unwrap();
        assert_eq!(counts(&known), [0, all], "what it refuses it has not");
        connection.take(request(&response.nonce, false)).await.unwrap();
        assert_eq!(counts(&known), [all, 0]);
    }
}
