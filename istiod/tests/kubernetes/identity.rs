//! Who gets a certificate.

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::ResourceExt;
use kube::api::{Api, PostParams};
use mesh_tls::{CertificateRequest, ClientSettings, ClientTls, PeerTest, Roots, ServerName, Versions, grpc};
use serde_json::json;
use tonic::{Code, Request, Status};
use weft_proto::certificates;
use weft_proto::certificates::istio_certificate_service_client::IstioCertificateServiceClient;

use crate::cluster_support::{Cluster, is_possible};
use crate::control_plane::{Istiod, root_in, shared_root};

const IDENTITY: &str = "spiffe://cluster.local/ns/default/sa/reviews";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_account_gets_its_certificate_and_no_other_token_does() {
    if !is_possible() {
        return;
    }
    let cluster = Cluster::start().await;
    cluster.namespace("istio-system").await;
    let istiod = Istiod::start(&cluster, "istiod-0").await;
    let root = root_in(&cluster, "default").await;
    assert_eq!(root, shared_root(&cluster).await);
    cluster.namespace("shop").await;
    assert_eq!(root_in(&cluster, "shop").await, root, "a namespace that is made later is told too");

    account(&cluster, "default", "reviews").await;
    let pod = pod(&cluster, "reviews-0", "reviews").await;
    for bound in [None, Some(&pod)] {
        let chain = ask(&istiod, &root, &token(&cluster, "default", "reviews", "istio-ca", bound).await).await.unwrap();
        assert_eq!(chain.len(), 2, "leaf and root");
    }
    let other = token(&cluster, "default", "reviews", "https://kubernetes.default.svc.cluster.local", None).await;
    for wrong in [other.as_str(), "nonsense", "a.b.c"] {
        let status = ask(&istiod, &root, wrong).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
    }
}

/// Makes a service account.
pub(crate) async fn account(cluster: &Cluster, namespace: &str, name: &str) {
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client.clone(), namespace);
    let account = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    accounts.create(&PostParams::default(), &account).await.unwrap();
}

async fn pod(cluster: &Cluster, name: &str, account: &str) -> BoundObjectReference {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), "default");
    let pod = json!({"metadata": {"name": name}, "spec": {"serviceAccountName": account, "containers": [{"name": "app", "image": "none"}]}});
    let pod = pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    BoundObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        name: Some(pod.name_any()),
        uid: pod.uid(),
    }
}

/// A token of a service account, for an audience.
pub(crate) async fn token(
    cluster: &Cluster,
    namespace: &str,
    account: &str,
    audience: &str,
    bound: Option<&BoundObjectReference>,
) -> String {
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client.clone(), namespace);
    let spec = TokenRequestSpec {
        audiences: vec![audience.to_owned()],
        bound_object_ref: bound.cloned(),
        expiration_seconds: Some(3600),
    };
    let request = TokenRequest { spec, ..Default::default() };
    accounts.create_token_request(account, &PostParams::default(), &request).await.unwrap().status.unwrap().token
}

/// Asks for a certificate as a proxy does.
async fn ask(istiod: &Istiod, root: &str, token: &str) -> Result<Vec<String>, Status> {
    let tls = ClientTls::new(ClientSettings {
        certificate: None,
        roots: Some(Roots::from_pem(root.as_bytes(), "root").unwrap()),
        alpn: vec![b"h2".to_vec()],
        versions: Versions::Both,
    });
    let name = ServerName::try_from("istiod.istio-system.svc").unwrap();
    let secure = grpc::Secure { tls: tls.unwrap(), name: name.clone(), test: PeerTest::Name(name) };
    let channel = grpc::connect(&istiod.secure.to_string(), Some(secure)).await.unwrap();
    let request = CertificateRequest::new(&IDENTITY.parse().unwrap()).unwrap();
    let mut asked = Request::new(certificates::CertificateRequest {
        csr: request.pem().to_owned(),
        validity_duration: 3600,
        ..Default::default()
    });
    asked.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let answer = IstioCertificateServiceClient::new(channel).create_certificate(asked).await?.into_inner();
    let keyed = request.complete(answer.cert_chain[0].as_bytes(), "certificate").unwrap();
    assert_eq!(keyed.leaf().identity, Some(IDENTITY.parse().unwrap()));
    Ok(answer.cert_chain)
}
