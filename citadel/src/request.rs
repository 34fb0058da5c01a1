//! Certificate requests: of all that they say only the key is used, once its owner has shown to hold it.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

/// A request is never longer.
const LONGEST: usize = 16 * 1024;

/// The public key (`SubjectPublicKeyInfo`, DER) of a request in PEM, if the request is signed with it.
///
/// # Errors
/// In words that follow "the certificate request …".
pub(crate) fn public_key(pem: &str) -> Result<Vec<u8>, &'static str> {
    if pem.len() > LONGEST {
        return Err("is too long");
    }
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|_| "is no PEM")?;
    let (rest, request) = X509CertificationRequest::from_der(&pem.contents).map_err(|_| "is no PKCS #10")?;
    if !rest.is_empty() {
        return Err("is followed by other bytes");
    }
    let info = &request.certification_request_info;
    let algorithm = algorithm(&request.signature_algorithm.algorithm.to_id_string()).ok_or(
        "is signed with an algorithm that is not supported: use ECDSA with P-256 or P-384, or RSA with SHA-256",
    )?;
    let key = &info.subject_pki.subject_public_key.data;
    UnparsedPublicKey::new(algorithm, key)
        .verify(info.raw, &request.signature_value.data)
        .map_err(|_| "is not signed with its own key")?;
    Ok(info.subject_pki.raw.to_vec())
}

fn algorithm(oid: &str) -> Option<&'static dyn VerificationAlgorithm> {
    match oid {
        "1.2.840.10045.4.3.2" => Some(&signature::ECDSA_P256_SHA256_ASN1),
        "1.2.840.10045.4.3.3" => Some(&signature::ECDSA_P384_SHA384_ASN1),
        "1.2.840.113549.1.1.11" => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, PublicKeyData};

    #[test]
    fn the_key_must_have_signed() {
        let key = KeyPair::generate().unwrap();
        let csr = CertificateParams::default().serialize_request(&key).unwrap();
        assert_eq!(public_key(&csr.pem().unwrap()).unwrap(), key.subject_public_key_info());
        let mut der = csr.der().to_vec();
        let last = der.len() - 1;
        der[last] ^= 1;
        let forged =
            format!("-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n", base64(&der));
        assert!(public_key(&forged).is_err());
    }

    fn base64(bytes: &[u8]) -> String {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(bytes)
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let text = format!("-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n", base64(&bytes));
            prop_assert!(public_key(&text).is_err());
        }
    }
}
