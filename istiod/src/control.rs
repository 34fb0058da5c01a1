//! Puts galley, pilot and citadel together.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use citadel::{Authority, CertificateServer, LONGEST, Names, Service, Tokens};
use mesh_runtime::drain;
use mesh_tls::{Certificates, ClientAuth, KeyedCertificate, ServerSettings, ServerTls, Versions, grpc};
use mesh_types::TrustDomain;
use pilot::{Authenticate, Proxy, Server, World};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::Status;
use tonic::metadata::MetadataMap;

use crate::{Discovery, pages, report};

/// Istio's names of the control plane.
const NAMES: [&str; 4] =
    ["istiod.istio-system.svc", "istiod.istio-system.svc.cluster.local", "istiod.istio-system", "localhost"];

/// Runs until the process is told to end.
pub(crate) async fn run(settings: &Discovery) -> Result<()> {
    let (authority, tokens) = citadel::open(&settings.ca_dir).context("the certificate authority")?;
    let (authority, tokens) = (Arc::new(authority), Arc::new(tokens));
    let config = galley::watch_directory(&settings.config_dir)
        .with_context(|| format!("the configuration in {}", settings.config_dir.display()))?;
    report::follow(config.clone());
    let first = Arc::new(World::build(&config.borrow().objects));
    let trust_domain: TrustDomain = trust_domain(&config)?;
    let world = build(config, first);
    let plain = Server::new(world);
    let secure = plain.with_authentication(by_token(tokens.clone()));

    let certificates = server_certificates(authority.clone(), settings.names.clone())?;
    let service = || Service::server(authority.clone(), tokens.clone(), trust_domain.clone());
    serve(settings.plain, None, &plain, service()).await?;
    serve(settings.secure, Some(certificates), &secure, service()).await?;
    pages::serve(settings.http, settings.monitoring, plain).await?;
    tracing::info!(config = %settings.config_dir.display(), xds = %settings.secure, "ready");
    drain::termination().await.context("signals")
}

fn trust_domain(config: &watch::Receiver<galley::State>) -> Result<TrustDomain> {
    let mesh = config.borrow().objects.mesh();
    if mesh.trust_domain.is_empty() { Ok(TrustDomain::default()) } else { Ok(mesh.trust_domain.parse()?) }
}

/// Builds the world anew whenever the objects change.
fn build(mut config: watch::Receiver<galley::State>, first: Arc<World>) -> watch::Receiver<Arc<World>> {
    let (sender, receiver) = watch::channel(first);
    tokio::spawn(async move {
        let mut built = config.borrow_and_update().objects.clone();
        while config.changed().await.is_ok() {
            let objects = config.borrow_and_update().objects.clone();
            if !Arc::ptr_eq(&objects, &built) {
                let next = sender.borrow().next(&objects);
                sender.send_replace(Arc::new(next));
                built = objects;
            }
        }
    });
    receiver
}

/// A proxy may speak for its own namespace and service account only; a token proves which they are.
fn by_token(tokens: Arc<Tokens>) -> Authenticate {
    Arc::new(move |metadata: &MetadataMap, proxy: &Proxy| {
        let value = metadata.get("authorization").and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.strip_prefix("Bearer "));
        let token = token.ok_or_else(|| Status::unauthenticated("send `authorization: Bearer <token>`"))?;
        let caller = tokens.check(token).map_err(|error| Status::unauthenticated(error.to_string()))?;
        if caller.namespace != proxy.namespace() {
            let message = format!("a token of namespace {} does not speak for {}", caller.namespace, proxy.id);
            return Err(Status::permission_denied(message));
        }
        Ok(())
    })
}

/// Our own certificate, renewed at half its life; streams that are open stay.
fn server_certificates(authority: Arc<Authority>, more: Vec<String>) -> Result<watch::Receiver<ServerTls>> {
    let make = move || -> Result<ServerTls> {
        let names = NAMES.iter().map(|name| (*name).to_owned()).chain(more.iter().cloned()).collect();
        let (chain, key) = authority.issue(&Names::Server(names, Vec::new()), LONGEST)?;
        let keyed = KeyedCertificate::from_pem(chain.as_bytes(), key.as_bytes(), "our own certificate")?;
        Ok(ServerTls::new(ServerSettings {
            certificates: Certificates::Any(vec![keyed]),
            client_auth: ClientAuth::None,
            alpn: vec![b"h2".to_vec()],
            versions: Versions::Both,
        })?)
    };
    let (sender, receiver) = watch::channel(make()?);
    tokio::spawn(async move {
        let mut wait = LONGEST / 2;
        while !sender.is_closed() {
            tokio::time::sleep(wait).await;
            wait = match make() {
                Ok(tls) => {
                    sender.send_replace(tls);
                    LONGEST / 2
                }
                Err(error) => {
                    tracing::error!("our own certificate cannot be renewed: {error:#}");
                    Duration::from_secs(60)
                }
            };
        }
    });
    Ok(receiver)
}

async fn serve(
    address: std::net::SocketAddr,
    tls: Option<watch::Receiver<ServerTls>>,
    xds: &Server,
    certificates: CertificateServer,
) -> Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("the port {address}"))?;
    let server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .add_service(xds.service())
        .add_service(certificates);
    tokio::spawn(async move {
        if let Err(error) = server.serve_with_incoming(grpc::incoming(listener, tls)).await {
            tracing::error!("{address}: {error}");
        }
    });
    Ok(())
}
