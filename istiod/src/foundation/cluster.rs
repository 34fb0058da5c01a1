//! On Kubernetes: configuration from the API server, callers known by its tokens, an authority that the replicas share.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use citadel::{Authority, TokenReviews};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::sync::watch;

use super::Foundation;
use crate::certificates;
use crate::flags::{Discovery, Place};

/// A connection that is silent for so long is lost. The API server says something on every watch about once a minute.
const SILENCE: Duration = Duration::from_secs(90);

/// A cluster, and where in it this replica is.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) place: Place,
}

/// Connects, and reads everything. An API server that does not answer is waited for.
pub(super) async fn open(settings: &Discovery) -> Result<Foundation> {
    let client = connect(settings.kubeconfig.as_deref()).await?;
    let place = settings.place.clone();
    let authority = authority(client.clone(), &place).await.context("the certificate authority")?;
    tracing::info!("reading the cluster");
    let config = galley::watch_cluster(client.clone(), place.scope()).await;
    Ok(Foundation {
        config,
        callers: Arc::new(TokenReviews::new(client.clone())),
        authority,
        names: names(&place),
        cluster: Some(Cluster { client, place }),
    })
}

/// A revision is reached by its own Service, and, if it is the default one, by the Service without a revision, too.
fn names(place: &Place) -> Vec<String> {
    let mut names = certificates::names("istiod", &place.namespace);
    if !place.is_default() {
        names.extend(certificates::names(&place.service(), &place.namespace));
    }
    names
}

async fn connect(kubeconfig: Option<&Path>) -> Result<Client> {
    let mut config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).with_context(|| path.display().to_string())?;
            kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?
        }
        None => kube::Config::infer()
            .await
            .context("no way to the API server is known, neither a pod's nor KUBECONFIG; without Kubernetes, give --config-dir and --ca-dir")?,
    };
    config.read_timeout = Some(SILENCE);
    Ok(Client::try_from(config)?)
}

/// The authority that was plugged in, or else the one that the replicas share.
async fn authority(client: Client, place: &Place) -> Result<watch::Receiver<Arc<Authority>>> {
    if citadel::is_plugged(&place.cacerts) {
        return Ok(citadel::watch_plugged(place.cacerts.clone())?);
    }
    Ok(citadel::shared_root(client, &place.namespace).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proxies are told `istiod.<namespace>.svc`, or `istiod-<revision>.<namespace>.svc` where the chart has a revision.
    #[test]
    fn the_certificate_has_the_names_that_proxies_are_told() {
        for (revision, host) in
            [("default", "istiod.mesh.svc"), ("canary", "istiod-canary.mesh.svc"), ("canary", "istiod.mesh.svc")]
        {
            let place = Place::of_flags(&["--namespace", "mesh", "--revision", revision]);
            assert!(names(&place).iter().any(|name| name == host), "{revision}: {host}");
        }
    }
}
