//! ServiceEntries.

use std::net::IpAddr;

use super::Checker;
use crate::api::ServiceEntry;
use crate::diagnostic::Code;
use crate::path::FieldPath;

impl Checker<'_> {
    pub(super) fn service_entry(&mut self, spec: &ServiceEntry) {
        let path = FieldPath::default().field("spec");
        for (index, address) in spec.addresses.iter().enumerate() {
            if address.parse::<IpAddr>().is_err() {
                let message = "is no IP address; ranges are not supported by this version";
                self.error(Code::Unsupported, &path.field("addresses").index(index), message);
            }
        }
    }
}
