//! Without Kubernetes: a directory of YAML, and one for the authority.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::sync::watch;

use super::Foundation;
use crate::certificates;

/// Opens both directories.
pub(super) fn open(config: &Path, authority: &Path) -> Result<Foundation> {
    let (authority, tokens) = citadel::open(authority).context("the certificate authority")?;
    let config =
        galley::watch_directory(config).with_context(|| format!("the configuration in {}", config.display()))?;
    // The authority of a directory never changes: its receiver keeps the only value there is.
    let (_, authority) = watch::channel(Arc::new(authority));
    Ok(Foundation {
        config,
        callers: Arc::new(tokens),
        authority,
        names: certificates::names("istiod", "istio-system"),
        cluster: None,
    })
}
