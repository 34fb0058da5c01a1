//! Asks the API server who a token speaks for (`TokenReview`), and what a service account may do (`SubjectAccessReview`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, PostParams};
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::cache::Cache;
use crate::caller::{AUDIENCE, Authenticator, Caller, LONGEST, Pod, TokenError, parse_subject};

/// An answer counts so long: a proxy asks for its certificate and for its configuration with the same token, and all
/// proxies come back at once when a control plane is replaced.
const REMEMBERED: Duration = Duration::from_secs(30);
/// Questions to the API server at a time.
const AT_A_TIME: usize = 32;
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Believes what the API server believes.
pub struct TokenReviews {
    client: Client,
    /// By the hash of the token, so that no token is kept.
    callers: Cache<Vec<u8>, Caller>,
    /// Service accounts that may, or may not, read the secrets of their namespace.
    readers: Cache<String, bool>,
    room: Semaphore,
}

/// The part of a token that is looked at here, after the API server has believed it.
#[derive(Deserialize)]
struct Claims {
    exp: u64,
}

impl TokenReviews {
    /// With the API server of a client.
    pub fn new(client: Client) -> Self {
        Self { client, callers: Cache::new(), readers: Cache::new(), room: Semaphore::new(AT_A_TIME) }
    }

    async fn create<K>(&self, question: &K) -> Result<K, TokenError>
    where
        K: kube::Resource<DynamicType = ()> + Clone + serde::Serialize + serde::de::DeserializeOwned + std::fmt::Debug,
    {
        let unavailable = |error: &dyn std::error::Error| TokenError::Unavailable(error.to_string());
        let _room = self.room.acquire().await.map_err(|error| unavailable(&error))?;
        let api: Api<K> = Api::all(self.client.clone());
        api.create(&PostParams::default(), question).await.map_err(|error| {
            tracing::warn!("the API server does not answer a {}: {error}", K::kind(&()));
            unavailable(&error)
        })
    }
}

#[tonic::async_trait]
impl Authenticator for TokenReviews {
    async fn check(&self, token: &str) -> Result<Caller, TokenError> {
        if token.len() > LONGEST || token.is_empty() {
            return Err(TokenError::Malformed);
        }
        let hash = digest(&SHA256, token.as_bytes()).as_ref().to_vec();
        if let Some(caller) = self.callers.get(&hash) {
            return Ok(caller);
        }
        let spec = TokenReviewSpec { audiences: Some(vec![AUDIENCE.to_owned()]), token: Some(token.to_owned()) };
        let review = self.create(&TokenReview { spec, ..Default::default() }).await?;
        let caller = judge(review.status.unwrap_or_default())?;
        if let Some(left) = time_left(token, SystemTime::now()) {
            self.callers.put(hash, caller.clone(), left.min(REMEMBERED));
        }
        Ok(caller)
    }

    async fn may_read_secrets(&self, caller: &Caller) -> Result<bool, TokenError> {
        let user = caller.user();
        if let Some(may) = self.readers.get(&user) {
            return Ok(may);
        }
        let spec = SubjectAccessReviewSpec {
            user: Some(user.clone()),
            groups: Some(vec![
                "system:authenticated".to_owned(),
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{}", caller.namespace),
            ]),
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(caller.namespace.clone()),
                verb: Some("list".to_owned()),
                resource: Some("secrets".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let review = self.create(&SubjectAccessReview { spec, ..Default::default() }).await?;
        let may = review.status.is_some_and(|status| status.allowed);
        self.readers.put(user, may, REMEMBERED);
        Ok(may)
    }
}

/// What an answer of the API server means.
fn judge(status: TokenReviewStatus) -> Result<Caller, TokenError> {
    if status.authenticated != Some(true) {
        return Err(TokenError::Refused(status.error.unwrap_or_else(|| "it is not known".to_owned())));
    }
    // An API server that knows nothing of audiences names none, and has not checked them.
    if !status.audiences.iter().flatten().any(|audience| audience == AUDIENCE) {
        return Err(TokenError::Audience);
    }
    let user = status.user.unwrap_or_default();
    let caller = user.username.as_deref().and_then(parse_subject).ok_or(TokenError::Subject)?;
    Ok(Caller { pod: pod(&user), ..caller })
}

fn pod(user: &UserInfo) -> Option<Pod> {
    let extra = |key: &str| user.extra.as_ref()?.get(key)?.first().cloned();
    Some(Pod { name: extra(POD_NAME)?, uid: extra(POD_UID)? })
}

/// How long a token is still good for, if it says so.
fn time_left(token: &str, now: SystemTime) -> Option<Duration> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    (UNIX_EPOCH + Duration::from_secs(claims.exp)).duration_since(now).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn status() -> TokenReviewStatus {
        let extra = BTreeMap::from([
            (POD_NAME.to_owned(), vec!["reviews-0".to_owned()]),
            (POD_UID.to_owned(), vec!["1234".to_owned()]),
        ]);
        TokenReviewStatus {
            authenticated: Some(true),
            audiences: Some(vec![AUDIENCE.to_owned()]),
            user: Some(UserInfo {
                username: Some("system:serviceaccount:default:reviews".to_owned()),
                extra: Some(extra),
                ..Default::default()
            }),
            error: None,
        }
    }

    #[test]
    fn a_service_account_is_believed_with_its_pod_and_nobody_else() {
        let pod = Pod { name: "reviews-0".into(), uid: "1234".into() };
        assert_eq!(judge(status()), Ok(Caller { pod: Some(pod), ..Caller::new("default", "reviews") }));
        assert_eq!(judge(TokenReviewStatus { audiences: None, ..status() }), Err(TokenError::Audience));
        let other = TokenReviewStatus { audiences: Some(vec!["vault".into()]), ..status() };
        assert_eq!(judge(other), Err(TokenError::Audience));
        let refused =
            TokenReviewStatus { authenticated: Some(false), error: Some("expired".into()), ..Default::default() };
        assert_eq!(judge(refused), Err(TokenError::Refused("expired".into())));
        let user = UserInfo { username: Some("system:node:a".into()), ..Default::default() };
        assert_eq!(judge(TokenReviewStatus { user: Some(user), ..status() }), Err(TokenError::Subject));
    }

    #[test]
    fn a_token_says_how_long_it_is_good_for() {
        let token = |exp: u64| format!("h.{}.s", URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{exp}}}")));
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(time_left(&token(100), at(90)), Some(Duration::from_secs(10)));
        assert_eq!(time_left(&token(100), at(101)), None);
        assert_eq!(time_left("no token", at(0)), None);
    }
}
