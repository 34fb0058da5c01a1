//! A cluster for tests: the real API server, and a client that may do everything.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, too, fail by panicking")]
#![expect(dead_code, reason = "each test uses what it needs")]

use galley::{Kind, Scope, State, api_resource};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use mesh_testkit::kube::{APISERVER_VARIABLE, ApiServer, ETCD_VARIABLE};
use serde_json::{Value, json};
use tokio::sync::watch;

/// The API server and a client of it.
pub(crate) struct Cluster {
    pub(crate) server: ApiServer,
    pub(crate) client: Client,
}

impl Cluster {
    /// Starts it, with the namespace `default`.
    pub(crate) async fn start() -> Self {
        let server = tokio::task::spawn_blocking(ApiServer::start).await.unwrap().unwrap();
        let file = Kubeconfig::read_from(server.kubeconfig()).unwrap();
        let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
        let this = Self { server, client: Client::try_from(config).unwrap() };
        this.namespace("default").await;
        this
    }

    /// Follows it as a revision of the control plane does.
    pub(crate) async fn watch(&self, revision: &str) -> watch::Receiver<State> {
        let scope = Scope { namespace: "istio-system".into(), revision: revision.into() };
        galley::watch_cluster(self.client.clone(), scope).await
    }

    /// Makes a namespace, if it is not there.
    pub(crate) async fn namespace(&self, name: &str) {
        let api = Api::all_with(self.client.clone(), &api_resource(Kind::Namespace, "v1"));
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        match api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await {
            Ok(DynamicObject { .. }) => {}
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Defines one of Istio's kinds in these versions, with a schema that takes everything, and waits until it is served.
    pub(crate) async fn define(&self, kind: Kind, versions: &[&str]) {
        let resource = api_resource(kind, versions[0]);
        let version = |(index, name): (usize, &&str)| {
            json!({
                "name": name, "served": true, "storage": index == 0, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            })
        };
        let definition = json!({
            "metadata": {"name": format!("{}.{}", resource.plural, resource.group)},
            "spec": {
                "group": resource.group, "scope": "Namespaced",
                "names": {"plural": resource.plural, "singular": resource.kind.to_lowercase(), "kind": resource.kind},
                "versions": versions.iter().enumerate().map(version).collect::<Vec<_>>(),
            },
        });
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        definitions.create(&PostParams::default(), &serde_json::from_value(definition).unwrap()).await.unwrap();
    }

    /// Defines one of Istio's kinds as the chart does.
    pub(crate) async fn define_whole(&self, kind: Kind) {
        let resource = api_resource(kind, kind.versions()[0]);
        let name = format!("{}.{}", resource.plural, resource.group);
        let (_, definition) = galley::definitions().into_iter().find(|(found, _)| *found == name).unwrap();
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        definitions.create(&PostParams::default(), &serde_json::from_value(definition).unwrap()).await.unwrap();
    }

    /// Objects of a kind in `default`.
    pub(crate) fn api(&self, kind: Kind) -> Api<DynamicObject> {
        self.api_in(kind, "default")
    }

    /// Objects of a kind in a namespace.
    pub(crate) fn api_in(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &api_resource(kind, kind.versions()[0]))
    }

    /// Configurations of validating webhooks.
    pub(crate) fn validating_webhooks(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration");
        Api::all_with(self.client.clone(), &ApiResource::from_gvk(&kind))
    }

    /// Creates an object, once its kind is served.
    pub(crate) async fn create(&self, kind: Kind, object: Value) {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let namespace = object.metadata.namespace.clone().unwrap();
        let version = object.types.clone().unwrap().api_version;
        let version = version.rsplit('/').next().unwrap();
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &namespace, &api_resource(kind, version));
        let mut refused = String::new();
        for _ in 0..300 {
            match api.create(&PostParams::default(), &object).await {
                Ok(_) => return,
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 429) => refused = status.message,
                Err(error) => panic!("{error}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("{refused}");
    }

    /// Waits until the API server serves what it served before it was killed.
    pub(crate) async fn until_it_answers(&self) {
        let api = self.api(Kind::VirtualService);
        while let Err(error) = api.list(&kube::api::ListParams::default()).await {
            assert!(!error.to_string().is_empty());
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}

/// Whether the API server's binaries are told. Only outside CI may they be missing.
pub(crate) fn is_possible() -> bool {
    let names = [APISERVER_VARIABLE, ETCD_VARIABLE];
    let told = names.iter().all(|name| std::env::var_os(name).is_some());
    assert!(told || std::env::var_os("CI").is_none(), "{} are not told", names.join(" and "));
    if !told {
        eprintln!("SKIPPED: {} are not told; `cargo xtask setup` tells them", names.join(" and "));
    }
    told
}

/// A VirtualService of the host of its own name.
pub(crate) fn virtual_service(name: &str, test: Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": name, "namespace": "default"},
        "spec": {"hosts": [name], "http": [{"match": [test], "directResponse": {"status": 200}}]},
    })
}
