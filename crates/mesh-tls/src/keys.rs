//! A certificate chain with its private key: who we are.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::certificate::{PeerCertificate, Validity, peer_certificate};
use crate::error::{PemError, PemProblem};
use crate::provider::provider;

/// A certificate chain (leaf first) with its private key. Cheap to clone.
#[derive(Clone)]
pub struct KeyedCertificate {
    pub(crate) certified: Arc<CertifiedKey>,
    leaf: Arc<PeerCertificate>,
}

impl KeyedCertificate {
    /// Reads chain and key from PEM. `what` names their source in errors, such as a path or a secret's name.
    ///
    /// # Errors
    /// If either is missing or unreadable, or the key does not belong to the leaf.
    pub fn from_pem(chain: &[u8], key: &[u8], what: &str) -> Result<Self, PemError> {
        Self::from_pem_of(chain, what, key, what)
    }

    /// Reads chain and key from two files.
    ///
    /// # Errors
    /// As [`Self::from_pem`]; each error names the file at fault.
    pub fn from_files(chain: &Path, key: &Path) -> Result<Self, PemError> {
        let (chain_name, key_name) = (chain.display().to_string(), key.display().to_string());
        Self::from_pem_of(&read(chain)?, &chain_name, &read(key)?, &key_name)
    }

    fn from_pem_of(chain: &[u8], chain_name: &str, key: &[u8], key_name: &str) -> Result<Self, PemError> {
        Self::new(certificates(chain, chain_name)?, private_key(key, key_name)?, key_name)
    }

    /// Takes a parsed chain and key; `what` names the key in errors.
    ///
    /// # Errors
    /// If the key is of no usable kind or does not belong to the leaf, or the leaf does not parse.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>, what: &str) -> Result<Self, PemError> {
        let leaf = peer_certificate(&chain)
            .map_err(|error| PemError::new(what, PemProblem::BadCertificate { index: 1, reason: error.to_string() }))?;
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|error| PemError::new(what, PemProblem::BadKey(error)))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) => Ok(Self { certified: Arc::new(certified), leaf: Arc::new(leaf) }),
            Err(_) => Err(PemError::new(what, PemProblem::KeyMismatch)),
        }
    }

    /// What our own leaf says of us.
    pub fn leaf(&self) -> &PeerCertificate {
        &self.leaf
    }

    /// From when until when the leaf counts.
    pub fn validity(&self) -> Validity {
        self.leaf.validity
    }
}

impl fmt::Debug for KeyedCertificate {
    /// Never prints a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedCertificate").field("leaf", &self.leaf).finish_non_exhaustive()
    }
}

/// All certificates of a piece of PEM, in order; other sections are passed over.
pub(crate) fn certificates(text: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let chain = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| PemError::new(what, PemProblem::Malformed(error)))?;
    if chain.is_empty() {
        return Err(PemError::new(what, PemProblem::NoCertificate));
    }
    Ok(chain)
}

fn private_key(text: &[u8], what: &str) -> Result<PrivateKeyDer<'static>, PemError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| {
        PemError::new(
            what,
            match error {
                pem::Error::NoItemsFound => PemProblem::NoKey,
                other => PemProblem::Malformed(other),
            },
        )
    })
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, PemError> {
    std::fs::read(path).map_err(|error| PemError::new(&path.display().to_string(), PemProblem::Unreadable(error)))
}
