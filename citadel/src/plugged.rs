//! An authority that somebody else made and plugged in: Istio's Secret `cacerts`, mounted as files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::authority::{Authority, AuthorityError};
use crate::rotation::Rotation;
use crate::store::{CERTIFICATE, read_authority};

/// The files are looked at this often. Kubernetes takes longer to bring a changed Secret to them.
const LOOK: Duration = Duration::from_secs(10);

/// True if a directory holds an authority.
pub fn is_plugged(directory: &Path) -> bool {
    directory.join(CERTIFICATE).exists()
}

/// Opens the authority of a directory (Istio's file names: `ca-cert.pem`, `ca-key.pem`, `root-cert.pem` and, if something
/// lies between the signing certificate and the root, `cert-chain.pem`; `ca-crl.pem`, if something is revoked) and follows its files. What does not fit together is not taken.
///
/// # Errors
/// If the files do not make an authority at the start.
pub fn watch_plugged(directory: PathBuf) -> Result<watch::Receiver<Arc<Authority>>, AuthorityError> {
    let (mut rotation, receiver) = Rotation::new(read_authority(&directory)?);
    tokio::spawn(async move {
        let mut complaint = None;
        while !rotation.is_over() {
            tokio::time::sleep(LOOK).await;
            match read_authority(&directory) {
                Ok(next) => {
                    complaint = None;
                    if rotation.offer(next, SystemTime::now()) {
                        tracing::info!("the authority of {} is renewed", directory.display());
                    }
                }
                Err(error) => {
                    let error = error.to_string();
                    if complaint.as_ref() != Some(&error) {
                        tracing::error!("{error}; the authority that was read last goes on");
                        complaint = Some(error);
                    }
                }
            }
        }
    });
    Ok(receiver)
}
