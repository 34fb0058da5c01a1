//! The proxy is its own agent: it asks the certificate authority for its certificate with the workload's token, and renews
//! it at half its life. The key is made here and never leaves the process.

use std::path::Path;
use std::time::{Duration, SystemTime};

use mesh_runtime::Blocker;
use mesh_tls::{CertificateRequest, ClientSettings, ClientTls, PeerTest, Roots, Versions, grpc, server_name};
use tonic::Request;
use weft_proto::certificates::istio_certificate_service_client::IstioCertificateServiceClient;
use weft_proto::certificates::{self, CertificateResponse};

use crate::config::Settings;
use crate::model::ServerKeys;
use crate::reconnect::Reconnect;
use crate::xds::Config;

/// Wished lifetime of a certificate; the authority has the last word.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// An answer takes no longer.
const PATIENCE: Duration = Duration::from_secs(15);
/// The file of roots is looked at this often.
const LOOK: Duration = Duration::from_secs(10);
/// A token is never longer.
const LONGEST_TOKEN: u64 = 64 * 1024;

/// Keeps the workload's certificate good, for ever. `blocker` is dropped with the first certificate.
pub async fn keep(settings: Settings, config: Config, blocker: Blocker) {
    let mut blocker = Some(blocker);
    let mut reconnect = Reconnect::new(Duration::from_millis(200), Duration::from_secs(30));
    loop {
        let roots = read(settings.authority_roots.as_deref()).await;
        match renew(&settings, &config).await {
            Ok(good_for) => {
                reconnect.reset();
                blocker.take();
                let wait = good_for.mul_f64(0.45 + 0.1 * fastrand::f64());
                tracing::info!("certificate good for {} s, renewed in {} s", good_for.as_secs(), wait.as_secs());
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = changed(settings.authority_roots.as_deref(), roots.as_deref()) => {
                        tracing::info!("the file of roots has changed: the authority is asked which ones the mesh has now");
                    }
                }
            }
            Err(error) => {
                let delay = reconnect.after(&error);
                tracing::warn!("no certificate from {}: {error:#}; next try in {delay:.1?}", settings.authority);
                tokio::time::sleep(delay).await;
            }
        }
    }
}

/// What a file holds, if it can be read.
async fn read(file: Option<&Path>) -> Option<Vec<u8>> {
    tokio::fs::read(file?).await.ok()
}

/// Returns once a file holds something else than it did. Its roots are only those of the control plane; but when they
/// change, the mesh's do.
async fn changed(file: Option<&Path>, before: Option<&[u8]>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let now = read(file).await;
        if now.is_some() && now.as_deref() != before {
            return;
        }
    }
}

/// Asks once; how long the new certificate is good for.
async fn renew(settings: &Settings, config: &Config) -> anyhow::Result<Duration> {
    use anyhow::Context;
    let identity = settings.node.identity().context("namespace or service account make no SPIFFE identity")?;
    let request = CertificateRequest::new(&identity)?;
    let key_pem = request.key_pem();
    let answer = tokio::time::timeout(PATIENCE, ask(settings, request.pem())).await.context("no answer in time")??;
    let (chain, roots) = split(&answer)?;
    let keyed = request.complete(chain.as_bytes(), &settings.authority)?;
    anyhow::ensure!(
        keyed.leaf().identity.as_ref() == Some(&identity),
        "the certificate is for {:?}, not for {identity}",
        keyed.leaf().uri_sans
    );
    Roots::from_pem(roots.as_bytes(), &settings.authority)?;
    let keys = ServerKeys { chain_pem: chain.into_bytes(), key_pem: key_pem.into_bytes() };
    config.set_identity(Some(keys), Some(roots.into_bytes()));
    Ok(keyed.validity().remaining(SystemTime::now()))
}

async fn ask(settings: &Settings, csr: &str) -> anyhow::Result<CertificateResponse> {
    use anyhow::Context;
    let name = settings.control_plane_at(&settings.authority);
    let secure = settings.authority_roots.as_deref().map(|roots| secure(roots, name)).transpose()?;
    let channel = grpc::connect(&settings.authority, secure).await.context("cannot connect")?;
    let mut request = Request::new(certificates::CertificateRequest {
        csr: csr.to_owned(),
        validity_duration: i64::try_from(LIFETIME.as_secs())?,
        metadata: None,
    });
    request.metadata_mut().insert("authorization", format!("Bearer {}", token(&settings.token)?).parse()?);
    let answer = IstioCertificateServiceClient::new(channel).create_certificate(request).await;
    Ok(answer.map_err(|status| anyhow::anyhow!("{:?}: {}", status.code(), status.message()))?.into_inner())
}

/// TLS to the control plane, which must be who `name` says.
///
/// # Errors
/// If the roots cannot be read.
pub(crate) fn secure(roots: &Path, name: &str) -> anyhow::Result<grpc::Secure> {
    let settings = ClientSettings {
        certificate: None,
        roots: Some(Roots::from_file(roots)?),
        alpn: vec![b"h2".to_vec()],
        versions: Versions::Both,
    };
    let name = server_name(Some(name), std::net::Ipv4Addr::LOCALHOST.into());
    Ok(grpc::Secure { tls: ClientTls::new(settings)?, test: PeerTest::Name(name.clone()), name })
}

/// The workload's token, read anew each time: it is rotated on disk.
///
/// # Errors
/// If it cannot be read, or is no token.
pub(crate) fn token(path: &Path) -> anyhow::Result<String> {
    use anyhow::Context;
    let file = || format!("the token {}", path.display());
    let size = std::fs::metadata(path).with_context(file)?.len();
    anyhow::ensure!(size <= LONGEST_TOKEN, "{} has {size} bytes", file());
    let text = std::fs::read_to_string(path).with_context(file)?;
    let text = text.trim();
    anyhow::ensure!(!text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()), "{} is no token", file());
    Ok(text.to_owned())
}

/// Leaf and intermediates, and the root, which comes last.
fn split(answer: &CertificateResponse) -> anyhow::Result<(String, String)> {
    match answer.cert_chain.as_slice() {
        [chain @ .., root] if !chain.is_empty() => Ok((chain.join("\n"), root.clone())),
        _ => anyhow::bail!("the answer has no certificate and root"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn changed_roots_are_noticed_and_a_file_that_is_gone_for_a_moment_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("root-cert.pem");
        std::fs::write(&file, "old").unwrap();
        let before = read(Some(&file)).await;
        let mut changed = std::pin::pin!(changed(Some(&file), before.as_deref()));
        let soon = 3 * LOOK;
        assert!(tokio::time::timeout(soon, &mut changed).await.is_err());
        std::fs::remove_file(&file).unwrap();
        assert!(tokio::time::timeout(soon, &mut changed).await.is_err());
        std::fs::write(&file, "old and new").unwrap();
        tokio::time::timeout(soon, &mut changed).await.unwrap();
    }
}
