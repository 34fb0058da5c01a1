//! Our own certificate.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use citadel::{Authority, LONGEST, Names};
use mesh_tls::{Certificates, ClientAuth, KeyedCertificate, ServerSettings, ServerTls, Versions};
use tokio::sync::watch;

/// What could not be renewed is tried again after so long.
const AGAIN: Duration = Duration::from_secs(60);

/// The names under which a Service of the control plane is reached.
pub(crate) fn names(service: &str, namespace: &str) -> Vec<String> {
    let short = format!("{service}.{namespace}");
    vec![format!("{short}.svc"), format!("{short}.svc.cluster.local"), short, "localhost".to_owned()]
}

/// A certificate for these names, renewed at half its life and whenever the authority is another; connections that are
/// open stay.
pub(crate) fn follow(
    mut authority: watch::Receiver<Arc<Authority>>,
    names: Vec<String>,
    alpn: &'static str,
) -> Result<watch::Receiver<ServerTls>> {
    let (sender, receiver) = watch::channel(make(&authority.borrow_and_update(), &names, alpn)?);
    tokio::spawn(async move {
        let mut wait = LONGEST / 2;
        loop {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // An authority that has no more news goes on signing.
                Ok(()) = authority.changed() => {}
                () = sender.closed() => return,
            }
            let authority = authority.borrow_and_update().clone();
            wait = match make(&authority, &names, alpn) {
                Ok(tls) => {
                    sender.send_replace(tls);
                    LONGEST / 2
                }
                Err(error) => {
                    tracing::error!("our own certificate cannot be renewed: {error:#}");
                    AGAIN
                }
            };
        }
    });
    Ok(receiver)
}

fn make(authority: &Authority, names: &[String], alpn: &str) -> Result<ServerTls> {
    let (chain, key) = authority.issue(&Names::Server(names.to_vec(), Vec::new()), LONGEST)?;
    let keyed = KeyedCertificate::from_pem(chain.as_bytes(), key.as_bytes(), "our own certificate")?;
    Ok(ServerTls::new(ServerSettings {
        certificates: Certificates::Any(vec![keyed]),
        client_auth: ClientAuth::None,
        alpn: vec![alpn.as_bytes().to_vec()],
        versions: Versions::Both,
    })?)
}
