//! A control plane that does as a test says: delta ADS that answers from a table, and real certificates.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use citadel::{Caller, Tokens};
use envoy_types::pb::envoy::service::discovery::v3 as ads;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::google::protobuf::Any;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

type Answers = Result<ads::DeltaDiscoveryResponse, Status>;

/// Resources by type URL and name.
pub(crate) type Table = BTreeMap<String, BTreeMap<String, Any>>;

/// The control plane. Its threads end with it.
pub(crate) struct Control {
    pub(crate) address: SocketAddr,
    /// A token for the proxy.
    pub(crate) token: String,
    table: Arc<Mutex<Option<Table>>>,
    streams: mpsc::Receiver<Told>,
    serving: Option<Runtime>,
    /// The files of the authority, as if plugged in.
    pub(crate) authority: tempfile::TempDir,
}

/// A stream of a proxy, from the control plane's side.
pub(crate) struct Told {
    /// What the proxy said, but for subscriptions, which the table answers.
    requests: mpsc::Receiver<ads::DeltaDiscoveryRequest>,
    /// The first request of each type.
    pub(crate) first: mpsc::Receiver<ads::DeltaDiscoveryRequest>,
    answers: mpsc::Sender<Answers>,
}

impl Control {
    /// Without a table it takes subscriptions and answers none.
    pub(crate) async fn start(table: impl Into<Option<Table>>) -> Self {
        let table = Arc::new(Mutex::new(table.into()));
        let directory = tempfile::tempdir().unwrap();
        let (authority, tokens) = citadel::open(directory.path()).unwrap();
        let token = token(&tokens);
        let (_, authority) = tokio::sync::watch::channel(Arc::new(authority));
        let (_, trust_domain) = tokio::sync::watch::channel(Default::default());
        let certificates = citadel::Service::server(authority, Arc::new(tokens), trust_domain);
        let (new, streams) = mpsc::channel(16);
        let service = AggregatedDiscoveryServiceServer::new(Service { table: table.clone(), new });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = listener.into_std().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(async move {
            let incoming = TcpListenerStream::new(TcpListener::from_std(listener).unwrap());
            let server = tonic::transport::Server::builder().add_service(service).add_service(certificates);
            server.serve_with_incoming(incoming).await.unwrap();
        });
        Self { address, token, table, streams, serving: Some(runtime), authority: directory }
    }

    /// The next stream that the proxy opens.
    pub(crate) async fn stream(&mut self) -> Told {
        within(self.streams.recv()).await.unwrap()
    }

    /// What subscriptions are answered with from now on.
    pub(crate) fn answer(&self, table: Table) {
        *self.table.lock().unwrap() = Some(table);
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.shutdown_background();
        }
    }
}

impl Told {
    /// Sends resources of a type, unasked, and returns what the proxy says to that.
    pub(crate) async fn push(&mut self, url: &str, resources: Vec<(&str, Any)>) -> ads::DeltaDiscoveryRequest {
        self.answers.send(Ok(response(url, resources, "pushed"))).await.unwrap();
        loop {
            let request = within(self.requests.recv()).await.unwrap();
            if request.response_nonce == "pushed" {
                return request;
            }
        }
    }

    /// Breaks the stream.
    pub(crate) async fn fail(self) {
        self.answers.send(Err(Status::unavailable("as the test says"))).await.unwrap();
    }
}

/// A deadline for what a test waits for.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it does not happen")
}

struct Service {
    table: Arc<Mutex<Option<Table>>>,
    new: mpsc::Sender<Told>,
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Service {
    type StreamAggregatedResourcesStream = Pin<Box<dyn Stream<Item = Result<ads::DiscoveryResponse, Status>> + Send>>;
    type DeltaAggregatedResourcesStream = ReceiverStream<Answers>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<ads::DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("delta only"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<ads::DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let (answers, answered) = mpsc::channel(64);
        let (heard, requests) = mpsc::channel(256);
        let (began, first) = mpsc::channel(64);
        let told = Told { requests, first, answers: answers.clone() };
        self.new.send(told).await.map_err(|_| Status::cancelled("the test is over"))?;
        tokio::spawn(answer(request.into_inner(), self.table.clone(), answers, heard, began));
        Ok(Response::new(ReceiverStream::new(answered)))
    }
}

/// Answers subscriptions from the table, and hands the rest to the test.
async fn answer(
    mut requests: Streaming<ads::DeltaDiscoveryRequest>,
    table: Arc<Mutex<Option<Table>>>,
    answers: mpsc::Sender<Answers>,
    heard: mpsc::Sender<ads::DeltaDiscoveryRequest>,
    began: mpsc::Sender<ads::DeltaDiscoveryRequest>,
) {
    let mut seen = std::collections::BTreeSet::new();
    while let Ok(Some(request)) = requests.message().await {
        let first = seen.insert(request.type_url.clone());
        if first {
            // A test that does not look at them lets them go by.
            let _ = began.try_send(request.clone());
        }
        let asks = !request.resource_names_subscribe.is_empty();
        if first || asks {
            let resources: Option<Vec<(String, Any)>> = table.lock().unwrap().as_ref().map(|table| {
                let all = table.get(&request.type_url).into_iter().flatten();
                let everything = !asks || request.resource_names_subscribe.iter().any(|name| name == "*");
                let wanted = |name: &String| everything || request.resource_names_subscribe.contains(name);
                let held = |name: &String| request.initial_resource_versions.contains_key(name);
                let sent = all.filter(|(name, _)| wanted(name) && !held(name));
                sent.map(|(name, any)| (name.clone(), any.clone())).collect()
            });
            let Some(resources) = resources else { continue };
            let resources = resources.iter().map(|(name, any)| (name.as_str(), any.clone())).collect();
            if answers.send(Ok(response(&request.type_url, resources, "asked"))).await.is_err() {
                return;
            }
        }
        if heard.send(request).await.is_err() {
            return;
        }
    }
}

fn response(url: &str, resources: Vec<(&str, Any)>, nonce: &str) -> ads::DeltaDiscoveryResponse {
    let one = |(name, body): (&str, Any)| ads::Resource {
        name: name.to_owned(),
        version: format!("{:?}", body.value.len()),
        resource: Some(body),
        ..Default::default()
    };
    ads::DeltaDiscoveryResponse {
        type_url: url.to_owned(),
        nonce: nonce.to_owned(),
        resources: resources.into_iter().map(one).collect(),
        ..Default::default()
    }
}

fn token(tokens: &Tokens) -> String {
    let caller = Caller { namespace: "default".into(), service_account: "edge".into(), pod: None };
    tokens.make(&caller, Duration::from_secs(3600)).unwrap()
}
