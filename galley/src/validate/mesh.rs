//! Settings of the mesh.

use mesh_types::ports::{INBOUND, OUTBOUND};

use super::Checker;
use crate::api::{AccessLogEncoding, MeshConfig};
use crate::diagnostic::Code;
use crate::path::FieldPath;

impl Checker<'_> {
    pub(super) fn mesh(&mut self, mesh: &MeshConfig) {
        let path = FieldPath::default();
        if !mesh.trust_domain.is_empty() {
            self.trust_domain(&mesh.trust_domain, &path.field("trustDomain"));
        }
        for (index, alias) in mesh.trust_domain_aliases.iter().enumerate() {
            self.trust_domain(alias, &path.field("trustDomainAliases").index(index));
        }
        if let Some(retries) = &mesh.default_http_retry_policy {
            self.retries(retries, &path.field("defaultHttpRetryPolicy"));
        }
        if let Some(setting) = &mesh.locality_lb_setting {
            self.locality(setting, &path.field("localityLbSetting"));
        }
        self.fixed(mesh);
        let is_json = mesh.access_log_encoding == AccessLogEncoding::Json && !mesh.access_log_format.is_empty();
        let fields = serde_json::from_str::<std::collections::BTreeMap<String, String>>(&mesh.access_log_format);
        if let Err(error) = fields
            && is_json
        {
            let message = format!("must be an object of JSON whose values are strings: {error}");
            self.error(Code::Unsupported, &path.field("accessLogFormat"), &message);
        }
    }

    /// What has one value, which the chart's schema tells too.
    fn fixed(&mut self, mesh: &MeshConfig) {
        let path = FieldPath::default();
        if mesh.enable_tracing == Some(true) {
            let message = "is not supported by this version, which has no tracing; leave it out";
            self.error(Code::Unsupported, &path.field("enableTracing"), message);
        }
        for (field, port, ours) in [
            ("proxyListenPort", mesh.proxy_listen_port, OUTBOUND),
            ("proxyInboundListenPort", mesh.proxy_inbound_listen_port, INBOUND),
        ] {
            if port.is_some_and(|port| port != ours) {
                let message = format!("must be {ours}, where istio-init sends connections; leave it out");
                self.error(Code::Unsupported, &path.field(field), &message);
            }
        }
    }

    /// What no certificate could be made for.
    fn trust_domain(&mut self, text: &str, path: &FieldPath) {
        if let Err(error) = text.parse::<mesh_types::TrustDomain>() {
            self.error(Code::Invalid, path, &error.to_string());
        }
    }
}
