//! Choosing among certificates by the server name and by what the client can verify.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::keys::KeyedCertificate;

/// The first certificate that the client can verify, such as ECDSA for new clients and RSA for old ones.
#[derive(Debug)]
pub(crate) struct FirstUsable(pub(crate) Vec<KeyedCertificate>);

/// Certificates by server name, for gateways. A name without a certificate fails its own handshakes only.
#[derive(Clone, Debug, Default)]
pub struct CertificatesByName {
    exact: HashMap<Box<str>, Vec<KeyedCertificate>>,
    wildcard: HashMap<Box<str>, Vec<KeyedCertificate>>,
    default: Vec<KeyedCertificate>,
}

impl CertificatesByName {
    /// Adds a certificate for a name: `www.example.com`, `*.example.com` (one label or more), or `*` for clients that
    /// name no server or an unknown one. Several for one name are tried in order.
    pub fn add(&mut self, name: &str, certificate: KeyedCertificate) {
        let name = name.to_ascii_lowercase();
        let of_name = if name == "*" {
            &mut self.default
        } else if let Some(suffix) = name.strip_prefix("*.") {
            self.wildcard.entry(suffix.into()).or_default()
        } else {
            self.exact.entry(name.into()).or_default()
        };
        of_name.push(certificate);
    }

    /// True if there is no certificate at all.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty() && self.default.is_empty()
    }

    /// Exact name first, then the longest suffix, then `*`.
    fn find(&self, name: Option<&str>) -> &[KeyedCertificate] {
        let Some(name) = name.map(str::to_ascii_lowercase) else { return &self.default };
        if let Some(certificates) = self.exact.get(name.as_str()) {
            return certificates;
        }
        let mut rest = name.as_str();
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(certificates) = self.wildcard.get(parent) {
                return certificates;
            }
            rest = parent;
        }
        &self.default
    }
}

impl ResolvesServerCert for FirstUsable {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        first_usable(&self.0, &hello)
    }
}

impl ResolvesServerCert for CertificatesByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        first_usable(self.find(hello.server_name()), &hello)
    }
}

fn first_usable(certificates: &[KeyedCertificate], hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
    let usable = certificates.iter().find(|c| c.certified.key.choose_scheme(hello.signature_schemes()).is_some());
    usable.map(|c| c.certified.clone())
}
