//! `ProxyConfig`: settings of the proxies of some workloads.

use std::collections::BTreeMap;

use crate::api::security::WorkloadSelectorMatch;
use crate::read::object;

object! {
    /// Settings of the proxies of some workloads, taken when they are injected.
    pub struct ProxyConfig {
        /// Which workloads of the namespace; absent means all (of the mesh, in the root namespace).
        selector: Option<WorkloadSelectorMatch> = "selector",
        /// Worker threads; 0 means one for each CPU.
        concurrency: Option<i32> = "concurrency" where { "minimum": 0 },
        /// Environment of the proxy.
        environment_variables: BTreeMap<String, String> = "environmentVariables" where { "maxProperties": 2048 },
        /// The proxy's image.
        image: Option<ProxyImage> = "image",
    }
}

object! {
    /// An image of the proxy.
    pub struct ProxyImage {
        /// `default`, `distroless` or `debug`.
        image_type: String = "imageType",
    }
}
