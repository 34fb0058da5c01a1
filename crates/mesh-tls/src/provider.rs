//! The cryptography that all configurations share.

use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{CipherSuite, SupportedCipherSuite};

/// aws-lc-rs with rustls's choice of suites; X25519MLKEM768 is the first key exchange (feature `prefer-post-quantum`).
/// Of the suites, AES-128 with SHA-256 comes first, as in Envoy: processors have instructions for both, and a handshake
/// hashes so much that SHA-384 would be a tenth of it.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let choose = || {
        let mut provider = aws_lc_rs::default_provider();
        let is_later = |suite: &SupportedCipherSuite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256;
        provider.cipher_suites.sort_by_key(is_later);
        Arc::new(provider)
    };
    PROVIDER.get_or_init(choose).clone()
}
