//! The health check of gRPC (`grpc.health.v1.Health/Check`), as a kubelet makes it.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use axum::http::Uri;
use hyper_util::rt::TokioIo;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::ask;

/// Succeeds if the application says that it serves.
pub(super) async fn check(address: IpAddr, port: u16, service: &str) -> Result<()> {
    let connector = tower::service_fn(move |_: Uri| async move {
        ask::connect(address, port).await.map(TokioIo::new).map_err(std::io::Error::other)
    });
    let channel = Endpoint::from_static("http://application").connect_with_connector(connector).await?;
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(channel).check(request).await?.into_inner();
    ensure!(answer.status() == ServingStatus::Serving, "the application says {}", answer.status().as_str_name());
    Ok(())
}
