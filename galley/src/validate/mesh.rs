//! Settings of the mesh.

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
        let is_json = mesh.access_log_encoding == AccessLogEncoding::Json && !mesh.access_log_format.is_empty();
        let fields = serde_json::from_str::<std::collections::BTreeMap<String, String>>(&mesh.access_log_format);
        if let Err(error) = fields
            && is_json
        {
            let message = format!("must be an object of JSON whose values are strings: {error}");
            self.error(Code::Unsupported, &path.field("accessLogFormat"), &message);
        }
    }

    /// What no certificate could be made for.
    fn trust_domain(&mut self, text: &str, path: &FieldPath) {
        if let Err(error) = text.parse::<mesh_types::TrustDomain>() {
            self.error(Code::Invalid, path, &error.to_string());
        }
    }
}
