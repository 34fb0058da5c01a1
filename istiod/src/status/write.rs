//! Writes one status.

use galley::{ObjectRef, api_resource};
use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::json;

use super::conditions::status;
use super::verdict::Verdict;

/// Writes a verdict, unless the object says it already, has changed since, or is gone.
pub(super) async fn write(client: &Client, reference: &ObjectRef, verdict: &Verdict) -> Result<(), kube::Error> {
    for version in reference.kind.versions() {
        let resource = api_resource(reference.kind, version);
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &reference.namespace, &resource);
        let Some(object) = api.get_opt(&reference.name).await? else { continue };
        if object.metadata.generation != Some(verdict.generation) {
            return Ok(());
        }
        let before = object.data.get("status");
        let now = status(verdict, before, Timestamp::now());
        if before != Some(&now) {
            let patch = Patch::Merge(json!({ "status": now }));
            api.patch_status(&reference.name, &PatchParams::default(), &patch).await?;
        }
        return Ok(());
    }
    Ok(())
}
