//! Whose certificate answers for a host over TLS: that of the oldest Ingress that has one for it. A listener cannot have
//! two for one name.

use std::collections::BTreeMap;

use crate::api::{Ingress, IngressTls};
use crate::object::Object;

/// The certificates of all Ingresses, by host.
pub(crate) struct Certificates<'a>(BTreeMap<&'a str, Certificate<'a>>);

/// One of them.
#[derive(Clone, Copy)]
pub(crate) struct Certificate<'a> {
    pub(crate) ingress: &'a Object<Ingress>,
    pub(crate) tls: &'a IngressTls,
}

impl<'a> Certificates<'a> {
    /// Of the Ingresses that are served, the oldest first.
    pub(crate) fn of(served: &[&'a Object<Ingress>]) -> Self {
        let mut by_host = BTreeMap::new();
        for &ingress in served {
            for tls in ingress.spec.spec.tls.iter().filter(|tls| !tls.secret_name.is_empty()) {
                for host in Self::hosts_of(tls) {
                    by_host.entry(host).or_insert(Certificate { ingress, tls });
                }
            }
        }
        Self(by_host)
    }

    /// The one that answers for a host.
    pub(crate) fn get(&self, host: &str) -> Option<Certificate<'a>> {
        self.0.get(host).copied()
    }

    /// The hosts of an entry for which no older one answers.
    pub(super) fn hosts(&self, tls: &'a IngressTls) -> impl Iterator<Item = &'a str> {
        Self::hosts_of(tls).filter(|host| self.get(host).is_some_and(|certificate| std::ptr::eq(certificate.tls, tls)))
    }

    /// The hosts of an entry: none said means all.
    pub(crate) fn hosts_of(tls: &IngressTls) -> impl Iterator<Item = &str> {
        let all = tls.hosts.is_empty().then_some("*");
        tls.hosts.iter().map(String::as_str).chain(all)
    }
}
