//! Chains that were verified lately: the same peers connect again and again, and a chain's signature is a fifth of a
//! handshake.
//!
//! A memory belongs to one verifier and so to one set of roots and revocation lists. What it holds is believed for a
//! minute, which is how much longer than its certificates a chain can be believed; the leaf's own end is looked at with
//! every handshake ([`crate::session`]). That a peer holds the key of its certificate is never taken from memory.

use std::collections::HashMap;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::Mutex;
use rustls::Error;
use rustls::pki_types::{CertificateDer, UnixTime};

/// A verification is believed for so long.
const BELIEVED: Duration = Duration::from_secs(60);
/// So many chains are remembered.
const MOST: usize = 1024;

/// Chains by their hash, and until when they are believed.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<HashMap<[u8; 32], u64>>);

impl Seen {
    /// Passes a chain that passed lately, and verifies others.
    ///
    /// # Errors
    /// What `verify` says; nothing is remembered then.
    pub(crate) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        verify: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let key = hash(leaf, intermediates);
        if self.0.lock().get(&key).is_some_and(|until| now.as_secs() < *until) {
            return Ok(());
        }
        verify()?;
        let mut known = self.0.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, now.as_secs() + BELIEVED.as_secs());
        Ok(())
    }
}

fn hash(leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for certificate in std::iter::once(leaf).chain(intermediates) {
        // With its length, so that no other division of the same bytes is taken for it.
        context.update(&(certificate.len() as u64).to_be_bytes());
        context.update(certificate);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_verified_once_a_minute_and_refusals_are_not_remembered() {
        let seen = Seen::default();
        let (leaf, other) = (CertificateDer::from(vec![1, 2]), CertificateDer::from(vec![1, 2, 3]));
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let refuse = || Err(Error::General("refused".to_owned()));
        assert!(seen.verify(&leaf, &[], at(100), refuse).is_err());
        assert!(seen.verify(&leaf, &[], at(100), || Ok(())).is_ok());
        assert!(seen.verify(&leaf, &[], at(159), refuse).is_ok());
        assert!(seen.verify(&leaf, &[], at(160), refuse).is_err());
        for (one, rest) in [(&other, &[][..]), (&leaf, std::slice::from_ref(&other))] {
            assert!(seen.verify(one, rest, at(120), refuse).is_err(), "another chain");
        }
    }
}
