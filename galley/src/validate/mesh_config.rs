//! The settings of the mesh.

use super::Checker;
use crate::api::MeshConfig;
use crate::path::FieldPath;

impl Checker<'_> {
    pub(super) fn mesh_config(&mut self, spec: &MeshConfig) {
        if let Some(setting) = &spec.locality_lb_setting {
            self.locality(setting, &FieldPath::default().field("localityLbSetting"));
        }
    }
}
