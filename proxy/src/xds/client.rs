//! The stream to the control plane: delta ADS, one for all types.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use envoy_types::pb::envoy::config::core::v3::Node as WireNode;
use envoy_types::pb::envoy::service::discovery::v3 as ads;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};
use envoy_types::pb::google::rpc::Status as RpcStatus;
use mesh_runtime::{Backoff, Blocker};
use mesh_tls::grpc;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::config::{Config, DEMAND_TIMEOUT};
use super::demand::{Demand, DemandError};
use super::state::{State, Type};
use crate::config::{Node, Settings};
use crate::identity;

/// The largest message that is taken; thousands of services fit.
const MOST: usize = 256 * 1024 * 1024;
/// A configuration that waits for a part that does not come is used without it after so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// gRPC's `INVALID_ARGUMENT`, as xDS asks for in a NACK.
const INVALID_ARGUMENT: i32 = 3;

/// Starts the client on this runtime; `blocker` is dropped once everything first asked for has come.
pub fn start(settings: &Settings, blocker: Blocker) -> Config {
    let (config, demands) = Config::fed(DEMAND_TIMEOUT);
    let client =
        Client { settings: settings.clone(), config: config.clone(), state: State::default(), blocker: Some(blocker) };
    tokio::spawn(answer(config.clone(), demands));
    tokio::spawn(tick(config.clone()));
    tokio::spawn(client.run());
    config
}

/// The clock of last uses.
async fn tick(config: Config) {
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
        config.set_minute(config.minute() + 1);
    }
}

/// What is subscribed to is everything: a first use of something that is not there has nothing to wait for but the
/// beginning.
async fn answer(config: Config, mut demands: mpsc::Receiver<Demand>) {
    let begun = Instant::now();
    while let Some(demand) = demands.recv().await {
        let snapshot = config.current();
        let known = demand.key.known(&snapshot).unwrap_or_else(|| {
            let reason = config.status().last_error.unwrap_or_else(|| Arc::from("no configuration has come yet"));
            Err(DemandError::Unreachable { away: begun.elapsed(), reason })
        });
        // Whoever asked may have gone.
        let _ = demand.reply.send(known.map(|()| snapshot));
    }
}

struct Client {
    settings: Settings,
    config: Config,
    state: State,
    blocker: Option<Blocker>,
}

impl Client {
    async fn run(mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        loop {
            let ended = self.stream(&mut backoff).await;
            let reason = match ended {
                Ok(()) => "the control plane ended the stream".to_owned(),
                Err(error) => format!("{error:#}"),
            };
            let delay = backoff.next_delay();
            tracing::warn!("xDS from {}: {reason}; again in {delay:.1?}", self.settings.discovery);
            self.config.set_status(|status| {
                status.connected = false;
                status.last_error = Some(reason.as_str().into());
            });
            tokio::time::sleep(delay).await;
        }
    }

    /// One stream, to its end.
    async fn stream(&mut self, backoff: &mut Backoff) -> Result<()> {
        let settings = &self.settings;
        let secure =
            settings.discovery_roots.as_deref().map(|roots| identity::secure(roots, &settings.control_plane_name));
        let secure = secure.transpose()?;
        let tells_who = secure.is_some();
        let channel = grpc::connect(&settings.discovery, secure).await.context("cannot connect")?;
        let mut client = AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(MOST);
        let (requests, receiver) = mpsc::channel(64);
        let mut request = tonic::Request::new(ReceiverStream::new(receiver));
        if tells_who {
            let token = identity::token(&settings.token)?;
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
        }
        let node = wire_node(&settings.node);
        for (index, kind) in Type::ALL.into_iter().enumerate() {
            let node = (index == 0).then(|| node.clone());
            if let Some(first) = self.state.first_request(kind, node) {
                requests.send(first).await?;
            }
        }
        let mut responses = client.delta_aggregated_resources(request).await?.into_inner();
        self.config.set_status(|status| {
            status.connected = true;
            status.connections += 1;
        });
        tracing::info!("xDS stream to {} is open", self.settings.discovery);
        let mut late = None;
        loop {
            let message = tokio::select! {
                message = responses.message() => message?,
                () = sleep_until(late) => {
                    late = None;
                    self.publish();
                    continue;
                }
            };
            let Some(response) = message else { return Ok(()) };
            backoff.reset();
            self.take(response, &requests).await?;
            late = if self.state.is_complete() {
                self.publish();
                None
            } else {
                late.or_else(|| Some(Instant::now() + PATIENCE))
            };
        }
    }

    /// Takes a response: what is good is kept, what is not is refused by name, and both are said.
    async fn take(
        &mut self,
        response: ads::DeltaDiscoveryResponse,
        requests: &mpsc::Sender<ads::DeltaDiscoveryRequest>,
    ) -> Result<()> {
        let type_url = response.type_url.clone();
        let nonce = response.nonce.clone();
        let error_detail = match Type::of(&type_url) {
            None => Some(format!("{type_url} was not asked for")),
            Some(kind) => {
                let refused = self.state.take(kind, response);
                for refusal in &refused {
                    tracing::warn!(kind = refusal.kind, name = %refusal.name, "refused: {}", refusal.reason);
                }
                let all = self.state.refusals();
                self.config.set_status(|status| status.refused = all);
                let said: Vec<String> = refused.iter().map(|one| format!("{}: {}", one.name, one.reason)).collect();
                (!said.is_empty()).then(|| said.join("; "))
            }
        };
        let error_detail =
            error_detail.map(|message| RpcStatus { code: INVALID_ARGUMENT, message, details: Vec::new() });
        requests
            .send(ads::DeltaDiscoveryRequest { type_url, response_nonce: nonce, error_detail, ..Default::default() })
            .await?;
        for change in self.state.subscription_changes() {
            requests.send(change).await?;
        }
        Ok(())
    }

    fn publish(&mut self) {
        if !self.state.take_changed() {
            return;
        }
        let state = &self.state;
        self.config.edit(|snapshot| state.write(snapshot));
        self.config.set_status(|status| {
            status.synced = true;
            status.last_error = None;
        });
        self.blocker.take();
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Who we are, in Istio's metadata.
fn wire_node(node: &Node) -> WireNode {
    let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let labels = node.labels.iter().map(|(key, value)| (key.clone(), text(value))).collect();
    let fields = [
        ("NAME", text(&node.pod)),
        ("NAMESPACE", text(&node.namespace)),
        ("SERVICE_ACCOUNT", text(&node.service_account)),
        ("CLUSTER_ID", text(&node.cluster)),
        ("WORKLOAD_NAME", text(&node.workload)),
        ("LABELS", Value { kind: Some(Kind::StructValue(Struct { fields: labels })) }),
        ("INSTANCE_IPS", text(&node.id.ip.to_string())),
        ("WEFT_VERSION", text(env!("CARGO_PKG_VERSION"))),
        ("INTERCEPTION_MODE", text("REDIRECT")),
    ];
    WireNode {
        id: node.id.to_string(),
        cluster: format!("{}.{}", node.canonical_name(), node.namespace),
        metadata: Some(Struct { fields: fields.map(|(key, value)| (key.to_owned(), value)).into() }),
        user_agent_name: "weft-proxy".to_owned(),
        ..Default::default()
    }
}
