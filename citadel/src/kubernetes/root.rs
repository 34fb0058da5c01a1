//! The root that the replicas of a control plane share: Istio's Secret `istio-ca-secret`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::{StreamExt, pin_mut};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::runtime::watcher::{self, Event, watcher};
use mesh_runtime::Backoff;
use tokio::sync::watch;

use crate::authority::{Authority, AuthorityError};
use crate::rotation::Rotation;
use crate::store::{CERTIFICATE, CHAIN, KEY, ROOT, self_signed};

/// Istio's name.
const NAME: &str = "istio-ca-secret";
/// Istio's type of it.
const TYPE: &str = "istio.io/ca-root";

/// Opens the root that is in a namespace, or makes one: whoever makes it first wins, and the others take it. It is
/// followed from then on. An API server that does not answer is waited for.
///
/// # Errors
/// If the Secret holds no authority; it is never overwritten.
pub async fn shared_root(client: Client, namespace: &str) -> Result<watch::Receiver<Arc<Authority>>, AuthorityError> {
    let secrets: Api<Secret> = Api::namespaced(client, namespace);
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    let secret = loop {
        match find_or_make(&secrets).await? {
            Ok(secret) => break secret,
            Err(error) => tracing::warn!("the Secret {NAME}: {error}; trying again"),
        }
        backoff.wait().await;
    };
    let (rotation, receiver) = Rotation::new(read(&secret)?);
    tokio::spawn(follow(secrets, rotation));
    Ok(receiver)
}

/// The outer error is for good, the inner one may pass.
async fn find_or_make(secrets: &Api<Secret>) -> Result<Result<Secret, kube::Error>, AuthorityError> {
    match secrets.get_opt(NAME).await {
        Ok(Some(secret)) => return Ok(Ok(secret)),
        Ok(None) => {}
        Err(error) => return Ok(Err(error)),
    }
    let made = secrets.create(&PostParams::default(), &new_root()?).await;
    Ok(match made {
        Ok(secret) => {
            tracing::info!("made a new root in the Secret {NAME}");
            Ok(secret)
        }
        Err(kube::Error::Api(status)) if status.code == 409 => secrets.get(NAME).await,
        Err(error) => Err(error),
    })
}

fn new_root() -> Result<Secret, AuthorityError> {
    let (certificate, key) = self_signed()?;
    let entries = [(CERTIFICATE, certificate.clone()), (ROOT, certificate), (KEY, key), (CHAIN, String::new())];
    let data = entries.into_iter().map(|(name, text)| (name.to_owned(), ByteString(text.into_bytes())));
    Ok(Secret {
        metadata: ObjectMeta { name: Some(NAME.to_owned()), ..Default::default() },
        type_: Some(TYPE.to_owned()),
        data: Some(data.collect::<BTreeMap<_, _>>()),
        ..Default::default()
    })
}

fn read(secret: &Secret) -> Result<Authority, AuthorityError> {
    let text = |name: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(name));
        bytes.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned()).unwrap_or_default()
    };
    let (certificate, root) = (text(CERTIFICATE), text(ROOT));
    // Istio once wrote no root of its own here: the certificate is the root.
    let root = if root.is_empty() { &certificate } else { &root };
    Authority::from_pem(&certificate, &text(KEY), &text(CHAIN), root, &format!("the Secret {NAME}"))
}

/// Takes every new version that makes an authority; a Secret that is deleted goes on being the authority.
async fn follow(secrets: Api<Secret>, mut rotation: Rotation) {
    let events = watcher(secrets, watcher::Config::default().fields(&format!("metadata.name={NAME}")));
    pin_mut!(events);
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    while let Some(event) = events.next().await {
        if rotation.is_over() {
            return;
        }
        match event {
            Ok(Event::Apply(secret) | Event::InitApply(secret)) => {
                backoff.reset();
                match read(&secret) {
                    Ok(next) => drop(rotation.offer(next, SystemTime::now())),
                    Err(error) => tracing::error!("{error}; the authority that was read last goes on"),
                }
            }
            Ok(Event::Delete(_)) => tracing::error!("the Secret {NAME} was deleted; the authority goes on without it"),
            Ok(_) => {}
            Err(_) => backoff.wait().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_read_and_what_is_none_is_refused() {
        let made = new_root().unwrap();
        let authority = read(&made).unwrap();
        assert!(authority.root_pem().contains("BEGIN CERTIFICATE"));
        assert!(read(&Secret::default()).err().unwrap().to_string().contains(NAME));
    }
}
