//! From one authority to the next. A root that is replaced is still told to peers for as long as a certificate that it
//! vouches for can be in use.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

use crate::authority::{Authority, LONGEST};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The authority of now, and the roots that were.
pub(crate) struct Rotation {
    sender: watch::Sender<Arc<Authority>>,
    /// The newest authority's own roots.
    roots: Vec<String>,
    retired: Vec<Retired>,
}

/// A root that is no longer the authority's own.
struct Retired {
    pem: String,
    until: SystemTime,
}

impl Rotation {
    /// Begins with an authority.
    pub(crate) fn new(first: Authority) -> (Self, watch::Receiver<Arc<Authority>>) {
        let roots = certificates(first.root_pem());
        let (sender, receiver) = watch::channel(Arc::new(first));
        (Self { sender, roots, retired: Vec::new() }, receiver)
    }

    /// Goes on with what was read anew. True if it is another one.
    pub(crate) fn offer(&mut self, next: Authority, now: SystemTime) -> bool {
        let roots = certificates(next.root_pem());
        let forgotten = self.retired.iter().any(|one| one.until <= now);
        let same = roots == self.roots && {
            let held = self.sender.borrow();
            next.certificate_pem() == held.certificate_pem() && next.crl_pem() == held.crl_pem()
        };
        if same && !forgotten {
            return false;
        }
        self.retired.retain(|one| one.until > now && !roots.contains(&one.pem));
        let replaced = self.roots.iter().filter(|root| !roots.contains(root));
        self.retired.extend(replaced.map(|root| Retired { pem: root.clone(), until: now + LONGEST }));
        let bundle = roots.iter().chain(self.retired.iter().map(|one| &one.pem));
        let bundle: String = bundle.flat_map(|root| [root.as_str(), "\n"]).collect();
        self.roots = roots;
        self.sender.send_replace(Arc::new(next.with_roots(bundle)));
        true
    }

    /// Nobody listens any more.
    pub(crate) fn is_over(&self) -> bool {
        self.sender.is_closed()
    }
}

/// The certificates of a PEM text, each without what stands around it.
fn certificates(pem: &str) -> Vec<String> {
    let each = pem.split(BEGIN).skip(1).filter_map(|rest| rest.split_once(END));
    each.map(|(body, _)| format!("{BEGIN}{body}{END}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::self_signed;
    use std::time::Duration;

    fn authority((certificate, key): &(String, String)) -> Authority {
        Authority::from_pem(certificate, key, "", certificate, "test").unwrap()
    }

    #[test]
    fn a_replaced_root_is_told_until_its_last_certificate_has_expired() {
        let (old, new) = (self_signed().unwrap(), self_signed().unwrap());
        let (mut rotation, current) = Rotation::new(authority(&old));
        let now = SystemTime::now();
        assert!(!rotation.offer(authority(&old), now), "nothing is new");
        assert!(rotation.offer(authority(&new), now));
        let both = current.borrow().root_pem().to_owned();
        assert_eq!(certificates(&both), [new.0.trim().to_owned(), old.0.trim().to_owned()]);
        assert!(!rotation.offer(authority(&new), now + LONGEST - Duration::from_secs(1)));
        assert!(rotation.offer(authority(&new), now + LONGEST));
        assert_eq!(certificates(current.borrow().root_pem()), [new.0.trim().to_owned()]);
    }

    #[test]
    fn going_back_is_going_on() {
        let (old, new) = (self_signed().unwrap(), self_signed().unwrap());
        let (mut rotation, current) = Rotation::new(authority(&old));
        let now = SystemTime::now();
        rotation.offer(authority(&new), now);
        rotation.offer(authority(&old), now);
        assert_eq!(certificates(current.borrow().root_pem()), [old.0.trim().to_owned(), new.0.trim().to_owned()]);
    }
}
