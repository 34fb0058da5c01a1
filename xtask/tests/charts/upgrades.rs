//! What istiod writes into objects of the charts survives an upgrade.

use crate::cluster::Cluster;

#[test]
fn control_planes_change_without_breaking_what_runs() {
    let Some(cluster) = Cluster::with_base() else { return };
    an_upgrade_leaves_what_istiod_wrote_into_the_webhooks(&cluster);
    two_revisions_stand_side_by_side(&cluster);
}

fn an_upgrade_leaves_what_istiod_wrote_into_the_webhooks(cluster: &Cluster) {
    cluster.helm("install istiod charts/istiod -n istio-system").success();
    // As istiod does once it serves: its root, and a closed door.
    let root = root_in_base64(cluster);
    let webhooks = [
        "validatingwebhookconfiguration istiod-default-validator",
        "validatingwebhookconfiguration istio-validator-istio-system",
    ];
    let patch = format!(
        r#"[{{"op":"add","path":"/webhooks/0/clientConfig/caBundle","value":"{root}"}},{{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Fail"}}]"#
    );
    for webhook in webhooks {
        cluster.kubectl(&format!("patch {webhook} --field-manager=istiod --type=json -p {patch}")).success();
    }
    let patch = format!(r#"[{{"op":"add","path":"/webhooks/0/clientConfig/caBundle","value":"{root}"}}]"#);
    let injector = "mutatingwebhookconfiguration istio-sidecar-injector";
    cluster.kubectl(&format!("patch {injector} --field-manager=istiod --type=json -p {patch}")).success();

    cluster.helm("upgrade istio-base charts/base -n istio-system").success();
    cluster.helm("upgrade istiod charts/istiod -n istio-system --set global.logAsJson=true").success();

    for webhook in webhooks {
        let fields = "{.webhooks[0].failurePolicy}{.webhooks[0].clientConfig.caBundle}";
        let found = cluster.kubectl(&format!("get {webhook} -o jsonpath={fields}")).success();
        assert_eq!(found, format!("Fail{root}"), "{webhook}");
    }
    let found = cluster.kubectl(&format!("get {injector} -o jsonpath={{.webhooks[0].clientConfig.caBundle}}"));
    assert_eq!(found.success(), root);
}

fn two_revisions_stand_side_by_side(cluster: &Cluster) {
    cluster.helm("install istiod-canary charts/istiod --set revision=canary -n istio-system").success();
    let tag = cluster.helm(
        "template istiod charts/istiod -s templates/revision-tags-mwc.yaml --set revisionTags={prod} \
         --set revision=canary -n istio-system",
    );
    cluster.apply(&tag.success()).success();
    let patch = "auth can-i patch mutatingwebhookconfigurations/istio-revision-tag-prod";
    let canary = "--as=system:serviceaccount:istio-system:istiod-canary";
    assert!(cluster.kubectl(&format!("{patch} {canary}")).ok);
    cluster.helm("uninstall istiod-canary -n istio-system").success();
    cluster.kubectl("get deployment istiod -n istio-system").success();
    cluster.kubectl("get mutatingwebhookconfiguration istio-sidecar-injector").success();
}

/// A certificate that the API server takes for a root: its own.
fn root_in_base64(cluster: &Cluster) -> String {
    let config =
        cluster.kubectl("config view --raw --flatten -o jsonpath={.clusters[0].cluster.certificate-authority-data}");
    config.success()
}
