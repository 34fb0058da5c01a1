//! Tokens by which workloads prove which service account they are, where there is no Kubernetes to make them: JSON Web
//! Tokens (RFC 7519) signed by the control plane itself, with one algorithm and no choice.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::caller::{AUDIENCE, Authenticator, Caller, LONGEST, TokenError, parse_subject};

/// The only header that is made and taken.
const HEADER: &str = r#"{"alg":"ES256","typ":"JWT"}"#;
#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    aud: String,
    exp: u64,
    iat: u64,
}

/// Makes tokens and believes its own.
pub struct Tokens {
    key: EcdsaKeyPair,
}

impl Tokens {
    /// With a P-256 key in PEM (PKCS #8).
    ///
    /// # Errors
    /// If it is none.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|_| "is no PEM".to_owned())?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pem.contents);
        Ok(Self { key: key.map_err(|error| format!("is no P-256 key: {error}"))? })
    }

    /// A token for a service account.
    ///
    /// # Errors
    /// If the names are none, or the system has no randomness.
    pub fn make(&self, caller: &Caller, lifetime: Duration) -> Result<String, String> {
        let now = seconds(SystemTime::now());
        let sub = format!("system:serviceaccount:{}:{}", caller.namespace, caller.service_account);
        if parse_subject(&sub).is_none() {
            return Err(format!("{sub:?} is no service account"));
        }
        let claims = Claims { sub, aud: AUDIENCE.to_owned(), exp: now + lifetime.as_secs(), iat: now };
        let claims = serde_json::to_vec(&claims).map_err(|error| error.to_string())?;
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(claims));
        let signature =
            self.key.sign(&SystemRandom::new(), signed.as_bytes()).map_err(|_| "no randomness".to_owned())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
    }

    /// Who a token speaks for.
    ///
    /// # Errors
    /// If it is not to be believed.
    pub fn check(&self, token: &str) -> Result<Caller, TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        if header != URL_SAFE_NO_PAD.encode(HEADER) {
            return Err(TokenError::Signature);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Malformed)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref())
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| TokenError::Signature)?;
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| TokenError::Malformed)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| TokenError::Malformed)?;
        if claims.exp <= seconds(SystemTime::now()) {
            return Err(TokenError::Expired);
        }
        if claims.aud != AUDIENCE {
            return Err(TokenError::Audience);
        }
        parse_subject(&claims.sub).ok_or(TokenError::Subject)
    }
}

#[tonic::async_trait]
impl Authenticator for Tokens {
    async fn check(&self, token: &str) -> Result<Caller, TokenError> {
        Self::check(self, token)
    }

    /// Whoever writes the directory of configuration decides what is in it.
    async fn may_read_secrets(&self, _: &Caller) -> Result<bool, TokenError> {
        Ok(true)
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens() -> Tokens {
        Tokens::from_pem(&rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap()
    }

    fn caller() -> Caller {
        Caller::new("default", "reviews")
    }

    #[test]
    fn own_tokens_are_believed_and_no_others() {
        let tokens = tokens();
        let token = tokens.make(&caller(), Duration::from_secs(60)).unwrap();
        assert_eq!(tokens.check(&token), Ok(caller()));
        assert_eq!(super::tests::tokens().check(&token), Err(TokenError::Signature));
        assert_eq!(tokens.check(&tokens.make(&caller(), Duration::ZERO).unwrap()), Err(TokenError::Expired));
        let none = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), token.split('.').nth(1).unwrap());
        assert_eq!(tokens.check(&none), Err(TokenError::Signature));
        assert!(tokens.make(&Caller { namespace: "a:b".into(), ..caller() }, Duration::from_secs(60)).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-zA-Z0-9._-]{0,120}") {
            prop_assert!(tokens().check(&text).is_err());
        }
    }
}
