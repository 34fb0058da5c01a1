//! The proxy's own client against our control plane, over a socket: asking by name, edits, absence and return.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::admin::v3::{ClustersConfigDump, ListenersConfigDump, RoutesConfigDump};
use envoy_types::pb::envoy::config::core::v3::Node as WireNode;
use envoy_types::pb::envoy::service::discovery::v3 as ads;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::status::v3::{ClientConfig, ConfigStatus};
use envoy_types::pb::google::protobuf::{Any, Struct, Value, value::Kind};
use galley::Objects;
use mesh_runtime::Readiness;
use mesh_types::{NodeId, NodeKind};
use pilot::{Server, World};
use prost::Message;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use weft_proxy::app_health::Application;
use weft_proxy::config::{Node, Settings};
use weft_proxy::model::Snapshot;
use weft_proxy::xds::{Config, DemandError};

const SHOP: &str = include_str!("simulation/shop.yaml");
const SUBSETS: &str = include_str!("../yaml/reviews-subsets.yaml");
const CANARY: &str = include_str!("../yaml/reviews-canary.yaml");
const REVIEWS: &str = "outbound|9080||reviews.default.svc.cluster.local";

/// A control plane whose world a test changes.
struct ControlPlane {
    world: watch::Sender<Arc<World>>,
    address: SocketAddr,
    server: Server,
    /// Its threads: without them its streams end too.
    serving: Option<Runtime>,
}

impl ControlPlane {
    async fn start(yaml: &str) -> Self {
        let (world, receiver) = watch::channel(Arc::new(World::build(&objects(yaml))));
        let server = Server::new(receiver);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Some(serve(&server, listener));
        Self { world, address, server, serving }
    }

    fn edit(&self, yaml: &str) {
        let next = {
            let before = self.world.borrow();
            let objects = Objects::clone(&objects(yaml)).sharing(before.written());
            before.next(&Arc::new(objects))
        };
        self.world.send_replace(Arc::new(next));
    }

    /// Resources sent to the one proxy that is connected.
    fn sent(&self) -> u64 {
        self.server.connections().iter().map(|connection| connection.resources).sum()
    }

    fn stop(&mut self) {
        self.serving.take().unwrap().shutdown_background();
    }

    async fn return_with(&mut self, yaml: &str) {
        let (world, receiver) = watch::channel(Arc::new(World::build(&objects(yaml))));
        (self.world, self.server) = (world, Server::new(receiver));
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        self.serving = Some(serve(&self.server, listener));
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.shutdown_background();
        }
    }
}

fn serve(server: &Server, listener: TcpListener) -> Runtime {
    let router = tonic::transport::Server::builder().add_service(server.service());
    let listener = listener.into_std().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.spawn(async move {
        let incoming = TcpListenerStream::new(TcpListener::from_std(listener).unwrap());
        router.serve_with_incoming(incoming).await.unwrap();
    });
    runtime
}

fn objects(yaml: &str) -> Arc<Objects> {
    let loaded = galley::load(&"test.yaml".into(), yaml);
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    Arc::new(Objects::new(loaded.objects))
}

/// A sidecar's node.
fn node() -> Node {
    let id = NodeId {
        kind: NodeKind::Sidecar,
        ip: [10, 0, 0, 99].into(),
        workload: "client".into(),
        namespace: "default".into(),
        domain: "default.svc.cluster.local".into(),
    };
    Node {
        id,
        pod: "client".into(),
        namespace: "default".into(),
        service_account: "client".into(),
        trust_domain: Default::default(),
        cluster: "Kubernetes".into(),
        workload: "client".into(),
        labels: Default::default(),
    }
}

fn proxy(control_plane: SocketAddr, state: Option<&Path>) -> Config {
    let settings = Settings {
        node: node(),
        concurrency: 1,
        discovery: control_plane.to_string(),
        authority: control_plane.to_string(),
        discovery_roots: None,
        authority_roots: None,
        authority_crl: "/none".into(),
        token: "/nonexistent".into(),
        control_plane_name: None,
        state_directory: state.map(Path::to_owned),
        drain: Duration::ZERO,
        grace: Duration::ZERO,
        pages: Default::default(),
        application: Application::at(Ipv4Addr::LOCALHOST.into()),
        topology: None,
    };
    weft_proxy::xds::start(&settings, Readiness::new().block("configuration"))
}

/// Waits until the proxy's configuration meets a condition.
async fn until(config: &Config, what: &str, met: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    let mut version = config.watch_version();
    let waited = async {
        loop {
            let snapshot = config.current();
            if met(&snapshot) {
                return snapshot;
            }
            version.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waited).await.unwrap_or_else(|_| panic!("not {what}"))
}

fn outbound(snapshot: &Snapshot) -> Vec<String> {
    let mut names: Vec<String> =
        snapshot.clusters.keys().filter(|name| name.starts_with("outbound|")).map(|name| name.to_string()).collect();
    names.sort();
    names
}

fn service() -> SocketAddr {
    ([10, 96, 0, 12], 9080).into()
}

#[tokio::test]
async fn a_first_use_asks_for_its_own_and_no_more() {
    let control = ControlPlane::start(SHOP).await;
    let config = proxy(control.address, None);
    let listening = config.listener(service()).await.unwrap();
    assert!(outbound(&listening).is_empty(), "{:?}", outbound(&listening));
    let routed = config.virtual_host(&"9080".into(), "Reviews.default").await.unwrap();
    assert_eq!(outbound(&routed), [REVIEWS], "the cluster comes along with the virtual host");
    assert!(!routed.endpoints[REVIEWS].localities.is_empty(), "and its endpoints");
    // Another of its names is known without asking.
    let sent = control.sent();
    config.virtual_host(&"9080".into(), "reviews.default.svc.cluster.local").await.unwrap();
    assert_eq!(control.sent(), sent);
}

#[tokio::test]
async fn what_does_not_exist_may_come_to_exist() {
    let control = ControlPlane::start(SHOP).await;
    let config = proxy(control.address, None);
    config.listener(service()).await.unwrap();
    let unknown = config.virtual_host(&"9080".into(), "later").await;
    assert_eq!(unknown.unwrap_err(), DemandError::DoesNotExist);
    let elsewhere = config.listener(([10, 96, 0, 200], 4000).into()).await;
    assert_eq!(elsewhere.unwrap_err(), DemandError::DoesNotExist);
    control.edit(&format!(
        "{SHOP}\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: later, namespace: default}}\nspec: {{clusterIP: 10.96.0.200, ports: [{{name: http, port: 9080}}, {{name: tcp, port: 4000}}]}}\n"
    ));
    until(&config, "told of the service", |snapshot| outbound(snapshot).iter().any(|name| name.contains("later")))
        .await;
    config.virtual_host(&"9080".into(), "later").await.unwrap();
    config.listener(([10, 96, 0, 200], 4000).into()).await.unwrap();
}

#[tokio::test]
async fn an_address_in_a_range_is_asked_for_by_its_port() {
    const FORGE: &str = "outbound|22||forge.example.com";
    let forge = |range: &str| {
        format!(
            "{SHOP}\n---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: forge}}\nspec: {{hosts: [forge.example.com], addresses: [{range}], ports: [{{number: 22, name: ssh, protocol: TCP}}], resolution: NONE}}\n"
        )
    };
    let control = ControlPlane::start(&forge("198.51.100.0/25")).await;
    let config = proxy(control.address, None);
    let address: SocketAddr = ([198, 51, 100, 1], 22).into();
    let ranges = |snapshot: &Snapshot| {
        let listener = snapshot.listener_for(address)?.clone();
        Some(listener.chains.iter().flat_map(|chain| chain.matches.destination.clone()).collect::<Vec<_>>())
    };
    config.listener(address).await.unwrap();
    let known = until(&config, "led on", |snapshot| outbound(snapshot) == [FORGE]).await;
    assert_eq!(ranges(&known).unwrap()[0].to_string(), "198.51.100.0/25");
    control.edit(&forge("198.51.100.0/24"));
    until(&config, "told of the range", |snapshot| {
        ranges(snapshot).is_some_and(|ranges| ranges[0].to_string() == "198.51.100.0/24")
    })
    .await;
    control.edit(SHOP);
    until(&config, "without it", |snapshot| snapshot.listener_for(address).is_none()).await;
}

#[tokio::test]
async fn an_edit_sends_what_it_changes() {
    let control = ControlPlane::start(&format!("{SHOP}\n---\n{SUBSETS}")).await;
    let config = proxy(control.address, None);
    config.listener(service()).await.unwrap();
    config.virtual_host(&"9080".into(), "reviews").await.unwrap();
    let sent = control.sent();
    control.edit(&format!("{SHOP}\n---\n{SUBSETS}\n---\n{CANARY}"));
    let snapshot = until(&config, "steered", |snapshot| outbound(snapshot).len() > 1).await;
    let subsets = outbound(&snapshot);
    assert!(subsets.iter().all(|name| !name.contains("||")), "{subsets:?}");
    // The virtual host, and for each subset its cluster and endpoints.
    assert_eq!(control.sent() - sent, 1 + 2 * subsets.len() as u64);
    // One instance less: endpoints, and the identities that its service may have, in each cluster concerned.
    let sent = control.sent();
    let before = snapshot.endpoints.clone();
    let fewer: Vec<&str> = SHOP.split("\n---\n").filter(|object| !object.contains("name: reviews-v1")).collect();
    control.edit(&format!("{}\n---\n{SUBSETS}\n---\n{CANARY}", fewer.join("\n---\n")));
    until(&config, "without the instance", |snapshot| snapshot.endpoints != before).await;
    // (Those of the cluster that is not used any more may still be subscribed to.)
    assert!(control.sent() - sent <= 4, "{}", control.sent() - sent);
}

#[tokio::test]
async fn without_a_control_plane_what_is_known_serves_and_what_is_not_says_why() {
    let mut control = ControlPlane::start(SHOP).await;
    let config = proxy(control.address, None);
    config.listener(service()).await.unwrap();
    config.virtual_host(&"9080".into(), "reviews").await.unwrap();
    control.stop();
    let mut status = config.watch_status();
    status.wait_for(|status| !status.connected).await.unwrap();
    config.virtual_host(&"9080".into(), "reviews").await.unwrap();
    let unknown = config.virtual_host(&"9080".into(), "ratings").await.unwrap_err();
    assert!(matches!(&unknown, DemandError::Unreachable { .. }), "{unknown}");
    control.return_with(SHOP).await;
    status.wait_for(|status| status.connected).await.unwrap();
    // What was asked for in its absence comes by itself; what was held is not sent again.
    until(&config, "told of ratings", |snapshot| outbound(snapshot).iter().any(|name| name.contains("ratings"))).await;
    assert!(control.sent() <= 3, "{} resources: a virtual host, a cluster and its endpoints are new", control.sent());
}

#[tokio::test]
async fn what_was_used_is_known_after_a_restart() {
    let control = ControlPlane::start(SHOP).await;
    let state = tempfile::tempdir().unwrap();
    let config = proxy(control.address, Some(state.path()));
    config.listener(service()).await.unwrap();
    config.virtual_host(&"9080".into(), "reviews").await.unwrap();
    let again = proxy(control.address, Some(state.path()));
    let snapshot = until(&again, "as before", |snapshot| snapshot.version > 0).await;
    assert_eq!(outbound(&snapshot), [REVIEWS], "everything is there before the first request");
    assert!(snapshot.listener_for(service()).is_some() && snapshot.routes["9080"].exact.contains_key("reviews"));
}

const KEYS: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec:
  selector: {istio: ingress}
  servers:
    - port: {number: 8443, name: https, protocol: HTTPS}
      tls: {mode: SIMPLE, credentialName: shop-keys}
      hosts: ['*']
---
apiVersion: v1
kind: Secret
metadata: {name: shop-keys, namespace: default}
type: kubernetes.io/tls
stringData: {tls.crt: CERTIFICATE, tls.key: KEY}
";

/// Asks for the keys of a gateway, as anybody can on the plain port; says whether they came.
async fn are_told(server: &Server) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = serve(server, listener);
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut client = AggregatedDiscoveryServiceClient::new(endpoint.connect().await.unwrap());
    let labels = Struct { fields: [("istio".to_owned(), text("ingress"))].into() };
    let labels = Value { kind: Some(Kind::StructValue(labels)) };
    let node = WireNode {
        id: "router~10.0.0.50~edge.default~default.svc.cluster.local".to_owned(),
        metadata: Some(Struct { fields: [("LABELS".to_owned(), labels)].into() }),
        ..Default::default()
    };
    let request = ads::DeltaDiscoveryRequest {
        node: Some(node),
        type_url: pilot::Kind::Secret.url().to_owned(),
        resource_names_subscribe: vec!["kubernetes://shop-keys".to_owned()],
        ..Default::default()
    };
    let requests = tokio_stream::StreamExt::chain(tokio_stream::iter([request]), tokio_stream::pending());
    let mut responses = client.delta_aggregated_resources(requests).await.unwrap().into_inner();
    let response = responses.message().await.unwrap().unwrap();
    serving.shutdown_background();
    assert_eq!(response.resources.len() + response.removed_resources.len(), 1, "{response:?}");
    !response.resources.is_empty()
}

fn text(text: &str) -> Value {
    Value { kind: Some(Kind::StringValue(text.to_owned())) }
}

/// Believes everybody, and lets them have keys.
struct Believer;

#[tonic::async_trait]
impl pilot::Authenticate for Believer {
    async fn authenticate(
        &self,
        _: &tonic::metadata::MetadataMap,
        _: &pilot::Proxy,
    ) -> Result<pilot::Grant, tonic::Status> {
        Ok(pilot::Grant { keys: true })
    }

    async fn operator(&self, _: &tonic::metadata::MetadataMap) -> Result<(), tonic::Status> {
        Ok(())
    }
}

#[tokio::test]
async fn keys_are_told_to_who_is_proven_and_to_nobody_else() {
    let control = ControlPlane::start(KEYS).await;
    assert!(!are_told(&control.server).await, "anybody got the keys");
    let proven = control.server.with_authentication(Arc::new(Believer));
    assert!(are_told(&proven).await);
}

/// What a server answers to a question in the protocol's older form, as `istioctl` asks it.
async fn ask(server: &Server, type_url: &str) -> Result<ads::DiscoveryResponse, tonic::Status> {
    ask_about(server, type_url, &[]).await
}

/// The same about a proxy of this name.
async fn ask_about(server: &Server, type_url: &str, names: &[&str]) -> Result<ads::DiscoveryResponse, tonic::Status> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = serve(server, listener);
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut client = AggregatedDiscoveryServiceClient::new(endpoint.connect().await.unwrap());
    // istioctl puts a nonce of its own on its question.
    let (type_url, response_nonce) = (type_url.to_owned(), "2026-01-31 12:00:00".to_owned());
    let resource_names = names.iter().map(|name| (*name).to_owned()).collect();
    let request = ads::DiscoveryRequest { type_url, response_nonce, resource_names, ..Default::default() };
    let requests = tokio_stream::StreamExt::chain(tokio_stream::iter([request]), tokio_stream::pending());
    let answered = async { client.stream_aggregated_resources(requests).await?.into_inner().message().await };
    let answer = answered.await.map(Option::unwrap);
    serving.shutdown_background();
    answer
}

/// How the one proxy that is connected stands, by type.
fn states(answer: &ads::DiscoveryResponse) -> HashMap<String, ConfigStatus> {
    let [one] = &answer.resources[..] else { panic!("{answer:?}") };
    let client = ClientConfig::decode(&*one.value).unwrap();
    assert_eq!(client.node.unwrap().id, "client.default");
    let states = client.generic_xds_configs.into_iter();
    states.map(|state| (state.type_url.clone(), state.config_status())).collect()
}

#[tokio::test]
async fn operators_are_told_how_proxies_stand_and_nobody_else() {
    const SYNCZ: &str = "istio.io/debug/syncz";
    let control = ControlPlane::start(SHOP).await;
    let config = proxy(control.address, None);
    config.listener(service()).await.unwrap();
    let stranger = ask(&control.server, SYNCZ).await.unwrap_err();
    assert_eq!(stranger.code(), tonic::Code::PermissionDenied, "{stranger}");

    let proven = control.server.with_authentication(Arc::new(Believer)).named("istiod-0");
    let state = async |kind: pilot::Kind| states(&ask(&proven, SYNCZ).await.unwrap())[kind.url()];
    while state(pilot::Kind::Listener).await != ConfigStatus::Synced {
        tokio::task::yield_now().await;
    }
    assert_eq!(state(pilot::Kind::Secret).await, ConfigStatus::NotSent);
    let identifier = ask(&proven, SYNCZ).await.unwrap().control_plane.unwrap().identifier;
    assert!(identifier.contains("\"ID\":\"istiod-0\""), "{identifier}");

    let proxys = ask(&proven, pilot::Kind::Listener.url()).await.unwrap_err();
    assert!(proxys.message().contains("DELTA_GRPC"), "{proxys}");
}

/// A section of istiod's dump.
fn section<T: Message + prost::Name + Default>(answer: &ads::DiscoveryResponse) -> T {
    let found = answer.resources.iter().find(|one| one.type_url == T::type_url());
    T::decode(&*found.unwrap_or_else(|| panic!("no {} in {answer:?}", T::NAME)).value).unwrap()
}

/// A message of any type as JSON.
fn told(any: Option<Any>) -> serde_json::Value {
    let any = any.unwrap();
    let mut told =
        weft_proto::envoy::Messages::read().json(any.type_url.rsplit('/').next().unwrap(), &any.value).unwrap();
    told["@type"] = any.type_url.into();
    told
}

#[tokio::test]
async fn what_istiod_says_of_a_proxy_the_proxy_says_of_itself() {
    let control = ControlPlane::start(&format!("{SHOP}\n---\n{SUBSETS}\n---\n{CANARY}")).await;
    let config = proxy(control.address, None);
    config.listener(service()).await.unwrap();
    for name in ["reviews", "ratings", "reviews.default", "Reviews"] {
        config.virtual_host(&"9080".into(), name).await.unwrap();
    }
    let proven = control.server.with_authentication(Arc::new(Believer)).named("istiod-0");
    while states(&ask(&proven, "istio.io/debug/syncz").await.unwrap()).values().any(|one| *one == ConfigStatus::Stale) {
        tokio::task::yield_now().await;
    }
    let istiods = ask_about(&proven, "istio.io/debug/config_dump", &["client.default"]).await.unwrap();
    let proxys = weft_proxy::admin::config_dump(&config.current(), &node());
    let compare = |section: usize, list: &str, body: &str, mut istiods: Vec<serde_json::Value>| {
        istiods.sort_by_key(|one| one["name"].to_string());
        let proxys = proxys[section][list].as_array().unwrap();
        let proxys: Vec<_> = proxys.iter().map(|one| one.pointer(body).cloned().unwrap()).collect();
        assert!(!proxys.is_empty(), "{list}: {proxys:?}");
        assert_eq!(proxys, istiods, "{list}");
    };
    let clusters = section::<ClustersConfigDump>(&istiods).dynamic_active_clusters;
    let clusters = clusters.into_iter().map(|one| told(one.cluster)).collect();
    compare(0, "dynamic_active_clusters", "/cluster", clusters);
    let listeners = section::<ListenersConfigDump>(&istiods).dynamic_listeners;
    let listeners = listeners.into_iter().map(|one| told(one.active_state.unwrap().listener)).collect();
    compare(2, "dynamic_listeners", "/active_state/listener", listeners);
    let routes = section::<RoutesConfigDump>(&istiods).dynamic_route_configs;
    let routes: Vec<_> = routes.into_iter().map(|one| told(one.route_config)).collect();
    compare(3, "dynamic_route_configs", "/route_config", routes);
}
