//! The door to xDS: a proxy may speak for its own pod only, and a token proves which that is. Who operates the mesh has a
//! token of the control plane's namespace (Istio's rule for its debug pages).

use std::sync::Arc;

use citadel::{Authenticator, Caller, bearer};
use pilot::{Authenticate, Grant, Proxy};
use tonic::Status;
use tonic::metadata::MetadataMap;

/// Lets in who shows a token.
pub(crate) struct Door {
    callers: Arc<dyn Authenticator>,
    /// The control plane's.
    namespace: String,
}

impl Door {
    pub(crate) fn new(callers: Arc<dyn Authenticator>, namespace: &str) -> Self {
        Self { callers, namespace: namespace.to_owned() }
    }
}

#[tonic::async_trait]
impl Authenticate for Door {
    async fn authenticate(&self, metadata: &MetadataMap, proxy: &Proxy) -> Result<Grant, Status> {
        let caller = self.callers.check(bearer(metadata)?).await?;
        speaks_for(&caller, proxy).map_err(Status::permission_denied)?;
        let keys = proxy.is_gateway() && self.callers.may_read_secrets(&caller).await?;
        if proxy.is_gateway() && !keys {
            tracing::warn!(
                "gateway {} gets no keys: its service account {} may not list the secrets of its namespace",
                proxy.id,
                caller.service_account
            );
        }
        Ok(Grant { keys })
    }

    async fn operator(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let caller = self.callers.check(bearer(metadata)?).await?;
        if caller.namespace == self.namespace {
            return Ok(());
        }
        Err(Status::permission_denied(format!(
            "how proxies stand is told to service accounts of {}, not of {}",
            self.namespace, caller.namespace
        )))
    }
}

/// In words if it does not.
fn speaks_for(caller: &Caller, proxy: &Proxy) -> Result<(), String> {
    if caller.namespace != proxy.namespace() {
        return Err(format!("a token of namespace {} does not speak for {}", caller.namespace, proxy.id));
    }
    match &caller.pod {
        Some(pod) if pod.name != proxy.id.workload => {
            Err(format!("a token of pod {} does not speak for {}", pod.name, proxy.id))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use citadel::Pod;

    #[test]
    fn a_token_speaks_for_its_own_pod() {
        let id = "sidecar~10.0.0.1~reviews-0.default~default.svc.cluster.local".parse().unwrap();
        let proxy = Proxy::new(id, Default::default(), true);
        let pod = |name: &str| Some(Pod { name: name.into(), uid: "1".into() });
        let of = |namespace, pod| Caller { pod, ..Caller::new(namespace, "reviews") };
        assert!(speaks_for(&of("default", None), &proxy).is_ok());
        assert!(speaks_for(&of("default", pod("reviews-0")), &proxy).is_ok());
        assert!(speaks_for(&of("default", pod("ratings-0")), &proxy).unwrap_err().contains("ratings-0"));
        assert!(speaks_for(&of("other", pod("reviews-0")), &proxy).unwrap_err().contains("other"));
    }
}
