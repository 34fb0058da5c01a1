//! Root certificates: whom we believe.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use crate::error::{PemError, PemProblem};
use crate::keys::{certificates, read};

/// Where distributions keep the operating system's bundle: Debian, Fedora, Alpine, openSUSE.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
];

/// A non-empty set of root certificates. Cheap to clone.
#[derive(Clone)]
pub struct Roots {
    pub(crate) store: Arc<RootCertStore>,
}

impl Roots {
    /// Reads every certificate of a bundle. `what` names its source in errors.
    ///
    /// # Errors
    /// If there is none, or one does not parse.
    pub fn from_pem(bundle: &[u8], what: &str) -> Result<Self, PemError> {
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
        Ok(Self { store: Arc::new(store) })
    }

    fn from_der(roots: Vec<CertificateDer<'static>>, what: &str) -> Result<Self, PemError> {
        let mut store = RootCertStore::empty();
        for (index, root) in roots.into_iter().enumerate() {
            store.add(root).map_err(|error| {
                PemError::new(what, PemProblem::BadCertificate { index: index + 1, reason: error.to_string() })
            })?;
        }
        Ok(Self { store: Arc::new(store) })
    }

    /// How many roots there are.
    pub fn count(&self) -> usize {
        self.store.len()
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roots").field("count", &self.count()).finish()
    }
}
