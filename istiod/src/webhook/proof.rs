//! The proof that the API server asks our webhook before it takes an object: by a dry run it is given one that we refuse.

use galley::{Kind, api_resource};
use kube::Error;
use kube::api::{Api, DynamicObject, PostParams};
use serde_json::{Value, json};

use crate::foundation::Cluster;

/// What is the matter if the invalid object is taken.
const UNASKED: &str = "the API server took it, as it does while it has not heard of the webhook or does not reach it";

/// Asks for the proof.
pub(super) struct Proof {
    gateways: Api<DynamicObject>,
    revision: String,
}

impl Proof {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let resource = api_resource(Kind::Gateway, Kind::Gateway.versions()[0]);
        let gateways = Api::namespaced_with(cluster.client.clone(), &cluster.place.namespace, &resource);
        let revision = if cluster.place.is_default() { "default" } else { &cluster.place.revision };
        Self { gateways, revision: revision.to_owned() }
    }

    /// Whether the webhook of this name refuses what is wrong, of objects that name this revision or of those that name
    /// none: each webhook looks at one sort. If neither, why not.
    pub(super) async fn of(&self, webhook: &str) -> Result<(), String> {
        let mut why = String::new();
        for labels in [json!({ "istio.io/rev": self.revision }), json!({})] {
            match self.try_one(labels).await {
                Ok(()) => UNASKED.clone_into(&mut why),
                Err(error) if is_refusal(&error, webhook) => return Ok(()),
                Err(error) => why = error.to_string(),
            }
        }
        Err(why)
    }

    async fn try_one(&self, labels: Value) -> Result<(), Error> {
        let object = serde_json::from_value(invalid(labels)).map_err(Error::SerdeError)?;
        let dry = PostParams { dry_run: true, ..Default::default() };
        self.gateways.create(&dry, &object).await.map(drop)
    }
}

/// A Gateway that the definition of its kind lets pass, so that it gets as far as the webhooks.
fn invalid(labels: Value) -> Value {
    let resource = api_resource(Kind::Gateway, Kind::Gateway.versions()[0]);
    let port = json!({ "number": 80, "name": "invalid", "protocol": "INVALID" });
    json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": { "name": "istiod-proves-its-webhook", "labels": labels },
        "spec": { "servers": [{ "port": port, "hosts": ["invalid.invalid"] }] },
    })
}

/// The API server's words for a webhook's refusal; a webhook that cannot be asked is told of in others.
fn is_refusal(error: &Error, webhook: &str) -> bool {
    let words = format!("admission webhook {webhook:?} denied the request");
    matches!(error, Error::Api(status) if status.message.contains(&words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    #[test]
    fn what_is_given_is_refused_for_its_protocol_alone() {
        let findings = galley::load_object(&invalid(json!({}))).diagnostics;
        let errors: Vec<&str> = findings.iter().filter(|one| one.is_error()).map(|one| one.path.as_str()).collect();
        assert_eq!(errors, ["spec.servers[0].port.protocol"], "{findings:?}");
    }

    #[test]
    fn only_a_refusal_by_the_webhook_itself_is_a_proof() {
        let said = |message: &str| Error::Api(Box::new(Status::failure(message, "Invalid")));
        let refused =
            said("admission webhook \"validation.istio.io\" denied the request: spec.servers[0].port.protocol");
        assert!(is_refusal(&refused, "validation.istio.io"));
        assert!(!is_refusal(&refused, "rev.validation.istio.io"), "another webhook");
        let unreachable = "failed calling webhook \"validation.istio.io\": connection refused";
        assert!(!is_refusal(&said(unreachable), "validation.istio.io"));
    }
}
