//! A proxy, as istiod sees it.

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3 as ads;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;

use crate::control_plane::Istiod;

/// Connects the proxy of a pod in `default`, for as long as the result lives. It takes every cluster there is, if it
/// acknowledges; else it takes none.
pub(crate) async fn connect(istiod: &Istiod, pod: &str, acknowledges: bool) -> JoinSet<()> {
    let url = format!("http://{}", istiod.plain);
    let channel = tonic::transport::Endpoint::from_shared(url).unwrap().connect().await.unwrap();
    let (sender, requests) = mpsc::channel(16);
    let id = format!("sidecar~10.0.0.1~{pod}.default~default.svc.cluster.local");
    let request = move |nonce: String| ads::DeltaDiscoveryRequest {
        node: Some(Node { id: id.clone(), ..Default::default() }),
        type_url: "type.googleapis.com/envoy.config.cluster.v3.Cluster".into(),
        response_nonce: nonce,
        ..Default::default()
    };
    sender.send(request(String::new())).await.unwrap();
    let mut client = AggregatedDiscoveryServiceClient::new(channel);
    let mut responses = client.delta_aggregated_resources(ReceiverStream::new(requests)).await.unwrap().into_inner();
    let mut connection = JoinSet::new();
    connection.spawn(async move {
        while let Ok(Some(response)) = responses.message().await {
            if acknowledges && sender.send(request(response.nonce)).await.is_err() {
                return;
            }
        }
    });
    connection
}
