//! SPIFFE identities in Istio's form, `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A trust domain: the authority part of a SPIFFE ID, such as `cluster.local`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain(Arc<str>);

/// Who a workload is. Two certificates with equal identities are the same caller to every policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    trust_domain: TrustDomain,
    namespace: Arc<str>,
    service_account: Arc<str>,
}

/// Why a string is no identity of this mesh.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The URI is not `spiffe://<td>/ns/<ns>/sa/<sa>`.
    #[error("{0:?} is not of the form spiffe://<trust domain>/ns/<namespace>/sa/<service account>")]
    Form(String),
    /// The trust domain has characters outside those of the SPIFFE specification (§2.1).
    #[error("{0:?} is not a trust domain: lower-case letters, digits, '.', '-' and '_' only")]
    TrustDomain(String),
}

impl TrustDomain {
    /// The trust domain as it stands in a URI.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TrustDomain {
    /// Istio's default, `cluster.local`.
    fn default() -> Self {
        Self("cluster.local".into())
    }
}

impl FromStr for TrustDomain {
    type Err = IdentityError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        if s.is_empty() || s.len() > 255 || !s.bytes().all(allowed) {
            return Err(IdentityError::TrustDomain(s.to_owned()));
        }
        Ok(Self(s.into()))
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Identity {
    /// Builds an identity from its three parts. The parts must be non-empty and hold no `/`.
    pub fn new(trust_domain: TrustDomain, namespace: &str, service_account: &str) -> Result<Self, IdentityError> {
        let segment = |s: &str| {
            !s.is_empty()
                && s != "."
                && s != ".."
                && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        };
        if !segment(namespace) || !segment(service_account) {
            return Err(IdentityError::Form(format!("spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}")));
        }
        Ok(Self { trust_domain, namespace: namespace.into(), service_account: service_account.into() })
    }

    /// The trust domain that vouches for this identity.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The Kubernetes namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The Kubernetes service account.
    pub fn service_account(&self) -> &str {
        &self.service_account
    }

    /// Istio's *principal*: the URI without its scheme, as `AuthorizationPolicy` writes it.
    pub fn principal(&self) -> String {
        format!("{}/ns/{}/sa/{}", self.trust_domain, self.namespace, self.service_account)
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(uri: &str) -> Result<Self, Self::Err> {
        let form = || IdentityError::Form(uri.to_owned());
        let mut parts = uri.strip_prefix("spiffe://").ok_or_else(form)?.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(td), Some("ns"), Some(ns), Some("sa"), Some(sa), None) => Self::new(td.parse()?, ns, sa),
            _ => Err(form()),
        }
    }
}

impl fmt::Display for Identity {
    /// The SPIFFE URI.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/ns/{}/sa/{}", self.trust_domain, self.namespace, self.service_account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses_and_prints_istio_form() {
        let uri = "spiffe://cluster.local/ns/default/sa/productpage";
        let id: Identity = uri.parse().unwrap();
        assert_eq!(id.to_string(), uri);
        assert_eq!(id.principal(), "cluster.local/ns/default/sa/productpage");
        assert_eq!((id.namespace(), id.service_account()), ("default", "productpage"));
    }

    #[test]
    fn refuses_what_is_not_an_identity() {
        for bad in [
            "",
            "https://cluster.local/ns/a/sa/b",
            "spiffe://cluster.local/ns/a",
            "spiffe://cluster.local/ns/a/sa/b/c",
            "spiffe:///ns/a/sa/b",
            "spiffe://UPPER/ns/a/sa/b",
            "spiffe://td/ns//sa/b",
            "spiffe://td/ns/../sa/b",
            "spiffe://td/ns/a/sa/b%2f",
        ] {
            assert!(bad.parse::<Identity>().is_err(), "{bad:?} was accepted");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_round_trips(s in "\\PC{0,80}") {
            if let Ok(id) = s.parse::<Identity>() {
                prop_assert_eq!(id.to_string(), s);
            }
        }
    }
}
