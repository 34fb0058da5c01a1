//! Which workload a pod belongs to: its controller, or the controller's controller where the pod tells.

use crate::json::{self, Object};
use crate::pod::Pod;

/// The workload behind a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl Workload {
    fn new(api_version: &str, kind: &str, name: &str) -> Self {
        Self { api_version: api_version.to_owned(), kind: kind.to_owned(), name: name.to_owned() }
    }

    /// Of a pod: what Istio finds, by the same heuristics, since a pod names its controller only. A pod without one is
    /// its own workload.
    pub(crate) fn of(pod: &Pod) -> Self {
        let is_controller = |owner: &&Object| owner.get("controller").is_some_and(|value| value == true);
        let Some(controller) = pod.owners().find(is_controller) else {
            return Self::new("v1", "Pod", pod.display_name());
        };
        let of_owner = |key: &str| json::text(controller, key).unwrap_or_default();
        let (api_version, kind, name) = (of_owner("apiVersion"), of_owner("kind"), of_owner("name"));
        let hashed = |label: &str| pod.labels.get(label).and_then(|hash| name.strip_suffix(hash)?.strip_suffix('-'));
        match kind {
            "ReplicaSet" => match (hashed("pod-template-hash"), hashed("rollouts-pod-template-hash")) {
                (Some(deployment), _) => Self::new(api_version, "Deployment", deployment),
                (None, Some(rollout)) => Self::new("argoproj.io/v1alpha1", "Rollout", rollout),
                (None, None) => Self::new(api_version, kind, name),
            },
            "ReplicationController" => match pod.labels.get("deploymentconfig") {
                Some(config) => Self::new("apps.openshift.io/v1", "DeploymentConfig", config),
                None => Self::new(api_version, kind, name),
            },
            "Job" => match scheduled(name) {
                Some(cron_job) => Self::new("batch/v1", "CronJob", cron_job),
                None => Self::new(api_version, kind, name),
            },
            _ => Self::new(api_version, kind, name),
        }
    }

    /// As `ISTIO_META_OWNER` has it.
    pub(crate) fn uri(&self, namespace: &str) -> String {
        let Self { api_version, kind, name } = self;
        format!("kubernetes://apis/{api_version}/namespaces/{namespace}/{}s/{name}", kind.to_lowercase())
    }
}

/// The CronJob of a Job whose name ends in the minute for which it was made.
fn scheduled(job: &str) -> Option<&str> {
    let (name, minute) = job.rsplit_once('-')?;
    let is_minute = (8..=10).contains(&minute.len()) && minute.bytes().all(|b| b.is_ascii_digit());
    (is_minute && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_workload_is_the_one_that_people_named() {
        let of = |labels: serde_json::Value, owner: [&str; 3]| {
            let [api_version, kind, name] = owner;
            let owner = json!({ "apiVersion": api_version, "kind": kind, "name": name, "controller": true });
            let pod = json!({
                "metadata": { "name": "p", "labels": labels, "ownerReferences": [owner] },
                "spec": { "containers": [{ "name": "app" }] },
            });
            Workload::of(&Pod::open(&pod).unwrap()).uri("shop")
        };
        let cases = [
            (
                json!({ "pod-template-hash": "7d5f" }),
                ["apps/v1", "ReplicaSet", "web-7d5f"],
                "apps/v1/…/deployments/web",
            ),
            (json!({}), ["apps/v1", "ReplicaSet", "web-7d5f"], "apps/v1/…/replicasets/web-7d5f"),
            (
                json!({ "rollouts-pod-template-hash": "ab" }),
                ["apps/v1", "ReplicaSet", "web-ab"],
                "argoproj.io/v1alpha1/…/rollouts/web",
            ),
            (json!({}), ["apps/v1", "StatefulSet", "db"], "apps/v1/…/statefulsets/db"),
            (json!({}), ["batch/v1", "Job", "report-28391040"], "batch/v1/…/cronjobs/report"),
            (json!({}), ["batch/v1", "Job", "report-7"], "batch/v1/…/jobs/report-7"),
            (
                json!({ "deploymentconfig": "old" }),
                ["v1", "ReplicationController", "old-3"],
                "apps.openshift.io/v1/…/deploymentconfigs/old",
            ),
        ];
        for (labels, owner, want) in cases {
            let want = format!("kubernetes://apis/{}", want.replace('…', "namespaces/shop"));
            assert_eq!(of(labels, owner), want);
        }
    }

    #[test]
    fn a_pod_alone_is_its_own_workload() {
        let pod = json!({ "metadata": { "generateName": "tool-" }, "spec": { "containers": [{ "name": "app" }] } });
        assert_eq!(Workload::of(&Pod::open(&pod).unwrap()), Workload::new("v1", "Pod", "tool"));
    }
}
