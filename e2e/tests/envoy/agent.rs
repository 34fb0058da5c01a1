//! What Istio's agent is to a stock Envoy: it has a certificate from the mesh's authority and tells it, with its key, over
//! SDS on a unix socket beside the proxy.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::story::eventually;
use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
use envoy_types::pb::envoy::service::discovery::v3 as ds;
use envoy_types::pb::envoy::service::secret::v3::secret_discovery_service_server::{
    SecretDiscoveryService, SecretDiscoveryServiceServer,
};
use envoy_types::pb::google::protobuf::Any;
use mesh_testkit::lab::Pod;
use mesh_tls::{CertificateRequest, grpc};
use mesh_types::Identity;
use prost::Message;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Status, Streaming};
use weft_proto::certificates::istio_certificate_service_client::IstioCertificateServiceClient;

use super::control::PATIENCE;

const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

/// Whose agent it is, and who gives it its certificate.
pub(crate) struct Agent {
    pub(crate) identity: Identity,
    pub(crate) token: String,
    /// The authority's `host:port`, in plain text.
    pub(crate) authority: String,
}

impl Agent {
    /// Serves on a socket that it makes in `directory`, on a thread in `pod` or where this process stands, until the test
    /// ends. The socket is there when it returns.
    pub(crate) fn serve(self, pod: Option<Arc<Pod>>, directory: &Path) -> Result<PathBuf> {
        let socket = directory.join("sds.socket");
        let path = socket.clone();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(self.run(&path))
        };
        std::thread::spawn(move || match pod {
            Some(pod) => pod.inside(run),
            None => run(),
        });
        eventually(PATIENCE, || {
            ensure!(socket.exists(), "the agent has no certificate");
            Ok(())
        })?;
        Ok(socket)
    }

    async fn run(self, path: &Path) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let secrets = Arc::new(self.secrets().await.context("the agent's certificate")?);
        let listener = UnixListener::bind(path)?;
        // Envoy runs as another user.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))?;
        let service = SecretDiscoveryServiceServer::new(Secrets(secrets));
        let server = tonic::transport::Server::builder().add_service(service);
        Ok(server.serve_with_incoming(UnixListenerStream::new(listener)).await?)
    }

    /// The workload's certificate, which Istio calls `default`, and the roots of the mesh.
    async fn secrets(&self) -> Result<Vec<tls::Secret>> {
        let request = CertificateRequest::new(&self.identity)?;
        let mut question = Request::new(weft_proto::certificates::CertificateRequest {
            csr: request.pem().to_owned(),
            validity_duration: 3600,
            metadata: None,
        });
        question.metadata_mut().insert("authorization", format!("Bearer {}", self.token).parse()?);
        let channel = grpc::connect(&self.authority, None).await?;
        let answer = IstioCertificateServiceClient::new(channel).create_certificate(question).await?.into_inner();
        let (root, chain) = answer.cert_chain.split_last().context("a chain")?;
        let inline = |text: String| {
            let specifier = Some(Specifier::InlineBytes(text.into_bytes()));
            Some(DataSource { specifier, ..Default::default() })
        };
        let own = tls::TlsCertificate {
            certificate_chain: inline(chain.join("\n")),
            private_key: inline(request.key_pem()),
            ..Default::default()
        };
        let roots = tls::CertificateValidationContext { trusted_ca: inline(root.clone()), ..Default::default() };
        let secret = |name: &str, kind| tls::Secret { name: name.to_owned(), r#type: Some(kind) };
        Ok(vec![
            secret("default", tls::secret::Type::TlsCertificate(own)),
            secret("ROOTCA", tls::secret::Type::ValidationContext(roots)),
        ])
    }
}

struct Secrets(Arc<Vec<tls::Secret>>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl SecretDiscoveryService for Secrets {
    type StreamSecretsStream = Answers<ds::DiscoveryResponse>;
    type DeltaSecretsStream = Answers<ds::DeltaDiscoveryResponse>;

    async fn stream_secrets(
        &self,
        request: Request<Streaming<ds::DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamSecretsStream>, Status> {
        let (answers, answered) = mpsc::channel(4);
        tokio::spawn(answer(request.into_inner(), self.0.clone(), answers));
        Ok(Response::new(Box::pin(ReceiverStream::new(answered))))
    }

    async fn delta_secrets(
        &self,
        _: Request<Streaming<ds::DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaSecretsStream>, Status> {
        Err(Status::unimplemented("Istio's agent is asked for the state of the world"))
    }

    async fn fetch_secrets(&self, _: Request<ds::DiscoveryRequest>) -> Result<Response<ds::DiscoveryResponse>, Status> {
        Err(Status::unimplemented("streams only"))
    }
}

/// Answers each request that asks for other names than the last one; the others say that an answer was taken.
async fn answer(
    mut requests: Streaming<ds::DiscoveryRequest>,
    secrets: Arc<Vec<tls::Secret>>,
    answers: mpsc::Sender<Result<ds::DiscoveryResponse, Status>>,
) {
    let mut told = Vec::new();
    while let Ok(Some(request)) = requests.message().await {
        if request.resource_names == told {
            continue;
        }
        told = request.resource_names;
        let asked = secrets.iter().filter(|secret| told.contains(&secret.name));
        let resources = asked.map(|secret| Any { type_url: SECRET.to_owned(), value: secret.encode_to_vec() });
        let response = ds::DiscoveryResponse {
            version_info: "1".to_owned(),
            type_url: SECRET.to_owned(),
            nonce: told.join(","),
            resources: resources.collect(),
            ..Default::default()
        };
        if answers.send(Ok(response)).await.is_err() {
            return;
        }
    }
}
