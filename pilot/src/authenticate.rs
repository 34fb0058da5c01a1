//! Who may speak for a proxy.

use tonic::Status;
use tonic::metadata::MetadataMap;

use crate::proxy::Proxy;

/// Believes, or not, that a stream may speak for a proxy.
#[tonic::async_trait]
pub trait Authenticate: Send + Sync {
    /// What the stream with this metadata may be told as this proxy.
    ///
    /// # Errors
    /// If it is not this proxy's, or nobody can tell now.
    async fn authenticate(&self, metadata: &MetadataMap, proxy: &Proxy) -> Result<Grant, Status>;

    /// Passes who may see how all proxies stand.
    ///
    /// # Errors
    /// If the stream is nobody's who may, or nobody can tell now.
    async fn operator(&self, metadata: &MetadataMap) -> Result<(), Status>;
}

/// What a stream may be told beyond the configuration that every proxy gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Keys of gateways.
    pub keys: bool,
}

/// Believes everybody, and tells nobody a key.
pub(crate) struct Anybody;

#[tonic::async_trait]
impl Authenticate for Anybody {
    async fn authenticate(&self, _: &MetadataMap, _: &Proxy) -> Result<Grant, Status> {
        Ok(Grant::default())
    }

    async fn operator(&self, _: &MetadataMap) -> Result<(), Status> {
        Err(Status::permission_denied("how proxies stand is told over TLS, to who shows a token"))
    }
}
