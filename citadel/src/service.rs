//! The certificate service, on the wire.

use std::sync::Arc;
use std::time::Duration;

use mesh_types::{Identity, TrustDomain};
use tokio::sync::watch;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use weft_proto::certificates::istio_certificate_service_server::{
    IstioCertificateService, IstioCertificateServiceServer,
};
use weft_proto::certificates::{CertificateRequest, CertificateResponse};

use crate::authority::{Authority, AuthorityError, LONGEST, Names};
use crate::caller::{Authenticator, bearer};

/// `IstioCertificateService`: certificates for those who prove who they are.
#[derive(Clone)]
pub struct Service {
    authority: watch::Receiver<Arc<Authority>>,
    callers: Arc<dyn Authenticator>,
    trust_domain: watch::Receiver<TrustDomain>,
}

/// The service, ready to be added to a gRPC server.
pub type CertificateServer = IstioCertificateServiceServer<Service>;

impl Service {
    /// Ready to be added to a gRPC server. Identities are of the trust domain as it is when they are asked for.
    pub fn server(
        authority: watch::Receiver<Arc<Authority>>,
        callers: Arc<dyn Authenticator>,
        trust_domain: watch::Receiver<TrustDomain>,
    ) -> CertificateServer {
        IstioCertificateServiceServer::new(Self { authority, callers, trust_domain })
    }
}

#[tonic::async_trait]
impl IstioCertificateService for Service {
    async fn create_certificate(
        &self,
        request: Request<CertificateRequest>,
    ) -> Result<Response<CertificateResponse>, Status> {
        let identity = self.identity(request.metadata()).await?;
        let authority = self.authority.borrow().clone();
        let request = request.into_inner();
        let asked = u64::try_from(request.validity_duration).ok().filter(|seconds| *seconds > 0);
        let lifetime = asked.map_or(LONGEST, Duration::from_secs);
        let signed = authority.sign(&request.csr, &Names::Workload(identity.clone()), lifetime);
        let chain = signed.map_err(|error| match error {
            AuthorityError::Request(_) => Status::invalid_argument(error.to_string()),
            error => {
                tracing::error!(%identity, "{error}");
                Status::internal("the certificate cannot be signed; istiod's log says why")
            }
        })?;
        tracing::info!(%identity, "signed a certificate");
        Ok(Response::new(CertificateResponse { cert_chain: vec![chain, authority.root_pem().to_owned()] }))
    }
}

impl Service {
    /// From the token alone.
    async fn identity(&self, metadata: &MetadataMap) -> Result<Identity, Status> {
        let caller = self.callers.check(bearer(metadata)?).await?;
        let trust_domain = self.trust_domain.borrow().clone();
        Identity::new(trust_domain, &caller.namespace, &caller.service_account)
            .map_err(|error| Status::permission_denied(error.to_string()))
    }
}
