//! Sidecars.

use super::Checker;
use crate::api::{CaptureMode, Sidecar};
use crate::diagnostic::Code;
use crate::path::FieldPath;

impl Checker<'_> {
    pub(super) fn sidecar(&mut self, spec: &Sidecar) {
        let path = FieldPath::default().field("spec");
        if !spec.ingress.is_empty() {
            self.unserved(&path.field("ingress"));
        }
        if spec.inbound_connection_pool.is_some() {
            self.unserved(&path.field("inboundConnectionPool"));
        }
        let policy = spec.outbound_traffic_policy.as_ref();
        if policy.is_some_and(|policy| policy.egress_proxy.is_some()) {
            self.unserved(&path.field("outboundTrafficPolicy").field("egressProxy"));
        }
        for (index, egress) in spec.egress.iter().enumerate() {
            let path = path.field("egress").index(index);
            if egress.port.is_some() {
                self.unserved(&path.field("port"));
            }
            if !egress.bind.is_empty() {
                self.unserved(&path.field("bind"));
            }
            if egress.capture_mode == CaptureMode::None {
                self.unserved_word(&path.field("captureMode"), "NONE");
            }
            if egress.hosts.is_empty() {
                self.error(Code::Missing, &path.field("hosts"), "must be set");
            }
            for (index, host) in egress.hosts.iter().enumerate() {
                if !host.split_once('/').is_some_and(|(namespace, host)| !namespace.is_empty() && !host.is_empty()) {
                    let message = "must be namespace/host, such as ./* or istio-system/*";
                    self.error(Code::Invalid, &path.field("hosts").index(index), message);
                }
            }
        }
    }
}
