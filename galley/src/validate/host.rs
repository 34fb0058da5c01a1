//! Names of hosts.

use super::Checker;
use crate::diagnostic::Code;
use crate::path::FieldPath;

impl Checker<'_> {
    /// Each must be able to be the name of a host, or of many by a wildcard in front.
    pub(super) fn host_names(&mut self, hosts: &[String], path: &FieldPath) {
        for (index, host) in hosts.iter().enumerate() {
            self.host_name(host, &path.index(index));
        }
    }

    /// A name as DNS has them, `*`, one with a wildcard in front, or an address. Emptiness is somebody else's business.
    pub(super) fn host_name(&mut self, host: &str, path: &FieldPath) {
        let name = host.strip_prefix('*').unwrap_or(host);
        let strange = name.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_' | ':'));
        if let Some(strange) = strange {
            self.error(Code::Invalid, path, &format!("{host:?} is no name of a host: {strange:?} cannot be in one"));
        } else if name.len() > LONGEST || name.split('.').any(|label| label.len() > LONGEST_LABEL) {
            self.error(Code::Invalid, path, &format!("{host:?} is too long for the name of a host"));
        }
    }
}

/// RFC 1035, section 2.3.4.
const LONGEST: usize = 255;
pub(super) const LONGEST_LABEL: usize = 63;
