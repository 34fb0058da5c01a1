//! Root certificates: whom we believe.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};

use crate::error::{PemError, PemProblem};
use crate::keys::{certificates, read};
use crate::revocations::Revocations;

/// Where distributions keep the operating system's bundle: Debian, Fedora, Alpine, openSUSE.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
];

/// A non-empty set of root certificates, and what of theirs is revoked. Cheap to clone.
#[derive(Clone)]
pub struct Roots {
    pub(crate) store: Arc<RootCertStore>,
    pub(crate) revocations: Revocations,
}

impl Roots {
    /// Reads every certificate of a bundle. `what` names its source in errors.
    ///
    /// # Errors
    /// If there is none, or one does not parse. If there is a revocation list among them, which Envoy would heed too.
    pub fn from_pem(bundle: &[u8], what: &str) -> Result<Self, PemError> {
        if CertificateRevocationListDer::pem_slice_iter(bundle).next().is_some() {
            return Err(PemError::new(what, PemProblem::MisplacedRevocationList));
        }
        Self::from_der(certificates(bundle, what)?, what)
    }

    /// Reads a bundle from a file.
    ///
    /// # Errors
    /// As [`Self::from_pem`], and if the file cannot be read.
    pub fn from_file(path: &Path) -> Result<Self, PemError> {
        Self::from_pem(&read(path)?, &path.display().to_string())
    }

    /// The operating system's roots: `SSL_CERT_FILE`, or the first known bundle that exists. Certificates of it that
    /// do not parse are passed over, since nobody here can mend them.
    ///
    /// # Errors
    /// If there is no bundle or it has no usable root.
    pub fn system() -> Result<Self, PemError> {
        let path = std::env::var("SSL_CERT_FILE").ok().unwrap_or_else(|| {
            let known = SYSTEM_BUNDLES.iter().find(|path| Path::new(path).exists());
            (*known.unwrap_or(&SYSTEM_BUNDLES[0])).to_owned()
        });
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(certificates(&read(Path::new(&path))?, &path)?);
        if store.is_empty() {
            return Err(PemError::new(&path, PemProblem::NoCertificate));
        }
        Ok(Self { store: Arc::new(store), revocations: Revocations::default() })
    }

    fn from_der(roots: Vec<CertificateDer<'static>>, what: &str) -> Result<Self, PemError> {
        let mut store = RootCertStore::empty();
        for (index, root) in roots.into_iter().enumerate() {
            store.add(root).map_err(|error| {
                PemError::new(what, PemProblem::BadCertificate { index: index + 1, reason: error.to_string() })
            })?;
        }
        Ok(Self { store: Arc::new(store), revocations: Revocations::default() })
    }

    /// Believes nobody whom the lists do not answer for, or whom they name.
    #[must_use]
    pub fn revoking(self, revocations: Revocations) -> Self {
        Self { revocations, ..self }
    }

    /// How many roots there are.
    pub fn count(&self) -> usize {
        self.store.len()
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roots").field("count", &self.count()).field("revocations", &self.revocations).finish()
    }
}
