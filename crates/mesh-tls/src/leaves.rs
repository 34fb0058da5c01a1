//! Leaves that were read lately: the same peers connect again and again, and a leaf says the same whenever it is read.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::CertificateError;
use rustls::pki_types::CertificateDer;

use crate::certificate::{PeerCertificate, peer_certificate};

/// So many are remembered by a thread.
const MOST: usize = 256;

thread_local! {
    /// By their hash.
    static LEAVES: RefCell<HashMap<[u8; 32], Arc<PeerCertificate>>> = RefCell::default();
}

/// [`peer_certificate`], which may have been called before.
///
/// # Errors
/// As [`peer_certificate`].
pub(crate) fn leaf(chain: &[CertificateDer<'_>]) -> Result<Arc<PeerCertificate>, CertificateError> {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, chain.first().ok_or(CertificateError::BadEncoding)?).as_ref());
    LEAVES.with_borrow_mut(|known| {
        if let Some(leaf) = known.get(&key) {
            return Ok(leaf.clone());
        }
        let leaf = Arc::new(peer_certificate(chain)?);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, leaf.clone());
        Ok(leaf)
    })
}
