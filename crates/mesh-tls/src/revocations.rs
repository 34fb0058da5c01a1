//! Lists of revoked certificates.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;

use crate::error::{PemError, PemProblem};
use crate::keys::read;

/// The most bytes of PEM that are read. What Kubernetes keeps, a Secret or ConfigMap, is at most 1 MiB.
const MOST: usize = 16 * 1024 * 1024;

/// Lists of revoked certificates (RFC 5280 §5, version 2). Cheap to clone.
///
/// With any list at all, every certificate of a peer's chain but the root must have one from its issuer which has not
/// expired and does not name it; a chain that the lists do not answer for is refused. That is Envoy's rule for `crl`
/// without `only_verify_leaf_cert_crl`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Revocations {
    /// Of one issuer the newest comes first, since the first that answers for a certificate is believed.
    lists: Arc<[CertificateRevocationListDer<'static>]>,
}

impl Revocations {
    /// Reads every list of a bundle; other sections are passed over. `what` names its source in errors.
    ///
    /// # Errors
    /// If there is none, one does not parse, or two are of issuers which share a name but not a key: which of them
    /// answers for a certificate could not be told.
    pub fn from_pem(bundle: &[u8], what: &str) -> Result<Self, PemError> {
        if bundle.len() > MOST {
            return Err(PemError::new(what, PemProblem::TooLong { most: MOST }));
        }
        let lists = CertificateRevocationListDer::pem_slice_iter(bundle)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| PemError::new(what, PemProblem::Malformed(error)))?;
        if lists.is_empty() {
            return Err(PemError::new(what, PemProblem::NoRevocationList));
        }
        let heads = lists.iter().enumerate().map(|(index, list)| {
            Head::read(list)
                .map_err(|reason| PemError::new(what, PemProblem::BadRevocationList { index: index + 1, reason }))
        });
        let heads = heads.collect::<Result<Vec<_>, _>>()?;
        let mut sorted: Vec<_> = heads.into_iter().zip(lists).collect();
        sorted.sort_by(|(one, _), (other, _)| {
            one.issuer.cmp(&other.issuer).then_with(|| other.this_update.cmp(&one.this_update))
        });
        if sorted.windows(2).any(|pair| pair[0].0.issuer == pair[1].0.issuer && pair[0].0.key != pair[1].0.key) {
            return Err(PemError::new(what, PemProblem::SharedName));
        }
        Ok(Self { lists: sorted.into_iter().map(|(_, list)| list).collect() })
    }

    /// Reads a bundle from a file.
    ///
    /// # Errors
    /// As [`Self::from_pem`], and if the file cannot be read.
    pub fn from_file(path: &Path) -> Result<Self, PemError> {
        Self::from_pem(&read(path)?, &path.display().to_string())
    }

    pub(crate) fn der(&self) -> impl Iterator<Item = CertificateRevocationListDer<'static>> + '_ {
        self.lists.iter().cloned()
    }

    /// The lists as they are asked.
    pub(crate) fn parsed(&self) -> Result<Vec<CertRevocationList<'static>>, webpki::Error> {
        self.lists.iter().map(|list| Ok(OwnedCertRevocationList::from_der(list)?.into())).collect()
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations").field("lists", &self.lists.len()).finish()
    }
}

/// What tells one list from another.
struct Head {
    issuer: Vec<u8>,
    /// The issuer's key identifier, if the list says it.
    key: Option<Vec<u8>>,
    this_update: ASN1Time,
}

impl Head {
    /// Reads a list, all of it, so that what is kept is known to parse.
    fn read(list: &[u8]) -> Result<Self, String> {
        OwnedCertRevocationList::from_der(list).map_err(|error| error.to_string())?;
        let (_, list) = CertificateRevocationList::from_der(list).map_err(|error| error.to_string())?;
        let key = list.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(authority) => authority.key_identifier.as_ref(),
            _ => None,
        });
        Ok(Self {
            issuer: list.issuer().as_raw().to_vec(),
            key: key.map(|key| key.0.to_vec()),
            this_update: list.last_update(),
        })
    }
}
