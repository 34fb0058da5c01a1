//! Puts galley, pilot and citadel together.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use citadel::{CertificateServer, Service};
use galley::State;
use mesh_runtime::drain;
use mesh_tls::{ServerTls, grpc};
use pilot::{Server, World};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::door::Door;
use crate::duties::Duties;
use crate::flags::Discovery;
use crate::foundation::Foundation;
use crate::webhook::{self, Injector};
use crate::{certificates, pages, report, trust_domain};

/// A connection that has reached its age has so long to end by itself, as with Istio.
const GRACE: Duration = Duration::from_secs(10);

/// Runs until the process is told to end.
pub(crate) async fn run(settings: &Discovery) -> Result<()> {
    let Foundation { config, callers, authority, mut names, cluster } = Foundation::open(settings).await?;
    names.extend(settings.names.iter().cloned());
    report::follow(config.clone());
    let first = Arc::new(World::build(&config.borrow().objects));
    let trust_domain = trust_domain::follow(config.clone())?;
    let world = build(config.clone(), first);
    let plain = Server::new(world.clone());
    let secure = plain.with_authentication(Arc::new(Door::new(callers.clone())));

    let own = certificates::follow(authority.clone(), names.clone(), "h2")?;
    let service = || Service::server(authority.clone(), callers.clone(), trust_domain.clone());
    let age = settings.connection_age;
    serve(settings.plain, None, &plain, service(), age).await?;
    serve(settings.secure, Some(own), &secure, service(), age).await?;
    if let Some(cluster) = &cluster {
        let place = &cluster.place;
        let injector = Injector::follow(config.clone(), place.scope(), place.native_sidecars);
        let own = certificates::follow(authority.clone(), names, "http/1.1")?;
        webhook::serve(settings.webhooks, own, Arc::new(injector)).await?;
    }
    pages::serve(settings.http, settings.monitoring, plain.clone()).await?;
    let source = if cluster.is_some() { "Kubernetes" } else { "a directory" };
    tracing::info!(config = source, xds = %settings.secure, "ready");
    let duties = cluster.map(|cluster| Duties::begin(&cluster, &config, &authority, world, plain));
    drain::termination().await.context("signals")?;
    if let Some(duties) = duties {
        duties.end().await;
    }
    Ok(())
}

/// Builds the world anew whenever the objects change.
fn build(mut config: watch::Receiver<State>, first: Arc<World>) -> watch::Receiver<Arc<World>> {
    let (sender, receiver) = watch::channel(first);
    tokio::spawn(async move {
        let mut built = sender.borrow().given().clone();
        loop {
            let objects = config.borrow_and_update().objects.clone();
            if !objects.same_as(&built) {
                let next = sender.borrow().next(&objects);
                sender.send_replace(Arc::new(next));
                built = objects;
            }
            if config.changed().await.is_err() {
                return;
            }
        }
    });
    receiver
}

async fn serve(
    address: std::net::SocketAddr,
    tls: Option<watch::Receiver<ServerTls>>,
    xds: &Server,
    certificates: CertificateServer,
    age: Option<Duration>,
) -> Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("the port {address}"))?;
    let mut server = tonic::transport::Server::builder().http2_keepalive_interval(Some(Duration::from_secs(30)));
    if let Some(age) = age {
        server = server.max_connection_age(age).max_connection_age_grace(GRACE);
    }
    let server = server.add_service(xds.service()).add_service(certificates);
    tokio::spawn(async move {
        if let Err(error) = server.serve_with_incoming(grpc::incoming(listener, tls)).await {
            tracing::error!("{address}: {error}");
        }
    });
    Ok(())
}
