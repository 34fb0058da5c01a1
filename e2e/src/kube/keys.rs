//! Certificates of the world outside: what gateways show, and what their callers show them.

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};

/// An authority that the mesh knows nothing of.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one.
    pub(super) fn new() -> Result<Self> {
        let mut parameters = named("an authority outside", Vec::new())?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?))
    }

    /// By what it is known.
    pub(super) fn root_pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a host, and its key.
    pub(super) fn issue(&self, host: &str) -> Result<(String, String)> {
        let key = KeyPair::generate()?;
        let certificate = named(host, vec![host.to_owned()])?.signed_by(&key, &self.0)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

/// The authority and what it signs need different names: else a certificate looks as if it had signed itself.
fn named(name: &str, hosts: Vec<String>) -> Result<CertificateParams> {
    let mut parameters = CertificateParams::new(hosts)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    Ok(parameters)
}
