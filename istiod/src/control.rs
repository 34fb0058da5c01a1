//! Puts galley, pilot and citadel together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use citadel::Service;
use galley::State;
use mesh_runtime::drain;
use mesh_tls::{ServerTls, grpc};
use pilot::{Server, World};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::server::Router;

use crate::door::Door;
use crate::duties::Duties;
use crate::flags::Discovery;
use crate::foundation::{Cluster, Foundation};
use crate::status::{Sources, Teller, Trust};
use crate::webhook::{self, Injector};
use crate::{certificates, pages, report, scopes, trust_domain};

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
    let plain = Server::new(world.clone()).named(&settings.place.pod);
    let secure = plain.with_authentication(Arc::new(Door::new(callers.clone(), &settings.place.namespace)));

    let own = certificates::follow(authority.clone(), names.clone(), "h2")?;
    let service = || Service::server(authority.clone(), callers.clone(), trust_domain.clone());
    let age = settings.connection_age;
    serve(settings.plain, None, server(age).add_service(plain.service()).add_service(service())).await?;
    let sources = Sources { config: config.clone(), world, xds: plain.clone() };
    let teller = |cluster: &Cluster| Teller::server(sources.clone(), callers.clone(), &cluster.place.namespace);
    let teller = cluster.as_ref().map(teller);
    let services = server(age).add_service(secure.service()).add_service(service()).add_optional_service(teller);
    serve(settings.secure, Some(own), services).await?;
    if let Some(cluster) = &cluster {
        let place = &cluster.place;
        let injector = Injector::follow(config.clone(), place.scope(), place.native_sidecars);
        let own = certificates::follow(authority.clone(), names, "http/1.1")?;
        webhook::serve(settings.webhooks, own, Arc::new(injector)).await?;
        scopes::serve(settings.scopes).await?;
    }
    pages::serve(settings.http, settings.monitoring, plain.clone()).await?;
    let source = if cluster.is_some() { "Kubernetes" } else { "a directory" };
    tracing::info!(config = source, xds = %settings.secure, "ready");
    let duties = cluster.map(|cluster| {
        let token = cluster.place.token.clone();
        let trust = Trust { authority: authority.clone(), port: settings.secure.port(), token };
        Duties::begin(&cluster, &authority, sources, trust)
    });
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

fn server(age: Option<Duration>) -> tonic::transport::Server {
    let server = tonic::transport::Server::builder().http2_keepalive_interval(Some(Duration::from_secs(30)));
    match age {
        Some(age) => server.max_connection_age(age).max_connection_age_grace(GRACE),
        None => server,
    }
}

async fn serve(address: SocketAddr, tls: Option<watch::Receiver<ServerTls>>, services: Router) -> Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("the port {address}"))?;
    tokio::spawn(async move {
        if let Err(error) = services.serve_with_incoming(grpc::incoming(listener, tls)).await {
            tracing::error!("{address}: {error}");
        }
    });
    Ok(())
}
