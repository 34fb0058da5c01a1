//! The port of the webhooks.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, Uri, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::Listener;
use mesh_tls::{ServerTls, grpc};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::inject::Injector;
use super::validate;

/// A review holds an object and perhaps the one before it, each of which etcd bounds to 1.5 MB.
const LARGEST: usize = 8 * 1024 * 1024;

/// Opens the port.
pub(crate) async fn serve(address: SocketAddr, tls: watch::Receiver<ServerTls>, injector: Arc<Injector>) -> Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("the port {address}"))?;
    let listener = Secured { local: listener.local_addr()?, incoming: grpc::incoming(listener, Some(tls)) };
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router(injector)).await {
            tracing::error!("{address}: {error}");
        }
    });
    Ok(())
}

fn router(injector: Arc<Injector>) -> Router {
    Router::new()
        .route("/validate", post(validate))
        .route("/inject", post(inject))
        .route("/inject/{*place}", post(inject))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(injector)
}

async fn validate(body: Bytes) -> Response {
    respond(validate::review(&body).map_err(|wrong| (StatusCode::BAD_REQUEST, wrong)))
}

async fn inject(State(injector): State<Arc<Injector>>, uri: Uri, body: Bytes) -> Response {
    respond(injector.review(uri.path(), &body))
}

/// An answer in JSON, or why there is none.
fn respond(answer: Result<Vec<u8>, (StatusCode, String)>) -> Response {
    match answer {
        Ok(answer) => ([(CONTENT_TYPE, "application/json")], answer).into_response(),
        Err((status, why)) => (status, why + "\n").into_response(),
    }
}

/// Connections after their handshake.
struct Secured {
    local: SocketAddr,
    incoming: ReceiverStream<std::io::Result<grpc::GrpcStream>>,
}

impl Listener for Secured {
    type Io = grpc::GrpcStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.incoming.next().await {
                Some(Ok(stream)) => return (stream, self.local),
                Some(Err(error)) => tracing::debug!("a webhook's connection: {error}"),
                // Accepting ends with the process only.
                None => std::future::pending().await,
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_review_is_a_bad_request() {
        for bad in ["", "[", "{}", r#"{"kind": "AdmissionReview", "request": {}}"#] {
            let response = validate(Bytes::from_static(bad.as_bytes())).await;
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{bad:?}");
        }
    }
}
