//! The authority on disk: made at the first start and kept, or plugged in.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose};
use time::{Duration, OffsetDateTime};

use crate::authority::{Authority, AuthorityError};
use crate::token::Tokens;

pub(crate) const ROOT: &str = "root-cert.pem";
pub(crate) const CERTIFICATE: &str = "ca-cert.pem";
pub(crate) const KEY: &str = "ca-key.pem";
pub(crate) const CHAIN: &str = "cert-chain.pem";
const REVOCATIONS: &str = "ca-crl.pem";
const TOKEN_KEY: &str = "token-key.pem";
/// A root of our own lives so long, as Istio's does.
const YEARS: i64 = 10;

/// Opens the authority of a directory, with Istio's file names for one that is plugged in (`ca-cert.pem`, `ca-key.pem`,
/// `root-cert.pem`, `cert-chain.pem`, `ca-crl.pem`). An empty directory gets an authority of its own, which is found again at the next
/// start.
///
/// # Errors
/// If files cannot be read or written, or do not fit together; nothing is ever made anew over files that are there.
pub fn open(directory: &Path) -> Result<(Authority, Tokens), AuthorityError> {
    fs::create_dir_all(directory).map_err(|error| AuthorityError::File(directory.display().to_string(), error))?;
    let held = [CERTIFICATE, KEY, ROOT].map(|name| directory.join(name).exists());
    if held == [false; 3] {
        make_root(directory)?;
    } else if held != [true; 3] {
        let missing: Vec<_> =
            [CERTIFICATE, KEY, ROOT].into_iter().zip(held).filter(|(_, held)| !held).map(|(name, _)| name).collect();
        let reason =
            format!("lacks {}; put it there, or empty the directory for a new authority", missing.join(" and "));
        return Err(AuthorityError::Unusable(directory.display().to_string(), reason));
    }
    let authority = read_authority(directory)?;
    let token_key = directory.join(TOKEN_KEY);
    if !token_key.exists() {
        write(&token_key, &KeyPair::generate()?.serialize_pem(), 0o600)?;
    }
    let tokens = Tokens::from_pem(&read(&token_key)?)
        .map_err(|reason| AuthorityError::Unusable(token_key.display().to_string(), reason))?;
    Ok((authority, tokens))
}

/// The authority whose files are in a directory.
pub(crate) fn read_authority(directory: &Path) -> Result<Authority, AuthorityError> {
    let chain = if directory.join(CHAIN).exists() { read(&directory.join(CHAIN))? } else { String::new() };
    let authority = Authority::from_pem(
        &read(&directory.join(CERTIFICATE))?,
        &read(&directory.join(KEY))?,
        &chain,
        &read(&directory.join(ROOT))?,
        &directory.display().to_string(),
    )?;
    let revocations = directory.join(REVOCATIONS);
    let lists = if revocations.exists() { read(&revocations)? } else { String::new() };
    // An empty file says that nothing is revoked, as none does.
    if lists.is_empty() {
        return Ok(authority);
    }
    authority.revoking(lists, &revocations.display().to_string())
}

fn make_root(directory: &Path) -> Result<(), AuthorityError> {
    let (root, key) = self_signed()?;
    // The key first: with it alone nothing is half done that looks done.
    write(&directory.join(KEY), &key, 0o600)?;
    write(&directory.join(CERTIFICATE), &root, 0o644)?;
    write(&directory.join(ROOT), &root, 0o644)
}

/// A new root and its key, in PEM.
pub(crate) fn self_signed() -> Result<(String, String), AuthorityError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "cluster.local");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::minutes(2);
    params.not_after = now + Duration::days(365 * YEARS);
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

fn read(path: &Path) -> Result<String, AuthorityError> {
    fs::read_to_string(path).map_err(|error| AuthorityError::File(path.display().to_string(), error))
}

/// Whole or not at all, and never readable by more than it should be.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), AuthorityError> {
    let partial = path.with_extension("partial");
    let written = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&partial)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    written().map_err(|error| AuthorityError::File(path.display().to_string(), error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{LONGEST, Names};
    use mesh_tls::{CertificateRequest, KeyedCertificate, Roots};

    fn identity() -> mesh_types::Identity {
        "spiffe://cluster.local/ns/default/sa/reviews".parse().unwrap()
    }

    #[test]
    fn an_authority_is_made_once_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let (first, _) = open(dir.path()).unwrap();
        let (second, _) = open(dir.path()).unwrap();
        assert_eq!(first.root_pem(), second.root_pem());
        let request = CertificateRequest::new(&"spiffe://cluster.local/ns/default/sa/liar".parse().unwrap()).unwrap();
        let chain = second.sign(request.pem(), &Names::Workload(identity()), LONGEST * 10).unwrap();
        let keyed = request.complete(chain.as_bytes(), "test").unwrap();
        assert_eq!(keyed.leaf().identity, Some(identity()), "never from the request");
        assert!(keyed.validity().remaining(std::time::SystemTime::now()) <= LONGEST);
        Roots::from_pem(first.root_pem().as_bytes(), "root").unwrap();
        let (chain, key) =
            first.issue(&Names::Server(vec!["istiod.istio-system.svc".into()], vec![]), LONGEST).unwrap();
        KeyedCertificate::from_pem(chain.as_bytes(), key.as_bytes(), "server").unwrap();
    }

    #[test]
    fn revocation_lists_that_nobody_could_read_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(open(dir.path()).unwrap().0.crl_pem().is_none());
        write(&dir.path().join(REVOCATIONS), "", 0o644).unwrap();
        assert!(open(dir.path()).unwrap().0.crl_pem().is_none());
        write(&dir.path().join(REVOCATIONS), "revoked: all", 0o644).unwrap();
        let Err(error) = open(dir.path()) else { panic!("it was taken") };
        let error = error.to_string();
        assert!(error.contains("ca-crl.pem: the bundle: holds no revocation list"), "{error}");
    }

    #[test]
    fn half_an_authority_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).unwrap();
        std::fs::remove_file(dir.path().join(KEY)).unwrap();
        let error = open(dir.path()).err().unwrap().to_string();
        assert!(error.contains("lacks ca-key.pem"), "{error}");
        assert!(!dir.path().join(KEY).exists());
    }
}
