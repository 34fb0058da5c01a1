//! The stream to the control plane: delta ADS, one for all types.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use envoy_types::pb::envoy::service::discovery::v3 as ads;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::google::rpc::Status as RpcStatus;
use mesh_runtime::Blocker;
use mesh_tls::grpc;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::asked::Asked;
use super::config::{Config, DEMAND_TIMEOUT};
use super::demand::{Demand, DemandError};
use super::node;
use super::state::State;
use crate::config::Settings;
use crate::identity;
use crate::model::Type;
use crate::reconnect::Reconnect;

/// The largest message that is taken; thousands of services fit.
const MOST: usize = 256 * 1024 * 1024;
/// A configuration that waits for a part that does not come is used without it after so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// gRPC's `INVALID_ARGUMENT`, as xDS asks for in a NACK.
const INVALID_ARGUMENT: i32 = 3;

/// Starts the client on this runtime; `blocker` is dropped once everything first asked for has come.
pub fn start(settings: &Settings, blocker: Blocker) -> Config {
    let (config, demands) = Config::fed(DEMAND_TIMEOUT);
    let mut state = State::default();
    let file = settings.state_directory.as_ref().map(|directory| directory.join("asked.json"));
    if let Some(file) = &file {
        state.remember(Asked::read(file));
    }
    let client = Client {
        settings: settings.clone(),
        config: config.clone(),
        written: state.asked().clone(),
        state,
        blocker: Some(blocker),
        demands,
        waiting: Vec::new(),
        file,
        away: Some(Instant::now()),
    };
    tokio::spawn(client.run());
    config
}

struct Client {
    settings: Settings,
    config: Config,
    state: State,
    blocker: Option<Blocker>,
    demands: mpsc::Receiver<Demand>,
    /// First uses that wait for an answer.
    waiting: Vec<Demand>,
    /// Where what was asked for is remembered, and what was written there last.
    file: Option<PathBuf>,
    written: Asked,
    /// Since when there is no stream.
    away: Option<Instant>,
}

impl Client {
    async fn run(mut self) {
        let mut reconnect = Reconnect::new(Duration::from_millis(100), Duration::from_secs(10));
        loop {
            let ended = self.stream(&mut reconnect).await;
            let error = ended.err().unwrap_or_else(|| anyhow!("the control plane ended the stream"));
            let reason = format!("{error:#}");
            let delay = reconnect.after(&error);
            tracing::warn!("xDS from {}: {reason}; again in {delay:.1?}", self.settings.discovery);
            self.config.set_status(|status| {
                status.connected = false;
                status.last_error = Some(reason.as_str().into());
            });
            self.away.get_or_insert_with(Instant::now);
            self.wait(delay, &reason.into()).await;
        }
    }

    /// Waits; first uses meanwhile are told why they get no answer.
    async fn wait(&mut self, delay: Duration, reason: &Arc<str>) {
        let until = Instant::now() + delay;
        loop {
            let away = self.away.map(|since| since.elapsed()).unwrap_or_default();
            for demand in self.waiting.drain(..) {
                // Whoever asked may have gone.
                let _ = demand.reply.send(Err(DemandError::Unreachable { away, reason: reason.clone() }));
            }
            tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                Some(demand) = self.demands.recv() => {
                    self.state.demand(&demand.key, self.config.minute());
                    self.waiting.push(demand);
                }
            }
        }
    }

    /// One stream, to its end.
    async fn stream(&mut self, reconnect: &mut Reconnect) -> Result<()> {
        let settings = &self.settings;
        let name = settings.control_plane_at(&settings.discovery);
        let secure = settings.discovery_roots.as_deref().map(|roots| identity::secure(roots, name));
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
        let node = node::of(settings);
        for (index, kind) in Type::ALL.into_iter().enumerate() {
            let node = (index == 0).then(|| node.clone());
            if let Some(first) = self.state.first_request(kind, node) {
                requests.send(first).await?;
            }
        }
        let mut responses = client.delta_aggregated_resources(request).await?.into_inner();
        self.away = None;
        self.config.set_status(|status| {
            status.connected = true;
            status.connections += 1;
        });
        tracing::info!("xDS stream to {} is open", self.settings.discovery);
        let mut late = None;
        let mut minute = tokio::time::interval(Duration::from_secs(60));
        minute.tick().await;
        loop {
            let message = tokio::select! {
                message = responses.message() => message?,
                () = sleep_until(late) => {
                    late = None;
                    self.publish();
                    continue;
                }
                Some(demand) = self.demands.recv() => {
                    self.ask(demand, &requests).await?;
                    continue;
                }
                _ = minute.tick() => {
                    self.config.set_minute(self.config.minute() + 1);
                    self.state.let_go(self.config.minute());
                    self.say_changes(&requests).await?;
                    continue;
                }
            };
            let Some(response) = message else { return Ok(()) };
            reconnect.reset();
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
        self.say_changes(requests).await
    }

    /// Asks for what a first use needs, and for more that is waiting already in the same breath.
    async fn ask(&mut self, demand: Demand, requests: &mpsc::Sender<ads::DeltaDiscoveryRequest>) -> Result<()> {
        let mut next = Some(demand);
        while let Some(demand) = next {
            self.state.demand(&demand.key, self.config.minute());
            self.waiting.push(demand);
            next = self.demands.try_recv().ok();
        }
        self.say_changes(requests).await?;
        self.answer();
        Ok(())
    }

    async fn say_changes(&mut self, requests: &mpsc::Sender<ads::DeltaDiscoveryRequest>) -> Result<()> {
        for change in self.state.subscription_changes() {
            requests.send(change).await?;
        }
        Ok(())
    }

    /// Answers the first uses of which it is known by now what becomes of them.
    fn answer(&mut self) {
        let snapshot = self.config.current();
        let (known, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition::<Vec<_>, _>(|demand| demand.reply.is_closed() || demand.key.known(&snapshot).is_some());
        self.waiting = waiting;
        for demand in known {
            let known = demand.key.known(&snapshot).unwrap_or(Err(DemandError::TooManyWaiting));
            // Whoever asked may have gone.
            let _ = demand.reply.send(known.map(|()| snapshot.clone()));
        }
    }

    /// Remembers what is used, for a process after this one.
    fn write(&mut self) {
        let Some(file) = &self.file else { return };
        if *self.state.asked() == self.written {
            return;
        }
        self.written = self.state.asked().clone();
        if let Err(error) = self.written.write(file) {
            tracing::debug!("what is in use is not remembered in {}: {error}", file.display());
        }
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
        self.answer();
        self.write();
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
