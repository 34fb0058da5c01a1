//! Who calls, and who is asked about it.

use tonic::Status;
use tonic::metadata::MetadataMap;

/// The audience that Istio's agents ask tokens for.
pub(crate) const AUDIENCE: &str = "istio-ca";
/// A token is never longer.
pub(crate) const LONGEST: usize = 8 * 1024;

/// Who a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Namespace.
    pub namespace: String,
    /// Service account.
    pub service_account: String,
    /// The pod that the token is bound to, if it is bound to one.
    pub pod: Option<Pod>,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// What tells it from an earlier one of the same name.
    pub uid: String,
}

/// Why a token is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It has not the form.
    #[error("the token is malformed")]
    Malformed,
    /// It was not signed here.
    #[error("the token's signature is not ours")]
    Signature,
    /// It is over, or not for us.
    #[error("the token has expired")]
    Expired,
    /// It is for somebody else.
    #[error("the token is not for the audience istio-ca")]
    Audience,
    /// It names no service account.
    #[error("the token's subject is no service account")]
    Subject,
    /// The API server does not believe it.
    #[error("the API server refuses the token: {0}")]
    Refused(String),
    /// Nobody can say now whether it is to be believed.
    #[error("the token cannot be checked: {0}")]
    Unavailable(String),
}

/// Tells who calls.
#[tonic::async_trait]
pub trait Authenticator: Send + Sync {
    /// Who a token speaks for.
    ///
    /// # Errors
    /// If it is not to be believed.
    async fn check(&self, token: &str) -> Result<Caller, TokenError>;

    /// True if a caller may have the secrets of its namespace, among which are the keys of gateways.
    ///
    /// # Errors
    /// If that cannot be told now.
    async fn may_read_secrets(&self, caller: &Caller) -> Result<bool, TokenError>;
}

impl Caller {
    /// A service account, in whatever pod.
    pub fn new(namespace: &str, service_account: &str) -> Self {
        Self { namespace: namespace.to_owned(), service_account: service_account.to_owned(), pod: None }
    }

    /// As Kubernetes writes it.
    pub(crate) fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.service_account)
    }
}

/// The token of a call.
///
/// # Errors
/// If there is none.
pub fn bearer(metadata: &MetadataMap) -> Result<&str, Status> {
    let value = metadata.get("authorization").and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.strip_prefix("Bearer "));
    token.ok_or_else(|| Status::unauthenticated("send `authorization: Bearer <token>`"))
}

impl From<TokenError> for Status {
    /// A caller whose token could not be checked may come again with it.
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Unavailable(_) => Self::unavailable(error.to_string()),
            _ => Self::unauthenticated(error.to_string()),
        }
    }
}

/// The service account of `system:serviceaccount:<namespace>:<name>`.
pub(crate) fn parse_subject(subject: &str) -> Option<Caller> {
    let mut parts = subject.strip_prefix("system:serviceaccount:")?.split(':');
    let (namespace, service_account) = (parts.next()?, parts.next()?);
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    let whole = parts.next().is_none() && is_name(namespace) && is_name(service_account);
    whole.then(|| Caller::new(namespace, service_account))
}
