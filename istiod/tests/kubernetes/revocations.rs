//! What the authority has revoked, in every namespace.

use std::path::Path;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::Api;
use rcgen::{CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, date_time_ymd};

use crate::cluster_support::{Cluster, is_possible};
use crate::control_plane::{Istiod, root_in, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocation_lists_of_a_plugged_in_authority_are_told_and_taken_back() {
    if !is_possible() {
        return;
    }
    let cluster = Cluster::start().await;
    cluster.namespace("istio-system").await;
    let directory = tempfile::tempdir().unwrap();
    citadel::open(directory.path()).unwrap();
    let crl = directory.path().join("ca-crl.pem");
    let arguments = [format!("--cacerts={}", directory.path().display())];
    let _istiod = Istiod::start_with(&cluster, "istiod-0", &arguments).await;
    root_in(&cluster, "default").await;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), "default");
    assert!(maps.get_opt("istio-ca-crl").await.unwrap().is_none(), "nothing is revoked");

    for number in [1, 2] {
        let list = list(directory.path(), number);
        std::fs::write(&crl, &list).unwrap();
        until("the list is in the namespace", || async {
            let data = maps.get_opt("istio-ca-crl").await.ok()??.data?;
            (data.get("ca-crl.pem") == Some(&list)).then_some(())
        })
        .await;
    }
    std::fs::remove_file(&crl).unwrap();
    until("the list is taken back", || async {
        maps.get_opt("istio-ca-crl").await.ok()??.data.unwrap_or_default().is_empty().then_some(())
    })
    .await;
}

fn list(directory: &Path, number: u64) -> String {
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    let key = KeyPair::from_pem(&read("ca-key.pem")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read("ca-cert.pem"), key).unwrap();
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2024, 1, 1),
        next_update: date_time_ymd(4096, 1, 1),
        crl_number: number.into(),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&issuer).unwrap().pem().unwrap()
}
